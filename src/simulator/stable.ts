import { type Knobs, lifetimeMsOf, overlapMsOf } from "./knobs.ts";
import {
	endToken,
	type IssuedToken,
	isLive,
	type TokenBook,
	type TokenLine,
} from "./tokens.ts";

export interface StableLine extends TokenLine {
	/** When the last forced refresh was. */
	forcedAt: number;
	/** U14: too many forced refreshes were asked for. */
	forceBlocked: boolean;
}

export interface StableAnswer {
	readonly token: IssuedToken;
	readonly isNew: boolean;
}

/** A normal call: the current token, or a new one if it ends within the overlap. */
export function fetchStable(
	book: TokenBook,
	line: StableLine,
	appid: string,
	knobs: Knobs,
	nowMs: number,
): StableAnswer {
	const { current } = line;
	if (
		current !== undefined &&
		isLive(current, nowMs) &&
		current.expiresAt - nowMs > overlapMsOf(knobs)
	)
		return { token: current, isNew: false };
	// The former one lives to its natural end, at most an overlap from now.
	const token = book.issue(line, { appid, interface: "stable" }, nowMs);
	return { token, isNew: true };
}

/**
 * A forced refresh: a new token, and the former one ends at once, or after U1
 * seconds. A second force within those leaves only the newest.
 */
export function forceStable(
	book: TokenBook,
	line: StableLine,
	appid: string,
	knobs: Knobs,
	nowMs: number,
): IssuedToken {
	const graceMs = knobs.forcedFormerSeconds * 1000;
	const isSecond = nowMs - line.forcedAt < graceMs;
	for (const token of line.former) endToken(token, nowMs, "overwritten", nowMs);
	if (line.current !== undefined)
		endToken(
			line.current,
			isSecond ? nowMs : nowMs + graceMs,
			"overwritten",
			nowMs,
		);
	line.forcedAt = nowMs;
	return book.issue(line, { appid, interface: "stable" }, nowMs);
}

/** U5: renews by itself each time the window opened since the last look. */
export function rotateAlone(
	book: TokenBook,
	line: StableLine,
	appid: string,
	knobs: Knobs,
	nowMs: number,
): void {
	const stepMs = lifetimeMsOf(knobs) - overlapMsOf(knobs);
	for (;;) {
		const { current } = line;
		if (current === undefined || current.endsBy !== "age") return;
		const opensAt = current.expiresAt - overlapMsOf(knobs);
		if (nowMs < opensAt) return;
		// After a long silence only the last two tokens matter.
		const skipped = Math.max(0, Math.floor((nowMs - opensAt) / stepMs) - 1);
		book.issue(
			line,
			{ appid, interface: "stable" },
			opensAt + skipped * stepMs,
		);
	}
}
