/**
 * The issuer of tickets: GET /cgi-bin/ticket/getticket with the account's access token,
 * for pages (JS-SDK), cards (卡券) and scan-login of mobile apps. `expires_in` is always
 * 7200 here, whatever is left; a repeated call gives the same ticket.
 */
import type { CredentialId, KindName } from "../core/credential.ts";
import { IssuerError } from "../core/errors.ts";
import type { Issuer } from "../core/ports.ts";
import { type CallerOptions, createCaller } from "./call.ts";
import { deadTokenCodes, meaningOf } from "./errcode.ts";
import type { Meaning } from "./meaning.ts";

/** The names of tickets in the configuration, their kinds, and `type` in the request. */
export const ticketTypes = {
	jsapi: { kind: "jsapi_ticket", type: "jsapi" },
	wx_card: { kind: "wx_card_ticket", type: "wx_card" },
	sdk: { kind: "sdk_ticket", type: "2" },
} as const satisfies Readonly<
	Record<string, { readonly kind: KindName; readonly type: string }>
>;

/** One ticket of an account, and what its calls need. */
export interface TicketIssuerOptions extends CallerOptions {
	readonly appid: string;
	/** `type` of the request. */
	readonly type: string;
	/** The access token that it hangs on. */
	readonly parent: CredentialId;
}

/** The issuer of one ticket. It makes no request until it is asked. */
export function createTicketIssuer(options: TicketIssuerOptions): Issuer {
	const { appid, type, parent } = options;
	const caller = createCaller(options);
	return {
		issue: ({ parents, onCall, maxCalls }) => {
			const token = parents?.get(parent);
			if (token === undefined) throw noToken(appid, type);
			return caller.fetch(
				{
					request: {
						path: `/cgi-bin/ticket/getticket?access_token=${encodeURIComponent(token)}&type=${type}`,
					},
					what: `a ticket (${type}) for ${appid}`,
					field: "ticket",
					secret: token,
					meaningOf: ticketMeaningOf,
				},
				{ maxCalls, onCall },
			);
		},
		// No call tells whether a ticket is alive.
		probe: async () => "unsure",
	};
}

const hourMs = 3_600_000;

function ticketMeaningOf(errcode: number, at: number): Meaning {
	if (deadTokenCodes.has(errcode))
		return {
			kind: "parent",
			meaning: "WeChat does not accept the access token any more",
			hint: "nothing to do: the token is renewed first, then the ticket",
		};
	switch (errcode) {
		case 48001:
			return {
				kind: "config",
				meaning: "this kind of account has no such ticket (api unauthorized)",
				hint: "take it out of `tickets`: a 小程序 has none; a 公众号 needs 网页授权 or 卡券 in the console (接口权限)",
				waitMs: hourMs,
			};
		case 40097:
			return {
				kind: "config",
				meaning: "WeChat does not know this type of ticket",
				hint: "take it out of `tickets`",
				waitMs: hourMs,
			};
		default:
			return meaningOf(errcode, { interface: "classic", force: false, at });
	}
}

function noToken(appid: string, type: string): IssuerError {
	return new IssuerError({
		kind: "parent",
		code: "no-token",
		message: `could not fetch a ticket (${type}) for ${appid}: its access token is missing`,
		hint: "wxtokend status says why the token is missing",
		mayHaveIssued: false,
		sent: false,
	});
}
