/** The contract of stores, kept by the directory store and by the disk of the simulation. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import {
	encodeRecord,
	type ProcessName,
	recordPathOf,
} from "../../src/core/record.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { insteadOf, systemError } from "../faults/spy.ts";
import { createAgenda } from "../simulation/agenda.ts";
import { createDisk, type Writer } from "../simulation/disk.ts";
import { newDirectory } from "../support/directory.ts";
import {
	contractCredential,
	describeStore,
	type StorePlace,
	type StoreProcess,
} from "./contract.ts";

describeStore(
	"the directory store",
	{ hasStore: true, canLandLate: true },
	newDirectoryPlace,
);

describeStore(
	"the disk of the simulation",
	{ hasStore: false, canLandLate: false },
	newSimulatedPlace,
);

/** A real directory; each process is a real one, though this one acts in its name. */
function newDirectoryPlace(): StorePlace {
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
			const store = createDirectoryStore({
				directory: createOutputDirectory(directory),
				mode: 0o640,
				gid: undefined,
				self: name,
				clock,
				random: Math.random,
				stopping: new AbortController().signal,
			});
			return { name, die, store, slot: store.open(contractCredential) };
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

interface SimulatedWriter extends Writer {
	alive: boolean;
}

/** In memory, and in a time that goes on with each effect. */
function newSimulatedPlace(): StorePlace {
	let now = 0;
	let started = 0;
	let loser: SimulatedWriter | undefined;
	const writers = new Map<StoreProcess, SimulatedWriter>();
	const disk = createDisk<SimulatedWriter>({
		agenda: { ...createAgenda(0), now: () => now },
		canRun: ({ alive }) => alive,
		onPublication: () => {},
		effect: async (who, name, act, latencyMs = 1) => {
			now += latencyMs;
			await new Promise(setImmediate);
			const result = act();
			if (who === loser && name === "publish: rename") {
				loser = undefined;
				who.alive = false;
				const robber = disk.slotOf({ alive: false, tainted: false });
				await robber.acquire(0);
			}
			return result;
		},
	});
	return {
		start: () => {
			started += 1;
			const who: SimulatedWriter = { alive: true, tainted: false };
			const one: StoreProcess = {
				name: {
					...{ instance: `${started}`, pid: started },
					...{ startTicks: "", realm: "" },
				},
				slot: disk.slotOf(who),
				die: () => {
					who.alive = false;
				},
			};
			writers.set(one, who);
			return one;
		},
		fill: () => {
			disk.fullUntil = Number.POSITIVE_INFINITY;
			return () => {
				disk.fullUntil = 0;
			};
		},
		loseInNextPublication: (one) => {
			loser = writers.get(one);
		},
	};
}
