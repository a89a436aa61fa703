/**
 * What happened to the credentials within the last day, for the status page. It only
 * listens to the keepers' events, and is bounded.
 */
import type { CredentialId, KnownToken } from "../core/credential.ts";
import type { DayEvent } from "../core/day.ts";
import type { KeeperEvent } from "../core/ports.ts";

/** The events of many credentials. */
export interface History {
	/** Notes an event of a keeper. Cheap. */
	note(id: CredentialId, event: KeeperEvent, now: number): void;
	/** Of the last day, in the order of time; none if it is not remembered. */
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

/** Nothing is remembered yet. */
export function createHistory(): History {
	const eventsOf = new Map<CredentialId, DayEvent[]>();
	let noted = 0;

	/** `index`: of the event that it replaces; by default it is added. */
	const put = (id: CredentialId, event: DayEvent, index?: number) => {
		const events = eventsOf.get(id) ?? [];
		events.splice(index ?? events.length, 1, event);
		const now = event.kind === "failure" ? event.until : event.at;
		while (events.length > maxEvents || (events[0]?.until ?? now) < now - dayMs)
			events.shift();
		// Behind all others: the first one is the one that was quiet for longest.
		eventsOf.delete(id);
		eventsOf.set(id, events);
		noted += 1;
		if (eventsOf.size <= maxCredentials) return;
		const [quiet] = eventsOf.keys();
		if (quiet !== undefined) eventsOf.delete(quiet);
	};

	const published = (id: CredentialId, known: KnownToken, now: number) => {
		const { token, fetchedAt, reason: why } = known;
		const at = fetchedAt > now - dayMs && fetchedAt <= now ? fetchedAt : now;
		put(id, { at, kind: "value", why, until: token.expiresAt });
	};

	/** A process that starts finds what an earlier one has published. */
	const adopted = (id: CredentialId, known: KnownToken, now: number) => {
		const last = eventsOf.get(id)?.findLast(({ kind }) => kind === "value");
		// In the file its end is in whole seconds.
		const apartMs = Math.abs((last?.until ?? 0) - known.token.expiresAt);
		if (apartMs >= 1_000) published(id, known, now);
	};

	/** The end of a ticket moves on while WeChat gives the same one. */
	const confirmed = (id: CredentialId, { token }: KnownToken) => {
		const events = eventsOf.get(id) ?? [];
		const index = events.findLastIndex(({ kind }) => kind === "value");
		const value = events[index];
		if (value !== undefined && value.until !== token.expiresAt)
			put(id, { ...value, until: token.expiresAt }, index);
	};

	const failed = (id: CredentialId, why: string, now: number) => {
		const events = eventsOf.get(id) ?? [];
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
		of: (id, now) =>
			(eventsOf.get(id) ?? []).filter(({ until }) => until > now - dayMs),
		restore: (id, events) => {
			const known = eventsOf.get(id) ?? [];
			const first = known[0]?.at ?? Number.POSITIVE_INFINITY;
			const earlier = events.filter(({ at }) => at < first);
			if (known.length === 0 && eventsOf.size >= maxCredentials) return;
			eventsOf.set(id, [...earlier, ...known].slice(-maxEvents));
		},
		all: () => eventsOf.entries(),
		noted: () => noted,
	};
}
