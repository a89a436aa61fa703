/**
 * Keepers of one account as if in many processes: each with a name, a store and
 * a memory of its own, on one real directory, with an issuer that counts.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Rules } from "../../src/core/decide.ts";
import type { ProcessName } from "../../src/core/record.ts";
import { statePathOf } from "../../src/core/record.ts";
import type { Issuer } from "../../src/issuer/access-token.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import {
	createTokenFile,
	type TokenStore,
} from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectory } from "../support/directory.ts";
import { newToken } from "../support/issuer.ts";
import { type LogLine, logTo } from "../support/log-to.ts";

export interface Scene {
	readonly directory: string;
	/** The token file. */
	readonly path: string;
	readonly statePath: string;
	/** Values in the order of issue; the last one lives. */
	readonly issued: readonly string[];
	/** A keeper of a process of its own. */
	start(rules?: Partial<Rules>): StartedKeeper;
}

export interface StartedKeeper {
	readonly keeper: Keeper;
	readonly store: TokenStore;
	/** What it logged, oldest first. */
	readonly events: readonly LogLine[];
	/** When it asked to be looked at again, epoch ms. */
	readonly wakes: readonly number[];
}

export interface SceneWishes {
	readonly directory?: string;
	readonly clock?: Clock;
	readonly lifetimeMs?: number;
	readonly staleMs?: number;
	/** How long a forced refresh waits for the lock. */
	readonly patienceMs?: number;
	/** Called when a request has arrived, before its answer. */
	readonly onRequest?: () => void | Promise<void>;
}

export function newScene({
	directory = newDirectory(),
	clock = systemClock,
	lifetimeMs = 7_200_000,
	staleMs = 5_000,
	patienceMs = staleMs + 10_000,
	onRequest = () => {},
}: SceneWishes = {}): Scene {
	const path = join(directory, "token");
	const issued: string[] = [];
	const issuer: Issuer = {
		fetch: async () => {
			const requestedAt = clock.now();
			await onRequest();
			const value = newToken();
			issued.push(value);
			return { value, lifetimeMs, requestedAt };
		},
		probe: async () => "unsure",
	};
	return {
		directory,
		path,
		statePath: statePathOf(path),
		issued,
		start: (rules = {}) => {
			const self = nameProcess();
			const events: LogLine[] = [];
			const wakes: number[] = [];
			const store = createTokenFile({
				directory: createOutputDirectory(directory),
				file: "token",
				mode: 0o640,
				gid: undefined,
				staleMs,
				self,
				clock,
				random: Math.random,
				stopping: new AbortController().signal,
			});
			const keeper = createKeeper({
				appid: "wx1",
				rules: {
					interface: "classic",
					refreshBeforeMs: 2_400_000,
					cooldownMs: 0,
					budget: 1_000_000,
					...rules,
				},
				store,
				issuer,
				clock,
				random: Math.random,
				self,
				startedAt: 0,
				isDead: () => false,
				log: logTo((line) => events.push(line)),
				patienceMs,
				wakeAt: (at) => wakes.push(at),
				count: () => {},
				onBug: (error) => {
					throw error;
				},
			});
			return { keeper, store, events, wakes };
		},
	};
}

/** Another process than this one, to all who ask; its pid says nothing. */
function nameProcess(): ProcessName {
	return { ...nameThisProcess(), instance: randomBytes(8).toString("hex") };
}
