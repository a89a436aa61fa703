/** The two endpoints that issue tokens. */
import { type Account, meterOf } from "./account.ts";
import { type Claim, secretGate, withAccount } from "./gate.ts";
import { countCall } from "./quotas.ts";
import { loopback, type PlatformRequest, parseBody } from "./request.ts";
import { fetchStable, forceStable } from "./stable.ts";
import { fetchClassic, type IssuedToken } from "./tokens.ts";
import { granted, refused, type Verdict } from "./verdict.ts";
import { counted, quotaRefusal, type World } from "./world.ts";

/** `GET /cgi-bin/token`; reads the query only, also of a POST. */
export function classicToken(
	world: World,
	{ method, query = {}, ip = loopback }: PlatformRequest,
	nowMs: number,
): Verdict {
	if (method !== "GET" && world.knobs.classicPost === "refused")
		return refused(43001);
	return withAccount(world, query, nowMs, (account) => {
		const { grant_type, secret } = query;
		if (grant_type !== "client_credential") return refused(40002);
		if (!secret) return refused(41004);
		return counted(world, account, "token", decide(secret), nowMs);

		function decide(given: string): Verdict {
			const refusal = secretGate(
				world,
				account,
				{ secret: given, ip },
				"token",
				nowMs,
			);
			if (refusal !== undefined) return refusal;
			const { book, knobs } = world;
			const token = fetchClassic(
				book,
				account.classic,
				account.appid,
				knobs,
				nowMs,
			);
			return issued(token, nowMs, true);
		}
	});
}

/** `POST /cgi-bin/stable_token` with JSON. */
export function stableToken(
	world: World,
	{ method, body = "", ip = loopback }: PlatformRequest,
	nowMs: number,
): Verdict {
	const { knobs } = world;
	if (method !== "POST") return refused(43002);
	if (body === "" && knobs.unparsableBodyCode === 47001) return refused(44002);
	const fields = parseBody(body);
	if (fields === undefined) return refused(knobs.unparsableBodyCode);
	return withAccount(world, fields, nowMs, (account) => {
		const { grant_type, secret, force_refresh } = fields;
		if (account.kind === "test" && knobs.stableOnTestAccount !== "supported")
			return refused(knobs.stableOnTestAccount);
		if (grant_type !== "client_credential") return refused(40002);
		if (typeof secret !== "string" || secret === "") return refused(41004);
		if (
			knobs.strictForceRefresh &&
			force_refresh !== undefined &&
			typeof force_refresh !== "boolean"
		)
			return refused(47001);
		const verdict = stableVerdict(
			world,
			account,
			{ secret, ip },
			isForce(force_refresh),
			nowMs,
		);
		return counted(world, account, "stable_token", verdict, nowMs);
	});
}

function stableVerdict(
	world: World,
	account: Account,
	claim: Claim,
	force: boolean,
	nowMs: number,
): Verdict {
	const { knobs, book } = world;
	const { appid, stable } = account;
	const refusal = secretGate(world, account, claim, "stable_token", nowMs);
	if (refusal !== undefined) return refusal;
	const isEarly = nowMs - stable.forcedAt < knobs.forceIntervalSeconds * 1000;
	if (force && isEarly && knobs.earlyForce === 45011) return refused(45011);
	const capRefusal = quotaRefusal(world, account, "force_refresh", nowMs);
	if (capRefusal === undefined) stable.forceBlocked = false;
	if (force && !isEarly) {
		if (capRefusal !== undefined) {
			stable.forceBlocked = true;
			return capRefusal;
		}
		const token = forceStable(book, stable, appid, knobs, nowMs);
		countCall(meterOf(account, "force_refresh"), knobs, nowMs);
		return issued(token, nowMs, true);
	}
	if (stable.forceBlocked && knobs.forceCapBlocksNormal) return refused(45009);
	const { token, isNew } = fetchStable(book, stable, appid, knobs, nowMs);
	return issued(token, nowMs, isNew);
}

/** What lax parsers make of it: `"false"` and `0` mean no. */
function isForce(value: unknown): boolean {
	return value === "false" || value === "0" ? false : Boolean(value);
}

function issued(token: IssuedToken, nowMs: number, isNew: boolean): Verdict {
	return granted(
		{
			access_token: token.value,
			expires_in: Math.floor((token.expiresAt - nowMs) / 1000),
		},
		isNew ? "issued" : "same",
	);
}
