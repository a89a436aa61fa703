/** The contract of stores, kept by the directory store and by the disk of the simulation. */
import { createAgenda } from "../simulation/agenda.ts";
import { createDisk, type Writer } from "../simulation/disk.ts";
import {
	describeStore,
	type StorePlace,
	type StoreProcess,
} from "./contract.ts";
import { newDirectoryPlace } from "./directory-place.ts";

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
