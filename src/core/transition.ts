/** From WeChat's answer to what is published, and to what is remembered of it. */

import type { Grant } from "../issuer/access-token.ts";
import { afterSameToken, type KnownToken, type Reason } from "./decide.ts";
import type { AccountState } from "./record.ts";
import { tokenId } from "./token.ts";

/** What the token of a grant is known by; `before` is the one that it may replace. */
export function knownFromGrant(
	{ value, lifetimeMs, requestedAt }: Grant,
	generation: number,
	reason: Reason,
	before: KnownToken | undefined,
): KnownToken {
	const id = tokenId(value);
	const expiresAt = Math.floor(requestedAt / 1000) * 1000 + lifetimeMs;
	const fresh = { value, expiresAt };
	if (id !== before?.id)
		return {
			token: fresh,
			id,
			generation,
			lifetimeMs,
			fetchedAt: requestedAt,
			reason,
		};
	// The stable interface gave the same one: what is left of it comes in whole
	// seconds, so the end that was known already is the better one.
	const unchanged = Math.abs(before.token.expiresAt - expiresAt) <= 2_000;
	return {
		...before,
		token: unchanged ? before.token : fresh,
		generation,
		lifetimeMs: Math.max(lifetimeMs, before.lifetimeMs),
	};
}

/** Above all that is known; and above what is forgotten, should the state be lost. */
export function generationAfter(
	state: AccountState,
	before: KnownToken | undefined,
	now: number,
): number {
	return Math.max(state.generation, before?.generation ?? 0, now - 1) + 1;
}

/** The state that vouches for `known` as the published token. */
export function vouch(
	{ id, token, lifetimeMs, fetchedAt, generation, reason }: KnownToken,
	state: AccountState,
): AccountState {
	const { expiresAt } = token;
	const published = { id, expiresAt, lifetimeMs, fetchedAt, reason };
	return { ...state, generation, published };
}

/** The state once WeChat has answered: with the token that was known (`confirmed`), or another one. */
export function afterAnswer(
	{ pause: _, ...state }: AccountState,
	confirmed: boolean,
	now: number,
): AccountState {
	// A new token makes the mark void once it is on disk, and not before.
	if (!confirmed) return state;
	const { inFlight: __, ...settled } = state;
	const endsAt = state.published?.expiresAt ?? now;
	return { ...settled, pause: afterSameToken(endsAt, now) };
}
