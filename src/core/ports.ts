/** What the keeper is handed: the contracts of an issuer, of a store, and of those who listen. */
import type {
	Credential,
	CredentialId,
	KnownToken,
	Reading,
} from "./credential.ts";
import type { IssuerError, StoreError } from "./errors.ts";
import type { FleetClock } from "./fleet-clock.ts";
import type { Failure, SharedRecord } from "./record.ts";
import type { Reason } from "./request.ts";
import type { Token } from "./token.ts";

// --- The issuer: WeChat, as typed answers. ---

/** A value that WeChat issued, not yet published. */
export interface Grant {
	readonly value: string;
	/** From `expires_in`; where WeChat gives the same value again, what is left of it. */
	readonly lifetimeMs: number;
	/** Just before its request was sent, epoch ms: the lifetime counts from here. */
	readonly requestedAt: number;
}

/** What the platform thinks of a value; `unsure` if the answer does not tell. */
export type ProbeResult = "alive" | "dead" | "unsure";

/** What one attempt asks for. */
export interface Ask {
	/** Another value than the present one. */
	readonly force: boolean;
	/** The living values of those that the credential needs. */
	readonly parents?: ReadonlyMap<CredentialId, string>;
	/** Called at each request that leaves. */
	readonly onCall?: () => void;
	/** How many requests may leave; at least one. */
	readonly maxCalls?: number;
}

/** The way to get values of one credential. */
export interface Issuer {
	/** One attempt, over several servers in turn if a link fails. Throws `IssuerError`. */
	issue(ask: Ask): Promise<Grant>;
	/** Tries the value on a harmless call. Never throws. */
	probe(value: string, onCall?: () => void): Promise<ProbeResult>;
}

// --- The store: where values and shared records are. ---

/**
 * What a store remembers of a credential at rest, so that it need not read it again.
 * Only the store that made it can use it.
 */
export type Snapshot = object;

/** Values and records of many credentials. */
export interface Store {
	/** `remembered`: the snapshot of an earlier slot, with the value that it had then. */
	open(of: Credential, remembered?: Remembered): Slot;
	/** Whether the files of a credential at rest were touched since. Cheap. */
	isTouched(of: Credential, snapshot: Snapshot): boolean;
	/** Where readers find the value: a path. */
	pathOf(of: Credential): string;
	/** Tells of changes that other processes make, as far as that can be had. */
	watch(onTouched: (file: string) => void): Watch;
}

/**
 * Changes of a store as they happen. It is a hint: what another machine does on a
 * shared file system is not heard of, nor what happens while a queue is full.
 */
export interface Watch {
	/**
	 * Listens from now on, if it did not. True: it has listened since the last call
	 * without a gap. False: look at everything yourself, once.
	 */
	listen(): boolean;
	/** The last try to listen did not work. */
	isNotWatching(): boolean;
	/** Other machines change the files as well, which is not heard of. */
	isShared(): boolean;
	stop(): void;
}

/** See `Store.open`. */
export interface Remembered {
	readonly snapshot: Snapshot;
	readonly token: Token;
}

/**
 * One credential in a store. The contract, which every store must keep:
 * - `read` and `record` take no lock, never wait, and tell the newest that is known.
 *   Only under a lease are they sure to be the newest there is.
 * - Whoever holds the lease is the only writer. After a suspend or a clock step
 *   that may be no longer true: then `write` and `publish` throw `lost` instead of
 *   writing. If the lease is lost in the very instant of the write, they throw
 *   `lost` after it: the caller must look again, and may not take what it wrote for
 *   the newest. Such a record does not count: its fence is too low.
 * - `publish` is atomic and durable. When it throws anything but a late `lost`,
 *   readers still see what they saw before, or (if only the last sync failed) the
 *   new value, which a crash of the machine may take back.
 * - The record says which value is published from that value's first instant on.
 * - `write` needs all that `publish` needs (space, rights): so an intent that was
 *   written before a request shows that the answer can be published.
 */
export interface Slot {
	read(): Reading;
	record(): SharedRecord;
	/**
	 * Waits up to `timeoutMs` for the lease (0: one try); undefined: another process
	 * has it, or it is not wanted any more. Throws `StoreError`.
	 */
	acquire(timeoutMs: number, purpose?: Purpose): Promise<Lease | undefined>;
	/**
	 * This host cannot fetch another value, for a reason of its own: another host is asked
	 * to. `stale` as in `Purpose`. Absent: there is none.
	 */
	readonly wish?: (stale: string | undefined) => void;
	/**
	 * What WeChat thinks of the value with that `tokenId`: of several hosts that want to
	 * know it at a time one asks, by `ask`. Rejects only if `ask` does. Absent: there are
	 * no others.
	 */
	readonly judge?: (
		id: string,
		ask: () => Promise<ProbeResult>,
	) => Promise<ProbeResult>;
	/** Undefined unless the file was just as it should be, with that token, at the last look. */
	snapshot(token: Token): Snapshot | undefined;
}

/**
 * What a lease is wanted for, by default a refresh. A store that many hosts share takes
 * the lease of them all only for a refresh: a file is repaired also while it is away.
 */
export type Purpose =
	| { readonly kind: "repair" }
	/**
	 * `stale`: `tokenId` of the token that an app found dead; `alone`: also if the other
	 * hosts cannot be asked; `isWanted` tells whether there is still something to do.
	 */
	| {
			readonly kind: "refresh";
			readonly stale?: string | undefined;
			readonly alone?: boolean;
			readonly isWanted?: () => boolean;
	  };

/** The right to write one credential, for as long as it is held. */
export interface Lease {
	/**
	 * The other hosts cannot be asked: nothing may be done that would take their value
	 * from them. Absent: they can, or there are none.
	 */
	readonly isAlone?: boolean;
	/**
	 * Right before a request leaves: a process that was stopped since `write` may have
	 * lost the lease to another host. Throws `StoreError` (lost). Absent: it cannot be told.
	 */
	readonly mustBeHeld?: () => void;
	/** Names this hold of the lock, for the intent of a request. */
	readonly id: string;
	/** `durable: false`: a crash of the machine may take it back. Throws `StoreError`. */
	write(
		record: SharedRecord,
		options?: { readonly durable: boolean },
	): Promise<void>;
	/** `record`: the one that is about the token, unless it is written already. Throws `StoreError`. */
	publish(token: Token, record?: SharedRecord): Promise<void>;
	/** Never throws. */
	release(): Promise<void>;
}

// --- The fleet: the hosts that keep the same credentials together. ---

/** What this host shares with others. */
export interface Fleet {
	/** For all who deal with its credentials: the fleet's time. */
	readonly clock: FleetClock;
	/** The same store, but a refresh is one for all hosts. */
	storeOver(store: Store): Store;
	/** That credential as this host keeps it with the others. */
	shared(credential: Credential): Credential;
	/** From now on the publications of the others are taken over for these, and no others. */
	keep(store: Store, credentials: readonly Credential[]): void;
	/** These as well: a platform tells of its members as they come. */
	add(store: Store, credentials: readonly Credential[]): void;
	/** These no longer. */
	drop(credentials: readonly Credential[]): void;
	/**
	 * Shares the facts of the platform of that name from now on, in place of those that it
	 * had before. Undefined: this fleet shares none.
	 */
	share(platform: string, own: LocalFacts): SharedFacts | undefined;
	/** Resolves when the fleet's time is known, or after that time. */
	connected(timeoutMs: number): Promise<void>;
	/** Resolves when this host has taken over what it keeps, or after that time. */
	agreed(timeoutMs: number): Promise<void>;
	/** Asks the others. Never rejects. */
	status(): Promise<FleetStatus>;
	/** What happened so far. */
	counts(): FleetCounts;
	close(): Promise<void>;
}

/** Something that is known of a platform, as it stands in its log. */
export interface StampedFact {
	/** Of two facts with the same key the one with the higher stamp counts. */
	readonly key: string;
	/** Epoch ms; 0: no fleet has seen it. */
	readonly stamp: number;
	readonly fact: Readonly<Record<string, unknown>>;
}

/** The facts of this host, on its disk. */
export interface LocalFacts {
	keys(): Iterable<string>;
	/** 0: no fleet has seen it, or there is none. */
	stampOf(key: string): number;
	factOf(key: string): StampedFact | undefined;
	/** They get stamps of now. Throws `StoreError`. */
	stampAnew(keys: Iterable<string>): Promise<void>;
	/** They are newer than the own ones; resolves once they will survive a crash. Throws `StoreError`. */
	take(facts: readonly StampedFact[]): Promise<void>;
}

/** What all hosts of a fleet know of one platform. All of it throws `StoreError`. */
export interface SharedFacts {
	/** Resolves once the fleet knows the own facts under these keys, or newer ones, which are taken over. */
	put(keys: readonly string[]): Promise<void>;
	/** Takes over what is newer there under these keys. */
	fetch(keys: readonly string[]): Promise<void>;
	/** Compares everything, and takes over or offers what differs. */
	compare(): Promise<void>;
	/**
	 * The right to work for all hosts, for that long at most; give it back by the result.
	 * Undefined: another host has it, or this one never asks WeChat.
	 */
	hold(forMs: number): Promise<(() => Promise<void>) | undefined>;
}

/** What is known of a fleet; instants are by its own time, epoch ms. */
export interface FleetStatus {
	/** The name of this host. */
	readonly self: string;
	readonly role: "keeper" | "follower";
	readonly connected: boolean;
	/** What the hosts share: the address of the server. */
	readonly server: string;
	/** Why it is not connected. */
	readonly problem: { readonly message: string; readonly hint: string } | null;
	/** How far the fleet's time is ahead of this host's clock, ms. */
	readonly offsetMs: number;
	readonly hosts: readonly FleetHost[];
	/** Which host published each credential last; "" if that is not known. */
	readonly publishedBy: Readonly<Record<string, string>>;
}

export interface FleetHost {
	readonly name: string;
	readonly role: string;
	readonly version: string;
	readonly offsetMs: number;
	/** How many credentials it keeps. */
	readonly credentials: number;
	readonly withoutRedis: string;
	readonly seenAt: number;
}

export interface FleetCounts {
	readonly leaseWaits: number;
	readonly offers: number;
	readonly followed: number;
	readonly lostLeases: number;
	/** Calls to what the hosts share, and how long they took in all. */
	readonly calls: number;
	readonly callsMs: number;
}

/** What the processes of a directory, or of a machine, tell each other beside the credentials. */
export interface SharedNote {
	/** Undefined: there is none, or it cannot be read. */
	read(): string | undefined;
	/** Resolves when it is written, or cannot be: then this process still knows it. */
	write(text: string): Promise<void>;
	/**
	 * Does it while no other process, and nothing else here, does such work. If the right to
	 * it cannot be had within seconds, it is done all the same. Throws what `work` throws.
	 */
	alone<T>(work: () => Promise<T>): Promise<T>;
}

// --- Those who listen. ---

type LogCall = (
	fields: Readonly<Record<string, unknown>>,
	message: string,
) => void;

/** What the program needs of a logger. `event` in the fields is a `noun.past`. */
export interface Log {
	readonly debug: LogCall;
	readonly info: LogCall;
	readonly warn: LogCall;
	readonly error: LogCall;
}

/** What a keeper tells: each fact once. */
export type KeeperEvent =
	/** A valid token that another process, or an earlier one, had published. */
	| { readonly kind: "adopted"; readonly current: KnownToken }
	/** The file did not hold the current token, and does now. */
	| {
			readonly kind: "repaired";
			readonly current: KnownToken;
			readonly found: Reading;
	  }
	/** A forced refresh has begun. */
	| { readonly kind: "forced" }
	/** WeChat was asked for a token: `ok`, or the code of the error. */
	| { readonly kind: "asked"; readonly outcome: string }
	/** A token of WeChat is published. */
	| {
			readonly kind: "refreshed";
			readonly current: KnownToken;
			readonly reason: Reason;
			/** WeChat gave the same token again. */
			readonly isSame: boolean;
			/** `tokenId` of the token before. */
			readonly replaces: string | undefined;
			readonly afterFailures: number | undefined;
	  }
	/** A forced refresh was answered by one that another request asked for. */
	| { readonly kind: "shared"; readonly current: KnownToken }
	/** An attempt failed. */
	| {
			readonly kind: "failed";
			readonly error: IssuerError | StoreError;
			readonly failure: Failure | undefined;
			/** Epoch ms. */
			readonly notBefore: number | undefined;
			/** The token that stays. */
			readonly current: KnownToken | undefined;
			/** A person waits for its end, and is told of it whatever was told before. */
			readonly isAsked: boolean;
	  }
	| { readonly kind: "lock-busy" }
	| { readonly kind: "lock-lost"; readonly error: StoreError }
	/** An app reported the token, and WeChat was asked about it. */
	| {
			readonly kind: "probed";
			readonly current: KnownToken;
			readonly result: ProbeResult;
	  }
	| {
			readonly kind: "budget-exceeded";
			readonly until: number;
			readonly lifetimeMs: number;
	  }
	/** Tokens die early: another program fetches. */
	| { readonly kind: "overwritten"; readonly deaths: number }
	/** The token has ended, and there is no new one. */
	| { readonly kind: "expired"; readonly current: KnownToken };
