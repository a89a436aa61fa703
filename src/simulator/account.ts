import { type Delayed, delayed } from "./delayed.ts";
import {
	createMeter,
	type LimitChanges,
	type Limits,
	limitsOf,
	type Meter,
	type Metered,
} from "./quotas.ts";
import type { StableLine } from "./stable.ts";
import type { TicketLine, TicketType } from "./tickets.ts";
import type { TokenLine } from "./tokens.ts";
import { checkEntries, type Whitelist } from "./whitelist.ts";

/** 公众号/服务号, 小程序, 接口测试号. */
export type AccountKind = "mp" | "mini" | "test";

/** `component`: managed by a 第三方平台, which has its own token call. */
export type AccountState =
	| "ok"
	| "limited"
	| "tokenForbidden"
	| "frozen"
	| "component";

/** An account to start with. */
export interface SimulatedAccount {
	readonly appid: string;
	readonly secret: string;
	/** Default "mp". */
	readonly kind?: AccountKind;
	/** Entries of the IP whitelist, which is on then; absent: it is off. */
	readonly whitelist?: readonly string[];
	/** Without a whitelist, the administrator must confirm each new address. */
	readonly ipConfirmation?: boolean;
}

/** An account as the platform knows it. */
export interface Account {
	readonly appid: string;
	readonly kind: AccountKind;
	secret: string;
	readonly secretFrozen: Delayed<boolean>;
	state: AccountState;
	readonly whitelist: Delayed<Whitelist>;
	ipConfirmation: boolean;
	readonly confirmations: Map<string, Confirmation>;
	readonly classic: TokenLine;
	readonly stable: StableLine;
	readonly tickets: Map<TicketType, TicketLine>;
	limits: Limits;
	readonly meters: Map<Metered, Meter>;
	/** Quota resets used up, and in which month (year * 12 + month, UTC+8). */
	clears: { month: number; used: number };
}

/** Where the administrator's confirmation of an address stands. */
export interface Confirmation {
	phase: "pending" | "approved" | "refused";
	refusals: number;
	/** When a refusal ends. */
	until: number;
}

/** @throws RangeError if the whitelist or a limit is not one */
export function createAccount(
	given: SimulatedAccount,
	limits?: LimitChanges,
): Account {
	const kind = given.kind ?? "mp";
	checkEntries(given.whitelist ?? [], kind);
	return {
		appid: given.appid,
		kind,
		secret: given.secret,
		secretFrozen: delayed(false),
		state: "ok",
		whitelist: delayed({
			enabled: given.whitelist !== undefined,
			entries: given.whitelist ?? [],
		}),
		ipConfirmation: given.ipConfirmation ?? false,
		confirmations: new Map(),
		classic: { current: undefined, former: [], issued: 0 },
		stable: {
			current: undefined,
			former: [],
			issued: 0,
			forcedAt: Number.NEGATIVE_INFINITY,
			forceBlocked: false,
		},
		tickets: new Map(),
		limits: limitsOf(kind, limits),
		meters: new Map(),
		clears: { month: 0, used: 0 },
	};
}

/** The counter of one kind of call, made at its first. */
export function meterOf(account: Account, metered: Metered): Meter {
	let meter = account.meters.get(metered);
	if (meter === undefined) {
		meter = createMeter();
		account.meters.set(metered, meter);
	}
	return meter;
}
