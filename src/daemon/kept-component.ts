/**
 * One 第三方平台: the ticket that its token needs, the refresh tokens of the accounts that
 * have authorised it, and what WeChat pushes about them. Whatever is taken here is on the
 * disk before it is answered; what calls WeChat for it comes later, see component-chores.ts.
 */
import type { Authorizer, Component } from "../config/component.ts";
import type { Clock } from "../core/clock.ts";
import { IssuerError, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Push } from "../core/push.ts";
import {
	isAppid,
	type RefreshToken,
	type TicketSource,
} from "../issuer/component.ts";
import type { PlatformState } from "../store/platform-state.ts";

/** What becomes known of an account. */
export type AuthorizerChange =
	| "authorized"
	/** After it had withdrawn, which may have ended its tokens. */
	| "returned"
	| "withdrawn";

export interface KeptComponentParts {
	readonly state: PlatformState;
	readonly clock: Clock;
	readonly log: Log;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** A newer ticket is there. */
	readonly onTicket: (component: KeptComponent) => void;
	readonly onAuthorizer: (
		component: KeptComponent,
		appid: string,
		change: AuthorizerChange,
	) => void;
}

/** WeChat takes a ticket for so long after it was made. */
export const ticketLifeMs = 43_200_000;

/** Tickets come each 10 minutes: after so long without one, pushes were missed. */
export const gapMs = 1_800_000;

const hourMs = 3_600_000;

/** A clock that is off by so much is told. */
const maxSkewMs = 300_000;

export class KeptComponent {
	/** A reload may bring another one. */
	entry: Component;
	readonly state: PlatformState;
	/** Accounts of which WeChat must be asked whether they are still ours, and since when. */
	readonly doubted = new Map<string, number>();
	/** Accounts that changed while the list of all was read: what it says of them is old. */
	readonly changed = new Set<string>();
	/** Pushes were missed since the list was compared last. */
	hasGap: boolean;
	readonly #parts: KeptComponentParts;
	#refusedTicket: string | undefined;
	#isSkewTold = false;

	constructor(entry: Component, parts: KeptComponentParts) {
		this.entry = entry;
		this.state = parts.state;
		this.#parts = parts;
		const { arrivedAt } = this.state.ticket() ?? {};
		this.hasGap =
			arrivedAt === undefined || parts.startedAt - arrivedAt > gapMs;
	}

	get appid(): string {
		return this.entry.appid;
	}

	/** The last push, or the start if there was none since; epoch ms. */
	heardAt(): number {
		const { arrivedAt = 0 } = this.state.ticket() ?? {};
		return Math.max(arrivedAt, this.#parts.startedAt);
	}

	/** For the issuer of the component's token. */
	ticketSource(): TicketSource {
		return {
			current: () => this.#ticket(),
			refused: (ticket) => {
				this.#refusedTicket = ticket;
			},
		};
	}

	/** For the issuer of an account's token. */
	refreshTokenOf({ appid }: Authorizer): RefreshToken {
		return {
			current: () => this.#refreshToken(appid),
			keep: (value) => this.#keepAnswered(appid, value),
			refused: () => this.doubt(appid),
		};
	}

	/** WeChat is asked whether that account is still ours. */
	doubt(appid: string): void {
		if (!this.doubted.has(appid)) this.doubted.set(appid, 0);
	}

	/** A ticket; an older one than the present one has no effect. Throws `StoreError`. */
	async takeTicket(ticket: string, createdAt: number): Promise<void> {
		const { clock, onTicket } = this.#parts;
		const arrivedAt = clock.now();
		if (arrivedAt - this.heardAt() > gapMs) this.hasGap = true;
		this.#tellSkew(createdAt * 1000 - arrivedAt);
		const pushed = { ticket, createdAt, arrivedAt };
		if (await this.state.putTicket(pushed)) onTicket(this);
	}

	/** A code that is to be exchanged. Throws `StoreError`. */
	async takeCode(code: string, appid?: string): Promise<void> {
		await this.state.putCode({
			code,
			...(appid === undefined ? {} : { id: appid }),
			arrivedAt: this.#parts.clock.now(),
		});
		this.#parts.onTicket(this);
	}

	/** The refresh tokens of accounts. Throws `StoreError`. */
	async authorize(
		secrets: readonly (readonly [string, string])[],
	): Promise<void> {
		const returned = new Set(this.state.retired());
		await this.state.authorize(secrets);
		for (const [appid] of secrets) {
			this.changed.add(appid);
			this.doubted.delete(appid);
			const change = returned.has(appid) ? "returned" : "authorized";
			this.#parts.onAuthorizer(this, appid, change);
		}
	}

	/** An account has withdrawn. Throws `StoreError`. */
	async withdraw(appid: string): Promise<void> {
		const known = this.state.authorization(appid);
		if (known === undefined || known.retiredAt !== undefined) return;
		await this.state.retire(appid, this.#parts.clock.now());
		this.changed.add(appid);
		this.doubted.delete(appid);
		this.#parts.onAuthorizer(this, appid, "withdrawn");
	}

	/** What WeChat pushes; events that are for others have no effect. Throws `StoreError`. */
	async takePush({ infoType, createdAt, fields }: Push): Promise<void> {
		const appid = fields.get("AuthorizerAppid");
		switch (infoType) {
			case "component_verify_ticket": {
				const ticket = fields.get("ComponentVerifyTicket");
				const now = Math.floor(this.#parts.clock.now() / 1000);
				const at = Number.isNaN(createdAt) ? now : createdAt;
				if (ticket !== undefined) await this.takeTicket(ticket, at);
				return;
			}
			case "authorized":
			case "updateauthorized": {
				const code = fields.get("AuthorizationCode");
				const isWanted = this.entry.exchange && code !== undefined;
				if (isWanted) await this.takeCode(code, appid);
				return;
			}
			case "unauthorized":
				if (appid !== undefined && isAppid(appid)) await this.withdraw(appid);
				return;
			default:
				return;
		}
	}

	#ticket(): string {
		const { clock } = this.#parts;
		const pushed = this.state.ticket();
		if (pushed === undefined) throw this.#noTicket("no push has come so far");
		const { ticket, createdAt, arrivedAt } = pushed;
		const since = new Date(arrivedAt).toISOString();
		if (clock.now() - createdAt * 1000 >= ticketLifeMs)
			throw this.#noTicket(
				`no push since ${since}, and the last ticket is over`,
			);
		if (ticket === this.#refusedTicket)
			throw this.#noTicket(
				`WeChat refused the last ticket, and no push has come since ${since}`,
			);
		return ticket;
	}

	#noTicket(cause: string): IssuerError {
		return new IssuerError({
			kind: "admin",
			code: "no-ticket",
			message: `could not fetch a component token for ${this.appid}: ${cause}`,
			hint: "WeChat pushes a ticket each 10 minutes to the 授权事件接收URL: see that it leads here, and that Token and EncodingAESKey are those of the console (wxtokend logs what it refuses)",
			waitMs: 60_000,
			mayHaveIssued: false,
			sent: false,
		});
	}

	#refreshToken(appid: string): string {
		const { secret = "", retiredAt } = this.state.authorization(appid) ?? {};
		if (retiredAt === undefined && secret !== "") return secret;
		const why =
			retiredAt === undefined
				? "WeChat has not told its refresh token"
				: `it has withdrawn its authorisation (取消授权) at ${new Date(retiredAt).toISOString()}`;
		throw new IssuerError({
			kind: "admin",
			code: "unauthorized",
			message: `could not fetch a token for ${appid}: ${why}`,
			hint: "send its administrator the page of consent (授权页) again, if it is still a customer; nothing else is to be done",
			waitMs: hourMs,
			mayHaveIssued: false,
			sent: false,
		});
	}

	/** The token of the same answer is good in any case, so a full disk is only told. */
	async #keepAnswered(appid: string, value: string): Promise<void> {
		try {
			await this.state.authorize([[appid, value]]);
			this.changed.add(appid);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			this.#parts.log.error(
				{ event: "state.failed", component: this.appid, appid, code, hint },
				`${message}; WeChat's list is asked for the refresh token if the former one fails`,
			);
		}
	}

	/** It is the clock of one of the two, and this one is told in other ways, too. */
	#tellSkew(skewMs: number): void {
		const isOff = skewMs > maxSkewMs || skewMs < -hourMs;
		if (isOff && !this.#isSkewTold)
			this.#parts.log.warn(
				{
					event: "push.skewed",
					component: this.appid,
					seconds: Math.round(skewMs / 1000),
					hint: "see that the clock of this server is synchronised (timedatectl)",
				},
				`a push to ${this.appid} was made ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? "after" : "before"} now, by WeChat's clock`,
			);
		this.#isSkewTold = isOff;
	}
}
