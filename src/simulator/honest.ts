import { type Answer, htmlHeaders, jsonHeaders } from "./answer.ts";
import { classicToken, stableToken } from "./issue-endpoints.ts";
import { clearQuota, clearQuotaBySecret, quotaGet } from "./quota-endpoints.ts";
import { type Endpoint, type PlatformRequest, wecomHost } from "./request.ts";
import { probe, ticket, useToken } from "./use-endpoints.ts";
import { refused, type Verdict } from "./verdict.ts";
import type { World } from "./world.ts";

/** An answer without what delivery and onlookers need. */
export type Draft = Pick<Answer, "status" | "headers" | "body" | "outcome">;

/** What WeChat answers when nothing goes wrong between it and the caller. */
export function answerHonestly(
	world: World,
	request: PlatformRequest,
	endpoint: Endpoint,
	nowMs: number,
): Draft {
	const { host, chunked, method, path, secure } = request;
	if (host === wecomHost) {
		const location = `https://${wecomHost}${path}`;
		return secure ? bare(404) : bare(301, { Location: location });
	}
	if (chunked && method === "POST") return bare(412);
	const { errcode, content, outcome } = decide(world, request, endpoint, nowMs);
	const signed =
		errcode === 0
			? content
			: {
					...content,
					errmsg: `${content.errmsg} rid: ${ridOf(world, nowMs)}`,
				};
	const body = JSON.stringify(
		world.knobs.extraKeys ? { ...signed, ...extraKeys } : signed,
	);
	return { status: 200, headers: jsonHeaders, body, outcome };
}

/** WeChat's number of a call: its first group is the server's time. */
export function ridOf(world: World, nowMs: number): string {
	const group = () => hex8(Math.floor(world.random.next() * 2 ** 32));
	const seconds = Math.floor(serverTime(world, nowMs) / 1000);
	return `${hex8(seconds)}-${group()}-${group()}`;
}

/** What the server's own clock shows. */
export function serverTime({ knobs }: World, nowMs: number): number {
	return nowMs + knobs.clockOffsetSeconds * 1000;
}

/** Keys that no document names; the first was seen on 企业微信. */
const extraKeys = {
	warning_msg:
		"you are using TLS v1 which is deprecated, please use TLS v1.2 or higher.",
	more: { nested: [1, null] },
};

function decide(
	world: World,
	request: PlatformRequest,
	endpoint: Endpoint,
	nowMs: number,
): Verdict {
	switch (endpoint) {
		case "token":
			return classicToken(world, request, nowMs);
		case "stable_token":
			return stableToken(world, request, nowMs);
		case "getticket":
			return ticket(world, request, nowMs);
		case "get_api_domain_ip":
		case "getcallbackip":
			return probe(world, endpoint, request, nowMs);
		case "clear_quota":
			return clearQuota(world, request, nowMs);
		case "clear_quota/v2":
			return clearQuotaBySecret(world, request, nowMs);
		case "quota/get":
			return quotaGet(world, request, nowMs);
		case "use":
			return useToken(world, request, nowMs);
		case "other":
			return refused(40066);
		default:
			throw new TypeError(`unknown endpoint ${endpoint satisfies never}`);
	}
}

function bare(status: number, headers: Record<string, string> = {}): Draft {
	return {
		status,
		headers: { ...htmlHeaders, ...headers },
		body: "",
		outcome: `status ${status}`,
	};
}

function hex8(count: number): string {
	return count.toString(16).padStart(8, "0");
}
