import type { Knobs } from "./knobs.ts";
import type { Random } from "./random.ts";

export type TicketType = "jsapi" | "wx_card";

export function isTicketType(type: string | undefined): type is TicketType {
	return type === "jsapi" || type === "wx_card";
}

export interface Ticket {
	readonly value: string;
	readonly issuedAt: number;
	/** When signatures made with it stop working; never, while it is the newest. */
	endsAt: number;
}

/** The tickets of one account and type that may still work. */
export interface TicketLine {
	readonly current: Ticket;
	readonly former: Ticket | undefined;
}

/** How long the same ticket is given, and what each answer says. */
export const ticketLifetimeSeconds = 7200;

/** The same ticket for 7200 s after its first issue, then a new one. */
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
		value: random.text(86),
		issuedAt: nowMs,
		endsAt: Number.POSITIVE_INFINITY,
	};
	return { current, former };
}

/** Whether a signature made with this ticket works. */
export function isTicketAlive(
	line: TicketLine | undefined,
	value: string,
	nowMs: number,
): boolean {
	return [line?.current, line?.former].some(
		(ticket) => ticket?.value === value && nowMs < ticket.endsAt,
	);
}
