/**
 * A process that tries to get the lock as soon as it gets the order, and reports whether
 * it ever held it together with another process. Built by lock-race.test.ts.
 */
import fs from "node:fs";
import {
	setTimeout as pause,
	setImmediate as yieldOnce,
} from "node:timers/promises";
import { systemClock } from "../../src/core/clock.ts";
import type { ProcessName } from "../../src/core/record.ts";
import { createLock } from "../../src/store/lock.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";

/** One round of the race. */
export interface RaceOrder {
	/** `<file>.lock`, which exists. */
	readonly path: string;
	/** Its instance, and the dead process that made it. */
	readonly lock: string;
	readonly by: ProcessName;
}

/** What one process found in a round. */
export interface RaceResult {
	readonly held: boolean;
	readonly together: boolean;
}

const self = nameThisProcess();

process.on("message", (order: RaceOrder) => {
	void race(order).then((result) => process.send?.(result));
});

async function race({ path, lock, by }: RaceOrder): Promise<RaceResult> {
	const tryLock = createLock({
		path,
		staleMs: 60_000,
		self,
		clock: systemClock,
		lastIntent: () => ({ replaces: "", at: 0, by, lock }),
	});
	for (;;) {
		if (fs.existsSync(`${path}.over`)) return { held: false, together: false };
		const held = await tryLock();
		if (held === undefined) {
			await yieldOnce();
			continue;
		}
		// The round may be over, and the lock free again.
		const late = fs.existsSync(`${path}.over`);
		const together = !isFirst(`${path}.inside`);
		if (!late) await pause(60);
		fs.writeFileSync(`${path}.over`, "");
		if (!together) fs.rmdirSync(`${path}.inside`);
		await held.release();
		return { held: !late, together };
	}
}

function isFirst(folder: string): boolean {
	try {
		fs.mkdirSync(folder);
		return true;
	} catch {
		return false;
	}
}
