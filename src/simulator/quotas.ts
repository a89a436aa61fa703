/** Quotas: how many calls an account may make a day and a minute, and how many it made. */
import type { Knobs } from "./knobs.ts";

/** 公众号/服务号, 小程序, 接口测试号. The kind decides which quotas apply. */
export type AccountKind = "mp" | "mini" | "test";

/** A quota, named as its endpoint. `force_refresh` calls count in `stable_token` too. */
export type QuotaName =
	| "token"
	| "stable_token"
	| "force_refresh"
	| "getticket"
	| "get_api_domain_ip"
	| "getcallbackip"
	| "quota/get"
	| "api_component_token"
	| "api_authorizer_token";

/** How many calls are allowed. The knob `quotaDay` says when a day begins. */
export interface Limit {
	readonly perDay: number;
	readonly perMinute: number;
}

/** The limit of every quota of an account. */
export type Limits = Readonly<Record<QuotaName, Limit>>;

/** Limits to change; what is absent stays. */
export type LimitChanges = Readonly<
	Partial<Record<QuotaName, Readonly<Partial<Limit>>>>
>;

/** The counter of one quota of one account. */
interface CallCounter {
	/** The minute that `minuteCount` belongs to, in minutes since the epoch. */
	minute: number;
	minuteCount: number;
	/** The day that `dayCount` belongs to, in days since the epoch, UTC+8. */
	day: number;
	dayCount: number;
	/** For a rolling day: the instants of its calls, oldest first, epoch ms. */
	times: number[];
}

/** The counters of one account. A counter exists once its quota was asked for. */
export type CallCounters = Map<QuotaName, CallCounter>;

/**
 * WeChat documents the daily limit of `token` (公众号, 测试号), of `stable_token`
 * and of `force_refresh`, and the limit per minute of `stable_token`. The other
 * numbers are guesses, because WeChat does not publish them.
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
		// Of a 第三方平台: for itself, and for each account.
		api_component_token: { perDay: 10_000, perMinute },
		api_authorizer_token: { perDay: 2_000, perMinute },
	};
}

/** Whether a name, for example of an endpoint, is the name of a quota. */
export function isQuotaName(name: string): name is QuotaName {
	return Object.hasOwn(limitsByKind.mp, name);
}

/**
 * The limits of an account kind with changes applied.
 *
 * @throws RangeError for an unknown quota or unit, or a negative number
 */
export function limitsOf(
	kind: AccountKind,
	changes: LimitChanges = {},
): Limits {
	return withChanges(limitsByKind[kind], changes);
}

/**
 * Limits with changes applied.
 *
 * @throws RangeError for an unknown quota or unit, or a negative number
 */
export function withChanges(limits: Limits, changes: LimitChanges): Limits {
	const changed: Record<QuotaName, Limit> = { ...limits };
	for (const [name, limit] of Object.entries(changes)) {
		if (!isQuotaName(name))
			throw new RangeError(`there is no limit for ${JSON.stringify(name)}`);
		for (const [unit, value] of Object.entries(limit))
			if (!["perDay", "perMinute"].includes(unit) || !(Number(value) >= 0))
				throw new RangeError(`the limit ${name}.${unit} is not one`);
		changed[name] = { ...limits[name], ...limit };
	}
	return changed;
}

/** Counts one call. It does not check the limit: `exceededBy` does. */
export function countCall(
	counters: CallCounters,
	quota: QuotaName,
	knobs: Knobs,
	nowMs: number,
): void {
	const counter = counterAt(counters, quota, knobs, nowMs);
	counter.minuteCount += 1;
	counter.dayCount += 1;
	if (knobs.quotaDay === "rolling") counter.times.push(nowMs);
}

/** The calls counted in the day and in the minute of `nowMs`. */
export function usageAt(
	counters: CallCounters,
	quota: QuotaName,
	knobs: Knobs,
	nowMs: number,
): { readonly today: number; readonly thisMinute: number } {
	const counter = counterAt(counters, quota, knobs, nowMs);
	return { today: counter.dayCount, thisMinute: counter.minuteCount };
}

/** The limit that one more call would exceed; undefined: none. */
export function exceededBy(
	counters: CallCounters,
	quota: QuotaName,
	limit: Limit,
	knobs: Knobs,
	nowMs: number,
): "day" | "minute" | undefined {
	const used = usageAt(counters, quota, knobs, nowMs);
	if (used.today >= limit.perDay) return "day";
	if (used.thisMinute >= limit.perMinute) return "minute";
	return undefined;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const beijingOffsetMs = 8 * 3_600_000;

/** The counter as of `nowMs`: a new minute or day starts at 0. */
function counterAt(
	counters: CallCounters,
	quota: QuotaName,
	knobs: Knobs,
	nowMs: number,
): CallCounter {
	let counter = counters.get(quota);
	if (counter === undefined) {
		counter = { minute: 0, minuteCount: 0, day: 0, dayCount: 0, times: [] };
		counters.set(quota, counter);
	}
	const minute = Math.floor(nowMs / minuteMs);
	if (minute !== counter.minute) {
		counter.minute = minute;
		counter.minuteCount = 0;
	}
	if (knobs.quotaDay === "rolling") {
		const { times } = counter;
		const kept = times.findIndex((at) => at > nowMs - dayMs);
		if (kept !== 0) times.splice(0, kept < 0 ? times.length : kept);
		counter.dayCount = times.length;
		return counter;
	}
	const day = Math.floor((nowMs + beijingOffsetMs) / dayMs);
	if (day !== counter.day) {
		counter.day = day;
		counter.dayCount = 0;
	}
	return counter;
}
