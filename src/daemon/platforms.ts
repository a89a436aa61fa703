/**
 * All 第三方平台 of the configuration, through its reloads: their state on the disk, the
 * accounts that hang on them, and who is asked for what.
 */
import {
	type Authorizer,
	authorizerOf,
	type Component,
} from "../config/component.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import type { ComponentCalls } from "../issuer/component.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { componentNames, openPlatformState } from "../store/platform-state.ts";
import {
	openStateDirectory,
	type StateDirectory,
} from "../store/state-directory.ts";
import { type Chores, createChores } from "./component-chores.ts";
import { credentialsOf } from "./credential-of.ts";
import type { PlatformSecrets } from "./issuer-of.ts";
import { type AuthorizerChange, KeptComponent } from "./kept-component.ts";
import { stateFolderOf } from "./preparation.ts";

export interface PlatformsParts {
	readonly clock: Clock;
	readonly log: Log;
	readonly self: ProcessName;
	readonly stopping: AbortSignal;
	readonly onBug: (error: unknown) => void;
	readonly wakeAt: (at: number) => void;
	readonly find: (file: string) => ManagedCredential | undefined;
	/** Keeps an account from now on, unless it is kept already. */
	readonly add: (entry: Authorizer) => void;
	/** Keeps these of its files no longer; they stay. */
	readonly remove: (files: readonly string[]) => Promise<void>;
	/** Keeps nothing of an account any longer, and removes its files. False: they are in use. */
	readonly drop: (entry: Authorizer) => Promise<boolean>;
	readonly calls: (component: Component) => ComponentCalls;
}

export interface Platforms extends PlatformSecrets {
	/**
	 * Those of that configuration from now on. Throws `StoreError` if the state directory
	 * is not fit for them; then the former ones stay.
	 */
	use(config: Pick<Config, "entries" | "stateDirectory">): void;
	/** The accounts whose tokens are to be kept. */
	authorizers(): Iterable<Authorizer>;
	component(appid: string): KeptComponent | undefined;
	/** Begins what is due; cheap, for each tick. */
	tick(): void;
	settle(): Promise<void>;
	/** Gives the state directory back. Call it last. */
	close(): void;
}

/** A component, and what is done for it. */
interface Kept {
	readonly component: KeptComponent;
	readonly chores: Chores;
}

/** Accounts that have withdrawn are looked at so often: whether their files can go. */
const retiredEveryMs = 60_000;

export function createPlatforms(parts: PlatformsParts): Platforms {
	const { clock, log, self } = parts;
	const startedAt = clock.now();
	let directory: StateDirectory | undefined;
	let kept: ReadonlyMap<string, Kept> = new Map();
	let retiredAt = Number.NEGATIVE_INFINITY;

	const entryOf = (component: KeptComponent, appid: string) =>
		authorizerOf(component.entry, appid);

	const changed = (
		component: KeptComponent,
		appid: string,
		change: AuthorizerChange,
	) => {
		const entry = entryOf(component, appid);
		if (entry === undefined) return;
		const one = parts.find(entry.file);
		if (change !== "withdrawn") {
			// Also its tickets, which were dropped when it withdrew.
			parts.add(entry);
			if (one === undefined) return parts.wakeAt(clock.now());
			if (change === "returned") force(one, parts);
			else endPause(one, parts);
		} else {
			const tickets = credentialsOf(entry)
				.slice(1)
				.map(({ file }) => file);
			void parts.remove(tickets).catch(parts.onBug);
			// Its state says why from now on. No call is made for that.
			if (one !== undefined) force(one, parts);
		}
		parts.wakeAt(clock.now());
	};

	const ticketCame = ({ entry }: KeptComponent) => {
		const one = parts.find(entry.file);
		if (one?.living(clock.now()) === undefined && one !== undefined)
			endPause(one, parts);
		parts.wakeAt(clock.now());
	};

	const openComponent = (entry: Component, at: StateDirectory): Kept => {
		const folder = at.folder(...stateFolderOf(entry.appid));
		const state = openPlatformState(folder, componentNames);
		for (const [path, lines] of state.unreadable)
			log.error(
				{
					event: "state.unreadable",
					path,
					lines,
					hint: "the disk may be failing (dmesg), or somebody has edited the file; WeChat's list of accounts is compared",
				},
				`${lines} lines of ${path} could not be read, and are left out`,
			);
		const component = new KeptComponent(entry, {
			...{ state, clock, log, startedAt },
			onTicket: ticketCame,
			onAuthorizer: changed,
		});
		if (state.unreadable.size > 0) component.hasGap = true;
		const chores = createChores(component, {
			...parts,
			token: ({ entry: { file } }) => parts.find(file),
			calls: ({ entry: of }) => parts.calls(of),
			onMended: (appid) => {
				const file = entryOf(component, appid)?.file;
				const one = file === undefined ? undefined : parts.find(file);
				if (one !== undefined) force(one, parts);
			},
		});
		return { component, chores };
	};

	/** Files of accounts that have withdrawn, once their tokens are over. */
	const dropRetired = async ({ component }: Kept) => {
		for (const appid of component.state.retired()) {
			const entry = entryOf(component, appid);
			const one = entry && parts.find(entry.file);
			if (one?.living(clock.now()) !== undefined) continue;
			if (entry !== undefined && !(await parts.drop(entry))) continue;
			await component.state.forget(appid);
		}
	};

	return {
		use: ({ entries, stateDirectory }) => {
			const wanted = entries.filter((one) => one.interface === "component");
			const former = { directory, kept };
			const isMoved = directory?.path !== stateDirectory;
			const at =
				stateDirectory === undefined
					? undefined
					: isMoved
						? openStateDirectory(stateDirectory, self)
						: directory;
			const opened: Kept[] = [];
			const next = new Map<string, Kept>();
			try {
				for (const entry of at === undefined ? [] : wanted) {
					const known = isMoved ? undefined : kept.get(entry.appid);
					const one = known ?? openComponent(entry, at as StateDirectory);
					if (known === undefined) opened.push(one);
					next.set(entry.appid, one);
				}
			} catch (error) {
				for (const { component } of opened) component.state.close();
				if (isMoved) at?.release();
				throw error;
			}
			for (const entry of wanted) {
				const one = next.get(entry.appid);
				if (one !== undefined) one.component.entry = entry;
			}
			directory = at;
			kept = next;
			for (const [appid, { component }] of former.kept)
				if (next.get(appid)?.component !== component) component.state.close();
			if (isMoved) former.directory?.release();
		},
		*authorizers() {
			for (const { component } of kept.values())
				for (const [appid] of component.state.authorizations()) {
					const entry = entryOf(component, appid);
					if (entry !== undefined) yield entry;
				}
		},
		component: (appid) => kept.get(appid)?.component,
		ticketOf: ({ appid }) => keptOf(kept, appid).component.ticketSource(),
		refreshTokenOf: (authorizer) =>
			keptOf(kept, authorizer.component).component.refreshTokenOf(authorizer),
		tick: () => {
			for (const { chores } of kept.values()) chores.tick();
			const now = clock.monotonic();
			if (now - retiredAt < retiredEveryMs || parts.stopping.aborted) return;
			retiredAt = now;
			for (const one of kept.values())
				void dropRetired(one).catch((error) => {
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
			for (const { component } of kept.values()) component.state.close();
			directory?.release();
		},
	};
}

/** Throws for a component that is not configured. */
function keptOf(kept: ReadonlyMap<string, Kept>, appid: string): Kept {
	const found = kept.get(appid);
	if (found === undefined) throw new Error(`no component ${appid}`);
	return found;
}

/** Tries it whatever is due. */
function force(one: ManagedCredential, { onBug }: PlatformsParts): void {
	const { keeper } = one;
	void keeper
		.whenIdle()
		.then(() => keeper.force())
		.catch(onBug);
}

/** What made its last attempt fail may be mended: it is tried at the next tick. */
function endPause(one: ManagedCredential, parts: PlatformsParts): void {
	const { keeper } = one;
	void keeper
		.whenIdle()
		.then(() => {
			keeper.endPause();
			parts.wakeAt(parts.clock.now());
		})
		.catch(parts.onBug);
}
