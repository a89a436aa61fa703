/**
 * The issuer of access tokens of 公众号, 服务号 and 小程序: WeChat's two token endpoints,
 * and a harmless call that tells whether a token is accepted.
 */
import type { Issuer, ProbeResult } from "../core/ports.ts";
import { type Body, errcodeIn } from "./answer.ts";
import {
	type CallerOptions,
	createCaller,
	type EndpointRequest,
} from "./call.ts";
import { deadTokenCodes, meaningOf } from "./errcode.ts";

/** One account, and what its calls need. */
export interface IssuerOptions extends CallerOptions {
	readonly appid: string;
	/** The AppSecret. */
	readonly secret: string;
	/** `classic`: GET /cgi-bin/token; `stable`: POST /cgi-bin/stable_token. */
	readonly interface: "classic" | "stable";
}

/** The issuer of one account. It makes no request until it is asked. */
export function createAccessTokenIssuer(options: IssuerOptions): Issuer {
	const { appid, secret } = options;
	const caller = createCaller(options);
	return {
		issue: ({ force, onCall, maxCalls }) =>
			caller.fetch(
				{
					request: tokenRequest(options, force),
					what: `a token for ${appid}`,
					field: "access_token",
					secret,
					meaningOf: (errcode, at) =>
						meaningOf(errcode, { interface: options.interface, force, at }),
				},
				// WeChat ignores a second `force_refresh` within 30 s, and allows 20 a day.
				{ onlyOnce: force, maxCalls, onCall },
			),
		probe: async (token, onCall) => {
			const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
			return (await caller.look(path, probeResultIn, onCall)) ?? "unsure";
		},
	};
}

/** As the official pages of the two endpoints describe it. */
function tokenRequest(
	{ appid, secret, interface: wire }: IssuerOptions,
	force: boolean,
): EndpointRequest {
	switch (wire) {
		case "classic":
			return {
				path: `/cgi-bin/token?grant_type=client_credential&appid=${encodeURIComponent(appid)}&secret=${encodeURIComponent(secret)}`,
			};
		case "stable":
			return {
				path: "/cgi-bin/stable_token",
				body: JSON.stringify({
					grant_type: "client_credential",
					appid,
					secret,
					force_refresh: force,
				}),
			};
		default:
			return wire satisfies never;
	}
}

/**
 * A good answer holds `ip_list` and no errcode. So an answer with neither, such as `{}`
 * of a captive portal, proves nothing. Throws `LinkError`.
 */
function probeResultIn(body: Body): ProbeResult {
	const errcode = errcodeIn(body);
	if (deadTokenCodes.has(errcode)) return "dead";
	const isGood = "errcode" in body || Array.isArray(body.ip_list);
	return errcode === 0 && isGood ? "alive" : "unsure";
}
