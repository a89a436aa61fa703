/**
 * One platform: the ticket that its token needs, the secrets of its members, and what
 * WeChat pushes about them. Whatever is taken here is on the disk before it is answered;
 * what calls WeChat for it comes later, see platform-chores.ts.
 */
import { type Platform, platformIdOf } from "../config/platform.ts";
import type { Clock } from "../core/clock.ts";
import { IssuerError, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { type Push, pushGapMs } from "../core/push.ts";
import type { MemberSecret, TicketSource } from "../issuer/pushed.ts";
import type { HeardChange, SharedState } from "../store/shared-state.ts";
import { kindOf, type PlatformKind } from "./platform-kinds.ts";

/** What becomes known of a member. */
export type MemberChange =
	| "authorized"
	/** After it had withdrawn, which may have ended its tokens. */
	| "returned"
	| "withdrawn";

export interface KeptPlatformParts {
	readonly state: SharedState;
	readonly clock: Clock;
	readonly log: Log;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** A newer ticket is there, or a code to exchange. */
	readonly onTicket: (platform: KeptPlatform) => void;
	readonly onMember: (
		platform: KeptPlatform,
		id: string,
		change: MemberChange,
	) => void;
}

const hourMs = 3_600_000;

/** A clock that is off by so much is told. */
const maxSkewMs = 300_000;

export class KeptPlatform {
	/** A reload may bring another one. */
	entry: Platform;
	readonly state: SharedState;
	/** Members of which WeChat must be asked whether they are still ours, and since when. */
	readonly doubted = new Map<string, number>();
	/** Members that changed while the list of all was read: what it says of them is old. */
	readonly changed = new Set<string>();
	readonly #parts: KeptPlatformParts;
	/** When the ticket arrived that WeChat did not take. */
	#refusedAt: number | undefined;
	#isSkewTold = false;
	/** When it was found that pushes were missed. */
	#gapAt: number | undefined;

	constructor(entry: Platform, parts: KeptPlatformParts) {
		this.entry = entry;
		this.state = parts.state;
		this.#parts = parts;
		const { arrivedAt } = this.state.ticket() ?? {};
		this.hasGap =
			arrivedAt === undefined || parts.startedAt - arrivedAt > pushGapMs;
	}

	/** Pushes were missed since the list was compared last, by whichever host. */
	get hasGap(): boolean {
		return this.#gapAt !== undefined && this.state.listedAt() < this.#gapAt;
	}

	set hasGap(has: boolean) {
		this.#gapAt = has ? this.#parts.clock.now() : undefined;
	}

	/** Another host has told it. */
	heard(heard: HeardChange): void {
		if (heard.kind === "ticket") {
			this.#parts.onTicket(this);
			return;
		}
		this.changed.add(heard.id);
		this.doubted.delete(heard.id);
		this.#parts.onMember(this, heard.id, heard.change);
	}

	/** The appid, or the suite_id. */
	get id(): string {
		return platformIdOf(this.entry);
	}

	get kind(): PlatformKind {
		return kindOf(this.entry);
	}

	/** How it is named in a line of the log, with a member if the line is about one. */
	fields(member?: string): Readonly<Record<string, string>> {
		const { interface: table } = this.entry;
		return {
			[table]: this.id,
			...(member === undefined ? {} : { [this.kind.state.id]: member }),
		};
	}

	/** The last push, or the start if there was none since; epoch ms. */
	heardAt(): number {
		const { arrivedAt = 0 } = this.state.ticket() ?? {};
		return Math.max(arrivedAt, this.#parts.startedAt);
	}

	/** For the issuer of the platform's token. */
	ticketSource(): TicketSource {
		return {
			current: () => this.#ticket(),
			refused: (ticket) => {
				const pushed = this.state.ticket();
				if (pushed?.ticket === ticket) this.#refusedAt = pushed.arrivedAt;
			},
		};
	}

	/** For the issuer of a member's token. */
	secretOf(id: string): MemberSecret {
		return {
			current: () => this.#secret(id),
			keep: (value) => this.#keepAnswered(id, value),
			refused: () => this.doubt(id),
		};
	}

	/** WeChat is asked whether that member is still ours. */
	doubt(id: string): void {
		if (!this.doubted.has(id)) this.doubted.set(id, 0);
	}

	/** A ticket; an older one than the present one has no effect. Throws `StoreError`. */
	async takeTicket(ticket: string, createdAt: number): Promise<void> {
		const { clock, onTicket } = this.#parts;
		const arrivedAt = clock.now();
		if (arrivedAt - this.heardAt() > pushGapMs) this.hasGap = true;
		this.#tellSkew(createdAt * 1000 - arrivedAt);
		const pushed = { ticket, createdAt, arrivedAt };
		if (await this.state.putTicket(pushed)) onTicket(this);
		else this.#tellOlder(createdAt);
		await this.state.safe();
	}

	/** A code that is to be exchanged. Throws `StoreError`. */
	async takeCode(code: string, id?: string): Promise<void> {
		await this.state.putCode({
			code,
			...(id === undefined ? {} : { id }),
			arrivedAt: this.#parts.clock.now(),
		});
		this.#parts.onTicket(this);
		await this.state.safe();
	}

	/** The secrets of members, and the code that has brought them, if one has. Throws `StoreError`. */
	async authorize(
		secrets: readonly (readonly [string, string])[],
		exchanged?: string,
	): Promise<void> {
		const returned = new Set(this.state.retired());
		await this.state.authorize(secrets, exchanged);
		for (const [id] of secrets) {
			this.changed.add(id);
			this.doubted.delete(id);
			const change = returned.has(id) ? "returned" : "authorized";
			this.#parts.onMember(this, id, change);
		}
		await this.state.safe();
	}

	/** A member has withdrawn. Throws `StoreError`. */
	async withdraw(id: string): Promise<void> {
		const known = this.state.authorization(id);
		if (known === undefined || known.retiredAt !== undefined) return;
		await this.state.retire(id, this.#parts.clock.now());
		this.changed.add(id);
		this.doubted.delete(id);
		this.#parts.onMember(this, id, "withdrawn");
		await this.state.safe();
	}

	/** What WeChat pushes; events that are for others have no effect. Throws `StoreError`. */
	async takePush(push: Push): Promise<void> {
		await this.#take(push);
		// Also what was known already: the fleet may have been away when it came first.
		await this.state.safe();
	}

	async #take(push: Push): Promise<void> {
		const news = this.kind.newsIn(push);
		switch (news?.kind) {
			case "ticket": {
				const now = Math.floor(this.#parts.clock.now() / 1000);
				const { ticket, createdAt } = news;
				const at = Number.isNaN(createdAt) ? now : createdAt;
				return this.takeTicket(ticket, at);
			}
			case "code":
				if (this.entry.exchange) await this.takeCode(news.code, news.id);
				return;
			case "withdrawn":
				return this.withdraw(news.id);
			case "changed":
				return this.#tellUnknown(news.id);
			case undefined:
				return;
			default:
				return news satisfies never;
		}
	}

	#tellOlder(createdAt: number): void {
		this.#parts.log.info(
			{
				event: `${this.entry.interface}.older-ticket`,
				...this.fields(),
				createTime: createdAt,
			},
			"a ticket came that is older than the one that is kept: it changes nothing",
		);
	}

	/** It works for the corp, as 企业微信 says, and nobody here can fetch its token. */
	#tellUnknown(id: string): void {
		if (this.state.authorization(id) !== undefined) return;
		this.#parts.log.warn(
			{
				event: `${this.entry.interface}.unknown`,
				...this.fields(id),
				hint: "hand its permanent code over (wxtokend import), if a program of yours has it; else let its administrator authorise the suite again",
			},
			`${id} has changed its authorisation of ${this.id}, but its permanent code is not known here`,
		);
	}

	#ticket(): string {
		const { clock } = this.#parts;
		const pushed = this.state.ticket();
		if (pushed === undefined) throw this.#noTicket("no push has come so far");
		const { ticket, arrivedAt } = pushed;
		const since = new Date(arrivedAt).toISOString();
		if (clock.now() >= this.kind.ticketEndsAt(pushed))
			throw this.#noTicket(
				`no push since ${since}, and the last ticket is over`,
			);
		if (arrivedAt === this.#refusedAt)
			throw this.#noTicket(
				`WeChat refused the last ticket, and no push has come since ${since}`,
			);
		return ticket;
	}

	#noTicket(cause: string): IssuerError {
		return new IssuerError({
			kind: "admin",
			code: "no-ticket",
			message: `could not fetch a ${this.entry.interface} token for ${this.id}: ${cause}`,
			hint: this.kind.noTicketHint,
			waitMs: 60_000,
			mayHaveIssued: false,
			sent: false,
		});
	}

	#secret(id: string): string {
		const { secret = "", retiredAt } = this.state.authorization(id) ?? {};
		if (retiredAt === undefined && secret !== "") return secret;
		const why =
			retiredAt === undefined
				? this.kind.noSecret
				: `it has withdrawn its authorisation (取消授权) at ${new Date(retiredAt).toISOString()}`;
		throw new IssuerError({
			kind: "admin",
			code: "unauthorized",
			message: `could not fetch a token for ${id}: ${why}`,
			hint: this.kind.withdrawnHint,
			waitMs: hourMs,
			mayHaveIssued: false,
			sent: false,
		});
	}

	/** The token of the same answer is good in any case, so a full disk is only told. */
	async #keepAnswered(id: string, value: string): Promise<void> {
		try {
			await this.state.authorize([[id, value]]);
			this.changed.add(id);
			await this.state.safe();
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			this.#parts.log.error(
				{ event: "state.failed", ...this.fields(id), code, hint },
				`${message}; ${this.kind.unsafeHint}`,
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
					...this.fields(),
					seconds: Math.round(skewMs / 1000),
					hint: "see that the clock of this server is synchronised (timedatectl)",
				},
				`a push to ${this.id} was made ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? "after" : "before"} now, by WeChat's clock`,
			);
		this.#isSkewTold = isOff;
	}
}
