import { type Knobs, lifetimeMsOf, overlapMsOf } from "./knobs.ts";
import {
	endToken,
	type IssuedToken,
	isLive,
	type TokenBook,
	type TokenLine,
} from "./tokens.ts";

/** The tokens of one account on the stable interface. */
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

/**
 * U5: renews when the window opens. Of the times since the last look only the
 * latest matters: nobody was told the tokens in between.
 */
export function rotateAlone(
	book: TokenBook,
	line: StableLine,
	appid: string,
	knobs: Knobs,
	nowMs: number,
): void {
	const { current } = line;
	if (current === undefined || current.endsBy !== "age") return;
	const opensAt = current.expiresAt - overlapMsOf(knobs);
	if (nowMs < opensAt) return;
	const stepMs = lifetimeMsOf(knobs) - overlapMsOf(knobs);
	const rotatedAt = nowMs - ((nowMs - opensAt) % stepMs);
	book.issue(line, { appid, interface: "stable" }, rotatedAt);
}
