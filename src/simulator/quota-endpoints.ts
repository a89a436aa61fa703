/** Looking at quotas and resetting them. */
import { type Account, meterOf } from "./account.ts";
import { secretGate, withAccount, withToken } from "./gate.ts";
import { isMetered, usedThisMinute, usedToday } from "./quotas.ts";
import {
	endpointOf,
	loopback,
	type PlatformRequest,
	parseBody,
} from "./request.ts";
import { granted, refused, type Verdict } from "./verdict.ts";
import { type World, withinLimit } from "./world.ts";

const ok = granted({ errcode: 0, errmsg: "ok" });
const clearsPerMonth = 10;

/** `POST /cgi-bin/openapi/quota/get` with `{"cgi_path"}`: a path, without a host. */
export function quotaGet(
	world: World,
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	if (request.method !== "POST") return refused(43002);
	return withToken(world, request, nowMs, (account) =>
		withinLimit(world, account, "quota/get", nowMs, () =>
			quotaOf(world, account, request.body, nowMs),
		),
	);
}

/** `POST /cgi-bin/clear_quota?access_token=` with `{"appid"}`. */
export function clearQuota(
	world: World,
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	if (request.method !== "POST") return refused(43002);
	return withToken(world, request, nowMs, (account) => {
		const { appid } = parseBody(request.body ?? "") ?? {};
		return appid === account.appid ? clear(account, nowMs) : refused(40013);
	});
}

/** `POST /cgi-bin/clear_quota/v2` with appid and appsecret, in the query or as JSON. */
export function clearQuotaBySecret(
	world: World,
	{ method, query = {}, body = "", ip = loopback }: PlatformRequest,
	nowMs: number,
): Verdict {
	if (method !== "POST") return refused(43002);
	const fields = { ...query, ...parseBody(body) };
	return withAccount(world, fields, nowMs, (account) => {
		const { appsecret: secret } = fields;
		if (typeof secret !== "string" || secret === "") return refused(41004);
		const refusal = secretGate(
			world,
			account,
			{ secret, ip },
			undefined,
			nowMs,
		);
		return refusal ?? clear(account, nowMs);
	});
}

function quotaOf(
	{ knobs }: World,
	account: Account,
	body: string | undefined,
	nowMs: number,
): Verdict {
	const path = parseBody(body ?? "")?.cgi_path;
	if (typeof path !== "string" || !path.startsWith("/")) return refused(76003);
	const metered = endpointOf(path);
	if (!isMetered(metered)) return refused(76021);
	const meter = meterOf(account, metered);
	const { perDay, perMinute } = account.limits[metered];
	const used = usedToday(meter, knobs, nowMs);
	return granted({
		errcode: 0,
		errmsg: "ok",
		quota: {
			daily_limit: perDay,
			used,
			remain: Math.max(0, perDay - used),
		},
		rate_limit: {
			call_count: perMinute - usedThisMinute(meter, knobs, nowMs),
			refresh_second: 60 - (Math.floor(nowMs / 1000) % 60),
		},
	});
}

function clear(account: Account, nowMs: number): Verdict {
	const month = beijingMonth(nowMs);
	if (account.clears.month !== month) account.clears = { month, used: 0 };
	if (account.clears.used >= clearsPerMonth) return refused(48006);
	account.clears.used += 1;
	account.meters.clear();
	account.stable.forceBlocked = false;
	return ok;
}

function beijingMonth(nowMs: number): number {
	const date = new Date(nowMs + 8 * 3_600_000);
	return date.getUTCFullYear() * 12 + date.getUTCMonth();
}
