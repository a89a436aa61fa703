/**
 * Credentials that need each other, with real keepers on a real directory: a child is
 * fetched only with a living value of each of its parents.
 */
import fs from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { atOnce } from "../../src/core/steps.ts";
import { tokenId } from "../../src/core/token.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { createLimiter, nextTurn } from "../../src/keeper/limiter.ts";
import type { ManagedCredential } from "../../src/keeper/managed-credential.ts";
import {
	createReconciler,
	livingParents,
} from "../../src/keeper/reconciler.ts";
import { createRoster, parentsFirst } from "../../src/keeper/roster.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";
import { quietHeap } from "../support/quiet-heap.ts";
import { readTokenFile } from "../support/token-file.ts";

const hourMs = 3_600_000;

/** `needs`: the parents of each name. WeChat answers with a new token of that name. */
function newScene(needs: Readonly<Record<string, readonly string[]>>) {
	let now = Date.UTC(2026, 0, 5, 2);
	const clock = { now: () => now, monotonic: () => now };
	const events: LogLine[] = [];
	/** Names, in the order of the requests. */
	const asked: string[] = [];
	const bugs: unknown[] = [];
	const onBug = (error: unknown) => bugs.push(error);
	const limiter = createLimiter(48, 600_000);
	const down = new Set<string>();
	/** WeChat answers for these names once that has resolved. */
	const answered = new Map<string, Promise<void>>();
	let onRefreshed = (_id: string) => {};
	const wakes: number[] = [];
	const byId = new Map<string, ManagedCredential>();
	const { manage, store } = keepAsOneProcess({
		directory: newDirectory(),
		clock,
		limiter,
		onBug,
		log: logTo((line) => events.push(line)),
		wakeAt: (at) => wakes.push(at),
		http: {
			send: async ({ path }) => {
				const name = /appid=([\w-]+)/.exec(path)?.[1] ?? "";
				asked.push(name);
				const gate = answered.get(name);
				if (gate !== undefined) await gate;
				const text = down.has(name)
					? '{"errcode":-1,"errmsg":"system error"}'
					: `{"access_token":"${name}-${asked.length}","expires_in":7200}`;
				return { status: 200, text, serverTime: undefined };
			},
		},
		credentialOf: (account) => ({
			...credentialOf(account),
			id: account.appid,
			needs: needs[account.appid] ?? [],
		}),
		parentsOf: (credential) =>
			livingParents(credential.needs, (id) => byId.get(id), clock.now()),
		emit: ({ id }, { kind }) => {
			if (kind !== "refreshed") return;
			reconciler.published(id);
			onRefreshed(id);
		},
	});
	const credentials = Object.keys(needs).map((appid) => {
		const account = anAccount({ appid, file: `token-${appid}` });
		const one = manage(account);
		byId.set(appid, one);
		return one;
	});
	const reconciler = createReconciler({
		roster: atOnce(createRoster(credentials)),
		find: (file) =>
			credentials.find(({ credential }) => credential.file === file),
		watch: store.watch,
		clock,
		limiter,
		repairLimiter: createLimiter(48, 600_000),
		heap: quietHeap,
		onBug,
	});
	onTestFinished(() => {
		reconciler.stop();
		if (bugs.length > 0) throw bugs[0];
	});
	const the = (name: string) => byId.get(name) as ManagedCredential;
	return {
		credentials,
		reconciler,
		the,
		asked,
		down,
		answered,
		onRefreshed: (listener: (id: string) => void) => {
			onRefreshed = listener;
		},
		wakes,
		events,
		value: (name: string) => readTokenFile(the(name).path).value,
		now: () => now,
		advance: (ms: number) => {
			now += ms;
		},
		/** A tick, and all that it begins. */
		tick: async () => {
			await reconciler.tick();
			while (credentials.some(({ isQueued }) => isQueued))
				await new Promise(setImmediate);
		},
	};
}

const namesOf = (credentials: readonly ManagedCredential[]) =>
	credentials.map(({ credential }) => credential.id);

test.each<
	[
		what: string,
		needs: Readonly<Record<string, readonly string[]>>,
		order: readonly string[],
	]
>([
	[
		"without parents the order stays, and the list is the same",
		{ a: [], b: [] },
		["a", "b"],
	],
	["a child that is named first comes second", { c: ["p"], p: [] }, ["p", "c"]],
	[
		"three generations",
		{ c: ["p"], p: ["g"], x: [], g: [] },
		["g", "p", "c", "x"],
	],
	[
		"one parent of two children, each credential once",
		{ c: ["p"], d: ["p"], p: [] },
		["p", "c", "d"],
	],
	[
		"both parents of one child",
		{ c: ["p", "q"], q: [], p: [] },
		["p", "q", "c"],
	],
	[
		"two ways to the same grandparent",
		{ c: ["p", "q"], p: ["g"], q: ["g"], g: [] },
		["g", "p", "q", "c"],
	],
	[
		"a parent that is kept elsewhere takes no place",
		{ c: ["elsewhere"] },
		["c"],
	],
])("parentsFirst: %s", (_what, needs, order) => {
	const { credentials } = newScene(needs);
	expect(namesOf(atOnce(parentsFirst(credentials)))).toEqual(order);
});

test.each([
	[{ a: ["a"] }],
	[{ a: ["b"], b: ["a"] }],
	[{ a: ["b"], b: ["c"], c: ["a"] }],
])(
	"parentsFirst: credentials that need each other are an error: %j",
	(needs) => {
		expect(() => newScene(needs)).toThrow("credentials need each other");
	},
);

test("livingParents: the values of all parents, or nothing if one of them has none", async () => {
	const { the, down, asked, now } = newScene({
		p: [],
		q: [],
		c: ["p", "q"],
	});
	const living = (...needs: readonly string[]) =>
		livingParents(needs, the, now());
	expect(living()).toEqual(new Map());
	expect(living("p")).toBeUndefined();
	await the("p").keeper.reconcile();
	expect(living("p")).toEqual(new Map([["p", "p-1"]]));
	expect(living("p", "q")).toBeUndefined();
	expect(
		livingParents(
			["p", "x"],
			(id) => (id === "p" ? the(id) : undefined),
			now(),
		),
	).toBeUndefined();
	await the("q").keeper.reconcile();
	expect(living("p", "q")).toEqual(
		new Map([
			["p", "p-1"],
			["q", "q-2"],
		]),
	);
	expect(asked).toEqual(["p", "q"]);
	expect(down.size).toBe(0);
});

test("livingParents: a value that has ended is none", async () => {
	const { the, advance, now } = newScene({ p: [] });
	await the("p").keeper.reconcile();
	advance(2 * hourMs - 1);
	expect(livingParents(["p"], the, now())?.get("p")).toBe("p-1");
	advance(1);
	expect(livingParents(["p"], the, now())).toBeUndefined();
});

test("a publication of the parent makes its children dirty, and the next tick fetches them", async () => {
	const scene = newScene({
		...{ child: ["parent"], second: ["parent"] },
		...{ other: [], parent: [] },
	});
	const { the, tick, asked, down, advance } = scene;
	down.add("parent");
	await tick();
	expect(asked).toEqual(["parent", "other"]);
	await tick();
	expect(asked).toHaveLength(2);

	down.clear();
	advance(60_000);
	const dirty = () =>
		namesOf(scene.credentials.filter(({ isDirty }) => isDirty));
	expect(dirty()).toEqual([]);
	await the("parent").keeper.reconcile();
	expect(dirty()).toEqual(["child", "second"]);
	await tick();
	expect(asked.slice(2)).toEqual(["parent", "child", "second"]);
	expect(scene.value("child")).toBe("child-4");
	expect(dirty()).toEqual([]);
	await tick();
	expect(asked).toHaveLength(5);
});

test("a parent that is missing costs its children no attempt, no call and no backoff", async () => {
	const { the, tick, asked, down, advance, events } = newScene({
		parent: [],
		child: ["parent"],
	});
	down.add("parent");
	for (let ticks = 0; ticks < 20; ticks += 1) {
		await tick();
		advance(5_000);
	}
	expect(new Set(asked)).toEqual(new Set(["parent"]));
	const { pause, calls, inFlight } = the("child").keeper.record();
	expect([pause, calls, inFlight]).toEqual([undefined, [], undefined]);
	expect(events.filter(({ appid }) => appid === "child")).toEqual([]);
	expect(fs.existsSync(the("child").path)).toBe(false);
});

test("while the parent is missing the child's file is repaired all the same", async () => {
	const { now, the, tick, asked, down, advance, value } = newScene({
		parent: [],
		child: ["parent"],
	});
	await tick();
	await tick();
	expect(asked).toEqual(["parent", "child"]);
	down.add("parent");
	advance(1.5 * hourMs);
	await the("child").keeper.force();
	advance(0.5 * hourMs - 1_000);
	fs.rmSync(the("parent").path);
	// The parent has ended by its own clock, a moment before its child.
	await tick();
	expect(asked.filter((name) => name === "child")).toHaveLength(2);
	const kept = value("child");
	advance(2_000);
	fs.rmSync(the("child").path);
	await tick();
	expect(livingParents(["parent"], the, now())).toBeUndefined();
	expect(value("child")).toBe(kept);
	expect(asked.filter((name) => name === "child")).toHaveLength(2);
});

test.each([
	["a signal", (one: ManagedCredential) => one.keeper.force()],
	["a report", (one: ManagedCredential) => one.keeper.report("child-0")],
	["a check", (one: ManagedCredential) => one.keeper.verify()],
])(
	"%s on a child whose parent is missing is answered at once, with the code `parent`, and is served once the parent lives",
	async (_what, ask) => {
		const { the, tick, asked, wakes } = newScene({
			parent: [],
			child: ["parent"],
		});
		const answer = await ask(the("child"));
		expect(answer).toMatchObject({
			outcome: "failed",
			error: {
				code: "parent",
				message:
					"could not refresh token-child: it waits for parent, which has no living value",
			},
		});
		expect([asked, wakes]).toEqual([[], []]);

		await tick();
		await tick();
		expect(asked).toEqual(["parent", "child"]);
		expect(the("child").keeper.idle()?.known.id).toBe(tokenId("child-2"));
	},
);

test("a signal within the cooldown is answered at once, too, if the parent is missing", async () => {
	const { the, tick, advance, down } = newScene({
		parent: [],
		child: ["parent"],
	});
	await tick();
	await tick();
	down.add("parent");
	advance(2 * hourMs - 5_000);
	expect(await the("child").keeper.force()).toMatchObject({
		outcome: "refreshed",
	});
	advance(5_000);
	expect(await the("child").keeper.force()).toMatchObject({
		outcome: "failed",
		error: { code: "parent" },
	});
});

test("the first look waits for a child that a tick was faster to take", async () => {
	const { reconciler, answered, onRefreshed, asked, value } = newScene({
		p: [],
		c: ["p"],
	});
	let answer = () => {};
	answered.set(
		"c",
		new Promise((resolve) => {
			answer = resolve;
		}),
	);
	// As the daemon does when a parent is published.
	onRefreshed((id) => {
		if (id === "p") void reconciler.tick();
	});
	let isOver = false;
	const first = reconciler.first(0).then(() => {
		isOver = true;
	});
	await eventually(() => asked.includes("c"), { what: "the request of c" });
	await nextTurn();
	expect(isOver).toBe(false);
	answer();
	await first;
	expect(value("c")).toBe("c-2");
});
