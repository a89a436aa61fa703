/**
 * Signatures of pages, judged as WeChat on a phone does. No call of WeChat tells
 * whether a ticket is alive: a dead one shows only on the phone, as
 * `config:fail, invalid signature`.
 */
import { createHash } from "node:crypto";
import { accountAt, type PlatformState } from "./accounts.ts";
import { type Ticket, type TicketType, ticketsOf } from "./tickets.ts";
import { wecomTicketLines } from "./wecom.ts";

/** What a page hands to `wx.config`, and where the page is. */
export interface PageSignature {
	/** The full address that the phone shows. Its `#…` is not signed. */
	readonly url: string;
	/** `nonceStr` of `wx.config`. */
	readonly noncestr: string;
	/** In seconds, the same text as was signed. */
	readonly timestamp: string;
	/** 40 lower-case hex digits. */
	readonly signature: string;
	/** An appid or a corpid; absent: the tickets of every account are tried. */
	readonly appid?: string;
	/** Default `jsapi`, the only type that signs pages at WeChat; `agent_config`: at 企业微信. */
	readonly type?: TicketType | "agent_config";
}

/**
 * `alive`: made with a live ticket. `dead-ticket`: made with a ticket that has
 * died. `invalid`: made with none of the account's tickets, or for another url,
 * noncestr or timestamp. A phone shows the last two in the same words.
 */
export type SignatureVerdict = "alive" | "dead-ticket" | "invalid";

/**
 * The signature of a page, as WeChat documents it: sha1 of four parameters in
 * this order, with raw values, as lower-case hex.
 */
export function signatureOf(
	ticket: string,
	{
		url,
		noncestr,
		timestamp,
	}: Pick<PageSignature, "url" | "noncestr" | "timestamp">,
): string {
	const signed = `jsapi_ticket=${ticket}&noncestr=${noncestr}&timestamp=${timestamp}&url=${url}`;
	return createHash("sha1").update(signed).digest("hex");
}

/**
 * Judges a signature at `nowMs`, epoch ms. Of dead tickets only the last ones of
 * each account are remembered; a signature with an older one is `invalid`.
 *
 * @throws RangeError for an unknown appid
 */
export function verifySignature(
	state: PlatformState,
	{ appid, type = "jsapi", signature, ...page }: PageSignature,
	nowMs: number,
): SignatureVerdict {
	const [url = ""] = page.url.split("#");
	const { accounts, wecom } = state;
	const ids =
		appid === undefined ? [...accounts.keys(), ...wecom.corps.keys()] : [appid];
	let verdict: SignatureVerdict = "invalid";
	for (const id of ids)
		for (const { value, endsAt } of ticketsFor(state, id, type, nowMs)) {
			if (signatureOf(value, { ...page, url }) !== signature) continue;
			if (nowMs < endsAt) return "alive";
			verdict = "dead-ticket";
		}
	return verdict;
}

function ticketsFor(
	state: PlatformState,
	id: string,
	type: NonNullable<PageSignature["type"]>,
	nowMs: number,
): readonly Ticket[] {
	const ofCorp =
		type === "jsapi" || type === "agent_config"
			? wecomTicketLines(state.wecom, id, type).flatMap(ticketsOf)
			: [];
	if (state.wecom.corps.has(id)) return ofCorp;
	const account = accountAt(state, id, nowMs);
	if (account === undefined)
		throw new RangeError(`there is no account ${JSON.stringify(id)}`);
	return type === "agent_config" ? [] : ticketsOf(account.tickets.get(type));
}
