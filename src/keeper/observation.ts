/** What one keeper sees and knows, and the plan that follows from it. */
import type { Clock } from "../core/clock.ts";
import type { KnownToken, Reading } from "../core/credential.ts";
import { decide, isIdle, type Plan } from "../core/decide.ts";
import { refreshAt } from "../core/limits.ts";
import { ownReading, ownRecord, withoutOthersPause } from "../core/own-view.ts";
import {
	emptyRecord,
	type Pause,
	type SharedRecord,
	type Usage,
	withUsage,
} from "../core/record.ts";
import { type Glimpse, glimpseOf } from "../core/status.ts";
import { tokenId } from "../core/token.ts";
import { isOfDisk } from "../core/transition.ts";
import type { KeeperParts, Parents } from "./keeper-parts.ts";
import type { Probe } from "./probe.ts";
import type { Requests } from "./requests.ts";

/** What was seen at one instant, and what is to be done about it. */
export interface Observation {
	readonly plan: Plan;
	readonly disk: Reading;
	/** What all keepers wrote, and what this one could not write there. */
	readonly record: SharedRecord;
	/** Only what all keepers wrote. */
	readonly shared: SharedRecord;
}

/** What a keeper knows beyond the disk. */
interface Knowledge {
	/** The token that was seen, or made, last. */
	readonly memory: KnownToken | undefined;
	/** A pause that could not be written to disk counts all the same. */
	readonly ownPause: Pause | undefined;
	/** See `Situation.doubtedSince`. */
	readonly doubtedSince: number | undefined;
	/** See `Situation.ignorePauses`. */
	readonly ignorePauses: boolean;
	/** WeChat refused the values of the parents that these were, until then (epoch ms). */
	readonly refusedParents:
		| { readonly ids: string; readonly until: number; readonly times: number }
		| undefined;
	/** `tokenId` of a token that was seen alive, and whose end was not told yet. */
	readonly aliveId: string | undefined;
}

export interface Observer {
	/** Reads and decides; has no effect. */
	look(): Observation;
	/** The plan by what was read already, for the requests and the time of now. */
	planAgain(seen: Observation): Plan;
	/** Takes over what was seen, and tells it. */
	note(seen: Observation): void;
	/** Whether `note` would tell something, or end a pause. */
	isNews(seen: Observation): boolean;
	/** Tells the end of a token that was seen alive, once. */
	noteEnd(current: KnownToken | undefined): void;
	/** The token that was seen, or made, last. */
	memory(): KnownToken | undefined;
	record(): SharedRecord;
	/** The same as it was at the last look: nothing is read. */
	seenRecord(): SharedRecord;
	/** As of the last look. Undefined: it was too long ago, or something was done since. */
	glimpse(): Glimpse | undefined;
	/** What the last look saw may be another by now. */
	outdate(): void;
	/** The attempt that the last look was for has failed: that is all that is new. */
	noteFailure(failure: NonNullable<Glimpse["failure"]>): void;
	/**
	 * What may be written down for all: that the disk of this process fails is not for
	 * the next keeper to know.
	 */
	writable(seen: Observation): SharedRecord;
	/** That record was written by this keeper: what it has used is known, whatever befalls the file. */
	wrote(record: SharedRecord): void;
	/** WeChat refused these values of the parents: with them it is not asked for a while. */
	noteParentsRefused(parents: Parents): void;
	/** Something is known now: a token, a pause, a doubt. */
	learn(news: Partial<Knowledge>): void;
	/** Whether there is nothing to know beyond the token. */
	isPlain(): boolean;
}

export function createObserver(
	parts: KeeperParts,
	requests: Requests,
	probe: Pick<Probe, "calls">,
): Observer {
	const { clock, slot, credential, self } = parts;
	let knowledge: Knowledge = {
		memory: parts.known,
		ownPause: undefined,
		doubtedSince: undefined,
		ignorePauses: parts.known === undefined,
		aliveId: parts.known?.id,
		refusedParents: undefined,
	};
	let seenRecord: SharedRecord = emptyRecord;
	let used: Usage = parts.used ?? emptyRecord;
	const glimpses = createGlimpses(clock);

	const isAlive = ({ token }: KnownToken) => token.expiresAt > clock.now();

	/** WeChat refused these parents a short while ago. */
	const wereRefused = (parents: NonNullable<Parents>): boolean => {
		const { refusedParents } = knowledge;
		return (
			refusedParents !== undefined &&
			clock.now() < refusedParents.until &&
			idsOf(parents) === refusedParents.ids
		);
	};

	const areParentsAlive = (): boolean => {
		if (credential.needs.length === 0) return true;
		const parents = parts.parents();
		return parents !== undefined && !wereRefused(parents);
	};

	const planFor = (disk: Reading, record: SharedRecord): Plan => {
		const { memory, doubtedSince, ignorePauses } = knowledge;
		const { kind = "" } = record.pause?.failure ?? {};
		const request = requests.pending();
		return decide({
			now: clock.now(),
			clockOffset: offsetOf(clock),
			instance: self.instance,
			startedAt: parts.startedAt,
			credential,
			parents: areParentsAlive() ? "alive" : "missing",
			memory,
			disk,
			record,
			request,
			doubtedSince,
			ignorePauses: ignorePauses && !parts.keepPausesFor?.includes(kind),
			isForcerDead: request?.reason === "forced" && isForcerDead(record, parts),
		});
	};

	const withOwn = (shared: SharedRecord, own: Pause | undefined) =>
		withOwnPause(withProbes(shared, probe.calls()), own);

	const forUs = (found: SharedRecord) =>
		withUsage(withoutOthersPause(ownRecord(found, credential), self), used);

	const look = (): Observation => {
		// The record first: a publication writes it before the file.
		const shared = forUs(slot.record());
		used = shared;
		const record = withOwn(shared, knowledge.ownPause);
		const disk = ownReading(slot.read(), shared);
		seenRecord = record;
		const plan = planFor(disk, record);
		// After the plan, which has named the token: here that costs nothing.
		const { memory: kept } = knowledge;
		glimpses.learn(glimpseOf({ credential, record, reading: disk, kept }));
		return { plan, disk, record, shared };
	};

	const isAdoption = ({ plan: { current } }: Observation) =>
		current !== undefined &&
		current.id !== knowledge.memory?.id &&
		isAlive(current);

	/** All is on disk as it should be: what the disk refused has no weight now. */
	const isRecovery = ({ plan }: Observation) =>
		isIdle(plan) && isOfDisk(knowledge.ownPause);

	return {
		look,
		planAgain: ({ disk, record }) => planFor(disk, record),
		isNews: (seen) => isAdoption(seen) || isRecovery(seen),
		note: (seen) => {
			const { current } = seen.plan;
			const isAdopted = isAdoption(seen);
			if (isAdopted && current !== undefined) {
				parts.emit({ kind: "adopted", current });
				// As after an answer: its times are exact to the second.
				if (current.sighting !== undefined)
					parts.wakeAt(refreshAt(current, credential));
			}
			const isOver = isAdopted || isRecovery(seen);
			knowledge = {
				...knowledge,
				memory:
					current?.clockOffset === undefined && current !== undefined
						? learnedAt(current, offsetOf(clock))
						: current,
				ownPause: isOver ? undefined : knowledge.ownPause,
				aliveId:
					current !== undefined && isAlive(current)
						? current.id
						: knowledge.aliveId,
			};
		},
		noteEnd: (current) => {
			if (current === undefined || isAlive(current)) return;
			if (knowledge.aliveId !== current.id) return;
			knowledge = { ...knowledge, aliveId: undefined };
			parts.emit({ kind: "expired", current });
		},
		wrote: (record) => {
			used = record;
		},
		noteParentsRefused: (parents) => {
			const before = knowledge.refusedParents;
			const refusedParents = refusedAgain(before, parents, clock.now());
			knowledge = { ...knowledge, refusedParents };
		},
		memory: () => knowledge.memory,
		record: () => withOwn(forUs(slot.record()), knowledge.ownPause),
		seenRecord: () => seenRecord,
		glimpse: glimpses.last,
		outdate: glimpses.outdate,
		noteFailure: glimpses.fail,
		writable: ({ shared }) => {
			const { ownPause } = knowledge;
			const own = isOfDisk(ownPause) ? undefined : ownPause;
			return { ...withOwn(shared, own), source: credential.source };
		},
		learn: (news) => {
			glimpses.outdate();
			knowledge = { ...knowledge, ...news };
		},
		isPlain: () =>
			knowledge.ownPause === undefined &&
			knowledge.doubtedSince === undefined &&
			knowledge.refusedParents === undefined,
	};
}

/** The parent may be alive after all: then it is no use to ask again at once. */
function refusedAgain(
	before: Knowledge["refusedParents"],
	parents: Parents,
	now: number,
): Knowledge["refusedParents"] {
	const ids = idsOf(parents);
	const times = before?.ids === ids ? Math.min(before.times + 1, 6) : 0;
	return { ids, times, until: now + minuteMs * 2 ** times };
}

/** The intent of a fetch says whose it was, for as long as no other follows it. */
function isForcerDead(
	{ forced, inFlight }: SharedRecord,
	{ isDead }: Pick<KeeperParts, "isDead">,
): boolean {
	return (
		inFlight === undefined ||
		inFlight.by.instance !== forced?.by ||
		isDead(inFlight.by)
	);
}

const minuteMs = 60_000;

/**
 * Two ticks of a schedule of a minute. Each tick looks at whatever is not at rest: by the
 * usual schedule it becomes so old only where thousands fail on a busy machine, which
 * must not read all of their files for each question then.
 */
const maxGlimpseMs = 120_000;

/** The last glimpse, for as long as it is to be believed. */
function createGlimpses(clock: Clock) {
	let glimpse: Glimpse | undefined;
	let isOutdated = true;
	/** By the monotonic clock. */
	let at = 0;
	const learn = (seen: Glimpse) => {
		glimpse = seen;
		isOutdated = false;
		at = clock.monotonic();
	};
	return {
		learn,
		last: () =>
			!isOutdated && clock.monotonic() - at < maxGlimpseMs
				? glimpse
				: undefined,
		outdate: () => {
			isOutdated = true;
		},
		fail: ({ code, hint }: NonNullable<Glimpse["failure"]>) => {
			if (glimpse !== undefined) learn({ ...glimpse, failure: { code, hint } });
		},
	};
}

function idsOf(parents: Parents): string {
	return [...(parents?.values() ?? [])].map(tokenId).join(" ");
}

/** As `KnownToken.clockOffset`, of now. */
export function offsetOf(clock: Clock): number {
	return clock.now() - clock.monotonic();
}

/**
 * The same with the offset of the clock as it was learned. Its fields are written out,
 * as a copy by spread takes 250 bytes more, for as long as a token is held.
 */
function learnedAt(known: KnownToken, clockOffset: number): KnownToken {
	const { token, id, generation, lifetimeMs, fetchedAt, reason } = known;
	const { sighting, aheadMs } = known;
	const learned: KnownToken = {
		token,
		id,
		generation,
		lifetimeMs,
		fetchedAt,
		reason,
		clockOffset,
	};
	if (sighting === undefined && aheadMs === undefined) return learned;
	return {
		...learned,
		...(sighting && { sighting }),
		...(aheadMs === undefined ? {} : { aheadMs }),
	};
}

/** The later of the two pauses counts. */
function withOwnPause(
	record: SharedRecord,
	own: Pause | undefined,
): SharedRecord {
	return own === undefined || own.at < (record.pause?.at ?? 0)
		? record
		: { ...record, pause: own };
}

/** Probes are calls as well, though only this keeper knows of them until it writes. */
function withProbes(
	record: SharedRecord,
	probes: readonly number[],
): SharedRecord {
	if (probes.every((at) => record.calls.includes(at))) return record;
	const calls = [...new Set([...record.calls, ...probes])];
	return { ...record, calls: calls.sort((a, b) => a - b) };
}
