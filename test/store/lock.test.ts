import { spawn } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import type { Intent, ProcessName } from "../../src/core/record.ts";
import { createLock, type LockOptions } from "../../src/store/lock.ts";
import { livenessOf, nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";

const staleMs = 5_000;
/** For how long a look at our own lock counts: far less than a breaker waits. */
const lookCountsMs = 10;
const self = nameThisProcess();

/** A clock that moves only when the test moves it. */
function newClock(): Clock & {
	pass(ms: number): void;
	step(ms: number): void;
} {
	let now = Date.now();
	let monotonic = 1_000;
	return {
		now: () => now,
		monotonic: () => monotonic,
		pass: (ms) => {
			now += ms;
			monotonic += ms;
		},
		step: (ms) => {
			now += ms;
		},
	};
}

function lockIn(directory: string, overrides: Partial<LockOptions> = {}) {
	const path = join(directory, "token.lock");
	const tryLock = createLock({
		path,
		staleMs,
		self,
		clock: newClock(),
		lastIntent: () => undefined,
		...overrides,
	});
	return { path, tryLock };
}

/** The name of a process that is gone, or lives until the test ends. */
async function nameOf(script: string, alive: boolean): Promise<ProcessName> {
	const child = spawn("sh", ["-c", script], { stdio: "ignore" });
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	const pid = child.pid ?? 0;
	const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
	const startTicks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
	if (!alive) await new Promise((resolve) => child.on("exit", resolve));
	return { instance: `of ${pid}`, pid, startTicks, realm: self.realm };
}

function intentBy(by: ProcessName, path: string): () => Intent {
	const { ino, birthtimeNs } = fs.lstatSync(path, { bigint: true });
	const lock = `${ino.toString(36)}-${birthtimeNs.toString(36)}`;
	return () => ({ replaces: "", at: 0, by, lock });
}

test("a lock is held by one process at a time, and is free after its release", async () => {
	const directory = newDirectory();
	const one = lockIn(directory);
	const other = lockIn(directory);

	const held = await one.tryLock();
	expect(held?.isHeld()).toBe(true);
	expect(await other.tryLock()).toBeUndefined();
	await held?.release();
	expect(held?.isHeld()).toBe(false);
	expect(fs.existsSync(one.path)).toBe(false);
	expect((await other.tryLock())?.isHeld()).toBe(true);
});

test("a process does not break what it holds itself, on a file system whose clock is far behind; another one does", async () => {
	const directory = newDirectory();
	const held = await lockIn(directory).tryLock();
	// An hour old, as it seems, and it names no holder.
	const clock = newClock();
	clock.step(3_600_000);
	expect(await lockIn(directory, { clock }).tryLock()).toBeUndefined();
	expect(held?.isHeld()).toBe(true);
	const other = { ...self, instance: "another" };
	const taken = await lockIn(directory, { clock, self: other }).tryLock();
	expect(taken?.isHeld()).toBe(true);
});

test("the lock of a dead process is broken at once", async () => {
	const { path } = lockIn(newDirectory());
	fs.mkdirSync(path);
	const lastIntent = intentBy(await nameOf("exit", false), path);
	const { tryLock } = lockIn(join(path, ".."), { lastIntent });

	const held = await tryLock();
	expect(held?.isHeld()).toBe(true);
	await held?.release();
	expect(fs.readdirSync(join(path, ".."))).toEqual([]);
});

test("a living holder keeps its lock until it was watched for staleMs without a heartbeat", async () => {
	const { path } = lockIn(newDirectory());
	fs.mkdirSync(path);
	const clock = newClock();
	const lastIntent = intentBy(await nameOf("sleep 60", true), path);
	const { tryLock } = lockIn(join(path, ".."), { lastIntent, clock });

	// A suspend or a step of the clock does not prove that the holder is dead.
	clock.step(10 * 365 * 86_400_000);
	expect(await tryLock()).toBeUndefined();
	clock.pass(staleMs - 1);
	expect(await tryLock()).toBeUndefined();
	const aMinuteAhead = Date.now() / 1000 + 60;
	fs.utimesSync(path, aMinuteAhead, aMinuteAhead);
	clock.pass(staleMs - 1);
	expect(await tryLock()).toBeUndefined();
	clock.pass(staleMs - 1);
	expect(await tryLock()).toBeUndefined();
	clock.pass(1);
	expect((await tryLock())?.isHeld()).toBe(true);
});

test("a process that reuses the pid of a dead holder does not keep its lock alive", async () => {
	const living = await nameOf("sleep 60", true);
	expect(livenessOf(living, self)).toBe("alive");
	expect(livenessOf({ ...living, startTicks: "1" }, self)).toBe("dead");
	expect(livenessOf({ ...living, realm: "elsewhere" }, self)).toBe("unknown");
	expect(livenessOf({ ...self, instance: "before us" }, self)).toBe("dead");
});

test("a lock of an unknown holder is kept while it is young, and broken when it is old", async () => {
	const directory = newDirectory();
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	fs.mkdirSync(path);

	expect(await tryLock()).toBeUndefined();
	const long = Date.now() / 1000 - 3600;
	fs.utimesSync(path, long, long);
	expect((await tryLock())?.isHeld()).toBe(true);
});

test("a lock without a named holder is broken after 5 s, and one whose holder cannot be checked after staleMs", async () => {
	const ages = [4_000, 6_000, 23_000] as const;
	for (const [isNamed, broken] of [
		[false, [false, true, true]],
		[true, [false, false, true]],
	] as const) {
		const { path } = lockIn(newDirectory());
		fs.mkdirSync(path);
		const uncheckable = { ...self, instance: "afar", realm: "elsewhere" };
		for (const [index, ageMs] of ages.entries()) {
			const at = (Date.now() - ageMs) / 1_000;
			fs.utimesSync(path, at, at);
			const { tryLock } = lockIn(join(path, ".."), {
				staleMs: 22_000,
				...(isNamed ? { lastIntent: intentBy(uncheckable, path) } : {}),
			});
			const held = await tryLock();
			expect(held !== undefined, `${isNamed} ${ageMs}`).toBe(broken[index]);
			if (held !== undefined) break;
		}
	}
});

test("a lock from the future, left before the clock was set back, is broken after staleMs", async () => {
	const directory = newDirectory();
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	fs.mkdirSync(path);
	const far = Date.now() / 1000 + 10 * 365 * 86_400;
	fs.utimesSync(path, far, far);

	expect(await tryLock()).toBeUndefined();
	clock.pass(staleMs);
	expect((await tryLock())?.isHeld()).toBe(true);
});

test.each([
	[
		"a folder with a file in it, ",
		(path: string): string => {
			fs.mkdirSync(path);
			fs.writeFileSync(join(path, "precious"), "mine");
			return join("precious");
		},
	],
	[
		"a file, as flock(1) makes it, ",
		(path: string): string => {
			fs.writeFileSync(path, "mine");
			return "";
		},
	],
] as const)(
	"%sin the lock's place is moved aside and not deleted",
	async (_, put) => {
		const directory = newDirectory();
		const { path, tryLock } = lockIn(directory);
		const inside = put(path);
		const long = Date.now() / 1000 - 3600;
		fs.utimesSync(path, long, long);

		expect((await tryLock())?.isHeld()).toBe(true);
		const aside = fs
			.readdirSync(directory)
			.find((name) => name.includes(".set-aside-"));
		expect(fs.readFileSync(join(directory, aside ?? "", inside), "utf8")).toBe(
			"mine",
		);
	},
);

test("a link in the lock's place is moved aside, and what it points to stays", async () => {
	const directory = newDirectory();
	const elsewhere = join(newDirectory(), "precious");
	fs.mkdirSync(elsewhere);
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	fs.symlinkSync(elsewhere, path);

	await tryLock();
	clock.pass(staleMs);
	expect((await tryLock())?.isHeld()).toBe(true);
	expect(fs.existsSync(elsewhere)).toBe(true);
});

test("a holder whose lock was taken over learns it, and its release leaves the other lock alone", async () => {
	const directory = newDirectory();
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	const held = await tryLock();
	fs.rmdirSync(path);
	fs.mkdirSync(path);
	clock.pass(lookCountsMs);

	expect(held?.isHeld()).toBe(false);
	await held?.release();
	expect(fs.existsSync(path)).toBe(true);
});

test.each([
	["a suspend, in which the monotonic clock stands still", 0, 3_600_000],
	["a stop while the clock was set back", 3_600_000, 0],
])("a look at the lock does not count after %s", async (_, ms, stepMs) => {
	const clock = newClock();
	const { path, tryLock } = lockIn(newDirectory(), { clock });
	const held = await tryLock();
	fs.rmdirSync(path);
	fs.mkdirSync(path);
	// The look still counts for some milliseconds, during which a breaker waits.
	clock.pass(lookCountsMs - 1);
	expect(held?.isHeld()).toBe(true);
	clock.pass(ms);
	clock.step(stepMs - ms);
	expect(held?.isHeld()).toBe(false);
});

test("a takeover is noticed also where an inode has no birth time and its number is used again", async () => {
	const directory = newDirectory();
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	const lstat = fs.lstatSync;
	vi.spyOn(fs, "lstatSync").mockImplementation(((
		...args: Parameters<typeof lstat>
	) => {
		const found = lstat(...args);
		return found && Object.assign(found, { ino: 7n, birthtimeNs: 0n });
	}) as never);
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	const held = await tryLock();
	expect(held?.isHeld()).toBe(true);
	fs.rmdirSync(path);
	fs.mkdirSync(path);
	clock.pass(lookCountsMs);
	expect(held?.isHeld()).toBe(false);
});

test("a process that was stopped between making the lock and looking at it does not take another's lock for its own", async () => {
	const directory = newDirectory();
	const clock = newClock();
	const { path, tryLock } = lockIn(directory, { clock });
	const mkdir = fs.mkdirSync;
	vi.spyOn(fs, "mkdirSync").mockImplementationOnce(((made: string) => {
		mkdir(made);
		// Meanwhile other processes found it stale and broke it, and one made its own.
		clock.pass(staleMs / 2 + 1);
		fs.rmdirSync(made);
		mkdir(made);
	}) as never);
	onTestFinished(() => {
		vi.restoreAllMocks();
	});

	expect(await tryLock()).toBeUndefined();
	expect(fs.existsSync(path)).toBe(true);
});

test("a lock that could not be removed throws nothing, and is taken again as soon as possible", async () => {
	const directory = newDirectory();
	const { path, tryLock } = lockIn(directory);
	const held = await tryLock();
	vi.spyOn(fs, "rmdirSync").mockImplementationOnce(() => {
		throw Object.assign(new Error("EROFS"), { code: "EROFS" });
	});
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	await held?.release();
	expect(fs.existsSync(path)).toBe(true);

	expect((await tryLock())?.isHeld()).toBe(true);
});

test("a break marker that a killed process left does not block the lock for ever", async () => {
	for (const age of [-3600, 3600]) {
		const directory = newDirectory();
		const { path } = lockIn(directory);
		fs.mkdirSync(path);
		const lastIntent = intentBy(await nameOf("exit", false), path);
		const marker = `${path}.${lastIntent().lock}.break`;
		fs.mkdirSync(marker);
		const then = Date.now() / 1000 + age;
		fs.utimesSync(marker, then, then);
		const { tryLock } = lockIn(directory, { lastIntent });

		expect(await tryLock()).toBeUndefined();
		expect((await tryLock())?.isHeld()).toBe(true);
	}
});

test("a fresh break marker belongs to another process: the lock is not broken meanwhile", async () => {
	const directory = newDirectory();
	const { path } = lockIn(directory);
	fs.mkdirSync(path);
	const lastIntent = intentBy(await nameOf("exit", false), path);
	fs.mkdirSync(`${path}.${lastIntent().lock}.break`);
	const { tryLock } = lockIn(directory, { lastIntent });

	expect(await tryLock()).toBeUndefined();
	expect(await tryLock()).toBeUndefined();
	expect(fs.existsSync(path)).toBe(true);
});

test("a held lock gives heartbeats, so that waiting processes do not break it during a long request", async () => {
	const { path, tryLock } = lockIn(newDirectory(), { staleMs: 2_000 });
	const held = await tryLock();
	const first = fs.lstatSync(path).mtimeMs;
	await eventually(() => fs.lstatSync(path).mtimeMs !== first, {
		what: "a heartbeat",
	});
	expect(held?.isHeld()).toBe(true);
	await held?.release();
	expect(fs.existsSync(path)).toBe(false);
});

test("a heartbeat that fails once is tried again, and the lock is kept", async () => {
	const { path, tryLock } = lockIn(newDirectory(), { staleMs: 2_000 });
	const held = await tryLock();
	const first = fs.lstatSync(path).mtimeMs;
	const touch = vi.spyOn(fs, "utimesSync").mockImplementationOnce(() => {
		throw Object.assign(new Error("EIO"), { code: "EIO" });
	});
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	await eventually(() => fs.lstatSync(path).mtimeMs !== first, {
		what: "a heartbeat after the one that failed",
	});
	expect(touch.mock.calls.length).toBeGreaterThan(1);
	expect(held?.isHeld()).toBe(true);
	await held?.release();
});
