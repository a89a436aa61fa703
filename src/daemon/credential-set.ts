/**
 * The credentials of the current configuration, and what happens to them when a
 * new configuration is read: a credential whose entry has not changed keeps its
 * keeper, any other one gets a new keeper, and keepers that are not needed any
 * more finish what they do.
 */
import { isDeepStrictEqual } from "node:util";
import { type Config, longestTimeoutMs } from "../config/config.ts";
import {
	type Entry,
	entryKeyOf,
	entryNameOf,
	isAccount,
} from "../config/entry.ts";
import {
	belongingOf,
	isMember,
	isPlatform,
	type Member,
	memberOf,
} from "../config/platform.ts";
import type { ClockSkew } from "../core/clock-skew.ts";
import type { Credential } from "../core/credential.ts";
import { ConfigError, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import type { RefreshAnswer } from "../core/request.ts";
import { callNameOf } from "../core/status.ts";
import { atOnce, eachInSteps, type Steps } from "../core/steps.ts";
import { createComponentCalls } from "../issuer/component.ts";
import { createSuiteCalls } from "../issuer/suite.ts";
import {
	createLimiter,
	inSlices,
	type Limiter,
	maxRefreshing,
} from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { createReconciler, type Reconciler } from "../keeper/reconciler.ts";
import { createRoster, type Roster } from "../keeper/roster.ts";
import type { Location } from "../store/atomic-write.ts";
import { sweepLeftovers } from "../store/prepare-directory.ts";
import { removePublished } from "../store/retired-file.ts";
import { credentialsOf } from "./credential-of.ts";
import type { FleetSeat, PreparedFleet } from "./fleet.ts";
import {
	collectGarbage,
	growNewSpace,
	heapSize,
	keepNewSpace,
	optimizeCode,
} from "./heap.ts";
import { createLinkPauses } from "./link-pauses.ts";
import {
	createPlatforms,
	type Platforms,
	type PlatformsParts,
} from "./platforms.ts";
import { prepareToKeep } from "./preparation.ts";
import {
	createWiring,
	isAlone,
	type Place,
	type Wiring,
	type WiringParts,
} from "./wiring.ts";

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
	/** The 第三方平台 and suites of the configuration. */
	readonly platforms: Platforms;
	/** The directory of the token files, with their mode and group. */
	location(): Location;
	managed(): ManagedSet;
	/** By WeChat's answers; null: this server's clock is right, as far as is known. */
	skew(): ClockSkew | null;
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
	 * Manages the credentials of another configuration from now on, one call after the
	 * other. If it is the same, or the daemon has begun to stop, nothing changes. Rejects
	 * with `StoreError` if the new directory is not fit for tokens, with `ConfigError` if a
	 * simulation uses it.
	 */
	replace(wanted: Config): Promise<"replaced" | "same" | "stopping">;
	/** Starts no more refreshes on its own; those under way go on. */
	stop(): void;
	/** Accepts no more requests; resolves when no refresh is under way. */
	settle(): Promise<void>;
	/** Closes the connections to WeChat. Call it last. */
	close(): Promise<void>;
}

/** So many never make a burst that is worth a compiler. */
const fewCredentials = 256;

/** What is kept by a configuration. */
interface Content {
	readonly config: Config;
	/** Of the configured entry whose token is in that file. */
	readonly baseUrlsOf: (file: string) => readonly string[];
	readonly place: Place;
	/** Those of the configuration, by `entryKeyOf`. */
	readonly entries: Map<string, Entry>;
	/** Files of entries that the fleet does not share. */
	readonly alone: Set<string>;
	readonly managed: ManagedSet & {
		readonly byFile: Map<string, ManagedCredential>;
		readonly byAppid: Map<string, ManagedCredential>;
	};
}

/** A configuration in use. */
interface Current extends Content {
	readonly reconciler: Reconciler;
}

/** Making the keepers of many yields to those that there are after this time. */
const sliceMs = 10;

/**
 * Prepares the directory and makes the keepers of `parts.config`, the first
 * configuration; nothing is fetched yet. Throws `StoreError` if the directory is not
 * fit for tokens, `ConfigError` if a simulation uses it or the environment names a
 * proxy with a wrong address.
 */
export function* createCredentialSet(
	parts: Omit<WiringParts, "find"> &
		Partial<Pick<PlatformsParts, "onPush" | "onTrouble">> & {
			/** Absent: without other hosts. */
			readonly seat?: Pick<FleetSeat, "current" | "prepare">;
		},
): Steps<CredentialSet> {
	const { clock, log, onBug, stopping, seat } = parts;
	const { onPush = () => {}, onTrouble = () => {} } = parts;
	const linkPauses = createLinkPauses({
		baseUrlsOf: (credential) =>
			current.baseUrlsOf(rootOf(credential, current.managed)),
		endPause: (file) =>
			current.managed.byFile.get(file)?.activeKeeper?.endPause(),
		clock,
	});
	const wiring = createWiring({
		...parts,
		platforms: {
			ticketOf: (platform) => platforms.ticketOf(platform),
			secretOf: (member) => platforms.secretOf(member),
			freshen: (entry) => platforms.freshen(entry),
		},
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
	const useParts: UseParts = {
		...{ clock, log, onBug, wiring, wakeAt: parts.wakeAt },
		repairLimiter: createLimiter(maxRefreshing),
	};

	const prepare = preparing(parts, wiring);
	/** What happened to members while the next set is made, which it must go through as well. */
	let missed: ((next: Content) => void)[] | undefined;
	const platforms: Platforms = createPlatforms({
		...{ clock, log, stopping, onBug, onPush, onTrouble },
		self: wiring.self,
		wakeAt: parts.wakeAt,
		find: (file) => current.managed.byFile.get(file),
		add: (entry) => {
			addTo(current, entry, useParts);
			missed?.push((next) => takingOver(next, current, useParts)(entry));
		},
		remove: async (files) => {
			missed?.push((next) => removeFrom(next, files));
			await end(current, removeFrom(current, files), wiring);
		},
		drop: (entry) => {
			missed?.push((next) => forget(next, entry));
			return drop(current, entry, wiring);
		},
		fleet: () => seat?.current(),
		...callsBy(wiring),
	});

	function* change(
		wanted: Config,
		place: Place,
		joined?: PreparedFleet,
	): Steps<"replaced" | "stopping"> {
		// It may throw, and then nothing has changed.
		const prepared = yield* platforms.prepare(wanted);
		const next = contentOf(wanted, place);
		missed = [];
		yield* fill(next, prepared.members(), current, useParts);
		let roster = yield* createRoster(kept(next));
		const acts = missed;
		missed = undefined;
		if (stopping.aborted) {
			prepared.dismiss();
			return "stopping";
		}
		for (const act of acts) act(next);
		if (acts.length > 0) roster = atOnce(createRoster(kept(next)));
		const former = current;
		former.reconciler.stop();
		joined?.use();
		prepared.use();
		current = beginWith(next, roster, useParts);
		settleOthers(former, current, onBug);
		return "replaced";
	}

	const replaceNow = async (wanted: Config) => {
		// SIGHUP is mostly sent to get new tokens. Then the configuration is the same,
		// and the refresh must not wait until everything is built again.
		if (isDeepStrictEqual(wanted, current.config)) return "same";
		const location = prepare(wanted);
		if (stopping.aborted) return "stopping";
		const joined = await seat?.prepare(wanted);
		try {
			const place = wiring.placeAt(location, joined?.fleet);
			const steps = change(wanted, place, joined);
			// What is pushed while another state directory is read would miss it.
			if (wanted.stateDirectory !== current.config.stateDirectory)
				return atOnce(steps);
			const changed = await inSlices(steps, sliceMs, growNewSpace);
			keepNewSpace();
			return changed;
		} finally {
			// If the change was refused, this host stays in its fleet.
			await joined?.dismiss();
		}
	};
	let replacing: Promise<unknown> = Promise.resolve();

	const firstPlace = wiring.placeAt(prepare(parts.config), seat?.current());
	const nothingYet = contentOf(parts.config, firstPlace);
	let current: Current = {
		...nothingYet,
		reconciler: reconcilerOf(nothingYet, atOnce(createRoster([])), useParts),
	};
	yield* change(parts.config, firstPlace);

	return {
		self: wiring.self,
		config: () => current.config,
		platforms,
		location: () => current.place.location,
		managed: () => current.managed,
		skew: wiring.skew,
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
		tick: () => {
			platforms.tick();
			return current.reconciler.tick();
		},
		forceAll: (since) => current.reconciler.forceAll(since),
		replace: (wanted) => {
			const replaced = replacing.then(() => replaceNow(wanted));
			replacing = replaced.catch(() => {});
			return replaced;
		},
		stop: () => current.reconciler.stop(),
		settle: async () => {
			await replacing;
			await Promise.all([
				settled(current.managed.byFile.values()),
				platforms.settle(),
			]);
		},
		close: async () => {
			await wiring.close();
			platforms.close();
		},
	};
}

function callsBy({
	issuerParts,
}: Wiring): Pick<PlatformsParts, "componentCalls" | "suiteCalls"> {
	return {
		componentCalls: (component) =>
			createComponentCalls({ ...issuerParts, ...component }),
		suiteCalls: (suite) => createSuiteCalls({ ...issuerParts, ...suite }),
	};
}

function preparing(
	{ env, log }: Pick<WiringParts, "env" | "log">,
	{ self }: Pick<Wiring, "self">,
): (config: Config) => Location {
	return (config) =>
		prepareToKeep(config, {
			env,
			self,
			report: (message) => log.warn({ event: "simulation.removed" }, message),
			onOwned: (error) => {
				throw error;
			},
		});
}

/** What a configuration is used with. */
interface UseParts
	extends Pick<WiringParts, "clock" | "log" | "onBug" | "wakeAt"> {
	readonly wiring: Wiring;
	readonly repairLimiter: Limiter;
}

/** Of that configuration; nothing is kept yet. */
function contentOf(config: Config, place: Place): Content {
	return {
		...{ config, place },
		baseUrlsOf: createBaseUrls(config),
		entries: new Map(),
		alone: new Set(),
		managed: { byFile: new Map(), byAppid: new Map() },
	};
}

function kept({ managed }: Content): readonly ManagedCredential[] {
	return [...managed.byFile.values()];
}

function beginWith(content: Content, roster: Roster, parts: UseParts): Current {
	const { config, place, alone, managed } = content;
	parts.wiring.use(place, managed.byFile.values(), alone);
	// A platform may be given thousands at any time.
	optimizeCode(
		managed.byFile.size > fewCredentials || config.stateDirectory !== undefined,
	);
	return { ...content, reconciler: reconcilerOf(content, roster, parts) };
}

function reconcilerOf(
	{ managed, place }: Content,
	roster: Roster,
	{ clock, onBug, wiring, repairLimiter, wakeAt }: UseParts,
): Reconciler {
	return createReconciler({
		roster,
		find: (file) => managed.byFile.get(file),
		watch: place.store.watch,
		clock,
		limiter: wiring.limiter,
		repairLimiter,
		hearing: wiring.hearing,
		wakeAt,
		heap: {
			grow: growNewSpace,
			keep: keepNewSpace,
			collect: collectGarbage,
			size: heapSize,
		},
		onBug,
	});
}

/** By the file of the entry's token. Made at the first question, which a failure asks. */
function createBaseUrls({ entries }: Config): Current["baseUrlsOf"] {
	let known: ReadonlyMap<string, readonly string[]> | undefined;
	return (file) => {
		known ??= new Map(entries.map(({ file, baseUrls }) => [file, baseUrls]));
		return known.get(file) ?? [];
	};
}

/** The credential that it hangs on in the end: the one that is configured. */
function rootOf(
	{ file, needs: [parent] }: Pick<Credential, "file" | "needs">,
	managed: ManagedSet,
): string {
	const above = parent === undefined ? undefined : managed.byFile.get(parent);
	return above === undefined
		? (parent ?? file)
		: rootOf(above.credential, managed);
}

/** The entries of its configuration, and those that WeChat tells of. */
function* fill(
	next: Content,
	members: Iterable<Member>,
	former: Content,
	parts: UseParts,
): Steps<void> {
	const takeOverNext = takingOver(next, former, parts);
	yield* eachInSteps(next.config.entries, takeOverNext);
	yield* eachInSteps(members, takeOverNext);
}

/**
 * Keeps an entry as `former` did: with the same keepers, where nothing changed for them.
 * An entry that would publish the file of another one is left out: of those that WeChat
 * tells of, the configuration cannot know.
 */
function takingOver(
	next: Content,
	former: Content,
	{ wiring, log }: UseParts,
): (entry: Entry) => void {
	const { place } = next;
	const hasSameFiles = haveSameFiles(former.config, next.config);
	return (entry) => {
		const before = formerOf(entry, former);
		const kept = before === undefined ? nothing : keptOf(before, former);
		const made =
			hasSameFiles && before !== undefined && isSame(before, entry)
				? carriedOver(entry, before, kept, wiring, place)
				: wiring.manage(entry, place, endOf(kept));
		note(entry, made, next, log);
	};
}

/** As it was kept before. */
function formerOf(entry: Entry, former: Content): Entry | undefined {
	const { entries } = former;
	if (!isMember(entry)) return entries.get(entryKeyOf(entry));
	const { table, platform, id } = belongingOf(entry);
	const of = entries.get(`${table} ${platform}`);
	const before = of && isPlatform(of) ? memberOf(of, id) : undefined;
	return before && keptOf(before, former).length > 0 ? before : undefined;
}

/** Returns those that were not kept, and whose files are free. */
function note(
	entry: Entry,
	made: readonly ManagedCredential[],
	{ entries, alone, managed }: Pick<Content, "entries" | "alone" | "managed">,
	log: Log,
): readonly ManagedCredential[] {
	const { byFile, byAppid } = managed;
	const [token] = made;
	if (token === undefined) return nothing;
	const known = byFile.get(token.credential.file);
	if (known !== undefined && !isOf(known, token.credential)) {
		logConflict(entry, log);
		return nothing;
	}
	const free = made.filter(({ credential }) => !byFile.has(credential.file));
	for (const one of free) byFile.set(one.credential.file, one);
	if (known !== undefined) return free;
	// Of those that WeChat tells of there may be a hundred thousand: their platform tells
	// what they are.
	if (!isMember(entry)) entries.set(entryKeyOf(entry), entry);
	if (isAlone(entry)) alone.add(entry.file);
	const isOfAppid = isAccount(entry) || entry.interface === "authorizer";
	if (isOfAppid) byAppid.set(entry.appid, token);
	return free;
}

/** Whether it keeps that credential, and not another one with the same file. */
function isOf(
	{ credential }: ManagedCredential,
	{ kind, source }: Credential,
): boolean {
	return credential.kind === kind && credential.source === source;
}

function logConflict(entry: Entry, log: Log): void {
	log.error(
		{
			event: "component.conflict",
			file: entry.file,
			hint: "take the account out of the configuration, or give one of the two its own `file`: [[component.authorizer]] with appid and file; of a corp: the [[wecom]]",
		},
		`${entry.file} is the file of another entry already: the token that ${entryNameOf(entry)} has through its platform is not kept`,
	);
}

/** Keeps who has authorised a platform, unless it is kept already. */
function addTo(
	current: Current,
	entry: Member,
	{ wiring, log }: UseParts,
): void {
	const made = wiring.manage(entry, current.place);
	const free = note(entry, made, current, log);
	wiring.shareMore(free, entry);
	current.reconciler.add(free);
}

function removeFrom(
	{ managed }: Pick<Content, "managed">,
	files: readonly string[],
): readonly ManagedCredential[] {
	const removed = files.flatMap((file) => managed.byFile.get(file) ?? []);
	for (const { credential } of removed) {
		managed.byFile.delete(credential.file);
		if (managed.byAppid.get(credential.appid)?.credential === credential)
			managed.byAppid.delete(credential.appid);
	}
	return removed;
}

/** Of those that were removed. */
async function end(
	{ reconciler }: Current,
	removed: readonly ManagedCredential[],
	{ unshare }: Pick<Wiring, "unshare">,
): Promise<void> {
	reconciler.remove(removed);
	unshare(removed);
	await settled(removed);
}

/** Keeps nothing of that member. */
function forget(content: Content, entry: Member): readonly ManagedCredential[] {
	content.alone.delete(entry.file);
	const kept = keptOf(entry, content);
	return removeFrom(
		content,
		kept.map(({ credential }) => credential.file),
	);
}

/** False: another process has the lock of one of its files. Throws `StoreError`. */
async function drop(
	current: Current,
	entry: Member,
	wiring: Pick<Wiring, "unshare">,
): Promise<boolean> {
	const { managed, place } = current;
	const { store } = place;
	const removed = forget(current, entry);
	if (removed.length === 0) return true;
	await end(current, removed, wiring);
	const gone = await Promise.all(
		credentialsOf(entry)
			.filter(({ file }) => !managed.byFile.has(file))
			.map((one) => removePublished(store.pathOf(one), store.open(one))),
	);
	return gone.every(Boolean);
}

const nothing: readonly ManagedCredential[] = [];

/** Another ticket in the list is nothing new for the rest of the entry. */
function isSame(before: Entry, entry: Entry): boolean {
	const { tickets } = entry;
	return isDeepStrictEqual({ ...before, tickets }, entry);
}

/** The keepers of an entry. */
function keptOf(
	entry: Entry,
	{ managed }: Pick<Content, "managed">,
): readonly ManagedCredential[] {
	return credentialsOf(entry).flatMap((credential) => {
		const one = managed.byFile.get(credential.file);
		return one !== undefined && isOf(one, credential) ? one : [];
	});
}

/** The keepers of an entry that is the same but for its tickets: only new ones are made. */
function carriedOver(
	entry: Entry,
	before: Entry,
	kept: readonly ManagedCredential[],
	wiring: Wiring,
	place: Place,
): readonly ManagedCredential[] {
	if (isDeepStrictEqual(before.tickets, entry.tickets)) return kept;
	const byFile = new Map(kept.map((one) => [one.credential.file, one]));
	return wiring
		.manage(entry, place)
		.map((one) => byFile.get(one.credential.file) ?? one);
}

/**
 * A keeper that is replaced must not fetch any more. One that is fetching publishes its
 * token first: its successor waits for the lock.
 */
function settleOthers(
	former: Content,
	current: Content,
	onBug: (error: unknown) => void,
): void {
	for (const [file, one] of former.managed.byFile)
		if (current.managed.byFile.get(file) !== one)
			void one.settle()?.catch(onBug);
}

/**
 * The end of the keepers that an entry had. There must never be two requests for one
 * account under way: the token of the one that is answered last would be the living one.
 */
async function settled(replaced: Iterable<ManagedCredential>): Promise<void> {
	const ends: Promise<void>[] = [];
	for (const one of replaced) {
		const end = one.settle();
		if (end !== undefined) ends.push(end);
	}
	await Promise.all(ends);
}

/** Undefined: there were none. */
function endOf(
	replaced: readonly ManagedCredential[],
): (() => Promise<void>) | undefined {
	return replaced.length === 0 ? undefined : () => settled(replaced);
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
		const { expiresAt, failure } = one.glimpse(now);
		const isValid = expiresAt > now;
		if (isValid && failure === null) {
			fresh += 1;
			continue;
		}
		if (isValid) older += 1;
		if (firstFailure !== "") continue;
		const { lastError } = one.facts(now);
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
		const replaced = await credentials.replace(wanted);
		if (replaced === "same") logWarnings(wanted, log);
		else if (replaced === "replaced") onReplaced();
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
