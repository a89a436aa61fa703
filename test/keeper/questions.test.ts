/** The questions of a keeper have no effects, whatever it would do if it acted. */
import fs from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { KeeperEvent } from "../../src/core/ports.ts";
import type { ManagedCredential } from "../../src/keeper/managed-credential.ts";
import { insteadOf, systemError } from "../faults/spy.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";

const hourMs = 3_600_000;
const account = anAccount({ appid: "wx1", file: "token" });

/** Daemons on one directory, and all that a question could change. */
function newScene() {
	const directory = newDirectory();
	let now = Date.now();
	const clock = { now: () => now, monotonic: () => performance.now() };
	const happened: string[] = [];
	let mode: "gives" | "refuses" | "hangs" = "gives";
	let letGo = () => {};
	const start = () =>
		keepAsOneProcess({
			directory,
			clock,
			log: logTo(({ event }) => happened.push(`log ${event}`)),
			emit: (_credential, { kind }: KeeperEvent) =>
				happened.push(`event ${kind}`),
			wakeAt: (at) => happened.push(`wake at ${at}`),
			onBug: (error) => happened.push(`bug ${error}`),
			http: {
				send: async ({ path }) => {
					happened.push(`call ${path}`);
					if (mode === "hangs")
						await new Promise<void>((go) => {
							letGo = go;
						});
					const text =
						mode === "refuses"
							? '{"errcode":40125,"errmsg":"invalid appsecret"}'
							: `{"access_token":"token-${happened.length}","expires_in":7200}`;
					return { status: 200, text, serverTime: undefined };
				},
			},
		}).manage(account);
	const files = () =>
		fs
			.readdirSync(directory)
			.sort()
			.map((name) => {
				const path = join(directory, name);
				const found = fs.lstatSync(path, { bigint: true });
				const { ino, size, mode: bits, mtimeNs, ctimeNs } = found;
				const text = found.isFile() ? fs.readFileSync(path, "utf8") : "";
				return `${name} ${ino} ${size} ${bits} ${mtimeNs} ${ctimeNs} ${text}`;
			});
	onTestFinished(() => letGo());
	return {
		start,
		happened,
		files,
		path: join(directory, account.file),
		now: () => now,
		advance: (ms: number) => {
			now += ms;
		},
		/** What WeChat does from now on. */
		platform: (next: typeof mode) => {
			mode = next;
		},
		letGo: () => letGo(),
	};
}

type Scene = ReturnType<typeof newScene>;

/** All questions that there are, in this order. */
function answersOf(one: ManagedCredential, now: number) {
	const { keeper } = one;
	return {
		needs: keeper.needs(),
		current: keeper.current(),
		record: keeper.record(),
		known: keeper.known(),
		idle: keeper.idle(),
		isBusy: keeper.isBusy(),
		status: one.facts(now),
		glimpse: one.glimpse(now),
	};
}

type Answers = ReturnType<typeof answersOf>;

const situations: readonly (readonly [
	name: string,
	prepare: (scene: Scene) => ManagedCredential | Promise<ManagedCredential>,
	expected: (answers: Answers) => void,
])[] = [
	[
		"nothing is known, and nothing is on disk",
		({ start }) => start(),
		({ needs, current, known, status }) => {
			expect(needs).toMatchObject({ fetch: true, adopt: false });
			expect([current, known]).toEqual([undefined, undefined]);
			expect(status.state).toBe("missing");
		},
	],
	[
		"a token lies on disk that the keeper does not know",
		async ({ start }) => {
			await start().keeper.reconcile();
			return start();
		},
		({ needs, current, known }) => {
			expect(needs).toEqual({
				...{ adopt: true, publish: false, more: false, fetch: false },
			});
			expect(current).toBeDefined();
			expect(known).toBeUndefined();
		},
	],
	[
		"there is nothing to do",
		async ({ start }) => {
			const one = start();
			await one.keeper.reconcile();
			return one;
		},
		({ needs, idle, status }) => {
			expect(needs).toBeUndefined();
			expect(idle).toBeDefined();
			expect(status.state).toBe("valid");
		},
	],
	[
		"the token has ended, and its end was not told yet",
		async ({ start, advance }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(3 * hourMs);
			return one;
		},
		({ needs, current, status }) => {
			expect(needs).toMatchObject({ fetch: true });
			expect(current).toBeUndefined();
			expect(status.state).toBe("expired");
		},
	],
	[
		"the file is gone",
		async ({ start, path }) => {
			const one = start();
			await one.keeper.reconcile();
			fs.rmSync(path);
			return one;
		},
		({ needs, current }) => {
			expect(needs).toMatchObject({ publish: true, fetch: false });
			expect(current).toBeDefined();
		},
	],
	[
		"somebody wrote another token into the file",
		async ({ start, path }) => {
			const one = start();
			await one.keeper.reconcile();
			fs.writeFileSync(path, '{"value":"forged","expire":2000000000}\n');
			return one;
		},
		({ needs, status }) => {
			expect(needs).toMatchObject({ publish: true, fetch: false });
			expect(status.state).toBe("unusable");
		},
	],
	[
		"the disk fails, and only this keeper knows of the pause",
		async ({ start, advance }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(1.4 * hourMs);
			insteadOf("mkdirSync", () => {
				throw systemError("EROFS");
			});
			await one.keeper.reconcile();
			return one;
		},
		({ record, idle }) => {
			expect(record.pause?.failure).toMatchObject({
				kind: "io",
				code: "EROFS",
			});
			expect(idle).toBeUndefined();
		},
	],
	[
		"the disk is well again, and nothing was told of it yet",
		async ({ start, path }) => {
			const one = start();
			await one.keeper.reconcile();
			const text = fs.readFileSync(path, "utf8");
			fs.rmSync(path);
			let fails = true;
			const { mkdirSync } = fs;
			insteadOf("mkdirSync", (...args) => {
				if (fails) throw systemError("EROFS");
				mkdirSync(...args);
			});
			await one.keeper.reconcile();
			fails = false;
			fs.writeFileSync(path, text, { mode: 0o640 });
			return one;
		},
		({ needs, record }) => {
			expect(needs).toMatchObject({ adopt: true, publish: false });
			expect(record.pause?.failure).toMatchObject({ kind: "io" });
		},
	],
	[
		"WeChat refuses, and there is a pause",
		async ({ start, advance, platform }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(1.4 * hourMs);
			platform("refuses");
			await one.keeper.reconcile();
			return one;
		},
		({ needs, status }) => {
			expect(needs).toMatchObject({ more: true, fetch: false });
			expect(status.state).toBe("failing");
		},
	],
	[
		"a request waits for its cooldown",
		async ({ start, advance }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(1_000);
			await one.keeper.force();
			advance(1_000);
			void one.keeper.force();
			await one.keeper.whenIdle();
			return one;
		},
		({ needs, idle, isBusy }) => {
			expect(needs).toMatchObject({ more: true, fetch: false });
			expect([idle, isBusy]).toEqual([undefined, false]);
		},
	],
	[
		"another process has satisfied the request that is pending",
		async ({ start, advance, platform }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(1_000);
			platform("refuses");
			await one.keeper.force();
			platform("gives");
			advance(11_000);
			const other = start();
			await other.keeper.force();
			await other.keeper.whenIdle();
			return one;
		},
		({ needs }) => {
			expect(needs).toMatchObject({ adopt: true, more: true, fetch: false });
		},
	],
	[
		"an attempt is under way",
		async ({ start, advance, platform, happened }) => {
			const one = start();
			await one.keeper.reconcile();
			advance(1.4 * hourMs);
			platform("hangs");
			const calls = happened.length;
			void one.keeper.reconcile();
			while (!happened.slice(calls).some((what) => what.startsWith("call")))
				await new Promise(setImmediate);
			return one;
		},
		({ needs, isBusy, record, current }) => {
			expect([needs, isBusy]).toEqual([undefined, true]);
			expect(record.inFlight).toBeDefined();
			expect(current).toBeDefined();
		},
	],
];

test.each(situations)(
	"questions change nothing while %s",
	async (_name, prepare, expected) => {
		const scene = newScene();
		const one = await prepare(scene);
		const before = scene.files();
		const count = scene.happened.length;

		const first = answersOf(one, scene.now());
		expected(first);
		const { status, glimpse } = first;
		expect(glimpse.failure?.code).toBe(status.lastError?.code);
		expect(glimpse.expiresAt > scene.now()).toBe(status.valid);
		expect(answersOf(one, scene.now())).toEqual(first);
		// What a question begins would show after a turn of the event loop.
		await new Promise(setImmediate);
		expect(answersOf(one, scene.now())).toEqual(first);

		expect(scene.files()).toEqual(before);
		expect(scene.happened.slice(count)).toEqual([]);
	},
);

test("a question for the status makes no keeper for a credential that is idle", async () => {
	const scene = newScene();
	const one = scene.start();
	await one.keeper.reconcile();
	one.evict();
	expect(one.activeKeeper).toBeUndefined();
	const idleUntil = one.idleUntil;
	expect(one.facts(scene.now()).state).toBe("valid");
	expect(one.activeKeeper).toBeUndefined();
	expect(one.idleUntil).toBe(idleUntil);
});
