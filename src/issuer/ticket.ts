/**
 * The issuer of tickets: GET /cgi-bin/ticket/getticket with the account's access token,
 * for pages (JS-SDK), cards (卡券) and scan-login of mobile apps. `expires_in` is always
 * 7200 here, whatever is left; a repeated call gives the same ticket.
 */
import type { CredentialId } from "../core/credential.ts";
import { IssuerError } from "../core/errors.ts";
import type { Issuer } from "../core/ports.ts";
import { type CallerOptions, createCaller, type Wanted } from "./call.ts";
import { deadTokenCodes, meaningOf } from "./errcode.ts";
import type { Meaning } from "./meaning.ts";

/** `type` in the request, by the names of tickets in the configuration. */
export const ticketTypes = {
	jsapi: "jsapi",
	wx_card: "wx_card",
	sdk: "2",
} as const;

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
	return createChildIssuer(options, {
		parent,
		what: `a ticket (${type}) for ${appid}`,
		pathWith: (token) =>
			`/cgi-bin/ticket/getticket?access_token=${encodeURIComponent(token)}&type=${type}`,
		meaningOf: ticketMeaningOf,
	});
}

/** A ticket of whatever host, which is fetched with the value of its parent. */
export interface ChildTicket {
	readonly parent: CredentialId;
	/** As in `Wanted`. */
	readonly what: string;
	/** The path of the request with the parent's value in it. */
	readonly pathWith: (value: string) => string;
	/** As in `Wanted`. */
	readonly meaningOf: Wanted["meaningOf"];
}

/** The issuer of such a ticket. It makes no request until it is asked. */
export function createChildIssuer(
	options: CallerOptions,
	{ parent, what, pathWith, meaningOf }: ChildTicket,
): Issuer {
	const caller = createCaller(options);
	return {
		issue: async ({ parents, onCall, maxCalls }) => {
			const value = parents?.get(parent);
			if (value === undefined) throw noToken(what);
			return caller.fetch(
				{
					...{ what, meaningOf },
					request: { path: pathWith(value) },
					field: "ticket",
					secret: value,
				},
				{ maxCalls, onCall },
			);
		},
		// No call tells whether a ticket is alive.
		probe: async () => "unsure",
	};
}

const hourMs = 3_600_000;

/** The codes that only tickets have; the documents list them. */
export const ticketErrcodes: readonly number[] = [40097];

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

function noToken(what: string): IssuerError {
	return new IssuerError({
		kind: "parent",
		code: "no-token",
		message: `could not fetch ${what}: its access token is missing`,
		hint: "wxtokend status says why the token is missing",
		mayHaveIssued: false,
		sent: false,
	});
}
