/** The endpoints that take an access_token: tickets, probes, business APIs. */
import type { Account } from "./account.ts";
import { loopback, type PlatformRequest } from "./answer.ts";
import { ipRefusal } from "./gate.ts";
import { fetchTicket, isTicketType, ticketLifetimeSeconds } from "./tickets.ts";
import { type IssuedToken, isLive } from "./tokens.ts";
import { granted, refused, type Verdict } from "./verdict.ts";
import { accountAt, counted, quotaRefusal, type World } from "./world.ts";

/** `get_api_domain_ip` and `getcallbackip`: cheap calls that tell whether a token lives. */
export function probe(
	world: World,
	endpoint: "get_api_domain_ip" | "getcallbackip",
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	return withToken(world, request, nowMs, (account) => {
		const refusal = quotaRefusal(world, account, endpoint, nowMs);
		const verdict =
			refusal ?? granted({ ip_list: ["101.226.212.27", "112.60.0.226"] });
		return counted(world, account, endpoint, verdict, nowMs);
	});
}

/** `/sim/use`, which stands for any business API; `for` names the kind it is made for. */
export function useToken(
	world: World,
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	const { random, knobs } = world;
	if (knobs.busyShare > 0 && random.next() < knobs.busyShare)
		return refused(-1);
	return withToken(world, request, nowMs, (account) => {
		const madeFor = request.query?.for;
		if (madeFor !== undefined && madeFor !== account.kind)
			return refused(48001);
		if (knobs.flappingShare > 0 && random.next() < knobs.flappingShare)
			return refused(40001);
		return granted({ errcode: 0, errmsg: "ok" });
	});
}

/** `GET /cgi-bin/ticket/getticket`; not for 小程序. */
export function ticket(
	world: World,
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	return withToken(world, request, nowMs, (account) => {
		if (account.kind === "mini") return refused(48001);
		const type = request.query?.type;
		if (!isTicketType(type)) return refused(40097);
		const refusal = quotaRefusal(world, account, "getticket", nowMs);
		if (refusal !== undefined)
			return counted(world, account, "getticket", refusal, nowMs);
		const before = account.tickets.get(type);
		const line = fetchTicket(before, world.random, world.knobs, nowMs);
		account.tickets.set(type, line);
		const verdict = granted(
			{
				errcode: 0,
				errmsg: "ok",
				ticket: line.current.value,
				// Not what is left: WeChat says the full lifetime every time.
				expires_in: ticketLifetimeSeconds,
			},
			line === before ? "same" : "issued",
		);
		return counted(world, account, "getticket", verdict, nowMs);
	});
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
