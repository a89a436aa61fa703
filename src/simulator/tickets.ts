/** jsapi_ticket and api_ticket: what `getticket` answers, and how long a ticket works. */
import type { Knobs } from "./knobs.ts";
import type { Random } from "./random.ts";

/** `jsapi`: for JS-SDK signatures. `wx_card`: for 卡券 signatures. */
export type TicketType = "jsapi" | "wx_card";

/** Whether a `type` parameter names a ticket that exists here. */
export function isTicketType(type: string | undefined): type is TicketType {
	return type === "jsapi" || type === "wx_card";
}

/** A ticket as the platform stores it. Instants are epoch ms. */
export interface Ticket {
	readonly value: string;
	readonly issuedAt: number;
	/** The end of its signatures; Infinity while it is the newest. */
	endsAt: number;
}

/** The tickets of one account and type that may still work. */
export interface TicketLine {
	readonly current: Ticket;
	readonly former: Ticket | undefined;
}

/**
 * For so long a repeated call gets the same ticket. Each answer carries this
 * number as `expires_in`, not the rest: five users reported it (2020–2025).
 */
export const ticketLifetimeSeconds = 7200;

/** One sample from WeChat had this length. */
const ticketLength = 86;

/** The ticket that a call gets: the same line for 7200 s after its first issue, then a new one. */
export function fetchTicket(
	line: TicketLine | undefined,
	random: Random,
	knobs: Knobs,
	nowMs: number,
): TicketLine {
	if (
		line !== undefined &&
		nowMs < line.current.issuedAt + ticketLifetimeSeconds * 1000
	)
		return line;
	const former = line?.current;
	if (former !== undefined)
		former.endsAt = nowMs + knobs.formerTicketSeconds * 1000;
	const current: Ticket = {
		value: random.text(ticketLength),
		issuedAt: nowMs,
		endsAt: Number.POSITIVE_INFINITY,
	};
	return { current, former };
}

/** Whether WeChat accepts a signature made with this ticket. */
export function isTicketAlive(
	line: TicketLine | undefined,
	value: string,
	nowMs: number,
): boolean {
	return [line?.current, line?.former].some(
		(ticket) => ticket?.value === value && nowMs < ticket.endsAt,
	);
}
