/** A real directory as the place of a store, for its contract. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Store } from "../../src/core/ports.ts";
import {
	encodeRecord,
	type ProcessName,
	recordPathOf,
} from "../../src/core/record.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { insteadOf, systemError } from "../faults/spy.ts";
import { newDirectory } from "../support/directory.ts";
import {
	contractCredential,
	type StorePlace,
	type StoreProcess,
} from "./contract.ts";

/** A store of that process, made from its directory store. `die`: what ends with the process. */
export type Compose = (
	local: Store,
	name: ProcessName,
	clock: Clock,
) => Promise<{
	readonly store: Store;
	readonly die: () => void | Promise<void>;
}>;

/**
 * Each process is a real one, though this one acts in its name. By default its store is
 * the directory store.
 */
export function newDirectoryPlace(
	compose: Compose = async (store) => ({ store, die: () => {} }),
): StorePlace {
	const directory = newDirectory();
	const path = join(directory, contractCredential.file);
	let aheadMs = 0;
	const clock = {
		now: () => systemClock.now() + aheadMs,
		monotonic: () => systemClock.monotonic() + aheadMs,
	};
	return {
		start: async () => {
			const { name, die } = await startProcess();
			const local = createDirectoryStore({
				directory: createOutputDirectory(directory),
				mode: 0o640,
				gid: undefined,
				self: name,
				clock,
				random: Math.random,
				stopping: new AbortController().signal,
			});
			const composed = await compose(local, name, clock);
			const { store } = composed;
			return {
				...{ name, store, slot: store.open(contractCredential) },
				die: async () => {
					await composed.die();
					await die();
				},
			};
		},
		fill: () => {
			const full = vi.spyOn(fs, "writeFileSync").mockImplementation(() => {
				throw systemError("ENOSPC");
			});
			syncBuiltinESMExports();
			const free = () => {
				full.mockRestore();
				syncBuiltinESMExports();
			};
			onTestFinished(free);
			return free;
		},
		loseInNextPublication: () => {
			const { renameSync } = fs;
			let isDone = false;
			insteadOf("renameSync", (from, to) => {
				renameSync(from, to);
				if (isDone || to !== path) return;
				isDone = true;
				// By a process that took its time, and died since.
				fs.rmdirSync(`${path}.lock`);
				fs.mkdirSync(`${path}.lock`);
				const longAgo = new Date(Date.now() - 3_600_000);
				fs.utimesSync(`${path}.lock`, longAgo, longAgo);
				aheadMs += 50;
			});
		},
		landLate: (record) =>
			fs.appendFileSync(recordPathOf(path), `\n${encodeRecord(record)}`),
	};
}

/** One that does nothing but live, to lend its name. */
async function startProcess(): Promise<Pick<StoreProcess, "name" | "die">> {
	const child = spawn("sleep", ["3600"], { stdio: "ignore" });
	await once(child, "spawn");
	const { pid = 0 } = child;
	const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const name: ProcessName = {
		...nameThisProcess(),
		instance: randomBytes(8).toString("hex"),
		pid,
		startTicks: fields[19] ?? "",
	};
	const die = async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, "exit");
		child.kill("SIGKILL");
		await exited;
	};
	onTestFinished(die);
	return { name, die };
}
