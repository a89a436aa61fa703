/**
 * From a configuration to the keepers of its credentials, for the daemon and for the
 * commands that do without one. The rooms meet here: a keeper gets its issuer, its
 * store and the clock handed in.
 */
import { type Config, longestTimeoutMs } from "../config/config.ts";
import type { Entry } from "../config/entry.ts";
import { isMember } from "../config/platform.ts";
import type { Clock } from "../core/clock.ts";
import type { ClockSkew } from "../core/clock-skew.ts";
import type { Credential, CredentialId } from "../core/credential.ts";
import type { Fleet, Issuer, KeeperEvent, Log, Store } from "../core/ports.ts";
import { createHttp, type Http } from "../issuer/http.ts";
import { createIpGate } from "../issuer/ip-gate.ts";
import { createLinkMonitor } from "../issuer/link-monitor.ts";
import { proxyWarnings } from "../issuer/proxy.ts";
import { createHearing, type Hearing } from "../keeper/hearing.ts";
import { createLimiter, maxRefreshing } from "../keeper/limiter.ts";
import {
	type IssuerMaker,
	ManagedCredential,
	type SharedParts,
} from "../keeper/managed-credential.ts";
import { livingParents } from "../keeper/reconciler.ts";
import type { Location } from "../store/atomic-write.ts";
import type { Contested } from "../store/contest.ts";
import { createDirectoryStore } from "../store/directory-store.ts";
import { openMachineNote } from "../store/machine-note.ts";
import { livenessOf, nameThisProcess } from "../store/process-name.ts";
import { openNote } from "../store/shared-note.ts";
import { areSiblings, credentialsOf, siblingOf } from "./credential-of.ts";
import { keepWasmSmall } from "./heap.ts";
import {
	type IssuerParts,
	issuerOf,
	type PlatformSecrets,
} from "./issuer-of.ts";

/** What the keepers of a process are wired from. */
export interface WiringParts {
	/** Only for the timeout of a connection. Entries come with `manage`, also those of a later configuration. */
	readonly config: Config;
	/** For the proxy. */
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly clock: Clock;
	readonly log: Log;
	/** Once aborted, nothing waits for a lock, and no further base URL is tried. */
	readonly stopping: AbortSignal;
	/** As in `SharedParts`. */
	readonly wakeAt: (at: number) => void;
	readonly emit: (credential: Credential, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
	readonly keepPausesFor?: readonly string[];
	/** In a fleet: the clock of this host, for its locks. */
	readonly hostClock?: Clock;
	/** As in `IssuerParts`. */
	readonly platforms?: PlatformSecrets;
	/** As in `MachineNoteParts`. */
	readonly placeOfNotes?: string;
	/** The keeper of a credential that another one needs. */
	readonly find: (id: CredentialId) => ManagedCredential | undefined;
}

/** Where credentials are kept, and with whom. */
export interface Place {
	readonly location: Location;
	/** What keepers write to. */
	readonly store: Store;
	/** The same without the other hosts. */
	readonly local: Store;
	/** The hosts that keep the same credentials; undefined: this one is alone. */
	readonly fleet: Fleet | undefined;
}

/** What all keepers of a process share, and how to make one of them. */
export interface Wiring extends SharedParts {
	readonly hearing: Hearing;
	/** A directory, shared with that fleet; it is not used yet. */
	placeAt(location: Location, fleet: Fleet | undefined): Place;
	/**
	 * The keepers of an entry: of its token first, then of what hangs on it. They ask
	 * WeChat for nothing before `after` has settled: that is the end of the keepers whose
	 * place they take, whatever file or secret those had; it is asked for before each request.
	 */
	manage(
		entry: Entry,
		place: Place,
		after?: () => Promise<unknown>,
	): readonly ManagedCredential[];
	/**
	 * That place is used from now on: these and no others are shared with its fleet, if it
	 * has one. `alone`: but for what is in these files, or hangs on it.
	 */
	use(
		place: Place,
		managed: Iterable<ManagedCredential>,
		alone: ReadonlySet<string>,
	): void;
	/** These of that entry as well, which came later. */
	shareMore(managed: readonly ManagedCredential[], entry: Entry): void;
	/** These no longer. */
	unshare(managed: readonly ManagedCredential[]): void;
	/** What calls need that fetch nothing to publish. */
	readonly issuerParts: IssuerParts;
	/** Of this server's clock, by WeChat's answers; null: it is right, as far as is known. */
	skew(): ClockSkew | null;
	/** Closes the connections. */
	close(): Promise<void>;
}

/** Throws `ConfigError` if the environment names a proxy with a wrong address. */
export function createWiring(parts: WiringParts): Wiring {
	const { config, env, clock, log, stopping } = parts;
	keepWasmSmall();
	const http = createHttp({
		connectTimeoutMs: longestTimeoutMs(config) / 2,
		env,
	});
	for (const warning of proxyWarnings(env))
		log.warn({ event: "config.doubtful" }, warning);
	const monitor = createLinkMonitor(clock, log);
	const gate = createIpGate(parts.hostClock ?? clock);
	const self = nameThisProcess();
	const hearing = createHearing();
	const shared: SharedParts = {
		hearing,
		clock,
		random: Math.random,
		self,
		startedAt: clock.now(),
		isDead: (name) => livenessOf(name, self) === "dead",
		limiter: createLimiter(maxRefreshing),
		wakeAt: parts.wakeAt,
		emit: parts.emit,
		onBug: parts.onBug,
		...(parts.keepPausesFor && { keepPausesFor: parts.keepPausesFor }),
		parentsOf: ({ needs }) => livingParents(needs, parts.find, clock.now()),
		reportParents: (refused) => {
			for (const [id, value] of refused ?? [])
				void parts.find(id)?.keeper.report(value).catch(parts.onBug);
		},
		findParent: parts.find,
	};
	let used: Place | undefined;
	const issuerParts: IssuerParts = {
		...{ http, clock, monitor, stopping, gate },
		...(parts.platforms && { platforms: parts.platforms }),
	};
	return {
		...shared,
		hearing,
		issuerParts,
		skew: monitor.skew,
		placeAt: (location, fleet) => {
			const local = createDirectoryStore({
				...location,
				self,
				clock: parts.hostClock ?? clock,
				random: shared.random,
				stopping,
				onContested: (contested) => logContested(log, contested),
			});
			const over = fleet?.storeOver(local);
			const store = over === undefined ? local : unheard(over);
			return { location, store, local, fleet };
		},
		manage: (entry, { store, fleet }, after) =>
			manageEntry(
				entry,
				store,
				shared,
				after === undefined
					? issuerParts
					: { ...issuerParts, http: sendingAfter(after, http) },
				isAlone(entry) ? undefined : fleet,
			),
		use: (place, managed, alone) => {
			used = place;
			const own = { self, clock: parts.hostClock ?? clock };
			gate.keepIn({
				own: openNote(place.location, ".wecom-calls", own),
				ofMachine: openMachineNote("wecom-calls", {
					...{ ...own, place: parts.placeOfNotes },
					onUnused: (why) => logUnshared(log, why),
				}),
			});
			if (place.fleet === undefined) return;
			const isShared = ({ file, needs }: Credential) =>
				![file, ...needs].some((one) => alone.has(one));
			const all = [...managed].map(({ credential }) => credential);
			place.fleet.keep(place.local, all.filter(isShared));
		},
		shareMore: (managed, entry) => {
			if (used === undefined || isAlone(entry)) return;
			used.fleet?.add(
				used.local,
				managed.map(({ credential }) => credential),
			);
		},
		unshare: (managed) =>
			used?.fleet?.drop(managed.map(({ credential }) => credential)),
		close: () => http.close(),
	};
}

/** What other hosts say of a credential is heard of, but not as a change of a file. */
function unheard(store: Store): Store {
	return {
		...store,
		watch: (onTouched) => ({
			...store.watch(onTouched),
			isShared: () => true,
		}),
	};
}

/** Whether no other host shares it. */
export function isAlone({ fleet }: Pick<Entry, "fleet">): boolean {
	return fleet === false;
}

/** Requests wait until `after` has settled, in whatever way. */
function sendingAfter(
	after: () => Promise<unknown>,
	http: Http,
): Pick<Http, "send"> {
	return {
		send: async (request) => {
			await after().catch(() => {});
			return http.send(request);
		},
	};
}

/**
 * The credentials of an entry, with their keepers. An issuer is made when its keeper
 * is: most of ten thousand accounts are idle and need neither.
 */
export function manageEntry(
	entry: Entry,
	store: Store,
	shared: SharedParts,
	parts: IssuerParts,
	fleet?: Pick<Fleet, "shared">,
): readonly ManagedCredential[] {
	const issuers = issuersFor(entry, parts);
	return credentialsOf(entry).map(
		(one) =>
			new ManagedCredential(fleet?.shared(one) ?? one, issuers, store, shared),
	);
}

/** A class, because a function for each of a hundred thousand takes more memory. */
class EntryIssuers implements IssuerMaker {
	readonly entry: Entry;
	readonly parts: IssuerParts;

	constructor(entry: Entry, parts: IssuerParts) {
		this.entry = entry;
		this.parts = parts;
	}

	issuerOf(credential: Credential): Issuer {
		return issuerOf(
			isMember(this.entry) ? siblingOf(this.entry, credential) : this.entry,
			credential,
			this.parts,
		);
	}
}

/** Calls to 企业微信 are counted for this directory alone; logged once. */
function logUnshared(log: Log, why: string): void {
	log.warn(
		{
			event: "calls.unshared",
			hint: "let root remove it, then restart wxtokend; until then keep all apps of 企业微信 in one configuration",
		},
		`daemons with other directories do not learn here which secrets of 企业微信 are wrong: ${why}`,
	);
}

let last: EntryIssuers | undefined;

/** Members of one platform are the same but for their names: they share theirs. */
function issuersFor(entry: Entry, parts: IssuerParts): EntryIssuers {
	if (!isMember(entry)) return new EntryIssuers(entry, parts);
	const isLast =
		last !== undefined &&
		last.parts === parts &&
		isMember(last.entry) &&
		areSiblings(last.entry, entry);
	if (last === undefined || !isLast) last = new EntryIssuers(entry, parts);
	return last;
}

/** Two keepers that would repair each other's files for ever; logged once. */
function logContested(
	log: Log,
	{ path, ours, theirs, isYielded }: Contested,
): void {
	const octal = (mode: number) => mode.toString(8).padStart(4, "0");
	log.warn(
		{
			event: "file.contested",
			path,
			mode: octal(ours.mode),
			gid: ours.gid,
			otherMode: octal(theirs.mode),
			otherGid: theirs.gid,
			otherUid: theirs.uid,
			hint: "give all keepers of this directory the same `mode` and `group`, then restart them",
		},
		`another keeper publishes ${path} with mode ${octal(theirs.mode)} and group ${theirs.gid}, where this one has mode ${octal(ours.mode)}${ours.gid === undefined ? "" : ` and group ${ours.gid}`}: ${isYielded ? "its wider ones stay" : "this one's are wider, and stay"}`,
	);
}
