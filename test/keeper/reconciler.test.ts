/** Hundreds of accounts: nearly all are idle and evicted, but each change of their files is noticed. */
import fs from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test, vi } from "vitest";
import { recordPathOf } from "../../src/core/record.ts";
import { atOnce } from "../../src/core/steps.ts";
import { encodeToken } from "../../src/core/token.ts";
import { createHearing } from "../../src/keeper/hearing.ts";
import {
	createLimiter,
	maxRefreshing,
	nextTurn,
} from "../../src/keeper/limiter.ts";
import type { ManagedCredential } from "../../src/keeper/managed-credential.ts";
import { createReconciler } from "../../src/keeper/reconciler.ts";
import { createRoster } from "../../src/keeper/roster.ts";
import { anAccount } from "../support/account.ts";
import { newDirectoryInMemory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";
import { quietHeap } from "../support/quiet-heap.ts";

const lifetimeMs = 7_200_000;
const hourMs = 3_600_000;

/** Accounts with valid tokens on disk, a virtual clock, and an issuer that counts. */
function newScene(
	count: number,
	/** Requests for these accounts are answered never, or after the promise. */
	hangs: (appid: string) => boolean | Promise<void> = () => false,
	/** The directory is one of several machines. */
	{ isShared = false } = {},
) {
	const directory = join(newDirectoryInMemory(), "tokens");
	fs.mkdirSync(directory, 0o750);
	let now = Date.UTC(2026, 0, 5, 2);
	const clock = { now: () => now, monotonic: () => performance.now() };
	const events: LogLine[] = [];
	const log = logTo((line) => events.push(line));
	const bugs: unknown[] = [];
	let fetches = 0;
	let maxActive = 0;
	// So long that no task counts as slow, however busy the machine is.
	const limiter = createLimiter(atATime, 600_000);
	const repairLimiter = createLimiter(atATime, 600_000);
	const onBug = (error: unknown) => bugs.push(error);
	const hearing = createHearing();
	let opened = 0;
	const { manage, store } = keepAsOneProcess({
		directory,
		hearing,
		storeOf: (directoryStore) => ({
			...directoryStore,
			open: (credential, remembered) => {
				opened += 1;
				return directoryStore.open(credential, remembered);
			},
		}),
		http: {
			send: async ({ path }) => {
				const wait = hangs(/appid=(\w+)/.exec(path)?.[1] ?? "");
				await (wait === true ? new Promise(() => {}) : wait);
				fetches += 1;
				maxActive = Math.max(maxActive, active().length);
				const token = `another-${fetches}`;
				const text = `{"access_token":"${token}","expires_in":7200}`;
				return { status: 200, text, serverTime: undefined };
			},
		},
		clock,
		log,
		limiter,
		onBug,
	});
	const accounts = Array.from({ length: count }, (_, index) => {
		const appid = `wx${index}`;
		const account = anAccount({ appid, file: `wx_access_token_${appid}` });
		return manage(account);
	});
	const publish = (path: string, value: string, leftMs = lifetimeMs) => {
		const token = encodeToken({ value, expiresAt: now + leftMs });
		fs.writeFileSync(path, token, { mode: 0o640 });
	};
	const publishAll = () => {
		for (const { path, credential } of accounts)
			publish(path, `valid-${credential.appid}`);
	};
	publishAll();
	const active = () =>
		accounts.filter(({ activeKeeper }) => activeKeeper !== undefined);
	const reconciler = createReconciler({
		roster: atOnce(createRoster(accounts)),
		find: (file) => accounts.find(({ credential }) => credential.file === file),
		watch: (onTouched) => {
			const watch = store.watch(onTouched);
			return isShared ? { ...watch, isShared: () => true } : watch;
		},
		hearing,
		clock,
		limiter,
		repairLimiter,
		heap: quietHeap,
		onBug,
	});
	onTestFinished(() => {
		reconciler.stop();
		if (bugs.length > 0) throw bugs[0];
	});
	return {
		accounts,
		directory,
		publish,
		publishAll,
		reconciler,
		limiter,
		fetches: () => fetches,
		/** How often files were read for a credential that has no keeper. */
		opened: () => opened,
		now: () => now,
		advance: (ms: number) => {
			now += ms;
		},
		active,
		maxActive: () => maxActive,
		happened: (event: string) =>
			events.filter((one) => one.event === event).map(({ appid }) => appid),
	};
}

const many = 600;
const atATime = 48;

test("a keeper that has nothing to do is evicted, and a new one knows its token when it is needed", async () => {
	const { accounts, reconciler, active, happened, fetches } = newScene(many);
	await reconciler.first(0);
	expect(happened("token.adopted")).toHaveLength(many);
	expect(active()).toEqual([]);
	expect(accounts[7]?.keeper.current()?.value).toBe("valid-wx7");
	expect(active()).toHaveLength(1);
	await reconciler.tick();
	expect(active()).toEqual([]);
	// The token was not adopted a second time.
	expect(happened("token.adopted")).toHaveLength(many);
	expect(fetches()).toBe(0);
});

test("what an evicted keeper used of the budget counts, also after its record was deleted", async () => {
	const { accounts, reconciler, fetches, advance } = newScene(many);
	await reconciler.first(0);
	const one = accounts[7] as ManagedCredential;
	for (let count = 0; count < 100; count += 1) {
		advance(60_000 / 10);
		await one.keeper.force();
		fs.rmSync(recordPathOf(one.path), { force: true });
		await nextTurn();
		await reconciler.tick();
	}
	const { budget } = one.credential.limits;
	expect(fetches()).toBe(budget - Math.floor(budget / 12));
});

test("the status of what is at rest is told without its files, until one of them changes", async () => {
	const { accounts, reconciler, opened, active, now } = newScene(many);
	const states = () => {
		const before = opened();
		const all = accounts.map((one) => one.facts(now()).state);
		return {
			valid: all.filter((state) => state === "valid").length,
			read: opened() - before,
		};
	};
	await reconciler.first(0);
	expect(states()).toEqual({ valid: many, read: 0 });
	const [one, two] = accounts;
	fs.writeFileSync(one?.path ?? "", "x");
	fs.appendFileSync(recordPathOf(two?.path ?? ""), "\n");
	await nextTurn();
	expect(states()).toEqual({ valid: many - 1, read: 2 });
	await eventually(
		async () => {
			await reconciler.tick();
			return active().length === 0;
		},
		{ what: "the repair" },
	);
	reconciler.stop();
	expect(states()).toEqual({ valid: many, read: many });
});

test("on a file system of several machines each question reads the files", async () => {
	const { accounts, reconciler, opened, now } = newScene(many, undefined, {
		isShared: true,
	});
	await reconciler.first(0);
	const before = opened();
	for (const one of accounts) expect(one.facts(now()).valid).toBe(true);
	expect(opened() - before).toBe(many);
});

const isRoot = process.getuid?.() === 0;

test.for<[string, (path: string) => void]>([
	["deleted", (path) => fs.rmSync(path)],
	["emptied", (path) => fs.truncateSync(path)],
	["altered in place", (path) => fs.writeFileSync(path, "x")],
	["opened to all", (path) => fs.chmodSync(path, 0o666)],
	["given to another group", (path) => fs.chownSync(path, -1, 4_000)],
	[
		"replaced",
		(path) => {
			fs.writeFileSync(`${path}.x`, "{}");
			fs.renameSync(`${path}.x`, path);
		},
	],
])(
	"the file of an evicted keeper is repaired in the next tick after it was %s",
	async ([what, harm], { skip }) => {
		skip(/group/.test(what) && !isRoot, "needs root");
		const { accounts, reconciler, happened, fetches } = newScene(many);
		await reconciler.first(0);
		const one = accounts[many - 1] as ManagedCredential;
		harm(one.path);
		await eventually(() => one.isDirty, { what: "the kernel's message" });
		await reconciler.tick();
		await eventually(() => happened("file.repaired").length === 1, {
			what: "the repair",
		});
		expect(happened("file.repaired")).toEqual([one.credential.appid]);
		expect(fs.readFileSync(one.path, "utf8")).toContain('"valid-wx599"');
		expect(fetches()).toBe(0);
	},
);

test("the intent of another process, whose answer was lost, is noticed although the keeper was evicted", async () => {
	const { accounts, reconciler, happened } = newScene(many);
	await reconciler.first(0);
	const one = accounts[3] as ManagedCredential;
	expect(one.keeper.current()?.value).toBe("valid-wx3");
	const known = one.keeper.idle()?.known;
	await reconciler.tick();
	fs.writeFileSync(
		recordPathOf(one.path),
		JSON.stringify({
			...{ generation: known?.generation, calls: [], forceCalls: [] },
			diedEarly: [],
			inFlight: {
				replaces: known?.id,
				at: 1,
				by: { instance: "gone", pid: 1, startTicks: "1", realm: "" },
				lock: "",
			},
		}),
	);
	await eventually(() => one.isDirty, { what: "the kernel's message" });
	await reconciler.tick();
	await eventually(() => happened("token.refreshed").includes("wx3"), {
		what: "a new token",
	});
	expect(happened("token.refreshed")).toEqual(["wx3"]);
});

test("all tokens are renewed when they are due, and when the clock was set back", async () => {
	const scene = newScene(many);
	const { accounts, reconciler, advance, active, happened, fetches } = scene;
	await reconciler.first(0);
	advance(hourMs);
	await reconciler.tick();
	expect(fetches()).toBe(0);
	advance(0.34 * hourMs);
	await reconciler.tick();
	await eventually(() => happened("token.refreshed").length === many, {
		what: "all renewals",
	});
	await reconciler.tick();
	advance(-10 * hourMs);
	await reconciler.tick();
	await eventually(() => happened("token.refreshed").length === 2 * many, {
		what: "new tokens in place of those from the future",
	});
	expect(fetches()).toBe(2 * many);
	// During the burst inotify was off. Now it is on again.
	await reconciler.tick();
	await reconciler.tick();
	expect(active()).toEqual([]);
	const one = accounts[9] as ManagedCredential;
	fs.rmSync(one.path);
	await eventually(() => one.isDirty, { what: "the kernel's message" });
});

test("a credential in the queue has no keeper before its turn, stands there once, and is refreshed at once by a request of its own", async () => {
	const scene = newScene(many);
	const { accounts, reconciler, advance, happened, fetches, limiter } = scene;
	await reconciler.first(0);
	advance(1.34 * hourMs);
	await reconciler.tick();
	const queued = limiter.load();
	expect(queued).toBeGreaterThan(many / 2);
	await reconciler.tick();
	expect(limiter.load()).toBeLessThanOrEqual(queued);
	const last = accounts[many - 1] as ManagedCredential;
	const answer = await last.keeper.force();
	expect(answer.outcome).toBe("refreshed");
	// It was the last one in the queue, of which there is more left than has its turn.
	expect(limiter.load()).toBeGreaterThan(atATime);
	await eventually(() => limiter.load() === 0, {
		what: "the end of the queue",
	});
	expect(fetches()).toBe(many);
	expect(new Set(happened("token.refreshed")).size).toBe(many);
	// Those that end, those that begin, and the one that was asked by itself.
	expect(scene.maxActive()).toBeLessThanOrEqual(2 * atATime + 1);
});

test("two signals in a row enqueue each account once", async () => {
	const { reconciler, fetches, limiter, active, maxActive, now } =
		newScene(many);
	await reconciler.first(0);
	expect(active()).toEqual([]);
	const answers = Promise.all([
		reconciler.forceAll(now()),
		reconciler.forceAll(now()),
	]);
	expect(limiter.load()).toBe(many);
	expect(active()).toEqual([]);
	for (const answer of (await answers).flat())
		expect(answer.outcome).toBe("refreshed");
	expect(fetches()).toBe(many);
	// While so many are queued, each keeper is evicted as soon as it is done.
	expect(maxActive()).toBeLessThan(many);
});

test("while hundreds are queued, a file that is deleted, emptied or replaced is restored in the next tick", async () => {
	const { accounts, reconciler, advance, limiter, fetches } = newScene(many);
	await reconciler.first(0);
	let go = () => {};
	const gone = new Promise<void>((resolve) => {
		go = resolve;
	});
	const queued = Array.from({ length: 400 }, () => limiter.pass(() => gone));
	await reconciler.tick();
	advance(1_000);
	const [one, two, three] = accounts.slice(5) as [
		ManagedCredential,
		ManagedCredential,
		ManagedCredential,
	];
	const before = fs.readFileSync(one.path, "utf8");
	fs.rmSync(one.path);
	fs.truncateSync(two.path);
	fs.copyFileSync(three.path, `${three.path}.x`);
	fs.renameSync(`${three.path}.x`, three.path);
	await reconciler.tick();
	await eventually(
		() => fs.existsSync(one.path) && fs.statSync(two.path).size > 0,
		{ what: "both files" },
	);
	expect(fs.readFileSync(one.path, "utf8")).toBe(before);
	expect(limiter.load()).toBeGreaterThan(256);
	expect(fetches()).toBe(0);
	go();
	await Promise.all(queued);
});

test("the first scan ends when all that it began is done, and does not wait for what a tick begins", async () => {
	const hangs = (appid: string) => Number(appid.slice(2)) === 1;
	const { accounts, reconciler, advance, fetches } = newScene(3, hangs);
	fs.rmSync(accounts[0]?.path ?? "");
	const first = reconciler.first(0);
	advance(lifetimeMs);
	await reconciler.tick();
	await first;
	expect(fetches()).toBeGreaterThan(0);
	// It hangs for ever, and on a busy machine begins only now.
	await eventually(() => accounts[1]?.activeKeeper?.isBusy(), {
		what: "the attempt that the tick began",
	});
});

test("the first scan waits for every account, also if a tick comes while it yields", async () => {
	let answer = () => {};
	const answered = new Promise<void>((resolve) => {
		answer = resolve;
	});
	const { accounts, reconciler, fetches } = newScene(
		40,
		(appid) => appid !== "wx0" && answered,
	);
	for (const { path } of accounts) fs.rmSync(path);
	// The first account takes so long that the scan yields, as on a busy machine.
	let now = 0;
	const slow = vi.spyOn(performance, "now").mockImplementation(() => {
		now += 20;
		return now;
	});
	let isOver = false;
	const first = reconciler.first(0).then(() => {
		isOver = true;
	});
	slow.mockRestore();
	const tick = reconciler.tick();
	const [one] = accounts;
	await eventually(() => fetches() === 1 && one?.isQueued === false, {
		what: "the end of the only account that gets an answer",
	});
	expect(isOver).toBe(false);
	answer();
	await Promise.all([first, tick]);
	expect(accounts.filter(({ path }) => !fs.existsSync(path))).toEqual([]);
	expect(fetches()).toBe(40);
});

test("signals in a row enqueue an account that waits for its answer only once", async () => {
	// More than that go each in its turn.
	const [count, hanging] = [maxRefreshing + 12, 10];
	const hangs = (appid: string) => Number(appid.slice(2)) < hanging;
	const { reconciler, accounts, advance, fetches, limiter, now } = newScene(
		count,
		hangs,
	);
	const busy = () =>
		accounts.filter(({ activeKeeper }) => activeKeeper?.isBusy()).length;
	await reconciler.first(0);
	let turns = 0;
	const { enqueue } = limiter;
	Object.assign(limiter, {
		enqueue: (task: () => Promise<void>) => {
			turns += 1;
			enqueue(task);
		},
	});
	for (let signal = 1; signal <= 5; signal += 1) {
		advance(11_000);
		void reconciler.forceAll(now());
		const wanted = signal * (count - hanging);
		await eventually(() => fetches() === wanted && busy() === hanging, {
			what: "the others",
		});
	}
	expect(turns).toBe(count + 4 * (count - hanging));
});

test("a thousand signals while WeChat is silent hold no answer of each account for each of them", async () => {
	const count = 200;
	const { reconciler, advance, now } = newScene(count, () => true);
	await reconciler.first(0);
	setFlagsFromString("--expose-gc");
	const collectGarbage: () => void = runInNewContext("gc");
	const signal = async () => {
		advance(11_000);
		void reconciler.forceAll(now());
		await nextTurn();
	};
	const heap = () => {
		collectGarbage();
		return process.memoryUsage().heapUsed;
	};
	for (let signals = 0; signals < 20; signals += 1) await signal();
	const before = heap();
	for (let signals = 0; signals < 1_000; signals += 1) await signal();
	// Bytes per account and signal: an entry that stands for an answer takes more.
	expect((heap() - before) / (1_000 * count)).toBeLessThan(8);
});

test.each([2, many])(
	"with %i accounts a signal counts from when it was heard, not from when its turn comes",
	async (count) => {
		const { accounts, reconciler, now } = newScene(count);
		await reconciler.first(0);
		const forces = accounts.map(({ keeper }) => vi.spyOn(keeper, "force"));
		const heardAt = now() - 1_500;
		await reconciler.forceAll(heardAt);
		for (const force of forces) expect(force.mock.calls).toEqual([[heardAt]]);
	},
);

test("an account that was settled, by a reload or at the end, refreshes nothing when its turn comes", async () => {
	const { accounts, reconciler, fetches, now } = newScene(many);
	await reconciler.first(0);
	const answers = reconciler.forceAll(now());
	for (const one of accounts) void one.settle();
	for (const answer of await answers)
		expect(answer).toMatchObject({
			outcome: "failed",
			error: { code: "stopping" },
		});
	expect(fetches()).toBe(0);
});

test("a stopped reconciler begins nothing any more", async () => {
	const { reconciler, advance, fetches, limiter } = newScene(many);
	await reconciler.first(0);
	advance(1.34 * hourMs);
	await reconciler.tick();
	reconciler.stop();
	const begun = fetches();
	expect(begun).toBeLessThan(many / 2);
	await eventually(() => limiter.load() === 0, {
		what: "the end of the queue",
	});
	expect(fetches()).toBeLessThanOrEqual(begun + atATime);
});

test("a directory that was removed, or replaced by another one, is noticed in the next tick", async () => {
	const { directory, reconciler, happened, publishAll } = newScene(many);
	await reconciler.first(0);
	fs.rmSync(directory, { recursive: true });
	await reconciler.tick();
	await eventually(() => happened("file.repaired").length === many, {
		what: "all files in a new directory",
	});
	await reconciler.tick();
	fs.renameSync(directory, `${directory}.old`);
	fs.mkdirSync(directory, 0o750);
	publishAll();
	fs.rmSync(join(directory, "wx_access_token_wx5"));
	await reconciler.tick();
	await eventually(
		() => fs.existsSync(join(directory, "wx_access_token_wx5")),
		{ what: "the file that was missing in the other directory" },
	);
});

test("a change that inotify did not report is found, as each file is checked in its turn", async () => {
	const { accounts, reconciler, happened } = newScene(many);
	await reconciler.first(0);
	const one = accounts[11] as ManagedCredential;
	fs.rmSync(one.path);
	await eventually(() => one.isDirty, { what: "the kernel's message" });
	// As if the message had been lost.
	one.isDirty = false;
	for (let ticks = 0; ticks < 256; ticks += 1) await reconciler.tick();
	await eventually(() => happened("file.repaired").includes("wx11"), {
		what: "the repair",
	});
});

test("a few accounts are all checked in each tick, and no keeper is evicted", async () => {
	const { accounts, reconciler, happened, active } = newScene(3);
	await reconciler.first(0);
	expect(active()).toHaveLength(3);
	const one = accounts[1] as ManagedCredential;
	fs.rmSync(one.path);
	await reconciler.tick();
	await eventually(() => happened("file.repaired").includes("wx1"), {
		what: "the repair",
	});
});
