/**
 * Keepers of one credential, as if in many processes: each has a name, a store and a
 * memory of its own. They share one real directory, and an issuer that records its tokens.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Limits } from "../../src/core/credential.ts";
import type { Issuer, Slot } from "../../src/core/ports.ts";
import type { ProcessName } from "../../src/core/record.ts";
import { recordPathOf } from "../../src/core/record.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { accessToken } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { newToken } from "../support/issuer.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { slotIn } from "../support/slot.ts";

export interface Scene {
	readonly directory: string;
	/** The token file. */
	readonly path: string;
	readonly statePath: string;
	/** Values in the order of issue; only the last one is alive. */
	readonly issued: readonly string[];
	/** A keeper in a process of its own. */
	start(limits?: Partial<Limits>): StartedKeeper;
}

export interface StartedKeeper {
	readonly keeper: Keeper;
	readonly slot: Slot;
	/** What it logged, oldest first. */
	readonly events: readonly LogLine[];
	/** The wake-ups that it asked for, epoch ms. */
	readonly wakes: readonly number[];
}

export interface SceneOptions {
	readonly directory?: string;
	readonly clock?: Clock;
	readonly lifetimeMs?: number;
	/** Of a request; after how long a lock is stale follows from it. */
	readonly timeoutMs?: number;
	/** How long a forced refresh waits for the lock. */
	readonly lockTimeoutMs?: number;
	/** As `Credential.source`. */
	readonly source?: string;
	/** Called when a request has arrived, before its answer. */
	readonly onRequest?: () => void | Promise<void>;
}

/** Longer than the clock's step. */
const answerMs = 2;

export function newScene({
	directory = newDirectory(),
	clock = systemClock,
	lifetimeMs = 7_200_000,
	timeoutMs = 1_500,
	lockTimeoutMs = 15_000,
	source = "wx1 from WeChat",
	onRequest = () => {},
}: SceneOptions = {}): Scene {
	const path = join(directory, "token");
	const issued: string[] = [];
	const issuer: Issuer = {
		issue: async () => {
			const requestedAt = clock.now();
			await onRequest();
			// As WeChat does. What is forced within the millisecond of a request is answered by it.
			await pause(answerMs);
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
			const credential = {
				...accessToken({ budget: 1_000_000, timeoutMs, ...limits }),
				source,
			};
			const slot = slotIn(directory, credential, { self, clock });
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

/** The name of another process. It has the pid of this one, and so counts as dead. */
function nameProcess(): ProcessName {
	return { ...nameThisProcess(), instance: randomBytes(8).toString("hex") };
}
