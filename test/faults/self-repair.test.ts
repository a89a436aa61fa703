/**
 * After any damage to the files they are restored within a tick, without a call to
 * WeChat. Files that are not ours are not written, followed or lost.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { decodeRecord, recordPathOf } from "../../src/core/record.ts";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { newDirectory, removeInUse } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { startDaemon, startProgram } from "../support/program.ts";
import { readTokenFile } from "../support/token-file.ts";
import { startHeldIssuer } from "./held-issuer.ts";
import { inParallel } from "./in-parallel.ts";
import { newScene } from "./keepers.ts";

const isRoot = process.getuid?.() === 0;

interface Harm {
	readonly what: string;
	/** Returns a further check for the end, besides the one of the token. */
	readonly act: (tokenFile: string) => (() => void) | undefined;
	readonly needsRoot?: boolean;
}

const harms: readonly Harm[] = [
	harm("deleted", (path) => fs.rmSync(path)),
	harm("emptied", (path) => fs.truncateSync(path)),
	harm("cut in half", (path) => fs.truncateSync(path, 60)),
	harm("garbled", (path) => fs.writeFileSync(path, "\u0000\u0001")),
	harm("altered in one letter", (path) =>
		fs.writeFileSync(path, alter(path, "value", "x")),
	),
	harm("given another end", (path) =>
		fs.writeFileSync(path, alter(path, "expire", 1)),
	),
	harm("replaced by an older token", (path) => {
		fs.writeFileSync(`${path}.x`, alter(path, "value", "older"));
		fs.renameSync(`${path}.x`, path);
	}),
	harm("opened to all", (path) => fs.chmodSync(path, 0o666)),
	harm("closed to all", (path) => fs.chmodSync(path, 0)),
	{
		...harm("given to another user", (path) => fs.chownSync(path, 4_000, -1)),
		needsRoot: true,
	},
	{
		...harm("given to another group", (path) => fs.chownSync(path, -1, 4_000)),
		needsRoot: true,
	},
	{
		what: "replaced by a link to a foreign file",
		act: (path) => {
			const target = precious(join(path, "..", "..", "precious"));
			fs.rmSync(path);
			fs.symlinkSync(target.path, path);
			return target.isUntouched;
		},
	},
	{
		what: "replaced by a hard link to a foreign file",
		act: (path) => {
			const target = precious(join(path, "..", "..", "precious-too"));
			fs.rmSync(path);
			fs.linkSync(target.path, path);
			return target.isUntouched;
		},
	},
	harm("replaced by a link to nothing", (path) => {
		fs.rmSync(path);
		fs.symlinkSync("/nowhere/at/all", path);
	}),
	harm("replaced by a link to itself", (path) => {
		fs.rmSync(path);
		fs.symlinkSync(path, path);
	}),
	{
		what: "replaced by a folder",
		act: (path) => {
			fs.rmSync(path);
			fs.mkdirSync(path);
			fs.writeFileSync(join(path, "precious"), "mine");
			return () => {
				const aside = namesBeside(path).find((name) =>
					name.includes(".set-aside-"),
				);
				expect(
					fs.readFileSync(join(path, "..", aside ?? "", "precious"), "utf8"),
				).toBe("mine");
			};
		},
	},
	harm("replaced by a fifo", (path) => {
		fs.rmSync(path);
		execFileSync("mkfifo", [path]);
	}),
	harm("deleted, and its state replaced by a fifo", (path) => {
		// In one step: a tick that comes in between would write the state again.
		const fifo = join(path, "..", "..", "fifo");
		execFileSync("mkfifo", [fifo]);
		fs.rmSync(path);
		fs.renameSync(fifo, recordPathOf(path));
	}),
	{
		what: "deleted, and its state replaced by a link",
		act: (path) => {
			const target = precious(join(path, "..", "..", "precious-state"));
			fs.rmSync(path);
			fs.rmSync(recordPathOf(path));
			fs.symlinkSync(target.path, recordPathOf(path));
			return target.isUntouched;
		},
	},
	harm("deleted, and its state a folder", (path) => {
		fs.rmSync(path);
		fs.rmSync(recordPathOf(path));
		fs.mkdirSync(recordPathOf(path));
	}),
	harm("deleted, beside an old lock without a holder", (path) => {
		fs.mkdirSync(`${path}.lock`);
		fs.utimesSync(`${path}.lock`, 1_000_000_000, 1_000_000_000);
		fs.rmSync(path);
	}),
	harm("deleted, beside a young lock without a holder", (path) => {
		fs.mkdirSync(`${path}.lock`);
		fs.rmSync(path);
	}),
	{
		what: "deleted, beside a foreign file in place of the lock",
		act: (path) => {
			const target = precious(`${path}.lock`);
			fs.utimesSync(`${path}.lock`, 1_000_000_000, 1_000_000_000);
			fs.rmSync(path);
			return () => {
				const aside = namesBeside(path).find((name) =>
					name.includes(".set-aside-"),
				);
				expect(fs.readFileSync(join(path, "..", aside ?? ""), "utf8")).toBe(
					target.text,
				);
			};
		},
	},
	{
		what: "deleted, beside a foreign folder named like our temporary files",
		act: (path) => {
			const name = `.${path.slice(path.lastIndexOf("/") + 1)}.0123456789ab.tmp`;
			const folder = join(path, "..", name);
			fs.mkdirSync(folder);
			const target = precious(join(folder, "precious"));
			fs.rmSync(path);
			return target.isUntouched;
		},
	},
];

test("a damaged token file is restored at the next tick, without a request", async () => {
	const chosen = harms.filter(({ needsRoot }) => isRoot || !needsRoot);
	const { daemon, issuer, config } = await keep(chosen.length);
	const harmed = chosen.map(({ what, act }, index) => {
		const path = config.tokenFile(`wx${index + 1}`);
		const before = lookAt(path);
		return { what, path, before, check: act(path) };
	});
	await inParallel(harmed, harmed.length, async ({ path, before, check }) => {
		await eventually(() => lookAt(path) === before, { what: before });
		check?.();
	});
	expect(issuer.requests.length).toBe(harmed.length);

	// What the damage left behind does not keep the next daemon from starting.
	await daemon.stop();
	await startDaemon(config.file);
	for (const { path, before, check } of harmed) {
		expect(lookAt(path)).toBe(before);
		check?.();
	}
	expect(issuer.requests.length).toBe(harmed.length);
});

test("a token file that is damaged during a long request is restored within a tick, and the new token follows", async () => {
	const issuer = await startHeldIssuer();
	const config = writeConfig({ url: issuer.url });
	const daemon = startProgram(["run", "--config", config.file]);
	(await issuer.next()).give();
	await daemon.event("daemon.ready");
	const path = config.tokenFile("wx1");
	const before = lookAt(path);
	daemon.kill("SIGHUP");
	const request = await issuer.next();
	for (const damage of [() => fs.rmSync(path), () => fs.truncateSync(path)]) {
		damage();
		await eventually(() => fs.existsSync(path) && lookAt(path) === before, {
			what: "the former token",
		});
	}
	expect(issuer.requests.length).toBe(2);
	request.give();
	await eventually(() => lookAt(path) !== before, { what: "the new token" });
	await eventually(
		() => namesBeside(path).every((name) => !/lock|tmp/.test(name)),
		{
			what: "no leftovers",
		},
	);
	expect(
		daemon.events().filter(({ event }) => event === "file.repaired").length,
	).toBe(2);
});

test("a repair that is under way when the answer comes does not replace the new token by the old one", async () => {
	const syncs: (() => void)[] = [];
	const requests: (() => void)[] = [];
	let isHolding = false;
	const give = (held: (() => void)[]) => (go: () => void) => {
		if (isHolding) held.push(go);
		else go();
	};
	// A slow disk.
	vi.spyOn(fs, "statfsSync").mockReturnValue({ type: 0xef53 } as never);
	vi.spyOn(fs, "fsync").mockImplementation(((
		_file: number,
		done: (error: null) => void,
	) => give(syncs)(() => done(null))) as never);
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	const scene = newScene({ onRequest: () => new Promise(give(requests)) });
	const { keeper } = scene.start();
	await keeper.reconcile();
	const syncAll = async (until: Promise<unknown>) => {
		let isOver = false;
		void until.then(() => {
			isOver = true;
		});
		// In turn the youngest one and the oldest. So if the refresh did not wait for the
		// repair, the repair would come right after the rename of the new token.
		for (let turn = 0; !isOver; turn++) {
			const sync = turn % 2 === 0 ? syncs.pop() : syncs.shift();
			sync?.();
			await new Promise(setImmediate);
		}
	};

	isHolding = true;
	const answer = keeper.force();
	await eventually(() => syncs.length === 1, {
		what: "the sync of the intent",
	});
	syncs.pop()?.();
	await eventually(() => requests.length === 1, { what: "a request" });
	fs.rmSync(scene.path);
	const repaired = keeper.repair();
	await eventually(() => syncs.length === 1, {
		what: "the sync of the repair",
	});
	requests.pop()?.();
	for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
	await syncAll(Promise.all([answer, repaired, keeper.idle()]));
	expect(readTokenFile(scene.path).value).toBe(scene.issued.at(-1));
	expect(scene.issued.length).toBe(2);
});

test("accounts whose requests are not answered delay no other account, neither a first token nor a repair", async () => {
	const hangs = (appid = "") => Number(appid.slice(2)) <= 60;
	let hanging = 0;
	const issuer = await startIssuer({
		twist: ({ query }, _response, give) => {
			if (hangs(query.appid)) hanging += 1;
			else give();
		},
	});
	const accounts = newAccounts(100);
	const config = writeConfig({ url: issuer.url, accounts });
	const daemon = startProgram(["run", "--config", config.file]);
	const healthy = accounts
		.map(({ appid }) => appid)
		.filter((appid) => !hangs(appid))
		.map(config.tokenFile);
	await eventually(() => healthy.every((path) => fs.existsSync(path)), {
		what: "the tokens of the accounts that are answered",
	});
	// No request of the other accounts has timed out yet.
	expect(hanging).toBe(60);
	expect(daemon.events().map(({ event }) => event)).not.toContain(
		"fetch.failed",
	);
	const [path = ""] = healthy.slice(-1);
	const before = lookAt(path);
	fs.rmSync(path);
	await eventually(() => fs.existsSync(path), { what: path });
	expect(lookAt(path)).toBe(before);
	expect(hanging).toBe(60);
});

test("a directory that was removed is made again with its files, and an empty one in its place is filled", async () => {
	const { issuer, config } = await keep(3);
	const paths = ["wx1", "wx2", "wx3"].map(config.tokenFile);
	const before = paths.map(lookAt);
	const areBack = () =>
		paths.every((path, index) => lookAt(path) === before[index]);
	removeInUse(config.directory);
	await eventually(areBack, { what: "three token files" });
	expect(fs.statSync(config.directory).mode & 0o7777).toBe(0o750);

	fs.renameSync(config.directory, `${config.directory}.away`);
	fs.mkdirSync(config.directory, { mode: 0o755 });
	await eventually(areBack, { what: "three token files" });
	expect(issuer.requests.length).toBe(3);
});

test("a directory in which every user may write is logged as unsafe, and its tokens are still renewed", async () => {
	const { daemon, issuer, config } = await keep(1);
	const path = config.tokenFile("wx1");
	const before = lookAt(path);
	fs.chmodSync(config.directory, 0o777);
	const { msg, hint, level } = await daemon.event("directory.unsafe");
	expect(msg).toContain("everybody may write");
	expect(hint).toContain("chmod o-w");
	expect(level).toBe("error");
	daemon.kill("SIGHUP");
	await eventually(() => lookAt(path) !== before, { what: "a new token" });
	expect(issuer.requests.length).toBe(2);

	fs.chmodSync(config.directory, 0o1777);
	fs.rmSync(path);
	await eventually(() => fs.existsSync(path), { what: path });
	const unsafe = daemon
		.events()
		.filter(({ event }) => event === "directory.unsafe");
	expect(unsafe.length).toBe(1);
});

test("a directory that is made again is open to its readers as before, but not to every writer", async () => {
	const { daemon, config } = await keep(1);
	const path = config.tokenFile("wx1");
	fs.chmodSync(config.directory, 0o757);
	await daemon.event("directory.unsafe");
	removeInUse(config.directory);
	await eventually(() => fs.existsSync(path), { what: path });
	expect(fs.statSync(config.directory).mode & 0o7777).toBe(0o755);
});

test("a refresh that a broken disk delayed for long comes with the first look after the disk works again", async () => {
	const { scene, pass } = newTimedScene();
	const { keeper, events } = scene.start();
	await keeper.reconcile();
	const { restore } = takeDirectoryAway(scene.directory);
	pass(1_000);
	const answer = keeper.force();
	for (let look = 0; look < 20; look++) {
		pass(60_000);
		await keeper.reconcile();
	}
	expect(await answer).toMatchObject({ outcome: "failed" });
	expect(scene.issued.length).toBe(1);
	expect(events.filter(({ level }) => level === "error").length).toBe(1);

	restore();
	pass(1_000);
	expect(await keeper.reconcile()).toMatchObject({ kind: "refreshed" });
	expect(scene.issued.length).toBe(2);
});

test.each([
	["without us", "idle", () => {}],
	["by us", "repaired", (path: string) => fs.rmSync(path)],
])(
	"a repair that failed is forgotten once the file is restored, %s",
	async (_whose, kind, harm) => {
		const { scene, pass } = newTimedScene();
		const { keeper } = scene.start();
		await keeper.reconcile();
		const { restore } = takeDirectoryAway(scene.directory);
		pass(1_000);
		expect(await keeper.reconcile()).toMatchObject({ kind: "failed" });
		expect(keeper.record().pause?.failure).toMatchObject({ attempts: 1 });

		restore();
		harm(scene.path);
		pass(60_000);
		expect(await keeper.reconcile()).toMatchObject({ kind });
		expect(keeper.needs()).toBeUndefined();
		expect(keeper.record().pause?.failure).toBeUndefined();
		expect(scene.issued.length).toBe(1);
	},
);

test("a record that is deleted, emptied, or gone with its directory gives nothing back of the budget", async () => {
	const { scene, pass } = newTimedScene();
	const { keeper } = scene.start({ budget: 12, cooldownMs: 0 });
	await keeper.reconcile();
	const refreshes = async () => {
		const before = scene.issued.length;
		for (let count = 0; count < 12; count += 1) {
			pass(10);
			await keeper.force();
		}
		return scene.issued.length - before;
	};
	// One is left for the renewal.
	expect(await refreshes()).toBe(10);
	for (const harm of [
		() => fs.truncateSync(scene.statePath),
		() => fs.rmSync(scene.statePath),
		() => fs.rmSync(scene.path),
		() => fs.rmSync(scene.directory, { recursive: true }),
	]) {
		harm();
		await keeper.reconcile();
		expect(await refreshes()).toBe(0);
	}
});

test("a failure of this disk is not written into the shared record, neither with a repair nor with a refresh", async () => {
	const { scene, pass } = newTimedScene();
	const { keeper } = scene.start();
	await keeper.reconcile();
	const failuresInState = () =>
		decodeRecord(fs.readFileSync(scene.statePath, "utf8")).pause?.failure;
	for (const harm of [
		() => {
			fs.rmSync(scene.path);
			fs.rmSync(scene.statePath);
		},
		() => void keeper.force(),
	]) {
		const { restore } = takeDirectoryAway(scene.directory);
		pass(1_000);
		expect(await keeper.reconcile()).toMatchObject({ kind: "failed" });
		restore();
		harm();
		pass(60_000);
		await keeper.reconcile();
		expect(keeper.needs()).toBeUndefined();
		expect(failuresInState()).toBeUndefined();
		expect(keeper.record().pause).toBeUndefined();
	}
});

test.skipIf(!isRoot)(
	"on a file system that is full, without inodes or read-only the old token stays, one line is logged, and the refresh comes when it works again",
	async () => {
		const mounted = mountMemory();
		const { daemon, issuer, config } = await keep(1, mounted);
		const path = config.tokenFile("wx1");
		const faults = [
			["ENOSPC", () => fill(mounted)],
			["ENOSPC", () => fillWithFiles(mounted)],
			[
				"EROFS",
				() => {
					mount("remount,ro", mounted);
					return () => mount("remount,rw", mounted);
				},
			],
		] as const;
		for (const [index, [errno, harm]] of faults.entries()) {
			const before = lookAt(path);
			const restore = harm();
			daemon.kill("SIGHUP");
			const lines = () =>
				daemon
					.events()
					.filter(
						({ event, level }) => event === "store.failed" && level !== "debug",
					);
			await eventually(() => lines().length === index + 1, {
				what: "one more line",
			});
			expect(lines().at(-1)?.msg).toMatch(new RegExp(`: .* \\(${errno}\\)$`));
			expect(lookAt(path)).toBe(before);
			expect(issuer.requests.length).toBe(index + 1);

			restore();
			await eventually(() => lookAt(path) !== before, {
				what: "another token",
			});
			expect(issuer.requests.length).toBe(index + 2);
			await eventually(
				() => !namesBeside(path).some((name) => /lock|tmp/.test(name)),
				{ what: "no leftovers" },
			);
		}
	},
);

test.skipIf(!isRoot)(
	"a daemon starts on a read-only file system with a valid token and leftovers of a dead daemon, and logs what it cannot remove",
	async () => {
		const mounted = mountMemory();
		const { daemon, issuer, config } = await keep(1, mounted);
		await daemon.stop();
		const leftover = join(mounted, ".wx_access_token_wx1.0123456789ab.tmp");
		fs.writeFileSync(leftover, "half a tok");
		mount("remount,ro", mounted);
		const second = await startDaemon(config.file);
		expect((await second.event("sweep.failed")).msg).toMatch(/\(EROFS\)$/);
		expect(issuer.requests.length).toBe(1);

		mount("remount,rw", mounted);
		await second.stop();
		await startDaemon(config.file);
		expect(fs.existsSync(leftover)).toBe(false);
		expect(issuer.requests.length).toBe(1);
	},
);

/** A scene whose time passes only when the test says so. */
function newTimedScene() {
	let now = Date.now();
	const scene = newScene({ clock: { now: () => now, monotonic: () => now } });
	const pass = (ms: number) => {
		now += ms;
	};
	return { scene, pass };
}

/** Puts a file in its place, so that it cannot be made again. */
function takeDirectoryAway(directory: string): { restore(): void } {
	const away = `${directory}.away`;
	fs.renameSync(directory, away);
	fs.writeFileSync(directory, "");
	return {
		restore: () => {
			fs.rmSync(directory);
			fs.renameSync(away, directory);
		},
	};
}

function harm(what: string, act: (tokenFile: string) => void): Harm {
	return {
		what,
		act: (path) => {
			act(path);
			return undefined;
		},
	};
}

/** A daemon with a token for each of so many accounts. */
async function keep(count: number, directory?: string) {
	const issuer = await startIssuer();
	const config = writeConfig({
		url: issuer.url,
		accounts: newAccounts(count),
		...(directory === undefined ? {} : { directory }),
		wechat: { timeout: 1, cooldown: 0 },
	});
	const daemon = await startDaemon(config.file);
	return { daemon, issuer, config };
}

/** All that matters to a reader, as one text. */
function lookAt(path: string): string {
	const stat = fs.lstatSync(path, { throwIfNoEntry: false });
	if (!stat?.isFile()) return "no plain file";
	const { mode, uid, gid, nlink } = stat;
	return `${mode.toString(8)} ${uid}:${gid} ${nlink} ${fs.readFileSync(path, "utf8")}`;
}

function namesBeside(path: string): readonly string[] {
	const name = path.slice(path.lastIndexOf("/") + 1);
	return fs
		.readdirSync(join(path, ".."))
		.filter((other) => other.includes(name));
}

function alter(
	path: string,
	key: "value" | "expire",
	by: string | number,
): string {
	const token = JSON.parse(fs.readFileSync(path, "utf8"));
	return `${JSON.stringify({ ...token, [key]: token[key] + by })}\n`;
}

/** A file that is not ours: nothing of it may change. */
function precious(path: string) {
	const text = "mine";
	fs.writeFileSync(path, text, { mode: 0o600 });
	return {
		path,
		text,
		isUntouched: () => {
			expect(fs.readFileSync(path, "utf8")).toBe(text);
			expect(fs.lstatSync(path).mode & 0o7777).toBe(0o600);
		},
	};
}

/** A tiny file system in memory, unmounted after the test. */
function mountMemory(): string {
	const directory = newDirectory();
	mount("size=64k,nr_inodes=64", directory);
	onTestFinished(() => {
		execFileSync("umount", ["--lazy", directory]);
	});
	return directory;
}

function mount(options: string, directory: string): void {
	execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", directory]);
}

/** Fills the file system. Returns a function that makes space again. */
function fill(directory: string): () => void {
	const path = join(directory, "filler");
	const file = fs.openSync(path, "w");
	try {
		for (;;) fs.writeSync(file, Buffer.alloc(4_096));
	} catch (error) {
		expect(error).toMatchObject({ code: "ENOSPC" });
	}
	fs.closeSync(file);
	return () => fs.rmSync(path);
}

function fillWithFiles(directory: string): () => void {
	const folder = join(directory, "many");
	fs.mkdirSync(folder);
	try {
		for (let count = 0; ; count++)
			fs.writeFileSync(join(folder, `${count}`), "");
	} catch (error) {
		expect(error).toMatchObject({ code: "ENOSPC" });
	}
	return () => fs.rmSync(folder, { recursive: true });
}
