import fs from "node:fs";
import { join } from "node:path";
import type { Account, Config } from "../config/config.ts";
import { groupFor } from "../config/group.ts";
import type { Clock } from "../core/clock.ts";
import type { KnownToken } from "../core/decide.ts";
import type { ProcessName } from "../core/record.ts";
import { failedBy, stopping, type WishAnswer } from "../core/request.ts";
import { type AccountStatus, statusOf } from "../core/status.ts";
import type { Log } from "../daemon/log.ts";
import { createIssuer } from "../issuer/access-token.ts";
import type { Http } from "../issuer/http.ts";
import type { LinkWitness } from "../issuer/link-monitor.ts";
import { isUntouched, type SeenFile } from "../store/cached-read.ts";
import {
	createTokenFile,
	type TokenFile,
	type TokenStore,
} from "../store/directory-store.ts";
import {
	createOutputDirectory,
	type OutputDirectory,
} from "../store/output-directory.ts";
import { fateOf } from "../store/process-name.ts";
import { createKeeper, type Keeper, type KeeperEvent } from "./keeper.ts";
import type { Gate } from "./limiter.ts";

/** What all keepers of a process share. */
export interface Surroundings {
	readonly http: Http;
	readonly witness: LinkWitness;
	readonly clock: Clock;
	readonly random: () => number;
	readonly self: ProcessName;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	readonly log: Log;
	readonly gate: Gate;
	readonly stopping: AbortSignal;
	readonly wakeAt: (at: number) => void;
	readonly count: (appid: string, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
	/** As in `KeeperParts`. */
	readonly patientWith?: readonly string[];
}

/** Where all token files of a configuration are, and how. */
export interface Place extends Pick<Config, "mode" | "gid"> {
	readonly directory: OutputDirectory;
}

/** The directory must be there. */
export function placeOf(
	config: Pick<Config, "directory" | "mode" | "gid">,
): Place {
	return {
		directory: createOutputDirectory(config.directory),
		mode: config.mode,
		gid: groupFor(config),
	};
}

/**
 * An account and its keeper, which is made when somebody needs it, and let go
 * when it rests: of ten thousand accounts nearly all rest nearly all the time,
 * and then a token is all that there is to know. A class, because objects of
 * functions would take more memory than what they keep.
 */
export class KeptAccount {
	readonly account: Account;
	/** Until then only a change on disk, or a wish, makes it worth a look. */
	restsUntil = Number.NEGATIVE_INFINITY;
	/** Somebody touched one of its files. */
	isStirred = false;
	/** It waits for its turn to be looked at, or has it. */
	isPending = false;
	readonly #place: Place;
	readonly #around: Surroundings;
	/** A forced refresh that has not had its turn. */
	#forced: Promise<WishAnswer> | undefined;
	#isSettled = false;
	#working: { readonly store: TokenFile; readonly keeper: Keeper } | undefined;
	#known: KnownToken | undefined;
	/** Of the token file, which holds what is known. */
	#seen: SeenFile | undefined;

	constructor(account: Account, place: Place, around: Surroundings) {
		this.account = account;
		this.#place = place;
		this.#around = around;
	}

	get path(): string {
		return join(this.#place.directory.path, this.account.file);
	}

	get store(): TokenStore {
		return this.#atWork().store;
	}

	get keeper(): Keeper {
		return this.#atWork().keeper;
	}

	/** The keeper, unless it was let go. */
	get keeperAtWork(): Keeper | undefined {
		return this.#working?.keeper;
	}

	status(now: number): AccountStatus {
		const { account, path } = this;
		// To be looked at is nothing to do for one that rests.
		const store = this.#working?.store ?? this.#openStore();
		const state = this.#working?.keeper.recall() ?? store.recall();
		return statusOf({
			account,
			path,
			reading: store.read(),
			state,
			kept: this.#working?.keeper.known() ?? this.#known,
			now,
		});
	}

	/**
	 * A forced refresh when it is this account's turn: until then there is no keeper
	 * for it, and further ones are the same. `onDone`: before the turn is over.
	 */
	forceInTurn(onDone: () => void): Promise<WishAnswer> {
		const { gate, clock, onBug } = this.#around;
		const since = clock.now();
		// At work already, it takes the wish along. A turn for each signal would be
		// many for an account whose WeChat does not answer.
		if (this.#working?.keeper.isAtWork())
			return this.#working.keeper.force(since);
		this.#forced ??= new Promise((answer) => {
			gate.enqueue(async () => {
				this.#forced = undefined;
				if (this.#isSettled) return answer(failedBy(stopping));
				const { keeper } = this;
				const isInTurn = !keeper.isAtWork();
				answer(keeper.force(since));
				// It may wait for its cooldown: that is no part of the turn.
				if (isInTurn) await keeper.idle().catch(onBug);
				onDone();
			});
		});
		return this.#forced;
	}

	/** Of one at rest: whether somebody touched its file. Cheap, for when nobody listens to the kernel. */
	isTouched(): boolean {
		const seen = this.#seen;
		if (this.#working !== undefined || seen === undefined) return false;
		try {
			const found = fs.lstatSync(this.path, { throwIfNoEntry: false });
			return found === undefined || !isUntouched(found, seen);
		} catch {
			return true; // A look will tell what is wrong.
		}
	}

	/** Nothing is begun any more; resolves when nothing is under way. */
	async settle(): Promise<void> {
		this.#isSettled = true;
		await this.#working?.keeper.settle();
	}

	/** Lets the keeper go, if it has nothing to do, and its file is as it should be. */
	rest(): void {
		this.restsUntil = Number.NEGATIVE_INFINITY;
		if (this.#working === undefined) return;
		const { keeper, store } = this.#working;
		const rest = keeper.rest();
		const seen = rest && store.seenWith(rest.known.token);
		if (rest === undefined || seen === undefined) return;
		this.restsUntil = rest.until;
		this.#known = rest.known;
		this.#seen = seen;
		this.#working = undefined;
	}

	#atWork() {
		// Whoever asks for it may give it something to do.
		this.restsUntil = Number.NEGATIVE_INFINITY;
		this.#working ??= this.#build();
		return this.#working;
	}

	/** After so long without a sign of life the holder of its lock has lost it. */
	get #staleMs(): number {
		return Math.max(5_000, 2 * this.account.timeoutMs + 2_000);
	}

	// No spreads here: a start makes ten thousand of these, and copying costs most.
	#openStore(): TokenFile {
		const { directory, mode, gid } = this.#place;
		const token = this.#known?.token;
		const { clock, random, self, stopping } = this.#around;
		return createTokenFile({
			directory,
			file: this.account.file,
			mode,
			gid,
			staleMs: this.#staleMs,
			self,
			clock,
			random,
			stopping,
			known: this.#seen && token && { file: this.#seen, content: token },
		});
	}

	#build() {
		const { account } = this;
		const { clock, random, self, log, stopping } = this.#around;
		const { http, witness, wakeAt, count, onBug } = this.#around;
		const { patientWith, startedAt } = this.#around;
		const { appid, timeoutMs } = account;
		const { secret, interface: wire, baseUrls } = account;
		const store = this.#openStore();
		const issuer = createIssuer({
			appid,
			secret,
			interface: wire,
			baseUrls,
			timeoutMs,
			http,
			clock,
			witness,
			stopping,
		});
		const keeper = createKeeper({
			appid,
			rules: account,
			store,
			issuer,
			clock,
			random,
			self,
			startedAt,
			isDead: (name) => fateOf(name, self) === "dead",
			log,
			patienceMs: this.#staleMs + timeoutMs,
			wakeAt,
			count: (event) => count(appid, event),
			onBug,
			patientWith,
			known: this.#known,
		});
		return { store, keeper };
	}
}
