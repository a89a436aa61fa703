/**
 * What happened to the credentials within the last day, for the status page. It only
 * listens to the keepers' events, and is bounded.
 */
import type { CredentialId, KnownToken } from "../core/credential.ts";
import type { DayEvent } from "../core/day.ts";
import type { KeeperEvent } from "../core/ports.ts";
import { pushGapMs } from "../core/push.ts";

/** The events of many credentials. */
export interface History {
	/** Notes an event of a keeper. Cheap. */
	note(id: CredentialId, event: KeeperEvent, now: number): void;
	/** WeChat has pushed a ticket that this credential needs, at that time. Cheap. */
	pushed(id: CredentialId, at: number): void;
	/** Of the last day, in the order of time, pushes last; none if it is not remembered. */
	of(id: CredentialId, now: number): readonly DayEvent[];
	/** Puts what an earlier process remembered before what is known. */
	restore(id: CredentialId, events: readonly DayEvent[]): void;
	/** All that is remembered, the most recently eventful ones last. */
	all(): Iterable<readonly [CredentialId, readonly DayEvent[]]>;
	/** How many events were noted: as long as it stays, so does all of it. */
	noted(): number;
}

/** Credentials that are remembered: the most recently eventful ones. */
const maxCredentials = 500;
/** Events of a credential; the oldest go. */
const maxEvents = 64;
const dayMs = 86_400_000;

/** Pushes are few, unless they come and go: spans of a credential. */
const maxPushSpans = 24;

/** What is remembered of a credential. */
interface Past {
	readonly events: DayEvent[];
	/** Apart from the others, which they would drive out and stand between. */
	readonly pushes: DayEvent[];
}

/** Nothing is remembered yet. */
export function createHistory(): History {
	const pasts = new Map<CredentialId, Past>();
	let noted = 0;

	/** What is remembered of it, which is now the most recently eventful one. */
	const touched = (id: CredentialId): Past => {
		const past = pasts.get(id) ?? { events: [], pushes: [] };
		// Behind all others: the first one is the one that was quiet for longest.
		pasts.delete(id);
		pasts.set(id, past);
		noted += 1;
		if (pasts.size > maxCredentials) {
			const [quiet] = pasts.keys();
			if (quiet !== undefined) pasts.delete(quiet);
		}
		return past;
	};

	const eventsOf = (id: CredentialId): readonly DayEvent[] =>
		pasts.get(id)?.events ?? [];

	/** `index`: of the event that it replaces; by default it is added. */
	const put = (id: CredentialId, event: DayEvent, index?: number) => {
		const { events } = touched(id);
		events.splice(index ?? events.length, 1, event);
		const now = event.kind === "failure" ? event.until : event.at;
		while (events.length > maxEvents || (events[0]?.until ?? now) < now - dayMs)
			events.shift();
	};

	const published = (id: CredentialId, known: KnownToken, now: number) => {
		const { token, fetchedAt, reason: why } = known;
		const at = fetchedAt > now - dayMs && fetchedAt <= now ? fetchedAt : now;
		put(id, { at, kind: "value", why, until: token.expiresAt });
	};

	/** A process that starts finds what an earlier one has published. */
	const adopted = (id: CredentialId, known: KnownToken, now: number) => {
		const last = eventsOf(id).findLast(({ kind }) => kind === "value");
		// In the file its end is in whole seconds.
		const apartMs = Math.abs((last?.until ?? 0) - known.token.expiresAt);
		if (apartMs >= 1_000) published(id, known, now);
	};

	/** The end of a ticket moves on while WeChat gives the same one. */
	const confirmed = (id: CredentialId, { token }: KnownToken) => {
		const events = eventsOf(id);
		const index = events.findLastIndex(({ kind }) => kind === "value");
		const value = events[index];
		if (value !== undefined && value.until !== token.expiresAt)
			put(id, { ...value, until: token.expiresAt }, index);
	};

	const failed = (id: CredentialId, why: string, now: number) => {
		const events = eventsOf(id);
		const last = events.at(-1);
		if (last?.kind === "failure" && last.why === why)
			put(id, { ...last, until: now }, events.length - 1);
		else put(id, { at: now, kind: "failure", why, until: now });
	};

	return {
		note: (id, event, now) => {
			switch (event.kind) {
				case "refreshed":
					if (event.isSame) confirmed(id, event.current);
					else published(id, event.current, now);
					break;
				case "adopted":
					adopted(id, event.current, now);
					break;
				case "failed":
					failed(id, event.error.code, now);
					break;
				case "probed":
					if (event.result === "dead")
						put(id, { at: now, kind: "death", why: "reported", until: now });
			}
		},
		pushed: (id, at) => {
			const last = pasts.get(id)?.pushes.at(-1);
			// The same one again, as something else has come.
			if (last !== undefined && at <= last.until) return;
			const { pushes } = touched(id);
			if (last === undefined || at - last.until > pushGapMs)
				pushes.push({ at, kind: "push", why: "ticket", until: at });
			else pushes.splice(-1, 1, { ...last, until: at });
			while (
				pushes.length > maxPushSpans ||
				(pushes[0]?.until ?? at) < at - dayMs
			)
				pushes.shift();
		},
		of: (id, now) => {
			const past = pasts.get(id);
			if (past === undefined) return [];
			const isOfDay = ({ until }: DayEvent) => until > now - dayMs;
			return [...past.events.filter(isOfDay), ...past.pushes.filter(isOfDay)];
		},
		restore: (id, restored) => {
			const known = pasts.get(id);
			if (known === undefined && pasts.size >= maxCredentials) return;
			const isPush = ({ kind }: DayEvent) => kind === "push";
			const others = restored.filter((event) => !isPush(event));
			pasts.set(id, {
				events: joined(others, known?.events, maxEvents),
				pushes: joined(restored.filter(isPush), known?.pushes, maxPushSpans),
			});
		},
		*all() {
			for (const [id, { events, pushes }] of pasts)
				yield [id, [...events, ...pushes]];
		},
		noted: () => noted,
	};
}

/** What an earlier process remembered, before what is known. */
function joined(
	restored: readonly DayEvent[],
	known: readonly DayEvent[] = [],
	most: number,
): DayEvent[] {
	const first = known[0]?.at ?? Number.POSITIVE_INFINITY;
	return [...restored.filter(({ at }) => at < first), ...known].slice(-most);
}
