/**
 * The tickets that apps sign with: what `getticket` answers, and how long
 * WeChat accepts signatures made with a ticket.
 */
import type { Knobs } from "./knobs.ts";
import type { Random } from "./random.ts";

/**
 * Each account has one line of tickets per type. `jsapi`: for JS-SDK signatures.
 * `wx_card`: for 卡券 signatures. `2`: the sdk_ticket of mobile apps.
 */
export type TicketType = (typeof ticketTypes)[number];

/** Every type that `getticket` knows. */
export const ticketTypes = ["jsapi", "wx_card", "2"] as const;

/** Whether a `type` parameter names a ticket that exists here. */
export function isTicketType(type: unknown): type is TicketType {
	return (ticketTypes as readonly unknown[]).includes(type);
}

/** A ticket as the platform stores it. Instants are epoch ms. */
export interface Ticket {
	readonly value: string;
	readonly issuedAt: number;
	/** From this instant on, a fetch gets a new ticket. */
	readonly renewsAt: number;
	/** The end of its signatures; Infinity: they are accepted until it is replaced. */
	endsAt: number;
}

/** The tickets of one account and type. */
export interface TicketLine {
	readonly current: Ticket;
	/** Newest first, dead ones too: a signature with a dead ticket is recognised. */
	readonly former: readonly Ticket[];
}

/**
 * Each answer carries this number as `expires_in`, and not the remaining time:
 * five users reported it (2020–2025).
 */
export const ticketLifetimeSeconds = 7200;

/** One sample from WeChat had this length. */
const ticketLength = 86;

/** Former tickets that a line remembers. It bounds the memory of a long run. */
const maxFormer = 32;

/**
 * The ticket that a call gets: the same line until the current ticket is due to
 * be replaced, then a new one. No ticket is replaced without a call.
 */
export function fetchTicket(
	line: TicketLine | undefined,
	random: Random,
	knobs: Knobs,
	nowMs: number,
): TicketLine {
	if (line !== undefined && nowMs < line.current.renewsAt) return line;
	return withTicket(line, random.text(ticketLength), random, knobs, nowMs);
}

/**
 * Makes `value` the current ticket, first issued now. The former one ends as the
 * knob `formerTicketSeconds` says, or earlier by its age: a ticket that has died
 * does not come back to life.
 */
export function withTicket(
	line: TicketLine | undefined,
	value: string,
	random: Random,
	knobs: Knobs,
	nowMs: number,
): TicketLine {
	const current: Ticket = {
		value,
		issuedAt: nowMs,
		...spanOf(knobs, random, nowMs),
	};
	if (line === undefined) return { current, former: [] };
	const replaced = line.current;
	const graceEndsAt = nowMs + knobs.formerTicketSeconds * 1000;
	replaced.endsAt = Math.min(replaced.endsAt, graceEndsAt);
	return { current, former: [replaced, ...line.former].slice(0, maxFormer) };
}

/**
 * U20: when a ticket issued now is due to be replaced, and when it dies of age.
 * Users saw new tickets at fixed marks of two hours, and old ones that still
 * signed correctly more than three hours after their first issue.
 */
function spanOf(
	{ ticketLife }: Knobs,
	random: Random,
	nowMs: number,
): Pick<Ticket, "renewsAt" | "endsAt"> {
	const renewsAt = nowMs + ticketLifetimeSeconds * 1000;
	switch (ticketLife) {
		case "fixed":
			return { renewsAt, endsAt: renewsAt };
		case "until-replaced":
			return { renewsAt, endsAt: Number.POSITIVE_INFINITY };
		case "seeded": {
			// A whole number of seconds from 0 to 7200, both included.
			const extra = Math.floor(random.next() * (ticketLifetimeSeconds + 1));
			const endsAt = renewsAt + extra * 1000;
			return { renewsAt: endsAt, endsAt };
		}
		default:
			throw new TypeError(`unknown life ${ticketLife satisfies never}`);
	}
}

/** Whether WeChat accepts a signature made with this ticket. */
export function isTicketAlive(
	line: TicketLine | undefined,
	value: string,
	nowMs: number,
): boolean {
	return ticketsOf(line).some(
		(ticket) => ticket.value === value && nowMs < ticket.endsAt,
	);
}

/** The tickets of a line that are remembered, the newest first. */
export function ticketsOf(line: TicketLine | undefined): readonly Ticket[] {
	return line === undefined ? [] : [line.current, ...line.former];
}
