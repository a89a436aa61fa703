/** Access tokens: how the classic and the stable interface issue them, and when they end. */
import { type Knobs, lifetimeMsOf, overlapMsOf } from "./knobs.ts";
import { encode, type Random } from "./random.ts";

/** The two interfaces that issue tokens. Their tokens are independent of each other. */
export type Interface = "classic" | "stable";

/** A token as the platform stores it. Instants are epoch ms of the virtual clock. */
export interface IssuedToken {
	readonly value: string;
	readonly appid: string;
	readonly issuedAt: number;
	/** The end that `expires_in` announced to the caller. */
	readonly expiresAt: number;
	/** The actual end, at or before `expiresAt`. */
	endsAt: number;
	/** What causes the end. It decides which errcode a later use gets. */
	endsBy: "age" | "overwritten" | "revoked";
}

/** The tokens of one account on one interface. */
export interface TokenLine {
	readonly appid: string;
	/** The newest token, alive or not. */
	current: IssuedToken | undefined;
	/** Newest first. Tokens are removed when a use of them would get 40001 anyway. */
	former: readonly IssuedToken[];
	/** The number of tokens issued so far. */
	issued: number;
}

/** The tokens of one account on the stable interface. */
export interface StableLine extends TokenLine {
	/** The last forced refresh, epoch ms; -Infinity before the first. */
	forcedAt: number;
	/** U14: whether a forced refresh was refused because of the daily limit. */
	forceBlocked: boolean;
}

/** All tokens of a platform by value. Its size is bounded by the number of lines. */
export interface TokenBook {
	/** Makes a new current token. The caller decides when the former ones end. */
	issue(line: TokenLine, nowMs: number): IssuedToken;
	find(value: string): IssuedToken | undefined;
}

/** A line without tokens. */
export function emptyLine(appid: string): TokenLine {
	return { appid, current: undefined, former: [], issued: 0 };
}

/** A line of the stable interface without tokens. */
export function emptyStableLine(appid: string): StableLine {
	return {
		...emptyLine(appid),
		forcedAt: Number.NEGATIVE_INFINITY,
		forceBlocked: false,
	};
}

/** Whether WeChat accepts the token. */
export function isLive({ endsAt }: IssuedToken, nowMs: number): boolean {
	return nowMs < endsAt;
}

/**
 * A classic fetch: it always issues a new token. The former token lives for the
 * overlap (documented: five minutes). The token before that ends now, or with
 * U2 at the end of its own overlap.
 */
export function fetchClassic(
	book: TokenBook,
	line: TokenLine,
	knobs: Knobs,
	nowMs: number,
): IssuedToken {
	if (knobs.thirdClassicFetch === "evicts")
		for (const token of line.former)
			endToken(token, nowMs, "overwritten", nowMs);
	if (line.current !== undefined)
		endToken(line.current, nowMs + overlapMsOf(knobs), "overwritten", nowMs);
	return book.issue(line, nowMs);
}

/**
 * A normal call of the stable interface: the current token, or a new one if the
 * current ends within the overlap. The former then lives to its natural end,
 * which is at most an overlap away.
 */
export function fetchStable(
	book: TokenBook,
	line: StableLine,
	knobs: Knobs,
	nowMs: number,
): { readonly token: IssuedToken; readonly isNew: boolean } {
	const { current } = line;
	if (
		current !== undefined &&
		isLive(current, nowMs) &&
		current.expiresAt - nowMs > overlapMsOf(knobs)
	)
		return { token: current, isNew: false };
	return { token: book.issue(line, nowMs), isNew: true };
}

/**
 * A forced refresh of the stable interface: a new token. The former ends at
 * once, or with U1 after a grace period. A second forced refresh within that
 * period ends all but the newest, because WeChat documents two forced calls as
 * the way to disable a leaked token at once.
 */
export function forceStable(
	book: TokenBook,
	line: StableLine,
	knobs: Knobs,
	nowMs: number,
): IssuedToken {
	const graceMs = knobs.forcedFormerSeconds * 1000;
	const isSecond = nowMs - line.forcedAt < graceMs;
	for (const token of line.former) endToken(token, nowMs, "overwritten", nowMs);
	if (line.current !== undefined) {
		const endsAt = isSecond ? nowMs : nowMs + graceMs;
		endToken(line.current, endsAt, "overwritten", nowMs);
	}
	line.forcedAt = nowMs;
	return book.issue(line, nowMs);
}

/**
 * U5: renews a stable token without a call when its renewal window opens. If
 * several renewals were missed, only the last is done: the tokens in between
 * were never given to a caller.
 */
export function rotateAlone(
	book: TokenBook,
	line: StableLine,
	knobs: Knobs,
	nowMs: number,
): void {
	const { current } = line;
	if (current === undefined || current.endsBy !== "age") return;
	const opensAt = current.expiresAt - overlapMsOf(knobs);
	if (nowMs < opensAt) return;
	const stepMs = lifetimeMsOf(knobs) - overlapMsOf(knobs);
	const rotatedAt = nowMs - ((nowMs - opensAt) % stepMs);
	book.issue(line, rotatedAt);
}

/** Ends a live token at `endsAt`, unless it ends earlier by itself. */
export function endToken(
	token: IssuedToken,
	endsAt: number,
	endsBy: "overwritten" | "revoked",
	nowMs: number,
): void {
	// An expired token was not overwritten: its uses continue to get 42001.
	if (!isLive(token, nowMs)) return;
	token.endsAt = Math.min(token.endsAt, endsAt);
	token.endsBy = endsBy;
}

/** Expired tokens that a line keeps, so that their uses get 42001 and not 40001. */
const maxExpiredPerLine = 4;

/** `knobs` is called for each token, because knobs change while the platform runs. */
export function createTokenBook(random: Random, knobs: () => Knobs): TokenBook {
	const byValue = new Map<string, IssuedToken>();
	let count = 0;

	function newValue(): string {
		count += 1;
		const digits = 10 + Math.floor(random.next() * 90);
		// The count makes every value unique. The form is WeChat's: NN_ and [A-Za-z0-9_-].
		const head = `${digits}_${encode(count, 7)}`;
		return head + random.text(knobs().tokenLength - head.length);
	}

	/** Bounds the memory. An overwritten token that has ended gets the answer of an unknown one. */
	function forgetEnded(line: TokenLine, nowMs: number): void {
		let expired = 0;
		line.former = line.former.filter((token) => {
			if (isLive(token, nowMs)) return true;
			if (token.endsBy === "age") {
				expired += 1;
				if (expired <= maxExpiredPerLine) return true;
			}
			byValue.delete(token.value);
			return false;
		});
	}

	return {
		issue(line, nowMs) {
			const expiresAt = nowMs + lifetimeMsOf(knobs());
			const token: IssuedToken = {
				value: newValue(),
				appid: line.appid,
				issuedAt: nowMs,
				expiresAt,
				endsAt: expiresAt,
				endsBy: "age",
			};
			if (line.current !== undefined)
				line.former = [line.current, ...line.former];
			forgetEnded(line, nowMs);
			line.current = token;
			line.issued += 1;
			byValue.set(token.value, token);
			return token;
		},
		find: (value) => byValue.get(value),
	};
}
