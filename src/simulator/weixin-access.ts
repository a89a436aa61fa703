/**
 * Checks before a call at api.weixin.qq.com is allowed: the account, its AppSecret
 * or access_token, the caller's address, and the quota.
 */
import {
	type Account,
	type AccountState,
	accountAt,
	type Call,
	type Whitelist,
} from "./accounts.ts";
import type { Knobs } from "./knobs.ts";
import {
	type AccountKind,
	countCall,
	exceededBy,
	type QuotaName,
} from "./quotas.ts";
import { type IssuedToken, isLive } from "./tokens.ts";
import { refused, type Verdict } from "./weixin-answers.ts";

/** One check of a call with an AppSecret. */
type Check = "state" | "frozen" | "secret" | "ip" | "quota";

/** U9: only the check of the appid is known to come first. */
const checkOrders: Readonly<Record<Knobs["checkOrder"], readonly Check[]>> = {
	documented: ["state", "frozen", "secret", "ip", "quota"],
	"ip-before-secret": ["state", "frozen", "ip", "secret", "quota"],
	"quota-first": ["quota", "state", "frozen", "secret", "ip"],
};

/** Finds the account by its appid: 41002 without an appid, 40013 for an unknown one. */
export function withAccount(
	{ state, nowMs }: Call,
	appid: unknown,
	decide: (account: Account) => Verdict,
): Verdict {
	if (typeof appid !== "string" || appid === "") return refused(41002);
	const account = accountAt(state, appid, nowMs);
	return account === undefined ? refused(40013) : decide(account);
}

/**
 * The refusal of a call that carries an AppSecret; undefined: it is allowed.
 * Without a quota that check is left out.
 */
export function secretRefusal(
	call: Call,
	account: Account,
	secret: string,
	quota?: QuotaName,
): Verdict | undefined {
	const { state, request, nowMs } = call;
	const checks: Readonly<Record<Check, () => Verdict | undefined>> = {
		state: () => stateRefusal(account.state),
		frozen: () => (account.secretFrozen.value ? refused(40243) : undefined),
		secret: () =>
			secret === account.secret
				? undefined
				: wrongSecret(state.knobs.wrongSecretCode),
		ip: () =>
			ipRefusal(account, request.ip) ??
			confirmationRefusal(account, request.ip, nowMs),
		quota: () => quota && quotaRefusal(call, account, quota),
	};
	for (const check of checkOrders[state.knobs.checkOrder]) {
		const refusal = checks[check]();
		if (refusal !== undefined) return refusal;
	}
	return undefined;
}

/** Finds the account by the access_token in the query, and refuses a token that is not alive. */
export function withToken(
	call: Call,
	decide: (account: Account) => Verdict,
): Verdict {
	const { state, request, nowMs } = call;
	const value = request.query.access_token;
	if (!value) return refused(41001);
	const token = state.book.find(value);
	// The account comes before the token: a change that is due may end the token.
	const account = token && accountAt(state, token.appid, nowMs);
	if (token === undefined || account === undefined) return refused(40001);
	// Documented: 公众号 check the address on every call, 小程序 only with the secret.
	if (account.kind !== "mini") {
		const refusal = ipRefusal(account, request.ip);
		if (refusal !== undefined) return refusal;
	}
	if (!isLive(token, nowMs)) return refused(endedTokenCode(call, token));
	// The other states refuse only calls with the AppSecret.
	if (account.state === "limited") return refused(50002);
	return decide(account);
}

/** The refusal of a call that would exceed a limit; undefined: it is within. */
export function quotaRefusal(
	{ state, nowMs }: Call,
	{ counters, limits }: Account,
	quota: QuotaName,
): Verdict | undefined {
	const limit = limits[quota];
	switch (exceededBy(counters, quota, limit, state.knobs, nowMs)) {
		case undefined:
			return undefined;
		case "minute":
			return refused(45011);
		case "day":
			// Captured: this endpoint advertises the other interface.
			return quota === "token"
				? refused(
						45009,
						"reach max api daily quota limit, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
					)
				: refused(45009);
	}
}

/** Decides a call unless its limit is exceeded, and counts it. */
export function withinQuota(
	call: Call,
	account: Account,
	quota: QuotaName,
	decide: () => Verdict,
): Verdict {
	const verdict = quotaRefusal(call, account, quota) ?? decide();
	return counted(call, account, quota, verdict);
}

/** Counts a decided call: a success always, with U12 a failure too. */
export function counted(
	{ state, nowMs }: Call,
	{ counters }: Account,
	quota: QuotaName,
	verdict: Verdict,
): Verdict {
	if (verdict.errcode === 0 || state.knobs.failuresUseQuota)
		countCall(counters, quota, state.knobs, nowMs);
	return verdict;
}

/**
 * Checks whitelist entries as WeChat's console does: `1.2.3.4` and `1.2.3.4/24`;
 * for 小程序 also `1.2.3.*`, and at most ten entries.
 *
 * @throws RangeError with the wrong entry
 */
export function checkEntries(
	entries: readonly string[],
	kind: AccountKind,
): void {
	if (kind === "mini" && entries.length > 10)
		throw new RangeError("a mini program's whitelist has ten entries at most");
	for (const entry of entries)
		if (rangeOf(entry, kind) === undefined)
			throw new RangeError(`${JSON.stringify(entry)} is no whitelist entry`);
}

/** An address that is not IPv4 is in no list. */
function isListed(
	ip: string,
	{ enabled, entries }: Whitelist,
	kind: AccountKind,
): boolean {
	if (!enabled) return true;
	const address = addressOf(ip);
	return entries.some((entry) => {
		const range = rangeOf(entry, kind);
		return (
			range !== undefined &&
			address !== undefined &&
			(address & range.mask) === (range.base & range.mask)
		);
	});
}

/** The addresses that an entry covers; undefined if it is not an entry. */
function rangeOf(
	entry: string,
	kind: AccountKind,
): { base: number; mask: number } | undefined {
	const starred = kind === "mini" && /^(\d+\.\d+\.\d+)\.\*$/.exec(entry);
	const [ip, bits = "32", ...more] = starred
		? [`${starred[1]}.0`, "24"]
		: entry.split("/");
	const base = addressOf(ip ?? "");
	if (base === undefined || more.length > 0) return undefined;
	if (!/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
	// JavaScript shifts by the count modulo 32: a shift by 32 would change nothing.
	const mask = Number(bits) === 0 ? 0 : -1 << (32 - Number(bits));
	return { base, mask };
}

/** An IPv4 address as 32 bits; undefined for anything else. */
function addressOf(ip: string): number | undefined {
	const parts = ip.split(".");
	if (parts.length !== 4) return undefined;
	let address = 0;
	for (const part of parts) {
		if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
		address = (address << 8) | Number(part);
	}
	return address;
}

/** WeChat names the address that it sees, in both forms. */
function ipRefusal(account: Account, ip: string): Verdict | undefined {
	if (isListed(ip, account.whitelist.value, account.kind)) return undefined;
	const v6 = ip.includes(":") ? ip : `::ffff:${ip}`;
	return refused(40164, `invalid ip ${ip} ipv6 ${v6}, not in whitelist`);
}

/** For accounts without a whitelist: the administrator is asked about each new address. */
function confirmationRefusal(
	account: Account,
	ip: string,
	nowMs: number,
): Verdict | undefined {
	if (!account.ipConfirmation || account.whitelist.value.enabled)
		return undefined;
	const asked = account.confirmations.get(ip);
	const isOver = asked?.phase === "refused" && asked.until <= nowMs;
	if (asked === undefined || isOver) {
		account.confirmations.set(ip, {
			phase: "pending",
			refusals: asked?.refusals ?? 0,
			until: 0,
		});
		return refused(89503);
	}
	switch (asked.phase) {
		case "approved":
			return undefined;
		case "pending":
			return refused(89501);
		case "refused":
			return refused(asked.refusals === 1 ? 89507 : 89506);
		default:
			throw new TypeError(`unknown phase ${asked.phase satisfies never}`);
	}
}

/** The documented errcodes of restricted accounts. */
function stateRefusal(state: AccountState): Verdict | undefined {
	switch (state) {
		case "ok":
			return undefined;
		case "limited":
			return refused(50002);
		case "tokenForbidden":
			return refused(50004);
		case "frozen":
			return refused(50007);
		case "component":
			return refused(61024);
		default:
			throw new TypeError(`unknown state ${state satisfies never}`);
	}
}

/** 40001 has a shorter text here than for a token. */
function wrongSecret(errcode: 40125 | 40001): Verdict {
	return errcode === 40125
		? refused(40125)
		: refused(
				40001,
				"invalid credential, access_token is invalid or not latest",
			);
}

/** U8: the errcode for a token that is no longer alive. */
export function endedTokenCode(
	{ state, nowMs }: Call,
	token: IssuedToken,
): number {
	const { agedOutCode, forgetAfterSeconds } = state.knobs;
	if (token.endsBy !== "age") return 40001;
	if (agedOutCode !== 40001) return agedOutCode;
	return nowMs - token.endsAt > forgetAfterSeconds * 1000 ? 40001 : 42001;
}
