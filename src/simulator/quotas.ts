import type { AccountKind } from "./account.ts";
import type { Knobs } from "./knobs.ts";

/** What is counted against a limit. `force_refresh` counts inside `stable_token`. */
export type Metered =
	| "token"
	| "stable_token"
	| "force_refresh"
	| "getticket"
	| "get_api_domain_ip"
	| "getcallbackip"
	| "quota/get";

export function isMetered(name: string): name is Metered {
	return Object.hasOwn(limitsByKind.mp, name);
}

/** Calls that are allowed; a day is what the knob `quotaDay` says. */
export interface Limit {
	readonly perDay: number;
	readonly perMinute: number;
}

export type Limits = Readonly<Record<Metered, Limit>>;
export type LimitChanges = Readonly<
	Partial<Record<Metered, Readonly<Partial<Limit>>>>
>;

/**
 * Documented: the day of `token` (公众号, test), of `stable_token` and of
 * `force_refresh`, the minute of `stable_token`. The others are guesses at
 * numbers that WeChat does not publish.
 */
const limitsByKind: Readonly<Record<AccountKind, Limits>> = {
	mp: limitsWith({ tokensPerDay: 2_000, share: 1 }),
	mini: limitsWith({ tokensPerDay: 10_000, share: 1 }),
	test: limitsWith({ tokensPerDay: 200, share: 0.1 }),
};

function limitsWith(given: { tokensPerDay: number; share: number }): Limits {
	const perMinute = 10_000;
	return {
		token: { perDay: given.tokensPerDay, perMinute },
		stable_token: { perDay: 500_000 * given.share, perMinute },
		force_refresh: { perDay: 20, perMinute },
		getticket: { perDay: 10_000 * given.share, perMinute },
		get_api_domain_ip: { perDay: 10_000 * given.share, perMinute },
		getcallbackip: { perDay: 10_000 * given.share, perMinute },
		"quota/get": { perDay: 10_000 * given.share, perMinute },
	};
}

/** The kind's limits with changes laid over them. @throws RangeError */
export function limitsOf(
	kind: AccountKind,
	changes: LimitChanges = {},
): Limits {
	return withChanges(limitsByKind[kind], changes);
}

/** @throws RangeError for a name, a unit or a value that is no limit */
export function withChanges(limits: Limits, changes: LimitChanges): Limits {
	const changed: Record<Metered, Limit> = { ...limits };
	for (const [name, limit] of Object.entries(changes)) {
		if (!isMetered(name))
			throw new RangeError(`there is no limit for ${JSON.stringify(name)}`);
		for (const [unit, value] of Object.entries(limit))
			if (!["perDay", "perMinute"].includes(unit) || !(Number(value) >= 0))
				throw new RangeError(`the limit ${name}.${unit} is not one`);
		changed[name] = { ...limits[name], ...limit };
	}
	return changed;
}

/** The counters of one account and one kind of call. */
export interface Meter {
	minute: number;
	minuteCount: number;
	day: number;
	dayCount: number;
	/** For a rolling day: when its calls were, oldest first. */
	times: number[];
}

export function createMeter(): Meter {
	return { minute: 0, minuteCount: 0, day: 0, dayCount: 0, times: [] };
}

/** Counts, and does not ask for the limit: `overLimit` does. */
export function countCall(meter: Meter, knobs: Knobs, nowMs: number): void {
	settleMeter(meter, knobs, nowMs);
	meter.minuteCount += 1;
	meter.dayCount += 1;
	if (knobs.quotaDay === "rolling") meter.times.push(nowMs);
}

/** Calls counted in the day of `nowMs`. */
export function usedToday(meter: Meter, knobs: Knobs, nowMs: number): number {
	settleMeter(meter, knobs, nowMs);
	return meter.dayCount;
}

/** Calls counted in the minute of `nowMs`. */
export function usedThisMinute(
	meter: Meter,
	knobs: Knobs,
	nowMs: number,
): number {
	settleMeter(meter, knobs, nowMs);
	return meter.minuteCount;
}

/** The errcode of one call more, or undefined if it is within the limit. */
export function overLimit(
	meter: Meter,
	limit: Limit,
	knobs: Knobs,
	nowMs: number,
): 45009 | 45011 | undefined {
	if (usedToday(meter, knobs, nowMs) >= limit.perDay) return 45009;
	if (meter.minuteCount >= limit.perMinute) return 45011;
	return undefined;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const beijingMs = 8 * 3_600_000;

/** The number of the day in UTC+8, where WeChat's days begin. */
function beijingDay(nowMs: number): number {
	return Math.floor((nowMs + beijingMs) / dayMs);
}

function settleMeter(meter: Meter, knobs: Knobs, nowMs: number): void {
	const minute = Math.floor(nowMs / minuteMs);
	if (minute !== meter.minute) {
		meter.minute = minute;
		meter.minuteCount = 0;
	}
	if (knobs.quotaDay === "rolling") {
		const kept = meter.times.findIndex((at) => at > nowMs - dayMs);
		if (kept !== 0) meter.times.splice(0, kept < 0 ? meter.times.length : kept);
		meter.dayCount = meter.times.length;
		return;
	}
	const day = beijingDay(nowMs);
	if (day !== meter.day) {
		meter.day = day;
		meter.dayCount = 0;
	}
}
