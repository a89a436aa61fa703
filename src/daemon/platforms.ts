/**
 * All platforms of the configuration (第三方平台 and suites), through its reloads: their
 * state on the disk, the members that hang on them, and who is asked for what.
 */
import type { Component } from "../config/component.ts";
import type { Config } from "../config/config.ts";
import { entryKeyOf } from "../config/entry.ts";
import {
	belongingOf,
	isPlatform,
	type Member,
	memberOf,
	type Platform,
	type PlatformTable,
} from "../config/platform.ts";
import type { Suite } from "../config/suite.ts";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Fleet, LocalFacts, Log, SharedFacts } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import type { Steps } from "../core/steps.ts";
import type { ComponentCalls } from "../issuer/component.ts";
import type { SuiteCalls } from "../issuer/suite.ts";
import { openPlatformState } from "../store/platform-state.ts";
import { shareState } from "../store/shared-state.ts";
import {
	openStateDirectory,
	type StateDirectory,
} from "../store/state-directory.ts";
import { componentDuties } from "./component-chores.ts";
import type { PlatformSecrets } from "./issuer-of.ts";
import { KeptPlatform } from "./kept-platform.ts";
import {
	type Chores,
	type ChoresParts,
	createChores,
} from "./platform-chores.ts";
import { kindOf } from "./platform-kinds.ts";
import {
	createMemberActs,
	type MemberActs,
	type MemberParts,
} from "./platform-members.ts";
import { stateFolderOf } from "./preparation.ts";
import { suiteDuties } from "./suite-chores.ts";

export interface PlatformsParts
	extends MemberParts,
		Pick<ChoresParts, "onTrouble"> {
	readonly clock: Clock;
	readonly log: Log;
	readonly self: ProcessName;
	readonly stopping: AbortSignal;
	/** The hosts that keep the same platforms; undefined: this one is alone. */
	readonly fleet: () => Fleet | undefined;
	readonly componentCalls: (component: Component) => ComponentCalls;
	readonly suiteCalls: (suite: Suite) => SuiteCalls;
}

export interface Platforms extends PlatformSecrets {
	/**
	 * Those of that configuration, to be used or dismissed: until then the former ones stay.
	 * Throws `StoreError` if the state directory is not fit for them.
	 */
	prepare(
		config: Pick<Config, "entries" | "stateDirectory">,
	): Steps<PreparedPlatforms>;
	platform(table: PlatformTable, id: string): KeptPlatform | undefined;
	/** Begins what is due; cheap, for each tick. */
	tick(): void;
	settle(): Promise<void>;
	/** Gives the state directory back. Call it last. */
	close(): void;
}

/** The platforms of another configuration, whose state was read. */
export interface PreparedPlatforms {
	/** Those whose tokens are to be kept. */
	members(): Iterable<Member>;
	/** From now on, in place of the former ones. */
	use(): void;
	/** Closes what was opened for them. */
	dismiss(): void;
}

/** A platform, and what is done for it. */
interface Kept {
	readonly platform: KeptPlatform;
	readonly chores: Chores;
}

/** Members that have withdrawn are looked at so often: whether their files can go. */
const retiredEveryMs = 60_000;

export function createPlatforms(parts: PlatformsParts): Platforms {
	const { clock, log, self } = parts;
	const acts = createMemberActs(parts);
	const startedAt = clock.now();
	let directory: StateDirectory | undefined;
	/** By `entryKeyOf`. */
	let kept = noneKept;
	let retiredAt = Number.NEGATIVE_INFINITY;

	/** Throws for a platform that is not configured. */
	const keptBy = (key: string): KeptPlatform => {
		const found = kept.get(key);
		if (found === undefined) throw new Error(`no platform ${key}`);
		return found.platform;
	};

	return {
		*prepare({ entries, stateDirectory }) {
			const wanted = entries.filter(isPlatform);
			const former = { directory, kept };
			const isMoved = directory?.path !== stateDirectory;
			const at =
				stateDirectory === undefined
					? undefined
					: isMoved
						? openStateDirectory(stateDirectory, self)
						: directory;
			const known = isMoved ? noneKept : kept;
			let next: ReadonlyMap<string, Kept>;
			try {
				next = yield* openAll(wanted, at, known, (entry, where) =>
					openOne(entry, where, acts, { ...parts, startedAt }),
				);
			} catch (error) {
				if (isMoved) at?.release();
				throw error;
			}
			return {
				members: () => membersOf(wanted, next),
				use: () => {
					directory = at;
					kept = next;
					for (const entry of wanted) {
						const platform = kept.get(entryKeyOf(entry))?.platform;
						if (platform !== undefined) platform.entry = entry;
						platform?.state.attach();
					}
					closeOthers(former.kept, next);
					if (isMoved) former.directory?.release();
				},
				dismiss: () => {
					closeOthers(next, former.kept);
					if (isMoved) at?.release();
				},
			};
		},
		platform: (table, id) => kept.get(`${table} ${id}`)?.platform,
		ticketOf: (platform) => keptBy(entryKeyOf(platform)).ticketSource(),
		freshen: (entry) => {
			if (isPlatform(entry)) return keptBy(entryKeyOf(entry)).state.freshen();
			const { table, platform, id } = belongingOf(entry);
			return keptBy(`${table} ${platform}`).state.freshen(id);
		},
		secretOf: (member) => {
			const { table, platform, id } = belongingOf(member);
			return keptBy(`${table} ${platform}`).secretOf(id);
		},
		tick: () => {
			for (const { platform, chores } of kept.values()) {
				platform.state.attach();
				chores.tick();
			}
			const now = clock.monotonic();
			if (now - retiredAt < retiredEveryMs || parts.stopping.aborted) return;
			retiredAt = now;
			for (const { platform } of kept.values())
				void acts.dropRetired(platform).catch((error) => {
					if (!(error instanceof StoreError)) return parts.onBug(error);
					const { message, code, hint } = error;
					log.warn({ event: "state.failed", code, hint }, message);
				});
		},
		settle: async () => {
			await Promise.all(
				[...kept.values()].map(({ chores }) => chores.settle()),
			);
		},
		close: () => {
			for (const { platform } of kept.values()) platform.state.close();
			directory?.release();
		},
	};
}

const noneKept: ReadonlyMap<string, Kept> = new Map();

function* membersOf(
	wanted: readonly Platform[],
	kept: ReadonlyMap<string, Kept>,
): Iterable<Member> {
	for (const entry of wanted) {
		const { state } = kept.get(entryKeyOf(entry))?.platform ?? {};
		for (const [id] of state?.authorizations() ?? []) {
			const member = memberOf(entry, id);
			if (member !== undefined) yield member;
		}
	}
}

/** Closes the platforms that are not among the others. */
function closeOthers(
	kept: ReadonlyMap<string, Kept>,
	others: ReadonlyMap<string, Kept>,
): void {
	for (const [key, { platform }] of kept)
		if (others.get(key)?.platform !== platform) platform.state.close();
}

/** Those of `known` that are wanted stay. Throws `StoreError`; then nothing was opened. */
function* openAll(
	wanted: readonly Platform[],
	directory: StateDirectory | undefined,
	known: ReadonlyMap<string, Kept>,
	open: (entry: Platform, directory: StateDirectory) => Steps<Kept>,
): Steps<ReadonlyMap<string, Kept>> {
	if (directory === undefined) return new Map();
	const all = new Map<string, Kept>();
	const opened: Kept[] = [];
	try {
		for (const entry of wanted) {
			const key = entryKeyOf(entry);
			const before = known.get(key);
			const one = before ?? (yield* open(entry, directory));
			if (before === undefined) opened.push(one);
			all.set(key, one);
		}
	} catch (error) {
		for (const { platform } of opened) platform.state.close();
		throw error;
	}
	return all;
}

/** Throws `StoreError`. */
function* openOne(
	entry: Platform,
	directory: StateDirectory,
	acts: MemberActs,
	parts: PlatformsParts & { readonly startedAt: number },
): Steps<Kept> {
	const { clock, log, startedAt } = parts;
	const { state: names, unreadableHint } = kindOf(entry);
	const folder = directory.folder(...stateFolderOf(entry));
	const fleet = () => (entry.fleet === false ? undefined : parts.fleet());
	const own = yield* openPlatformState(folder, names, () =>
		fleet()?.clock.now(),
	);
	const name = stateFolderOf(entry).join("/");
	const state = shareState(own, createJoin(name, fleet), (change) =>
		platform.heard(change),
	);
	for (const [path, lines] of state.unreadable)
		log.error(
			{
				event: "state.unreadable",
				path,
				lines,
				hint: `the disk may be failing (dmesg), or somebody has edited the file; ${unreadableHint}`,
			},
			`${lines} lines of ${path} could not be read, and are left out`,
		);
	const platform = new KeptPlatform(entry, {
		...{ state, clock, log, startedAt },
		onTicket: acts.ticketCame,
		onMember: acts.changed,
	});
	if (state.unreadable.size > 0) platform.hasGap = true;
	const duty = {
		...parts,
		token: (of: KeptPlatform) => parts.find(of.entry.file),
		onMended: (id: string) => acts.mended(platform, id),
	};
	const duties =
		entry.interface === "component"
			? componentDuties(platform, {
					...duty,
					calls: () => parts.componentCalls(platform.entry as Component),
				})
			: suiteDuties(platform, {
					...duty,
					calls: () => parts.suiteCalls(platform.entry as Suite),
				});
	return { platform, chores: createChores(platform, duties, duty) };
}

/** A reload may bring another fleet, or none. */
function createJoin(name: string, fleet: () => Fleet | undefined) {
	let joined: Fleet | undefined;
	let facts: SharedFacts | undefined;
	return (own: LocalFacts): SharedFacts | undefined => {
		const current = fleet();
		if (current !== joined) facts = current?.share(name, own);
		joined = current;
		return facts;
	};
}
