/**
 * What platforms (第三方平台, suites) need for their calls and cannot fetch: it is pushed, or
 * told only once. Issuers ask for it by these contracts.
 */
import { IssuerError } from "../core/errors.ts";

/** The pushed ticket of a platform. */
export interface TicketSource {
	/** Throws `IssuerError`, without a call, while there is none that WeChat would take. */
	current(): string;
	/** WeChat did not take it: it is not tried again, unless it is pushed again. */
	refused(ticket: string): void;
}

/** By what the token of one member is fetched: a refresh token, or a permanent code. */
export interface MemberSecret {
	/** Throws `IssuerError`, without a call, while there is none. */
	current(): string;
	/** What WeChat answered; resolves once it will survive a crash. Never rejects. */
	keep(value: string): Promise<void>;
	/** WeChat did not take it, or says that the member must authorise again. */
	refused(): void;
}

/** A member, as WeChat tells of it. `secret`: undefined if WeChat does not tell it. */
export interface ToldMember {
	/** The appid, or the corpid. */
	readonly id: string;
	readonly secret: string | undefined;
}

/** Whether it can be an appid or a corpid: it becomes a part of a file's name. */
export function isMemberId(text: string): boolean {
	return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

/** Undefined also for "". */
export function textIn(value: unknown): string | undefined {
	return typeof value === "string" && value !== "" ? value : undefined;
}

/** Whether WeChat refused the ticket itself. */
export function isTicketError(error: unknown): boolean {
	return (
		error instanceof IssuerError &&
		["ticket-expired", "ticket-invalid"].includes(error.code)
	);
}

/** The failure of a call that needs the platform's token; `what`: "component token". */
export function noPlatformToken(id: string, what: string): IssuerError {
	return new IssuerError({
		kind: "parent",
		code: "no-token",
		message: `could not fetch a token for ${id}: the ${what} is missing`,
		hint: `wxtokend status says why the ${what} is missing`,
		mayHaveIssued: false,
		sent: false,
	});
}
