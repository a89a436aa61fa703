/**
 * The issuers of 企业微信 (qyapi.weixin.qq.com): the token of an app, by gettoken; its
 * tickets for pages; and the token of a 服务商. An app is whatever has a secret for
 * gettoken: 自建应用, 代开发应用 (its permanent_code is the secret), 会话内容存档, 微信客服.
 */
import type { Issuer, ProbeResult } from "../core/ports.ts";
import { type Body, errcodeIn } from "./answer.ts";
import { type Caller, type CallerOptions, createCaller } from "./call.ts";
import type { GatedCall, IpGate } from "./ip-gate.ts";
import { type ChildTicket, createChildIssuer } from "./ticket.ts";
import {
	deadWecomTokenCodes,
	wecomMeaningOf,
	wecomTicketMeaningOf,
} from "./wecom-errcode.ts";

/** What calls to 企业微信 have in common. */
export interface WecomCallerOptions extends CallerOptions {
	/** Shared by all of this process: it keeps this IP from a ban. */
	readonly gate: IpGate;
	readonly corpid: string;
}

/** One app, and what its calls need. */
export interface AppTokenOptions extends WecomCallerOptions {
	/** Its name in the configuration, for messages. */
	readonly name: string;
	readonly secret: string;
}

/** The issuer of an app's access token. It makes no request until it is asked. */
export function createAppTokenIssuer(options: AppTokenOptions): Issuer {
	const { corpid, name, secret, gate } = options;
	const caller = createCaller(options);
	const gated = gatedBy(options, `a token for ${corpid} ${name}`);
	return {
		issue: ({ onCall, maxCalls }) =>
			gate.passWithSecret(gated, () =>
				caller.fetch(
					{
						request: {
							path: `/cgi-bin/gettoken?corpid=${encodeURIComponent(corpid)}&corpsecret=${encodeURIComponent(secret)}`,
						},
						what: gated.what,
						field: "access_token",
						secret,
						meaningOf: wecomMeaningOf,
					},
					{ maxCalls, onCall },
				),
			),
		probe: createAppProbe(options, caller),
	};
}

/** Asks whether the token of an app is accepted, also of one that came by a suite. */
export function createAppProbe(
	{ gate, baseUrls: [baseUrl = ""] }: Omit<WecomCallerOptions, "corpid">,
	caller: Caller,
): Issuer["probe"] {
	return async (token, onCall) => {
		if (!gate.isOpen({ baseUrl })) return "unsure";
		const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
		const found = await caller.look(path, probeResultIn, onCall);
		if (found === "limited") await gate.limited({ baseUrl });
		return found === undefined || found === "limited" ? "unsure" : found;
	};
}

/** A 服务商, and what its calls need. */
export interface ProviderTokenOptions extends WecomCallerOptions {
	/** The ProviderSecret. */
	readonly secret: string;
}

/** The issuer of a provider_access_token. It makes no request until it is asked. */
export function createProviderTokenIssuer(
	options: ProviderTokenOptions,
): Issuer {
	const { corpid, secret, gate } = options;
	const caller = createCaller(options);
	const gated = gatedBy(options, `a provider token for ${corpid}`);
	return {
		issue: ({ onCall, maxCalls }) =>
			gate.passWithSecret(gated, () =>
				caller.fetch(
					{
						request: {
							path: "/cgi-bin/service/get_provider_token",
							body: JSON.stringify({ corpid, provider_secret: secret }),
						},
						what: gated.what,
						field: "provider_access_token",
						secret,
						meaningOf: wecomMeaningOf,
					},
					{ maxCalls, onCall },
				),
			),
		// No harmless call takes this token.
		probe: async () => "unsure",
	};
}

/** One ticket of an app, and what its calls need. */
export interface AppTicketOptions extends WecomCallerOptions {
	/** The app's name in the configuration, for messages. */
	readonly name: string;
	/** `jsapi`: for the pages of the whole corp; `agent_config`: for those of this app. */
	readonly ticket: "jsapi" | "agent_config";
	/** The app's access token. */
	readonly parent: ChildTicket["parent"];
}

/** The issuer of an app's ticket. It makes no request until it is asked. */
export function createAppTicketIssuer(options: AppTicketOptions): Issuer {
	const { corpid, name, ticket, parent, gate, baseUrls } = options;
	const what = `a ticket (${ticket}) for ${corpid} ${name}`;
	const issuer = createChildIssuer(options, {
		parent,
		what,
		pathWith: (token) => {
			const query = `access_token=${encodeURIComponent(token)}`;
			return ticket === "jsapi"
				? `/cgi-bin/get_jsapi_ticket?${query}`
				: `/cgi-bin/ticket/get?${query}&type=agent_config`;
		},
		meaningOf: wecomTicketMeaningOf,
	});
	return {
		...issuer,
		issue: (ask) =>
			gate.pass({ baseUrl: baseUrls[0] ?? "", what }, () => issuer.issue(ask)),
	};
}

function gatedBy(
	{ baseUrls: [baseUrl = ""], corpid: owner, secret }: ProviderTokenOptions,
	what: string,
): GatedCall {
	return { baseUrl, owner, secret, what, meaningOf: wecomMeaningOf };
}

/**
 * An error keeps the default fields of a good answer (`"ip_list":[]`), so only the
 * errcode tells; an answer without one, such as `{}` of a captive portal, proves nothing.
 * Throws `LinkError`.
 */
function probeResultIn(body: Body): ProbeResult | "limited" {
	const errcode = errcodeIn(body);
	if (errcode === 45009) return "limited";
	if (deadWecomTokenCodes.has(errcode)) return "dead";
	return errcode === 0 && "errcode" in body ? "alive" : "unsure";
}
