/**
 * What a 第三方平台 (component) or a suite of a 服务商 must remember: the last pushed
 * ticket, and for each account that authorised it the secret by which its tokens are
 * fetched: a refresh token, or a permanent code. Every change is on the disk before it
 * is told; everything is in memory, too.
 */
import { join } from "node:path";
import { type Fact, lookAtDurableLog, openDurableLog } from "./durable-log.ts";

/** A ticket that WeChat has pushed. */
export interface PushedTicket {
	readonly ticket: string;
	/** By WeChat's clock, epoch seconds. */
	readonly createdAt: number;
	/** By ours, epoch ms. */
	readonly arrivedAt: number;
}

/** An account that has authorised, or had. */
export interface Authorization {
	/** Its refresh token or permanent code; "" while WeChat has not told it. */
	readonly secret: string;
	/** When it withdrew, epoch ms; undefined: it has not. */
	readonly retiredAt?: number;
}

/** An authorisation code that is not exchanged yet. */
export interface PendingCode {
	readonly code: string;
	/** The account, if the push named it. */
	readonly id?: string;
	/** Epoch ms. */
	readonly arrivedAt: number;
	/** When it was sent to WeChat last, epoch ms: it may be used up. */
	readonly askedAt?: number;
}

/** The files and the names in them, which differ between components and suites. */
export interface StateNames {
	readonly ticketFile: string;
	readonly accountsFile: string;
	readonly id: string;
	readonly secret: string;
}

export const componentNames: StateNames = {
	ticketFile: "verify-ticket",
	accountsFile: "authorizers",
	id: "appid",
	secret: "refresh_token",
};

export const suiteNames: StateNames = {
	ticketFile: "ticket",
	accountsFile: "corps",
	id: "corpid",
	secret: "permanent_code",
};

/** Each method that changes something resolves once it will survive a crash, or throws `StoreError`. */
export interface PlatformState {
	/** The newest ticket. */
	ticket(): PushedTicket | undefined;
	/** False: a newer one is known. Of two made in the same second the later one to arrive counts. */
	putTicket(pushed: PushedTicket): Promise<boolean>;
	authorization(id: string): Authorization | undefined;
	/** By appid or corpid, those that have withdrawn included. */
	authorizations(): Iterable<readonly [string, Authorization]>;
	/** Those of them that have withdrawn. */
	retired(): readonly string[];
	/**
	 * An account that had withdrawn is back by this. `exchanged`: the code that has brought
	 * the secrets; it is dropped in the same write.
	 */
	authorize(
		secrets: Iterable<readonly [string, string]>,
		exchanged?: string,
	): Promise<void>;
	/** It has withdrawn; `at`: epoch ms. */
	retire(id: string, at: number): Promise<void>;
	/** Nothing is known of it any more. */
	forget(id: string): Promise<void>;
	codes(): readonly PendingCode[];
	/** No effect for one that was dropped: WeChat pushes some things again. */
	putCode(code: PendingCode): Promise<void>;
	/** It is about to be sent to WeChat; `at`: epoch ms. */
	noteAsked(code: string, at: number): Promise<void>;
	/** It was exchanged, or never can be. */
	dropCode(code: string): Promise<void>;
	/** When the list of accounts was compared last, epoch ms; 0: never. */
	listedAt(): number;
	putListedAt(at: number): Promise<void>;
	/** Lines that could not be read, by the file's path. */
	readonly unreadable: ReadonlyMap<string, number>;
	close(): void;
}

/** Throws what `openPlatformState` would, but opens nothing. */
export function lookAtPlatformState(
	directory: string,
	{ ticketFile, accountsFile }: StateNames,
): void {
	for (const file of [ticketFile, accountsFile])
		lookAtDurableLog(join(directory, file));
}

/** Opens the files in that directory, which exists. Throws `StoreError`. */
export function openPlatformState(
	directory: string,
	names: StateNames,
): PlatformState {
	const tickets = openTickets(join(directory, names.ticketFile));
	const accounts = openAccounts(join(directory, names.accountsFile), names);
	return {
		...tickets.methods,
		...accounts.methods,
		unreadable: new Map(
			[tickets, accounts]
				.filter(({ unreadable }) => unreadable > 0)
				.map(({ path, unreadable }) => [path, unreadable]),
		),
		close: () => {
			tickets.close();
			accounts.close();
		},
	};
}

/** A file that is larger than this, and more than twice what is needed, is written anew. */
const minRewriteBytes = 1_048_576;
/** Of the tickets only the last one is needed. */
const maxTicketBytes = 65_536;

function openTickets(path: string) {
	let newest: PushedTicket | undefined;
	const opened = openDurableLog(path, (fact) => {
		const ticket = ticketIn(fact);
		if (ticket !== undefined && !isOlder(ticket, newest)) newest = ticket;
	});
	const { log, unreadable } = opened;
	return {
		path,
		unreadable,
		close: log.close,
		methods: {
			ticket: () => newest,
			putTicket: async (pushed: PushedTicket) => {
				if (isOlder(pushed, newest)) return false;
				await log.append([factOfTicket(pushed)]);
				if (log.size() > maxTicketBytes && newest !== undefined)
					log.rewrite([factOfTicket(newest)]);
				return true;
			},
		},
	};
}

function isOlder(one: PushedTicket, other: PushedTicket | undefined): boolean {
	return other !== undefined && one.createdAt < other.createdAt;
}

function factOfTicket({ ticket, createdAt, arrivedAt }: PushedTicket): Fact {
	return { ticket, create_time: createdAt, arrived_at: arrivedAt };
}

function ticketIn({
	ticket,
	create_time,
	arrived_at,
}: Fact): PushedTicket | undefined {
	return typeof ticket === "string" &&
		typeof create_time === "number" &&
		typeof arrived_at === "number"
		? { ticket, createdAt: create_time, arrivedAt: arrived_at }
		: undefined;
}

/** What the file of accounts says, as it is kept in memory. */
interface Accounts {
	/** The secret alone: of a hundred thousand, objects would take as much again. */
	readonly secrets: Map<string, string>;
	readonly retired: Map<string, number>;
	readonly codes: Map<string, PendingCode>;
	/** The last ones that were dropped, the oldest first. */
	readonly dropped: Set<string>;
	listedAt: number;
}

function openAccounts(path: string, names: StateNames) {
	const known: Accounts = {
		secrets: new Map(),
		retired: new Map(),
		codes: new Map(),
		dropped: new Set(),
		listedAt: 0,
	};
	const { log, unreadable } = openDurableLog(path, (fact) =>
		apply(fact, known, names),
	);
	/** What the file had when it was written anew, or would have had. */
	let usefulBytes = 0;
	const compact = () => {
		if (log.size() < minRewriteBytes || log.size() < 2 * usefulBytes) return;
		log.rewrite(factsOf(known, names));
		usefulBytes = log.size();
	};
	const put = async (facts: readonly Fact[]) => {
		await log.append(facts);
		compact();
	};
	compact();
	const authorization = (id: string): Authorization | undefined => {
		const secret = known.secrets.get(id);
		if (secret === undefined) return undefined;
		const retiredAt = known.retired.get(id);
		return retiredAt === undefined ? { secret } : { secret, retiredAt };
	};
	return {
		path,
		unreadable,
		close: log.close,
		methods: {
			authorization,
			*authorizations(): Iterable<readonly [string, Authorization]> {
				for (const id of known.secrets.keys()) {
					const found = authorization(id);
					if (found !== undefined) yield [id, found];
				}
			},
			retired: () => [...known.retired.keys()],
			authorize: (
				secrets: Iterable<readonly [string, string]>,
				exchanged?: string,
			) =>
				put([
					...[...secrets].map(([id, secret]) => ({
						[names.id]: id,
						[names.secret]: secret,
					})),
					// Behind them: half of a write must not drop the code alone.
					...(exchanged === undefined ? [] : [dropOf(exchanged)]),
				]),
			retire: (id: string, at: number) =>
				put([{ [names.id]: id, retired_at: at }]),
			forget: (id: string) => put([{ [names.id]: id, forgotten: true }]),
			codes: () => [...known.codes.values()],
			putCode: async (pending: PendingCode) => {
				const { code } = pending;
				if (known.dropped.has(code) || known.codes.has(code)) return;
				await put([factOfCode(pending, names)]);
			},
			noteAsked: (code: string, at: number) =>
				put([{ auth_code: code, asked_at: at }]),
			dropCode: (code: string) => put([dropOf(code)]),
			listedAt: () => known.listedAt,
			putListedAt: (at: number) => put([{ listed_at: at }]),
		},
	};
}

/** A fact that makes no sense has no effect. */
function apply(fact: Fact, known: Accounts, names: StateNames): void {
	const { auth_code: code, listed_at: listedAt } = fact;
	const { [names.id]: id, [names.secret]: secret } = fact;
	if (typeof listedAt === "number") known.listedAt = listedAt;
	else if (typeof code === "string") {
		applyToCode(fact, code, known, names);
	} else if (typeof id === "string") {
		if (typeof secret === "string") {
			known.secrets.set(id, secret);
			known.retired.delete(id);
		} else if (typeof fact.retired_at === "number") {
			if (known.secrets.has(id)) known.retired.set(id, fact.retired_at);
		} else if (fact.forgotten === true) {
			known.secrets.delete(id);
			known.retired.delete(id);
		}
	}
}

/** More are not remembered: a code is pushed again within minutes. */
const maxDropped = 1_000;

function applyToCode(
	fact: Fact,
	code: string,
	{ codes, dropped }: Accounts,
	names: StateNames,
): void {
	const { arrived_at: arrivedAt, asked_at: askedAt, [names.id]: id } = fact;
	const before = codes.get(code);
	if (fact.dropped === true) {
		codes.delete(code);
		dropped.delete(code);
		dropped.add(code);
		const [oldest = ""] = dropped.size > maxDropped ? dropped : [];
		dropped.delete(oldest);
	} else if (typeof arrivedAt === "number")
		codes.set(code, {
			...{ code, arrivedAt },
			...(typeof id === "string" ? { id } : {}),
			...(typeof askedAt === "number" ? { askedAt } : {}),
		});
	else if (typeof askedAt === "number" && before !== undefined)
		codes.set(code, { ...before, askedAt });
}

function dropOf(code: string): Fact {
	return { auth_code: code, dropped: true };
}

function factOfCode(
	{ code, id, arrivedAt, askedAt }: PendingCode,
	names: StateNames,
): Fact {
	return {
		auth_code: code,
		...(id === undefined ? {} : { [names.id]: id }),
		arrived_at: arrivedAt,
		...(askedAt === undefined ? {} : { asked_at: askedAt }),
	};
}

function* factsOf(known: Accounts, names: StateNames): Iterable<Fact> {
	if (known.listedAt > 0) yield { listed_at: known.listedAt };
	for (const [id, secret] of known.secrets) {
		yield { [names.id]: id, [names.secret]: secret };
		const retiredAt = known.retired.get(id);
		if (retiredAt !== undefined)
			yield { [names.id]: id, retired_at: retiredAt };
	}
	for (const pending of known.codes.values()) yield factOfCode(pending, names);
	for (const code of known.dropped) yield dropOf(code);
}
