/** The endpoints that take an access_token: tickets, probes, business APIs. */
import { withToken } from "./gate.ts";
import type { PlatformRequest } from "./request.ts";
import { fetchTicket, isTicketType, ticketLifetimeSeconds } from "./tickets.ts";
import { granted, refused, type Verdict } from "./verdict.ts";
import { type World, withinLimit } from "./world.ts";

/** `get_api_domain_ip` and `getcallbackip`: cheap calls that tell whether a token lives. */
export function probe(
	world: World,
	endpoint: "get_api_domain_ip" | "getcallbackip",
	request: PlatformRequest,
	nowMs: number,
): Verdict {
	return withToken(world, request, nowMs, (account) =>
		withinLimit(world, account, endpoint, nowMs, () =>
			granted({ ip_list: ["101.226.212.27", "112.60.0.226"] }),
		),
	);
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
		return withinLimit(world, account, "getticket", nowMs, () => {
			const before = account.tickets.get(type);
			const line = fetchTicket(before, world.random, world.knobs, nowMs);
			account.tickets.set(type, line);
			return granted(
				{
					errcode: 0,
					errmsg: "ok",
					ticket: line.current.value,
					// Not what is left: WeChat says the full lifetime every time.
					expires_in: ticketLifetimeSeconds,
				},
				line === before ? "same" : "issued",
			);
		});
	});
}
