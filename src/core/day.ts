/**
 * What happened to a credential within a day, as a picture needs it: spans in which a
 * value lived, forced refreshes, failures, spans without a living value, and spans in
 * which WeChat pushed the tickets that it needs.
 */

import type { StatusFacts } from "./status.ts";

/** Something that happened. Instants are epoch ms. */
export interface DayEvent {
	readonly at: number;
	/**
	 * `value`: one is on disk; `failure`: attempts failed; `death`: a value was found dead;
	 * `push`: tickets of a platform came.
	 */
	readonly kind: "value" | "failure" | "death" | "push";
	/** Why it was fetched, as `Reason`; or the code of the failure; or "ticket". */
	readonly why: string;
	/** Its end; of failures, the last one with that code in a row; of pushes, the last one without a gap. */
	readonly until: number;
}

/** From one instant to another. */
export interface Span {
	readonly from: number;
	readonly to: number;
}

/** A day, ready to be drawn. All lists are in the order of time. */
export interface Day {
	/** When values lived. Each one overlaps the next: the former lives on for a while. */
	readonly values: readonly (Span & { readonly why: string })[];
	readonly failures: readonly (Span & { readonly why: string })[];
	/** When there was no living value; not before the first one that is known. */
	readonly dead: readonly Span[];
	/** When tickets were pushed at their usual pace; only a platform has them. */
	readonly pushes: readonly Span[];
}

/**
 * The day by its events, in the order of time. `overlapMs`: how long a value lives on
 * once it was replaced.
 */
export function dayOf(
	events: readonly DayEvent[],
	overlapMs: number,
	now: number,
): Day {
	const issued = events.filter(({ kind }) => kind === "value");
	const deaths = events.filter(({ kind }) => kind === "death");
	const values = issued.map(({ at, until, why }, index) => {
		const next = issued[index + 1]?.at ?? Number.POSITIVE_INFINITY;
		const died = deaths.find((one) => one.at > at && one.at <= next)?.at;
		const to = Math.min(died ?? until, until, next + overlapMs);
		return { from: at, to: Math.max(at, to), why };
	});
	const dead: Span[] = [];
	for (const [index, { to }] of values.entries()) {
		const nextFrom = values[index + 1]?.from ?? now;
		if (to < nextFrom) dead.push({ from: to, to: nextFrom });
	}
	const failures = events
		.filter(({ kind }) => kind === "failure")
		.map(({ at, until, why }) => ({ from: at, to: until, why }));
	const pushes = events
		.filter(({ kind }) => kind === "push")
		.map(({ at, until }) => ({ from: at, to: until }));
	return { values, failures, dead, pushes };
}

/** The value on disk is known also where the history begins after it. */
export function withCurrent(
	events: readonly DayEvent[],
	{
		expire,
		lastRefresh,
		lifetime,
	}: Pick<StatusFacts, "expire" | "lastRefresh" | "lifetime">,
): readonly DayEvent[] {
	if (expire === null) return events;
	const until = expire * 1000;
	const isKnown = events.some(
		(event) => event.kind === "value" && Math.abs(event.until - until) < 2_000,
	);
	if (isKnown) return events;
	const at =
		lastRefresh === null ? until - (lifetime ?? 0) * 1000 : lastRefresh.at;
	const current = {
		at,
		kind: "value" as const,
		why: lastRefresh?.reason ?? "found",
		until,
	};
	return [...events, current].sort((one, other) => one.at - other.at);
}

const dayMs = 86_400_000;

/**
 * The 24 hours before `now` as so many letters, one for each equal part: `#` a value lived
 * all the time, `!` it did, but attempts failed, `x` there was none for a while, `.` not known.
 */
export function lettersOf(
	{ values, failures, dead }: Day,
	now: number,
	count: number,
): string {
	const partMs = dayMs / count;
	const begin = now - dayMs;
	/** By a span, and not by a part: of ten thousand credentials most have one. */
	const touched = (spans: readonly Span[], isToTheEnd: boolean) => {
		const parts: boolean[] = [];
		for (const { from, to } of spans) {
			const end = (to - begin) / partMs;
			// What ended as a part began may be no part of it.
			const last = isToTheEnd ? Math.floor(end) : Math.ceil(end) - 1;
			const first = Math.max(0, Math.floor((from - begin) / partMs));
			for (let part = first; part <= last && part < count; part += 1)
				parts[part] = true;
		}
		return parts;
	};
	const valid = touched(values, true);
	const failed = touched(failures, true);
	const without = touched(dead, false);
	let letters = "";
	for (let part = 0; part < count; part += 1) {
		const isBad = without[part] || (failed[part] && !valid[part]);
		letters += isBad ? "x" : failed[part] ? "!" : valid[part] ? "#" : ".";
	}
	return letters;
}
