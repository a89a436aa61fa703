import { type Knobs, lifetimeMsOf, overlapMsOf } from "./knobs.ts";
import { encode, type Random } from "./random.ts";

export type Interface = "classic" | "stable";

/** A token as the platform remembers it; instants are epoch ms of its own clock. */
export interface IssuedToken {
	readonly value: string;
	readonly appid: string;
	readonly interface: Interface;
	readonly issuedAt: number;
	/** The end that the caller was told. */
	readonly expiresAt: number;
	/** The end that is true: never later than `expiresAt`. */
	endsAt: number;
	endsBy: "age" | "overwritten" | "revoked";
}

/** The tokens of one account on one interface, the newest in `current`. */
export interface TokenLine {
	current: IssuedToken | undefined;
	/** Newest first; forgotten when nothing more can be said about them. */
	former: readonly IssuedToken[];
	/** How many tokens were ever issued. */
	issued: number;
}

export interface TokenOwner {
	readonly appid: string;
	readonly interface: Interface;
}

/** All tokens of a platform by value; bounded by the number of lines. */
export interface TokenBook {
	/** Makes a new current token; what becomes of the others is the caller's rule. */
	issue(line: TokenLine, owner: TokenOwner, nowMs: number): IssuedToken;
	find(value: string): IssuedToken | undefined;
}

export function isLive({ endsAt }: IssuedToken, nowMs: number): boolean {
	return nowMs < endsAt;
}

/**
 * A classic fetch: always a new token. The former one lives on for the overlap,
 * and the one before it ends now (U2: or keeps its own overlap).
 */
export function fetchClassic(
	book: TokenBook,
	line: TokenLine,
	appid: string,
	knobs: Knobs,
	nowMs: number,
): IssuedToken {
	if (knobs.thirdClassicFetch === "evicts")
		for (const token of line.former)
			endToken(token, nowMs, "overwritten", nowMs);
	if (line.current !== undefined)
		endToken(line.current, nowMs + overlapMsOf(knobs), "overwritten", nowMs);
	return book.issue(line, { appid, interface: "classic" }, nowMs);
}

/** Ends a live token at `endsAt`, unless it ends before. */
export function endToken(
	token: IssuedToken,
	endsAt: number,
	endsBy: "overwritten" | "revoked",
	nowMs: number,
): void {
	// What has aged out before was not overwritten: it keeps saying "expired".
	if (!isLive(token, nowMs)) return;
	token.endsAt = Math.min(token.endsAt, endsAt);
	token.endsBy = endsBy;
}

/** Aged-out tokens remembered per line, so that they still say 42001. */
const rememberedAges = 4;

export function createTokenBook(random: Random, knobs: () => Knobs): TokenBook {
	const byValue = new Map<string, IssuedToken>();
	let count = 0;

	function newValue(): string {
		count += 1;
		const digits = 10 + Math.floor(random.next() * 90);
		// The count makes every value new; the rest makes it look like WeChat's.
		const head = `${digits}_${encode(count, 7)}`;
		return head + random.text(knobs().tokenLength - head.length);
	}

	/** Whoever was overwritten and is dead is answered like an unknown token. */
	function forget(line: TokenLine, nowMs: number): void {
		let ages = 0;
		line.former = line.former.filter((token) => {
			if (isLive(token, nowMs)) return true;
			if (token.endsBy === "age") {
				ages += 1;
				if (ages <= rememberedAges) return true;
			}
			byValue.delete(token.value);
			return false;
		});
	}

	return {
		issue(line, owner, nowMs) {
			const expiresAt = nowMs + lifetimeMsOf(knobs());
			const token: IssuedToken = {
				value: newValue(),
				appid: owner.appid,
				interface: owner.interface,
				issuedAt: nowMs,
				expiresAt,
				endsAt: expiresAt,
				endsBy: "age",
			};
			if (line.current !== undefined)
				line.former = [line.current, ...line.former];
			forget(line, nowMs);
			line.current = token;
			line.issued += 1;
			byValue.set(token.value, token);
			return token;
		},
		find: (value) => byValue.get(value),
	};
}
