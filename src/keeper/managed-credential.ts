/**
 * A credential and its keeper, which is made when it is needed, and evicted when it
 * is idle: of ten thousand credentials nearly all are idle nearly all the time, and
 * then a token is all that there is to know. A class, because objects of functions
 * would take more memory than what they keep.
 */
import type { Clock } from "../core/clock.ts";
import type {
	Credential,
	CredentialId,
	KnownToken,
} from "../core/credential.ts";
import { lockTimeoutOf } from "../core/limits.ts";
import { withoutOthersPause } from "../core/own-view.ts";
import type {
	Ask,
	Grant,
	Issuer,
	KeeperEvent,
	ProbeResult,
	Slot,
	Snapshot,
	Store,
} from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import { failedBy, type RefreshAnswer, stopping } from "../core/request.ts";
import {
	type CredentialStatus,
	factsOf,
	type Glimpse,
	glimpseIn,
	type StatusFacts,
	type StatusInput,
	statusFrom,
} from "../core/status.ts";
import {
	type AtRest,
	factsAtRest,
	type RestingRecord,
	restingRecord,
} from "../core/status-at-rest.ts";
import { jsonAtRest, statusJson } from "../core/status-json.ts";
import type { Token } from "../core/token.ts";
import type { Hearing } from "./hearing.ts";
import { createKeeper, type Keeper } from "./keeper.ts";
import type { Parents } from "./keeper-parts.ts";
import type { Limiter } from "./limiter.ts";

/** What all keepers of a process share. */
export interface SharedParts {
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	readonly self: ProcessName;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** As in `KeeperParts`. */
	readonly isDead: (name: ProcessName) => boolean;
	/** Bounds how many credentials are refreshed at a time. */
	readonly limiter: Limiter;
	readonly wakeAt: (at: number) => void;
	readonly emit: (credential: Credential, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
	/** As in `KeeperParts`. */
	readonly keepPausesFor?: readonly string[];
	/** As in `KeeperParts`; by default nothing is needed. */
	readonly parentsOf?: (credential: Credential) => Parents;
	readonly reportParents?: (refused: Parents) => void;
	/** What is heard of changes in the store; by default nothing is. */
	readonly hearing?: Pick<Hearing, "now">;
	/** For the status of those that wait for a parent. */
	readonly findParent?: (id: CredentialId) => ManagedCredential | undefined;
}

const noParents: Parents = new Map();
const none: readonly number[] = [];

/** Makes issuers when they are asked. */
export interface IssuerMaker {
	issuerOf(credential: Credential): Issuer;
}

/**
 * The issuer of a keeper, made when something is asked of it: of ten thousand keepers
 * that a start makes nearly all find a valid file.
 */
class LateIssuer implements Issuer {
	readonly #makers: IssuerMaker;
	readonly #credential: Credential;
	#made: Issuer | undefined;

	constructor(makers: IssuerMaker, credential: Credential) {
		this.#makers = makers;
		this.#credential = credential;
	}

	get #issuer(): Issuer {
		this.#made ??= this.#makers.issuerOf(this.#credential);
		return this.#made;
	}

	issue(ask: Ask): Promise<Grant> {
		return this.#issuer.issue(ask);
	}

	probe(value: string, onCall?: () => void): Promise<ProbeResult> {
		return this.#issuer.probe(value, onCall);
	}
}

export class ManagedCredential {
	readonly credential: Credential;
	readonly store: Store;
	/** Until then only a change on disk, or a request, makes it worth a look. */
	idleUntil = Number.NEGATIVE_INFINITY;
	/** One of its files was touched, or a parent was published. */
	isDirty = false;
	/** It waits for its turn, or has it. */
	isQueued = false;
	readonly #issuers: IssuerMaker;
	readonly #shared: SharedParts;
	/** A forced refresh that has not had its turn. */
	#forced: Promise<RefreshAnswer> | undefined;
	#isSettled = false;
	#active: { readonly slot: Slot; readonly keeper: Keeper } | undefined;
	#known: KnownToken | undefined;
	/** Of the token file, which holds what is known. */
	#snapshot: Snapshot | undefined;
	/** When it came to rest: its record, and `Hearing.now`. */
	#record: RestingRecord | undefined;
	/** As `Usage`; two fields, as an object would be one more for each credential at rest. */
	#calls: readonly number[] = none;
	#forceCalls: readonly number[] = none;
	#heardSince: number | undefined;

	constructor(
		credential: Credential,
		issuers: IssuerMaker,
		store: Store,
		shared: SharedParts,
	) {
		this.credential = credential;
		this.store = store;
		this.#issuers = issuers;
		this.#shared = shared;
	}

	/** Where readers find the value. */
	get path(): string {
		return this.store.pathOf(this.credential);
	}

	/** When the newest value known ends, epoch ms; undefined: none was ever seen. Makes no keeper. */
	get endsAt(): number | undefined {
		const known = this.#active?.keeper.known() ?? this.#known;
		return known?.token.expiresAt;
	}

	get slot(): Slot {
		return this.#activate().slot;
	}

	get keeper(): Keeper {
		return this.#activate().keeper;
	}

	/** The keeper, unless it was evicted. */
	get activeKeeper(): Keeper | undefined {
		return this.#active?.keeper;
	}

	/** The first parent without a living value, and why it has none. */
	#missingParent(now: number): StatusInput["waitsFor"] {
		for (const id of this.credential.needs) {
			const parent = this.#shared.findParent?.(id);
			if (parent === undefined || parent.living(now) !== undefined) continue;
			const { lastError } = parent.facts(now);
			return { credential: id, reason: lastError?.message ?? null };
		}
		return undefined;
	}

	/** The newest value known, if it lives; makes no keeper for one that is idle. */
	living(now: number): Token | undefined {
		if (this.#active !== undefined) return this.#active.keeper.current();
		const token = this.#known?.token;
		const isIdle = !this.isDirty && now < this.idleUntil;
		return isIdle && token !== undefined && token.expiresAt > now
			? token
			: this.keeper.current();
	}

	/** What is said of it right now. Reads its files, unless all of it is known. */
	facts(now: number): StatusFacts {
		const waitsFor =
			this.credential.needs.length === 0 ? undefined : this.#missingParent(now);
		return (
			(waitsFor === undefined ? this.#factsAtRest(now) : undefined) ??
			this.#factsByFiles(now, waitsFor)
		);
	}

	/**
	 * Without reading a file, unless nothing is known: for those who look at all of ten
	 * thousand, of which all may be failing.
	 */
	glimpse(now: number): Glimpse {
		const glimpse = this.isDirty ? undefined : this.#active?.keeper.glimpse();
		if (glimpse !== undefined) return glimpse;
		return glimpseIn(this.facts(now));
	}

	/** The same with instants as texts. */
	status(now: number): CredentialStatus {
		return statusFrom(this.facts(now));
	}

	/** The status as JSON. Cheap for one that is at rest, as of ten thousand most are. */
	json(now: number): string {
		const isFree =
			this.credential.needs.length === 0 ||
			this.#missingParent(now) === undefined;
		const rest = isFree ? this.#atRest(now) : undefined;
		return rest === undefined
			? statusJson(this.facts(now))
			: jsonAtRest(rest, now);
	}

	#factsAtRest(now: number): StatusFacts | undefined {
		const rest = this.#atRest(now);
		return rest && factsAtRest(rest, now);
	}

	/** All that there is to tell, without reading a file. */
	#atRest(now: number): AtRest | undefined {
		const known = this.#known;
		const record = this.#record;
		const isAtRest = this.#isHeard() && now < this.idleUntil;
		if (!isAtRest || known === undefined || record === undefined)
			return undefined;
		const { credential, path, idleUntil: until } = this;
		return { credential, path, known, record, until };
	}

	#factsByFiles(now: number, waitsFor: StatusInput["waitsFor"]): StatusFacts {
		// A question makes no keeper for one that is idle.
		const slot = this.#active?.slot ?? this.#openSlot();
		return factsOf({
			credential: this.credential,
			path: this.path,
			record: withoutOthersPause(
				this.#active?.keeper.record() ?? slot.record(),
				this.#shared.self,
			),
			reading: slot.read(),
			kept: this.#active?.keeper.known() ?? this.#known,
			waitsFor,
			now,
		});
	}

	/**
	 * A forced refresh when it is this credential's turn: until then there is no keeper
	 * for it, and further ones join it. `since`: as for `Keeper.force`. `onDone`: before
	 * the turn is over.
	 */
	forceInTurn(since: number, onDone: () => void): Promise<RefreshAnswer> {
		const { limiter, onBug } = this.#shared;
		// A keeper that is busy takes the request along. A turn for each signal would be
		// many for one whose WeChat does not answer.
		if (this.#active?.keeper.isBusy()) return this.#active.keeper.force(since);
		this.#forced ??= new Promise((answer) => {
			limiter.enqueue(async () => {
				this.#forced = undefined;
				if (this.#isSettled) return answer(failedBy(stopping));
				const { keeper } = this;
				const isInTurn = !keeper.isBusy();
				answer(keeper.force(since));
				// It may wait for its cooldown: that is no part of the turn.
				if (isInTurn) await keeper.whenIdle().catch(onBug);
				onDone();
			});
		});
		return this.#forced;
	}

	/** Of one that is idle: whether its file was touched. Cheap, for when inotify is off. */
	isTouched(): boolean {
		return (
			this.#active === undefined &&
			this.#snapshot !== undefined &&
			this.store.isTouched(this.credential, this.#snapshot)
		);
	}

	/**
	 * Of one that is idle: whether every change since was heard of, and none came, and its
	 * file is as it was. Cheap: a look would make a keeper.
	 */
	isUndisturbed(): boolean {
		return (
			this.#isHeard() &&
			this.#snapshot !== undefined &&
			this.credential.formats.length === 0 &&
			!this.store.isTouched(this.credential, this.#snapshot)
		);
	}

	#isHeard(): boolean {
		return (
			this.#active === undefined &&
			!this.isDirty &&
			this.#heardSince !== undefined &&
			this.#heardSince === this.#shared.hearing?.now()
		);
	}

	/**
	 * Nothing is begun any more. Resolves when nothing is under way; undefined: nothing is.
	 * Of a hundred thousand hardly any has a promise to wait for.
	 */
	settle(): Promise<void> | undefined {
		this.#isSettled = true;
		return this.#active?.keeper.settle();
	}

	/** Evicts the keeper, if it has nothing to do, and its file is as it should be. */
	evict(): void {
		this.idleUntil = Number.NEGATIVE_INFINITY;
		if (this.#active === undefined) return;
		const { keeper, slot } = this.#active;
		const idle = keeper.idle();
		const snapshot = idle && slot.snapshot(idle.known.token);
		if (idle === undefined || snapshot === undefined) return;
		this.idleUntil = idle.until;
		this.#known = idle.known;
		this.#snapshot = snapshot;
		this.#active = undefined;
		this.#heardSince = this.#shared.hearing?.now();
		this.#record = restingRecord(
			this.credential,
			idle.known,
			idle.until,
			idle.record,
		);
		this.#calls = idle.record.calls;
		const { forceCalls } = idle.record;
		this.#forceCalls = forceCalls.length === 0 ? none : forceCalls;
	}

	#activate() {
		// The caller may give it something to do.
		this.idleUntil = Number.NEGATIVE_INFINITY;
		this.#active ??= this.#build();
		return this.#active;
	}

	#openSlot(): Slot {
		const snapshot = this.#snapshot;
		const token = this.#known?.token;
		return this.store.open(
			this.credential,
			snapshot && token && { snapshot, token },
		);
	}

	#build() {
		const { credential } = this;
		const shared = this.#shared;
		const slot = this.#openSlot();
		// Without a spread, for the reason that `refreshPartsOf` gives.
		const keeper = createKeeper({
			clock: shared.clock,
			random: shared.random,
			self: shared.self,
			startedAt: shared.startedAt,
			isDead: shared.isDead,
			wakeAt: shared.wakeAt,
			onBug: shared.onBug,
			keepPausesFor: shared.keepPausesFor,
			reportParents: shared.reportParents,
			credential,
			slot,
			issuer: new LateIssuer(this.#issuers, credential),
			parents: () =>
				shared.parentsOf === undefined
					? noParents
					: shared.parentsOf(credential),
			lockTimeoutMs: lockTimeoutOf(credential),
			emit: (event) => shared.emit(credential, event),
			known: this.#known,
			used: { calls: this.#calls, forceCalls: this.#forceCalls },
		});
		return { slot, keeper };
	}
}
