/** Who may call: an account by its AppSecret, or whoever has a token. */
import type { Account, AccountState } from "./account.ts";
import type { Knobs } from "./knobs.ts";
import type { Metered } from "./quotas.ts";
import { loopback, type PlatformRequest } from "./request.ts";
import { type IssuedToken, isLive } from "./tokens.ts";
import { refused, type Verdict } from "./verdict.ts";
import { isListed } from "./whitelist.ts";
import { accountAt, quotaRefusal, type World } from "./world.ts";

/** Who calls, with which secret. */
export interface Claim {
	readonly secret: string;
	readonly ip: string;
}

type Check = "state" | "frozen" | "secret" | "ip" | "quota";

/** U9 */
const orders: Readonly<Record<Knobs["checkOrder"], readonly Check[]>> = {
	documented: ["state", "frozen", "secret", "ip", "quota"],
	"ip-before-secret": ["state", "frozen", "ip", "secret", "quota"],
	"quota-first": ["quota", "state", "frozen", "secret", "ip"],
};

/** 41002 without an appid, 40013 for one that nobody has. */
export function withAccount(
	world: World,
	{ appid }: Readonly<Record<string, unknown>>,
	nowMs: number,
	decide: (account: Account) => Verdict,
): Verdict {
	if (typeof appid !== "string" || appid === "") return refused(41002);
	const account = accountAt(world, appid, nowMs);
	return account === undefined ? refused(40013) : decide(account);
}

/** Why a call with the AppSecret is refused; undefined: it is not. */
export function secretGate(
	world: World,
	account: Account,
	claim: Claim,
	metered: Metered | undefined,
	nowMs: number,
): Verdict | undefined {
	for (const check of orders[world.knobs.checkOrder]) {
		const refusal = failed(check);
		if (refusal !== undefined) return refusal;
	}
	return undefined;

	function failed(check: Check): Verdict | undefined {
		switch (check) {
			case "state":
				return stateRefusal(account.state);
			case "frozen":
				return account.secretFrozen.value ? refused(40243) : undefined;
			case "secret":
				return claim.secret === account.secret
					? undefined
					: wrongSecret(world.knobs.wrongSecretCode);
			case "ip":
				return (
					ipRefusal(account, claim.ip) ??
					confirmationRefusal(account, claim.ip, nowMs)
				);
			case "quota":
				return metered === undefined
					? undefined
					: quotaRefusal(world, account, metered, nowMs);
			default:
				throw new TypeError(`unknown check ${check satisfies never}`);
		}
	}
}

/** Finds the account behind the token in the query, and refuses a dead one. */
export function withToken(
	world: World,
	{ query = {}, ip = loopback }: PlatformRequest,
	nowMs: number,
	decide: (account: Account) => Verdict,
): Verdict {
	const value = query.access_token;
	if (!value) return refused(41001);
	const token = world.book.find(value);
	// First the account: what fell due for it may have ended the token.
	const account = token && accountAt(world, token.appid, nowMs);
	if (token === undefined || account === undefined) return refused(40001);
	// 公众号 check the address on every call, and before the token.
	if (account.kind !== "mini") {
		const refusal = ipRefusal(account, ip);
		if (refusal !== undefined) return refusal;
	}
	if (!isLive(token, nowMs)) return refused(deathCode(world, token, nowMs));
	if (account.state === "limited") return refused(50002);
	return decide(account);
}

/** 40164 with the address, if the whitelist has it not. */
function ipRefusal(account: Account, ip: string): Verdict | undefined {
	if (isListed(ip, account.whitelist.value, account.kind)) return undefined;
	const v6 = ip.includes(":") ? ip : `::ffff:${ip}`;
	return refused(40164, `invalid ip ${ip} ipv6 ${v6}, not in whitelist`);
}

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

function wrongSecret(errcode: 40125 | 40001): Verdict {
	return errcode === 40125
		? refused(40125)
		: refused(
				40001,
				"invalid credential, access_token is invalid or not latest",
			);
}

/** The flow for accounts without a whitelist: the administrator is asked. */
function confirmationRefusal(
	account: Account,
	ip: string,
	nowMs: number,
): Verdict | undefined {
	if (!account.ipConfirmation || account.whitelist.value.enabled)
		return undefined;
	const asked = account.confirmations.get(ip);
	if (
		asked === undefined ||
		(asked.phase === "refused" && asked.until <= nowMs)
	) {
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

/** U8: an aged-out token says 42001, and may be forgotten later. */
function deathCode(
	{ knobs }: World,
	token: IssuedToken,
	nowMs: number,
): number {
	if (token.endsBy !== "age") return 40001;
	if (knobs.agedOutCode !== 40001) return knobs.agedOutCode;
	const isForgotten = nowMs - token.endsAt > knobs.forgetAfterSeconds * 1000;
	return isForgotten ? 40001 : 42001;
}
