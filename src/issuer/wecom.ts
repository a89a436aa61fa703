/**
 * The issuers of 企业微信 (qyapi.weixin.qq.com): the token of an app, by gettoken; its
 * tickets for pages; and the token of a 服务商. An app is whatever has a secret for
 * gettoken: 自建应用, 代开发应用 (its permanent_code is the secret), 会话内容存档, 微信客服.
 */
import type { Issuer, ProbeResult } from "../core/ports.ts";
import { type Body, errcodeIn } from "./answer.ts";
import { type CallerOptions, createCaller } from "./call.ts";
import { type ChildTicket, createChildIssuer } from "./ticket.ts";
import {
	deadWecomTokenCodes,
	wecomMeaningOf,
	wecomTicketMeaningOf,
} from "./wecom-errcode.ts";

/** One app, and what its calls need. */
export interface AppTokenOptions extends CallerOptions {
	readonly corpid: string;
	/** Its name in the configuration, for messages. */
	readonly name: string;
	readonly secret: string;
}

/** The issuer of an app's access token. It makes no request until it is asked. */
export function createAppTokenIssuer(options: AppTokenOptions): Issuer {
	const { corpid, name, secret } = options;
	const caller = createCaller(options);
	return {
		issue: ({ onCall, maxCalls }) =>
			caller.fetch(
				{
					request: {
						path: `/cgi-bin/gettoken?corpid=${encodeURIComponent(corpid)}&corpsecret=${encodeURIComponent(secret)}`,
					},
					what: `a token for ${corpid} ${name}`,
					field: "access_token",
					secret,
					meaningOf: wecomMeaningOf,
				},
				{ maxCalls, onCall },
			),
		probe: async (token, onCall) => {
			const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
			return (await caller.look(path, probeResultIn, onCall)) ?? "unsure";
		},
	};
}

/** A 服务商, and what its calls need. */
export interface ProviderTokenOptions extends CallerOptions {
	readonly corpid: string;
	/** The ProviderSecret. */
	readonly secret: string;
}

/** The issuer of a provider_access_token. It makes no request until it is asked. */
export function createProviderTokenIssuer(
	options: ProviderTokenOptions,
): Issuer {
	const { corpid, secret } = options;
	const caller = createCaller(options);
	return {
		issue: ({ onCall, maxCalls }) =>
			caller.fetch(
				{
					request: {
						path: "/cgi-bin/service/get_provider_token",
						body: JSON.stringify({ corpid, provider_secret: secret }),
					},
					what: `a provider token for ${corpid}`,
					field: "provider_access_token",
					secret,
					meaningOf: wecomMeaningOf,
				},
				{ maxCalls, onCall },
			),
		// No harmless call takes this token.
		probe: async () => "unsure",
	};
}

/** One ticket of an app, and what its calls need. */
export interface AppTicketOptions extends CallerOptions {
	readonly corpid: string;
	/** The app's name in the configuration, for messages. */
	readonly name: string;
	/** `jsapi`: for the pages of the whole corp; `agent_config`: for those of this app. */
	readonly ticket: "jsapi" | "agent_config";
	/** The app's access token. */
	readonly parent: ChildTicket["parent"];
}

/** The issuer of an app's ticket. It makes no request until it is asked. */
export function createAppTicketIssuer(options: AppTicketOptions): Issuer {
	const { corpid, name, ticket, parent } = options;
	return createChildIssuer(options, {
		parent,
		what: `a ticket (${ticket}) for ${corpid} ${name}`,
		pathWith: (token) => {
			const query = `access_token=${encodeURIComponent(token)}`;
			return ticket === "jsapi"
				? `/cgi-bin/get_jsapi_ticket?${query}`
				: `/cgi-bin/ticket/get?${query}&type=agent_config`;
		},
		meaningOf: wecomTicketMeaningOf,
	});
}

/**
 * An error keeps the default fields of a good answer (`"ip_list":[]`), so only the
 * errcode tells; an answer without one, such as `{}` of a captive portal, proves nothing.
 * Throws `LinkError`.
 */
function probeResultIn(body: Body): ProbeResult {
	const errcode = errcodeIn(body);
	if (deadWecomTokenCodes.has(errcode)) return "dead";
	return errcode === 0 && "errcode" in body ? "alive" : "unsure";
}
