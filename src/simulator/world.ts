import { type Account, meterOf } from "./account.ts";
import { settle } from "./delayed.ts";
import type { Knobs } from "./knobs.ts";
import { countCall, type Metered, overLimit } from "./quotas.ts";
import type { Random } from "./random.ts";
import { rotateAlone } from "./stable.ts";
import { endToken, type TokenBook } from "./tokens.ts";
import { refused, type Verdict } from "./verdict.ts";

/** All that the endpoints and the operator work on. */
export interface World {
	knobs: Knobs;
	readonly random: Random;
	readonly book: TokenBook;
	readonly accounts: Map<string, Account>;
}

/** The account as it is at `nowMs`: everything that fell due before has acted. */
export function accountAt(
	world: World,
	appid: string,
	nowMs: number,
): Account | undefined {
	const account = world.accounts.get(appid);
	if (account === undefined) return undefined;
	const { book, knobs } = world;
	settle(account.whitelist, nowMs);
	settle(account.secretFrozen, nowMs, (isFrozen, at) => {
		if (isFrozen && knobs.freezeKillsTokens) revokeAll(account, at);
	});
	if (knobs.stableRotatesAlone)
		rotateAlone(book, account.stable, appid, knobs, nowMs);
	return account;
}

/** Every token of the account ends at `at`. */
export function revokeAll({ classic, stable }: Account, at: number): void {
	for (const line of [classic, stable])
		for (const token of [line.current, ...line.former])
			if (token !== undefined) endToken(token, at, "revoked", at);
}

/** The refusal of one call more, if the limit is reached. */
export function quotaRefusal(
	{ knobs }: World,
	account: Account,
	metered: Metered,
	nowMs: number,
): Verdict | undefined {
	const meter = meterOf(account, metered);
	const errcode = overLimit(meter, account.limits[metered], knobs, nowMs);
	if (errcode === undefined) return undefined;
	return errcode === 45009 && metered === "token"
		? refused(
				45009,
				"reach max api daily quota limit, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
			)
		: refused(errcode);
}

/** Decides a call, unless its limit is reached, and counts it as `counted` does. */
export function withinLimit(
	world: World,
	account: Account,
	metered: Metered,
	nowMs: number,
	decide: () => Verdict,
): Verdict {
	const verdict = quotaRefusal(world, account, metered, nowMs) ?? decide();
	return counted(world, account, metered, verdict, nowMs);
}

/** Counts the call against its limit: successes, and with U12 failures too. */
export function counted(
	{ knobs }: World,
	account: Account,
	metered: Metered,
	verdict: Verdict,
	nowMs: number,
): Verdict {
	if (verdict.errcode === 0 || knobs.failuresUseQuota)
		countCall(meterOf(account, metered), knobs, nowMs);
	return verdict;
}
