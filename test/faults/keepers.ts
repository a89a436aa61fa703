/**
 * Keepers of one account as if in many processes: each with a name, a store and
 * a memory of its own, on one real directory, with an issuer that counts.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Credential, Limits } from "../../src/core/credential.ts";
import type { Issuer, Slot } from "../../src/core/ports.ts";
import type { ProcessName } from "../../src/core/record.ts";
import { recordPathOf } from "../../src/core/record.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
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
	start(limits?: Partial<Limits>): StartedKeeper;
}

export interface StartedKeeper {
	readonly keeper: Keeper;
	readonly slot: Slot;
	/** What it logged, oldest first. */
	readonly events: readonly LogLine[];
	/** When it asked to be looked at again, epoch ms. */
	readonly wakes: readonly number[];
}

export interface SceneWishes {
	readonly directory?: string;
	readonly clock?: Clock;
	readonly lifetimeMs?: number;
	/** Of a request; what a lock lasts follows from it. */
	readonly timeoutMs?: number;
	/** How long a forced refresh waits for the lock. */
	readonly lockTimeoutMs?: number;
	/** As `Credential.source`. */
	readonly source?: string;
	/** Called when a request has arrived, before its answer. */
	readonly onRequest?: () => void | Promise<void>;
}

export function newScene({
	directory = newDirectory(),
	clock = systemClock,
	lifetimeMs = 7_200_000,
	timeoutMs = 1_500,
	lockTimeoutMs = 15_000,
	source = "wx1 from WeChat",
	onRequest = () => {},
}: SceneWishes = {}): Scene {
	const path = join(directory, "token");
	const issued: string[] = [];
	const issuer: Issuer = {
		issue: async () => {
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
		statePath: recordPathOf(path),
		issued,
		start: (limits = {}) => {
			const self = nameProcess();
			const events: LogLine[] = [];
			const wakes: number[] = [];
			const credential: Credential = {
				id: "token",
				kind: "access_token",
				appid: "wx1",
				file: "token",
				source,
				needs: [],
				limits: {
					refreshBeforeMs: 2_400_000,
					cooldownMs: 0,
					budget: 1_000_000,
					timeoutMs,
					...limits,
				},
			};
			const slot = createDirectoryStore({
				directory: createOutputDirectory(directory),
				mode: 0o640,
				gid: undefined,
				self,
				clock,
				random: Math.random,
				stopping: new AbortController().signal,
			}).open(credential);
			const logEvent = createEventLog(
				logTo((line) => events.push(line)),
				clock,
			);
			const keeper = createKeeper({
				credential,
				slot,
				issuer,
				parents: () => new Map(),
				clock,
				random: Math.random,
				self,
				startedAt: 0,
				isDead: () => false,
				lockTimeoutMs,
				wakeAt: (at) => wakes.push(at),
				emit: (event) => logEvent(credential, event),
				onBug: (error) => {
					throw error;
				},
			});
			return { keeper, slot, events, wakes };
		},
	};
}

/** Another process than this one, to all who ask; its pid says nothing. */
function nameProcess(): ProcessName {
	return { ...nameThisProcess(), instance: randomBytes(8).toString("hex") };
}
