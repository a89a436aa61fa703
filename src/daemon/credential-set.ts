/**
 * The credentials of the current configuration, and what happens to them when a
 * new configuration is read: a credential whose entry has not changed keeps its
 * keeper, any other one gets a new keeper, and keepers that are not needed any
 * more finish what they do.
 */
import { isDeepStrictEqual } from "node:util";
import { type Config, longestTimeoutMs } from "../config/config.ts";
import { type Entry, entryKeyOf, isAccount } from "../config/entry.ts";
import { ConfigError, StoreError } from "../core/errors.ts";
import type { Log, Store } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import type { RefreshAnswer } from "../core/request.ts";
import { callNameOf } from "../core/status.ts";
import { createLimiter, maxRefreshing } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { createReconciler, type Reconciler } from "../keeper/reconciler.ts";
import type { Location } from "../store/atomic-write.ts";
import {
	prepareDirectory,
	sweepLeftovers,
} from "../store/prepare-directory.ts";
import { credentialsOf } from "./credential-of.ts";
import { collectGarbage, growNewSpace, keepNewSpace } from "./heap.ts";
import { createLinkPauses } from "./link-pauses.ts";
import { createWiring, type Wiring, type WiringParts } from "./wiring.ts";

/** The keepers of a configuration. */
export interface ManagedSet {
	/** Each one behind all that it needs, by the name of its file. */
	readonly byFile: ReadonlyMap<string, ManagedCredential>;
	/** The access tokens by appid. */
	readonly byAppid: ReadonlyMap<string, ManagedCredential>;
}

/** The credentials of the current configuration. */
export interface CredentialSet {
	/** This process, as lock files and records name it. */
	readonly self: ProcessName;
	config(): Config;
	/** The directory of the token files, with their mode and group. */
	location(): Location;
	managed(): ManagedSet;
	/** The line that `systemctl status` shows. */
	summary(): string;
	/** Removes what killed writers left in the directory; failures are logged. */
	sweep(): Promise<void>;
	/** The first look at every credential; resolves when what was due is done. */
	first(): Promise<void>;
	/** Looks at the credentials that need it; resolves when what they need has begun. */
	tick(): Promise<void>;
	/**
	 * A forced refresh of every credential: one answer for each of them. `since`: when it
	 * was requested, epoch ms; what another daemon fetched after that answers it.
	 */
	forceAll(since: number): Promise<readonly RefreshAnswer[]>;
	/**
	 * Manages the credentials of another configuration from now on. False if the
	 * daemon has begun to stop: then nothing changes. Throws `StoreError` if the new
	 * directory is not fit for tokens, `ConfigError` if a simulation uses it.
	 */
	replace(wanted: Config): boolean;
	/** Starts no more refreshes on its own; those under way go on. */
	stop(): void;
	/** Accepts no more requests; resolves when no refresh is under way. */
	settle(): Promise<void>;
	/** Closes the connections to WeChat. Call it last. */
	close(): Promise<void>;
}

/** A configuration in use. */
interface Current {
	readonly config: Config;
	/** By the file of the token that the entry is about. */
	readonly baseUrls: ReadonlyMap<string, readonly string[]>;
	readonly location: Location;
	readonly managed: ManagedSet;
	readonly reconciler: Reconciler;
}

/**
 * Prepares the directory and makes the keepers of `parts.config`, the first
 * configuration; nothing is fetched yet. Throws `StoreError` if the directory is not
 * fit for tokens, `ConfigError` if a simulation uses it or the environment names a
 * proxy with a wrong address.
 */
export function createCredentialSet(
	parts: Omit<WiringParts, "find">,
): CredentialSet {
	const { clock, log, onBug, stopping } = parts;
	const linkPauses = createLinkPauses({
		baseUrlsOf: ({ file, needs: [parent] }) =>
			current.baseUrls.get(parent ?? file) ?? [],
		endPause: (file) =>
			current.managed.byFile.get(file)?.activeKeeper?.endPause(),
		clock,
	});
	const wiring = createWiring({
		...parts,
		find: (id) => current.managed.byFile.get(id),
		emit: (credential, event) => {
			parts.emit(credential, event);
			linkPauses.note(credential, event);
			if (event.kind === "refreshed" || event.kind === "adopted") {
				if (current.reconciler.published(credential.id) > 0)
					parts.wakeAt(clock.now());
			}
		},
	});
	const repairLimiter = createLimiter(maxRefreshing);

	const prepare = (config: Config) =>
		prepareDirectory(config, (message) =>
			log.warn({ event: "simulation.removed" }, message),
		);

	const use = (
		config: Config,
		location: Location,
		former: Current | undefined,
	): Current => {
		const store = wiring.storeAt(location);
		const managed = manageAll(config, wiring, store, former);
		wiring.share(managed.byFile.values(), config.entries);
		const reconciler = createReconciler({
			credentials: [...managed.byFile.values()],
			watch: store.watch,
			clock,
			limiter: wiring.limiter,
			repairLimiter,
			hearing: wiring.hearing,
			heap: {
				grow: growNewSpace,
				keep: keepNewSpace,
				collect: collectGarbage,
			},
			onBug,
		});
		const baseUrls = new Map(
			config.entries.map(({ file, baseUrls }) => [file, baseUrls]),
		);
		return { config, baseUrls, location, managed, reconciler };
	};

	let current = use(parts.config, prepare(parts.config), undefined);

	const replace = (wanted: Config) => {
		const location = prepare(wanted);
		if (stopping.aborted) return false;
		const former = current;
		former.reconciler.stop();
		current = use(wanted, location, former);
		// A keeper that is replaced must not fetch any more. One that is fetching
		// publishes its token first: its successor waits for the lock.
		for (const [file, one] of former.managed.byFile)
			if (current.managed.byFile.get(file) !== one)
				void one.settle().catch(onBug);
		return true;
	};

	return {
		self: wiring.self,
		config: () => current.config,
		location: () => current.location,
		managed: () => current.managed,
		summary: () => summaryOf(current.managed, clock.now()),
		sweep: () =>
			sweepLeftovers(
				current.config.directory,
				[...current.managed.byFile.values()],
				log,
			),
		// At start another process may be fetching the same token. Waiting for its
		// lock is cheaper than a second fetch.
		first: () => current.reconciler.first(longestTimeoutMs(current.config)),
		tick: () => current.reconciler.tick(),
		forceAll: (since) => current.reconciler.forceAll(since),
		replace,
		stop: () => current.reconciler.stop(),
		settle: async () => {
			await Promise.all(
				[...current.managed.byFile.values()].map((one) => one.settle()),
			);
		},
		close: () => wiring.close(),
	};
}

/** Takes over the keepers of the former configuration where nothing changed for them. */
function manageAll(
	config: Config,
	wiring: Wiring,
	store: Store,
	former: Current | undefined,
): ManagedSet {
	const formerOf = new Map(
		former?.config.entries.map((entry) => [entryKeyOf(entry), entry]),
	);
	const hasSameFiles =
		former !== undefined && haveSameFiles(former.config, config);
	const byFile = new Map<string, ManagedCredential>();
	const byAppid = new Map<string, ManagedCredential>();
	for (const entry of config.entries) {
		const before = formerOf.get(entryKeyOf(entry));
		const kept = before && former ? keptOf(before, former) : nothing;
		const all =
			hasSameFiles && before !== undefined && isSame(before, entry)
				? carriedOver(entry, before, kept, wiring, store)
				: wiring.manage(entry, store, former && settled(kept));
		for (const one of all) byFile.set(one.credential.file, one);
		const [first] = all;
		if (first !== undefined && isAccount(entry))
			byAppid.set(entry.appid, first);
	}
	return { byFile, byAppid };
}

const nothing: readonly ManagedCredential[] = [];

/** Another ticket in the list is nothing new for the rest of the entry. */
function isSame(before: Entry, entry: Entry): boolean {
	const { tickets } = entry;
	return isDeepStrictEqual({ ...before, tickets }, entry);
}

/** The keepers of an entry of the former configuration. */
function keptOf(
	entry: Entry,
	{ managed }: Current,
): readonly ManagedCredential[] {
	return credentialsOf(entry).flatMap(
		({ file }) => managed.byFile.get(file) ?? [],
	);
}

/** The keepers of an entry that is the same but for its tickets: only new ones are made. */
function carriedOver(
	entry: Entry,
	before: Entry,
	kept: readonly ManagedCredential[],
	wiring: Wiring,
	store: Store,
): readonly ManagedCredential[] {
	if (isDeepStrictEqual(before.tickets, entry.tickets)) return kept;
	const byFile = new Map(kept.map((one) => [one.credential.file, one]));
	return wiring
		.manage(entry, store)
		.map((one) => byFile.get(one.credential.file) ?? one);
}

/**
 * The end of the keepers that an entry had. There must never be two requests for one
 * account under way: the token of the one that is answered last would be the living one.
 */
async function settled(replaced: readonly ManagedCredential[]): Promise<void> {
	await Promise.all(replaced.map((one) => one.settle()));
}

function haveSameFiles(one: Config, other: Config): boolean {
	return (
		isDeepStrictEqual(one.fleet, other.fleet) &&
		one.directory === other.directory &&
		one.mode === other.mode &&
		one.gid === other.gid
	);
}

/**
 * How many tokens are fresh, how many others still live, and the first failure if there
 * is one. Fresh: alive, and the last attempt did not fail. A keeper that is idle has a
 * fresh token, so its files are not read: there may be ten thousand.
 */
function summaryOf({ byFile }: ManagedSet, now: number): string {
	let fresh = 0;
	let older = 0;
	let firstFailure = "";
	for (const one of byFile.values()) {
		if (now < one.idleUntil) {
			fresh += 1;
			continue;
		}
		const { valid, lastError } = one.facts(now);
		if (valid && lastError === null) {
			fresh += 1;
			continue;
		}
		if (valid) older += 1;
		if (firstFailure === "")
			firstFailure = `; ${callNameOf(one.credential)}: ${lastError?.message ?? "no live token yet"}`;
	}
	const rest =
		older === 0 ? "" : `, ${older} that could not be renewed still valid`;
	return `${fresh} of ${byFile.size} tokens fresh${rest}${firstFailure}`;
}

/**
 * Reads the configuration again and uses it. Undefined: it is in use, or the daemon
 * stops. An error: the new configuration is refused, which is logged, and the old
 * one stays. `onReplaced` is called if anything in it has changed.
 */
export async function reloadConfig(
	credentials: CredentialSet,
	read: () => Promise<Config>,
	log: Log,
	onReplaced: () => void,
): Promise<ConfigError | StoreError | undefined> {
	try {
		const wanted = await read();
		// SIGHUP is mostly sent to get new tokens. Then the configuration is the same,
		// and the refresh must not wait until everything is built again.
		if (isDeepStrictEqual(wanted, credentials.config()))
			logWarnings(wanted, log);
		else if (credentials.replace(wanted)) onReplaced();
		return undefined;
	} catch (error) {
		if (!(error instanceof ConfigError || error instanceof StoreError))
			throw error;
		log.error(
			{ event: "config.refused", ...problemsIn(error) },
			`the old configuration stays: ${error.message}`,
		);
		return error;
	}
}

/** Logs what works in a configuration but should not stay so. */
export function logWarnings({ warnings }: Config, log: Log): void {
	for (const warning of warnings)
		log.warn({ event: "config.doubtful" }, warning);
}

function problemsIn(error: ConfigError | StoreError) {
	return error instanceof ConfigError
		? { problems: error.problems }
		: { code: error.code, hint: error.hint };
}
