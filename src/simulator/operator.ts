import {
	type Account,
	type AccountKind,
	type AccountState,
	createAccount,
	meterOf,
	type SimulatedAccount,
} from "./account.ts";
import { change } from "./delayed.ts";
import { countCall, type LimitChanges, withChanges } from "./quotas.ts";
import { fetchStable, forceStable } from "./stable.ts";
import { fetchClassic, type Interface } from "./tokens.ts";
import { checkEntries, type Whitelist } from "./whitelist.ts";
import { accountAt, revokeAll, type World } from "./world.ts";

/**
 * What people do to an account, in the console or with a copy of its secret.
 * Every function throws a RangeError for an unknown appid.
 */
export interface Operator {
	/** Adds an account, or replaces it as if it were new. */
	addAccount(given: SimulatedAccount): void;
	/** Somebody else with the same secret fetches; returns the token. */
	foreignFetch(
		appid: string,
		via: Interface,
		nowMs: number,
		force?: boolean,
	): string;
	/** The account's tokens end at once; a use answers 40001. */
	kill(appid: string, nowMs: number): void;
	/** The account's tokens age out at once; a use answers 42001. */
	expire(appid: string, nowMs: number): void;
	/** Acts at once; U3 says what becomes of the tokens. */
	resetSecret(appid: string, secret: string, nowMs: number): void;
	/** Freezes or thaws the secret, after `freezeDelaySeconds`. */
	freezeSecret(appid: string, isFrozen: boolean, nowMs: number): void;
	setState(appid: string, state: AccountState): void;
	/** Acts after `whitelistDelaySeconds`; undefined switches the list off. */
	setWhitelist(
		appid: string,
		entries: readonly string[] | undefined,
		nowMs: number,
	): void;
	setLimits(appid: string, limits: LimitChanges): void;
	requireConfirmation(appid: string, isRequired: boolean): void;
	/** The administrator's answer to a pending address; a refusal holds 1 h, then 24 h. */
	decideIp(
		appid: string,
		ip: string,
		decision: "approve" | "refuse",
		nowMs: number,
	): void;
}

/** `limits` lie over those of each account that it adds. */
export function createOperator(world: World, limits?: LimitChanges): Operator {
	function known(appid: string, nowMs = Number.NEGATIVE_INFINITY): Account {
		const account = accountAt(world, appid, nowMs);
		if (account === undefined)
			throw new RangeError(`there is no account ${JSON.stringify(appid)}`);
		return account;
	}

	return {
		addAccount(given) {
			world.accounts.set(given.appid, createAccount(given, limits));
		},
		foreignFetch(appid, via, nowMs, force = false) {
			const account = known(appid, nowMs);
			const { book, knobs } = world;
			const metered = via === "classic" ? "token" : "stable_token";
			countCall(meterOf(account, metered), knobs, nowMs);
			if (via === "classic")
				return fetchClassic(book, account.classic, appid, knobs, nowMs).value;
			return force
				? forceStable(book, account.stable, appid, knobs, nowMs).value
				: fetchStable(book, account.stable, appid, knobs, nowMs).token.value;
		},
		kill(appid, nowMs) {
			revokeAll(known(appid, nowMs), nowMs);
		},
		expire(appid, nowMs) {
			const { classic, stable } = known(appid, nowMs);
			for (const { current } of [classic, stable])
				if (current !== undefined)
					current.endsAt = Math.min(current.endsAt, nowMs);
		},
		resetSecret(appid, secret, nowMs) {
			const account = known(appid, nowMs);
			account.secret = secret;
			if (world.knobs.secretResetKillsTokens) revokeAll(account, nowMs);
		},
		freezeSecret(appid, isFrozen, nowMs) {
			const at = nowMs + world.knobs.freezeDelaySeconds * 1000;
			change(known(appid, nowMs).secretFrozen, isFrozen, at);
		},
		setState(appid, state) {
			known(appid).state = state;
		},
		setWhitelist(appid, entries, nowMs) {
			const { kind, whitelist } = known(appid, nowMs);
			const at = nowMs + world.knobs.whitelistDelaySeconds * 1000;
			change(whitelist, listOf(entries, kind), at);
		},
		setLimits(appid, changes) {
			const account = known(appid);
			account.limits = withChanges(account.limits, changes);
		},
		requireConfirmation(appid, isRequired) {
			known(appid).ipConfirmation = isRequired;
		},
		decideIp(appid, ip, decision, nowMs) {
			const asked = known(appid, nowMs).confirmations.get(ip);
			if (asked?.phase !== "pending")
				throw new RangeError(`no confirmation is pending for ${ip}`);
			if (decision === "approve") {
				asked.phase = "approved";
				return;
			}
			asked.phase = "refused";
			asked.refusals += 1;
			const hours = asked.refusals === 1 ? 1 : 24;
			asked.until = nowMs + hours * 3_600_000;
		},
	};
}

function listOf(
	entries: readonly string[] | undefined,
	kind: AccountKind,
): Whitelist {
	checkEntries(entries ?? [], kind);
	return { enabled: entries !== undefined, entries: entries ?? [] };
}
