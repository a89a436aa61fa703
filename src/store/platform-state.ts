/**
 * What a 第三方平台 (component) or a suite of a 服务商 must remember: the last pushed
 * ticket, and for each account that authorised it the secret by which its tokens are
 * fetched: a refresh token, or a permanent code. Every change is on the disk before it
 * is told; everything is in memory, too.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { LocalFacts, StampedFact } from "../core/ports.ts";
import type { Steps } from "../core/steps.ts";
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

/** The same, and what other hosts are told of it; see shared-state.ts. */
export interface FactualState extends PlatformState {
	readonly facts: LocalFacts;
}

/** Under which keys the facts are, which several hosts share. None of them holds a secret. */
export const ticketKey = "ticket";
export const listedKey = "listed";
const [accountPrefix, codePrefix] = ["account:", "code:"];
export function accountKey(id: string): string {
	return `${accountPrefix}${id}`;
}
/** The account that such a key names; undefined: it is another key. */
export function accountIn(key: string): string | undefined {
	return key.startsWith(accountPrefix)
		? key.slice(accountPrefix.length)
		: undefined;
}
export function codeKey(code: string): string {
	const digest = createHash("sha256").update(code).digest("hex");
	return `${codePrefix}${digest.slice(0, 16)}`;
}
export function isCodeKey(key: string): boolean {
	return key.startsWith(codePrefix);
}

/**
 * Opens the files in that directory, which exists. `stampNow`: the time of the fleet,
 * epoch ms; undefined: there is none, and facts get no stamps. Throws `StoreError`.
 */
export function* openPlatformState(
	directory: string,
	names: StateNames,
	stampNow: () => number | undefined = () => undefined,
): Steps<FactualState> {
	const stamps: Stamps = { known: new Map(), now: stampNow };
	const tickets = yield* openTickets(join(directory, names.ticketFile), stamps);
	const accounts = yield* openAccounts(
		join(directory, names.accountsFile),
		names,
		stamps,
	);
	const logOf = (key: string) => (key === ticketKey ? tickets : accounts);
	const factOf = (key: string): StampedFact | undefined => {
		const fact = logOf(key).factOf(key);
		const stamp = stamps.known.get(key) ?? 0;
		return fact && { key, stamp, fact };
	};
	return {
		...tickets.methods,
		...accounts.methods,
		facts: {
			*keys() {
				if (tickets.methods.ticket() !== undefined) yield ticketKey;
				yield* accounts.keys();
			},
			stampOf: (key) => stamps.known.get(key) ?? 0,
			factOf,
			stampAnew: async (keys) => {
				for (const one of [tickets, accounts])
					await one.add(
						[...keys].flatMap((key): readonly Fact[] => {
							const fact = logOf(key) === one ? one.factOf(key) : undefined;
							return fact === undefined ? [] : [fact];
						}),
					);
			},
			take: async (facts) => {
				for (const one of [tickets, accounts])
					await one.addAsTold(
						facts
							.filter(({ key }) => logOf(key) === one)
							.map(({ fact, stamp }) => ({ ...fact, stamp })),
					);
			},
		},
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

/**
 * In a fleet each fact has a stamp, epoch ms: of two with the same key the one with the
 * higher stamp counts.
 */
interface Stamps {
	readonly known: Map<string, number>;
	readonly now: () => number | undefined;
}

/** With a stamp that is higher than the one before. */
function stamped(fact: Fact, key: string, { known, now }: Stamps): Fact {
	const at = now();
	if (at === undefined) return fact;
	return {
		...fact,
		stamp: Math.max(Math.floor(at), (known.get(key) ?? 0) + 1),
	};
}

function noteStamp({ stamp }: Fact, key: string, { known }: Stamps): void {
	if (typeof stamp === "number") known.set(key, stamp);
}

function withStamp(fact: Fact, key: string, { known }: Stamps): Fact {
	const stamp = known.get(key);
	return stamp === undefined ? fact : { ...fact, stamp };
}

function* openTickets(path: string, stamps: Stamps) {
	let newest: PushedTicket | undefined;
	const opened = yield* openDurableLog(path, (fact) => {
		const ticket = ticketIn(fact);
		if (ticket === undefined || isOlder(ticket, newest)) return;
		newest = ticket;
		noteStamp(fact, ticketKey, stamps);
	});
	const { log, unreadable } = opened;
	/** By WeChat's clock, so that no host takes an older ticket for the newer one. */
	const stampedByIssue = (fact: Fact): Fact => {
		if (stamps.now() === undefined) return fact;
		const { createdAt = 0 } = ticketIn(fact) ?? {};
		const isOfSameSecond = createdAt === newest?.createdAt;
		const before = stamps.known.get(ticketKey) ?? 0;
		const stamp = isOfSameSecond && before > 0 ? before + 1 : createdAt * 1_000;
		return { ...fact, stamp };
	};
	const addAsTold = async (facts: readonly Fact[]) => {
		if (facts.length === 0) return;
		await log.append(facts);
		if (log.size() > maxTicketBytes && newest !== undefined)
			log.rewrite([withStamp(factOfTicket(newest), ticketKey, stamps)]);
	};
	const add = (facts: readonly Fact[]) => addAsTold(facts.map(stampedByIssue));
	return {
		...{ path, unreadable, add, addAsTold },
		close: log.close,
		factOf: (_: string) => newest && factOfTicket(newest),
		methods: {
			ticket: () => newest,
			putTicket: async (pushed: PushedTicket) => {
				const believed = notFromLater(pushed);
				if (isOlder(believed, newest)) return false;
				await add([factOfTicket(believed)]);
				return true;
			},
		},
	};
}

function isOlder(one: PushedTicket, other: PushedTicket | undefined): boolean {
	return other !== undefined && one.createdAt < other.createdAt;
}

/**
 * It was made before it came here. One that says otherwise would outrank all that WeChat
 * pushes until then: a program that hands one over may take its end for its beginning.
 */
function notFromLater(pushed: PushedTicket): PushedTicket {
	const latest = Math.floor(pushed.arrivedAt / 1_000) + clockSlackSeconds;
	return { ...pushed, createdAt: Math.min(pushed.createdAt, latest) };
}

/** WeChat's clock may be so much ahead of ours. */
const clockSlackSeconds = 60;

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
		? notFromLater({
				ticket,
				createdAt: create_time,
				arrivedAt: arrived_at,
			})
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
	/** All of these codes by their keys: a key is a hash, which takes its time. */
	readonly codeOf: Map<string, string>;
	listedAt: number;
}

function* openAccounts(path: string, names: StateNames, stamps: Stamps) {
	const known: Accounts = {
		secrets: new Map(),
		retired: new Map(),
		codes: new Map(),
		dropped: new Set(),
		codeOf: new Map(),
		listedAt: 0,
	};
	let found = 0;
	const { log, unreadable } = yield* openDurableLog(path, (fact) => {
		found += 1;
		const key = keyOf(fact, names);
		if (key === undefined) return;
		apply(fact, key, known, names);
		if (fact.forgotten === true) stamps.known.delete(key);
		else noteStamp(fact, key, stamps);
	});
	/** What the file had when it was written anew, or would have about. */
	let usefulBytes = (log.size() * usefulFacts(known)) / Math.max(1, found);
	const compact = () => {
		if (log.size() < minRewriteBytes || log.size() < 2 * usefulBytes) return;
		log.rewrite(stampedFactsOf(known, names, stamps));
		usefulBytes = log.size();
	};
	const addAsTold = async (facts: readonly Fact[]) => {
		if (facts.length === 0) return;
		await log.append(facts);
		compact();
	};
	const put = (facts: readonly Fact[]) =>
		addAsTold(
			facts.map((fact) => stamped(fact, keyOf(fact, names) ?? "", stamps)),
		);
	compact();
	const authorization = (id: string): Authorization | undefined => {
		const secret = known.secrets.get(id);
		if (secret === undefined) return undefined;
		const retiredAt = known.retired.get(id);
		return retiredAt === undefined ? { secret } : { secret, retiredAt };
	};
	return {
		...{ path, unreadable, addAsTold },
		add: put,
		close: log.close,
		keys: () => keysOf(known),
		factOf: (key: string) => factAt(key, known, names),
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
function apply(
	fact: Fact,
	key: string,
	known: Accounts,
	names: StateNames,
): void {
	const { auth_code: code, listed_at: listedAt } = fact;
	const { [names.id]: id, [names.secret]: secret } = fact;
	if (typeof listedAt === "number") known.listedAt = listedAt;
	else if (typeof code === "string") {
		applyToCode(fact, code, known, names);
		if (known.codes.has(code) || known.dropped.has(code))
			known.codeOf.set(key, code);
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
	{ codes, dropped, codeOf }: Accounts,
	names: StateNames,
): void {
	const { arrived_at: arrivedAt, asked_at: askedAt, [names.id]: id } = fact;
	const before = codes.get(code);
	if (fact.dropped === true) {
		codes.delete(code);
		dropped.delete(code);
		dropped.add(code);
		const [oldest] = dropped.size > maxDropped ? dropped : [];
		if (oldest === undefined) return;
		dropped.delete(oldest);
		if (!codes.has(oldest)) codeOf.delete(codeKey(oldest));
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

function keyOf(fact: Fact, names: StateNames): string | undefined {
	const { listed_at: listedAt, auth_code: code, [names.id]: id } = fact;
	if (typeof listedAt === "number") return listedKey;
	if (typeof code === "string") return codeKey(code);
	return typeof id === "string" ? accountKey(id) : undefined;
}

function* keysOf(known: Accounts): Iterable<string> {
	if (known.listedAt > 0) yield listedKey;
	for (const id of known.secrets.keys()) yield accountKey(id);
	yield* known.codeOf.keys();
}

/** What stands for the key now, in one fact. Of one that has withdrawn no secret is told. */
function factAt(
	key: string,
	known: Accounts,
	names: StateNames,
): Fact | undefined {
	if (key === listedKey)
		return known.listedAt > 0 ? { listed_at: known.listedAt } : undefined;
	const id = accountIn(key);
	if (id !== undefined) {
		const secret = known.secrets.get(id);
		const retiredAt = known.retired.get(id);
		if (retiredAt !== undefined)
			return { [names.id]: id, retired_at: retiredAt };
		return secret === undefined
			? undefined
			: { [names.id]: id, [names.secret]: secret };
	}
	const code = known.codeOf.get(key);
	if (code === undefined) return undefined;
	const pending = known.codes.get(code);
	return pending === undefined ? dropOf(code) : factOfCode(pending, names);
}

function* stampedFactsOf(
	known: Accounts,
	names: StateNames,
	stamps: Stamps,
): Iterable<Fact> {
	if (stamps.known.size === 0) yield* factsOf(known, names);
	else
		for (const fact of factsOf(known, names))
			yield withStamp(fact, keyOf(fact, names) ?? "", stamps);
}

/** How many facts say as much as all of those that were read. */
function usefulFacts({ secrets, retired, codes, dropped }: Accounts): number {
	return secrets.size + retired.size + codes.size + dropped.size + 1;
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
