/** Changes that people make to an account: in WeChat's console, or with a copy of its secret. */
import {
	type Account,
	type AccountState,
	accountAt,
	changeLater,
	delayed,
	type PlatformState,
	revokeAll,
	type SimulatedAccount,
} from "./accounts.ts";
import {
	countCall,
	type LimitChanges,
	limitsOf,
	withChanges,
} from "./quotas.ts";
import { fetchTicket, type TicketType, withTicket } from "./tickets.ts";
import {
	emptyLine,
	emptyStableLine,
	fetchClassic,
	fetchStable,
	forceStable,
	type Interface,
} from "./tokens.ts";
import { checkEntries } from "./weixin-access.ts";

/**
 * Actions on an account. All instants are epoch ms. Each function except
 * `addAccount` throws a RangeError for an unknown appid.
 */
export interface Operator {
	/**
	 * Adds an account. An account with the same appid is replaced.
	 *
	 * @throws RangeError for a wrong whitelist entry
	 */
	addAccount(given: SimulatedAccount): void;
	/** Fetches a token as another program with the same secret would; returns it. */
	foreignFetch(
		appid: string,
		via: Interface,
		nowMs: number,
		force?: boolean,
	): string;
	/**
	 * Fetches a ticket as another program would; returns it. If a new ticket is
	 * due, this other program gets it first.
	 *
	 * @throws RangeError for a 小程序, which has no tickets
	 */
	foreignTicket(appid: string, type: TicketType, nowMs: number): string;
	/**
	 * Puts a known ticket in place of the current one, first issued now: for tests
	 * of signatures that were computed elsewhere.
	 *
	 * @throws RangeError for a 小程序, which has no tickets
	 */
	putTicket(
		appid: string,
		type: TicketType,
		value: string,
		nowMs: number,
	): void;
	/** Ends all tokens of the account at once. A use of them gets 40001. */
	kill(appid: string, nowMs: number): void;
	/** Lets the current tokens of the account expire at once. A use of them gets 42001. */
	expire(appid: string, nowMs: number): void;
	/** Replaces the secret at once, as documented. U3 decides about the tokens. */
	resetSecret(appid: string, secret: string, nowMs: number): void;
	/** Freezes or thaws the secret, after `freezeDelaySeconds`. */
	freezeSecret(appid: string, isFrozen: boolean, nowMs: number): void;
	/** Restricts the account, or lifts the restriction, at once. */
	setState(appid: string, state: AccountState): void;
	/**
	 * Replaces the whitelist, after `whitelistDelaySeconds`; undefined switches it off.
	 *
	 * @throws RangeError for a wrong entry
	 */
	setWhitelist(
		appid: string,
		entries: readonly string[] | undefined,
		nowMs: number,
	): void;
	/**
	 * Changes limits at once. The counters stay.
	 *
	 * @throws RangeError for a wrong limit
	 */
	setLimits(appid: string, limits: LimitChanges): void;
	/** Whether the administrator must confirm each new address. Acts at once. */
	requireConfirmation(appid: string, isRequired: boolean): void;
	/**
	 * Answers for the administrator. A refusal holds for an hour, the next for a day.
	 *
	 * @throws RangeError if no question about this address is pending
	 */
	decideIp(
		appid: string,
		ip: string,
		decision: "approve" | "refuse",
		nowMs: number,
	): void;
}

/** `limits` apply to every account that the operator adds. */
export function createOperator(
	state: PlatformState,
	limits?: LimitChanges,
): Operator {
	function known(appid: string, nowMs = Number.NEGATIVE_INFINITY): Account {
		const account = accountAt(state, appid, nowMs);
		if (account === undefined)
			throw new RangeError(`there is no account ${JSON.stringify(appid)}`);
		return account;
	}

	return {
		addAccount(given) {
			state.accounts.set(given.appid, createAccount(given, limits));
		},
		foreignFetch: (appid, via, nowMs, force = false) =>
			fetchAs(state, known(appid, nowMs), via, force, nowMs),
		...createTicketOperator(state, known),
		kill: (appid, nowMs) => revokeAll(known(appid, nowMs), nowMs),
		expire(appid, nowMs) {
			const { classic, stable } = known(appid, nowMs);
			for (const { current } of [classic, stable])
				if (current !== undefined)
					current.endsAt = Math.min(current.endsAt, nowMs);
		},
		resetSecret(appid, secret, nowMs) {
			const account = known(appid, nowMs);
			account.secret = secret;
			if (state.knobs.secretResetKillsTokens) revokeAll(account, nowMs);
		},
		freezeSecret(appid, isFrozen, nowMs) {
			const at = nowMs + state.knobs.freezeDelaySeconds * 1000;
			changeLater(known(appid, nowMs).secretFrozen, isFrozen, at);
		},
		setState(appid, accountState) {
			known(appid).state = accountState;
		},
		setWhitelist(appid, entries, nowMs) {
			const { kind, whitelist } = known(appid, nowMs);
			checkEntries(entries ?? [], kind);
			const at = nowMs + state.knobs.whitelistDelaySeconds * 1000;
			const list = { enabled: entries !== undefined, entries: entries ?? [] };
			changeLater(whitelist, list, at);
		},
		setLimits(appid, changes) {
			const account = known(appid);
			account.limits = withChanges(account.limits, changes);
		},
		requireConfirmation(appid, isRequired) {
			known(appid).ipConfirmation = isRequired;
		},
		decideIp: (appid, ip, decision, nowMs) =>
			decideIp(known(appid, nowMs), ip, decision, nowMs),
	};
}

/**
 * Changes an account by the fields of a control request: `secret`, `frozen`,
 * `state`, `whitelist`, `ipConfirmation`, `approve`, `refuse`, `limits`.
 *
 * @throws RangeError with the name of the wrong field
 */
export function changeAccount(
	operator: Operator,
	appid: string,
	fields: Readonly<Record<string, unknown>>,
	nowMs: number,
): void {
	// All fields are checked first: a wrong field must not leave half of the change.
	const changes = Object.entries(fields)
		.filter(([name]) => name !== "appid")
		.map(([name, value]) => changeBy(operator, appid, name, value, nowMs));
	for (const change of changes) change();
}

/** Every state that an account can have. */
const accountStates: readonly unknown[] = [
	"ok",
	"limited",
	"tokenForbidden",
	"frozen",
	"component",
] satisfies readonly AccountState[];

/** The change that one field means, checked but not made. */
function changeBy(
	operator: Operator,
	appid: string,
	name: string,
	value: unknown,
	nowMs: number,
): () => void {
	const isText = typeof value === "string";
	const isFlag = typeof value === "boolean";
	if (name === "secret" && isText)
		return () => operator.resetSecret(appid, value, nowMs);
	if (name === "frozen" && isFlag)
		return () => operator.freezeSecret(appid, value, nowMs);
	if (name === "state" && accountStates.includes(value))
		return () => operator.setState(appid, value as AccountState);
	if (name === "whitelist" && (value === null || isTexts(value)))
		return () => operator.setWhitelist(appid, value ?? undefined, nowMs);
	if (name === "ipConfirmation" && isFlag)
		return () => operator.requireConfirmation(appid, value);
	if ((name === "approve" || name === "refuse") && isText)
		return () => operator.decideIp(appid, value, name, nowMs);
	if (name === "limits" && typeof value === "object" && value !== null)
		return () => operator.setLimits(appid, value as LimitChanges);
	throw new RangeError(
		`an account cannot be changed by ${JSON.stringify(name)} of this kind`,
	);
}

function isTexts(value: unknown): value is readonly string[] {
	return (
		Array.isArray(value) && value.every((item) => typeof item === "string")
	);
}

/**
 * An account without tokens.
 *
 * @throws RangeError for a wrong whitelist entry or limit
 */
export function createAccount(
	given: SimulatedAccount,
	limits?: LimitChanges,
): Account {
	const { appid, secret, kind = "mp", whitelist } = given;
	checkEntries(whitelist ?? [], kind);
	return {
		appid,
		kind,
		secret,
		secretFrozen: delayed(false),
		state: "ok",
		whitelist: delayed({
			enabled: whitelist !== undefined,
			entries: whitelist ?? [],
		}),
		ipConfirmation: given.ipConfirmation ?? false,
		confirmations: new Map(),
		classic: emptyLine(appid),
		stable: emptyStableLine(appid),
		tickets: new Map(),
		limits: limitsOf(kind, limits),
		counters: new Map(),
		clears: { month: 0, used: 0 },
	};
}

/** The call counts against the quota, but no check of access is made. */
function fetchAs(
	{ book, knobs }: PlatformState,
	account: Account,
	via: Interface,
	isForced: boolean,
	nowMs: number,
): string {
	const { classic, stable, counters } = account;
	const quota = via === "classic" ? "token" : "stable_token";
	countCall(counters, quota, knobs, nowMs);
	if (via === "classic") return fetchClassic(book, classic, knobs, nowMs).value;
	return isForced
		? forceStable(book, stable, knobs, nowMs).value
		: fetchStable(book, stable, knobs, nowMs).token.value;
}

/** The actions on tickets. `known` finds an account, or throws. */
function createTicketOperator(
	state: PlatformState,
	known: (appid: string, nowMs: number) => Account,
): Pick<Operator, "foreignTicket" | "putTicket"> {
	function withTickets(appid: string, nowMs: number): Account {
		const account = known(appid, nowMs);
		if (account.kind === "mini")
			throw new RangeError("a mini program has no tickets");
		return account;
	}

	return {
		foreignTicket(appid, type, nowMs) {
			const { tickets, counters } = withTickets(appid, nowMs);
			// As for tokens: the call counts, but no check of access is made.
			countCall(counters, "getticket", state.knobs, nowMs);
			const before = tickets.get(type);
			const line = fetchTicket(before, state.random, state.knobs, nowMs);
			tickets.set(type, line);
			return line.current.value;
		},
		putTicket(appid, type, value, nowMs) {
			const { random, knobs } = state;
			const { tickets } = withTickets(appid, nowMs);
			const before = tickets.get(type);
			tickets.set(type, withTicket(before, value, random, knobs, nowMs));
		},
	};
}

function decideIp(
	{ confirmations }: Account,
	ip: string,
	decision: "approve" | "refuse",
	nowMs: number,
): void {
	const asked = confirmations.get(ip);
	if (asked?.phase !== "pending")
		throw new RangeError(`no confirmation is pending for ${ip}`);
	if (decision === "approve") {
		asked.phase = "approved";
		return;
	}
	asked.phase = "refused";
	asked.refusals += 1;
	// Texts of 89507 and 89506: try again after an hour, after a day.
	const hours = asked.refusals === 1 ? 1 : 24;
	asked.until = nowMs + hours * 3_600_000;
}
