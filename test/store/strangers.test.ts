/**
 * What lies in the directory is believed only after a look, whoever put it there:
 * the rows of docs/trust.md.
 */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Credential } from "../../src/core/credential.ts";
import { emptyRecord, recordPathOf } from "../../src/core/record.ts";
import { openSocket } from "../../src/daemon/control-socket.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { newToken, startIssuer } from "../support/issuer.ts";
import { noteToken } from "../support/leaks.ts";
import { runProgram } from "../support/program.ts";

const isRoot = process.getuid?.() === 0;
const stranger = 65_534;
const token = { value: "a-token", expiresAt: 2_000_000_000_000 };
const text = '{"value":"a-token","expire":2000000000}\n';
const credential: Credential = {
	id: "token",
	kind: "access_token",
	appid: "wx1",
	file: "token",
	source: "wx1 from WeChat",
	needs: [],
	formats: [],
	limits: {
		refreshBeforeMs: 2_400_000,
		cooldownMs: 0,
		budget: 60,
		timeoutMs: 1_500,
	},
};

beforeAll(() => {
	if (!isRoot) console.warn("only root can be several users: skipped");
});

function storeIn(path: string, wanted = credential) {
	const directory = createOutputDirectory(path);
	return createDirectoryStore({
		directory,
		mode: 0o640,
		gid: undefined,
		self: nameThisProcess(),
		clock: systemClock,
		random: Math.random,
		stopping: new AbortController().signal,
	}).open(wanted);
}

function sharedDirectory(mode: number): string {
	const directory = newDirectory();
	fs.chmodSync(directory, mode);
	return directory;
}

/** With the right content where the kind has one; none of them is to be believed. */
const plants: Readonly<
	Record<string, (path: string, content: string) => void>
> = {
	"another user's file": (path, content) => {
		fs.writeFileSync(path, content, { mode: 0o644 });
		fs.chownSync(path, stranger, stranger);
	},
	"a hard link to a file of ours": (path, content) => {
		fs.writeFileSync(`${path}.ours`, content, { mode: 0o640 });
		fs.linkSync(`${path}.ours`, path);
	},
	"a symbolic link to a file of ours": (path, content) => {
		fs.writeFileSync(`${path}.ours`, content, { mode: 0o640 });
		fs.symlinkSync(`${path}.ours`, path);
	},
	"a pipe": (path) => void execFileSync("mkfifo", [path]),
	"a socket": (path) => {
		const script =
			'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
		spawnSync(process.execPath, ["-e", script, path]);
		fs.chownSync(path, stranger, stranger);
	},
	"a device": (path) => void execFileSync("mknod", [path, "c", "1", "5"]),
	"a folder": (path) => fs.mkdirSync(path),
};

describe.skipIf(!isRoot).each([0o1777, 0o1770])(
	"in a directory of mode %o",
	(mode) => {
		test.each(Object.entries(plants))(
			"as a token %s is not believed, and replaced",
			async (_what, plant) => {
				const directory = sharedDirectory(mode);
				const path = join(directory, credential.file);
				plant(path, text);
				const store = storeIn(directory);
				expect(store.read().kind).toBe("unusable");
				const lease = await store.acquire(0);
				await lease?.publish(token, emptyRecord);
				await lease?.release();
				expect(store.read()).toEqual({ kind: "token", token, exact: true });
				expect(fs.lstatSync(path).isFile()).toBe(true);
			},
		);

		test.each(Object.entries(plants))(
			"as a record %s is not believed, and replaced",
			async (_what, plant) => {
				const directory = sharedDirectory(mode);
				const path = recordPathOf(join(directory, credential.file));
				plant(path, `${JSON.stringify({ ...emptyRecord, generation: 7 })}\n`);
				const store = storeIn(directory);
				expect(store.record()).toBe(emptyRecord);
				const lease = await store.acquire(0);
				await lease?.write({ ...emptyRecord, generation: 3 });
				await lease?.release();
				expect(storeIn(directory).record().generation).toBe(3);
				expect(fs.lstatSync(path).isFile()).toBe(true);
			},
		);

		test.each(Object.entries(plants))(
			"as a copy for PHP of a ticket %s is not believed, and replaced",
			async (_what, plant) => {
				const directory = sharedDirectory(mode);
				const ticket: Credential = {
					...credential,
					kind: "jsapi_ticket",
					formats: ["php"],
				};
				const path = join(directory, "token.php");
				const holder = storeIn(directory, ticket);
				const first = await holder.acquire(0);
				await first?.publish(token, emptyRecord);
				await first?.release();
				const content = fs.readFileSync(path, "utf8");
				fs.rmSync(path);
				plant(path, content);
				const store = storeIn(directory, ticket);
				expect(store.read()).toEqual({ kind: "token", token, exact: false });
				const lease = await store.acquire(0);
				await lease?.publish(token, emptyRecord);
				await lease?.release();
				expect(store.read()).toEqual({ kind: "token", token, exact: true });
				expect(fs.lstatSync(path).isFile()).toBe(true);
			},
		);

		test("a lock of another user holds nobody up, nor does his break marker, though both are young", async () => {
			const directory = sharedDirectory(mode);
			const lock = join(directory, "token.lock");
			fs.mkdirSync(lock);
			fs.chownSync(lock, stranger, stranger);
			const { ino, birthtimeNs } = fs.lstatSync(lock, { bigint: true });
			const marker = `${lock}.${ino.toString(36)}-${birthtimeNs.toString(36)}.break`;
			fs.mkdirSync(marker);
			fs.chownSync(marker, stranger, stranger);
			const store = storeIn(directory);
			// The first one removes the marker, the next one the lock.
			const leases = [await store.acquire(0), await store.acquire(0)];
			expect(leases[1]).toBeDefined();
			await leases[1]?.release();
			expect(fs.readdirSync(directory)).toEqual([]);
		});

		test.each(Object.entries(plants))(
			"as the mark of a simulation %s is not believed, and the start does not hang on it",
			async (_what, plant) => {
				const issuer = await startIssuer();
				const directory = sharedDirectory(mode);
				const config = writeConfig({ ...issuer, directory });
				expect((await once(config.file)).code).toBe(0);
				const file = config.tokenFile("wx1");
				const before = fs.readFileSync(file, "utf8");
				const files = ["wx_access_token_wx1"];
				// Of a process that lives, so that the start would be refused.
				const self = nameThisProcess();
				plant(
					join(directory, ".simulated"),
					JSON.stringify({ process: self, files }),
				);
				const { code, stderr } = await once(config.file);
				expect({ code, requests: issuer.requests.length }).toEqual({
					code: 0,
					requests: 1,
				});
				expect(stderr).toContain(
					".simulated is not taken for the mark of a simulation",
				);
				expect(fs.readFileSync(file, "utf8")).toBe(before);
			},
		);

		test("a socket of another user is not taken for a daemon's", async () => {
			const path = join(sharedDirectory(mode), "control.sock");
			const theirs = createServer((connection) => connection.destroy());
			onTestFinished(() => void theirs.close());
			await new Promise<void>((listens) => theirs.listen(path, listens));
			fs.chownSync(path, stranger, stranger);
			const place = { path, gid: undefined };
			const parts = { self: nameThisProcess(), clock: systemClock };
			await expect(
				openSocket(createServer(), place, parts),
			).rejects.toMatchObject({
				kind: "refused",
				message: expect.stringContaining("put there by another user"),
			});
		});

		test("what looks like an abandoned directory of a socket is not followed elsewhere", async () => {
			const directory = sharedDirectory(mode);
			const elsewhere = newDirectory();
			fs.writeFileSync(join(elsewhere, "s"), "precious");
			const link = join(directory, ".csAbCdEf");
			fs.symlinkSync(elsewhere, link);
			fs.lutimesSync(link, 1, 1);
			const server = createServer();
			onTestFinished(() => void server.close());
			const place = { path: join(directory, "control.sock"), gid: undefined };
			await openSocket(server, place, {
				self: nameThisProcess(),
				clock: systemClock,
			});
			expect(fs.readFileSync(join(elsewhere, "s"), "utf8")).toBe("precious");
		});

		test("who may not replace what another user put there asks WeChat for nothing, and says whose it is", async () => {
			const issuer = await startIssuer();
			const directory = sharedDirectory(mode);
			fs.chownSync(directory, 0, 4_000);
			const config = writeConfig({ ...issuer, directory });
			fs.chownSync(config.file, 4_001, -1);
			const value = noteToken(newToken());
			const file = config.tokenFile("wx1");
			fs.writeFileSync(file, `{"value":"${value}","expire":9999999999}\n`);
			fs.chownSync(file, stranger, stranger);
			const { code, stderr } = await once(config.file, {
				uid: 4_001,
				gid: 4_000,
			});
			expect({ code, requests: issuer.requests.length }).toEqual({
				code: 73,
				requests: 0,
			});
			expect(stderr).toContain(
				`could not replace ${file}: it belongs to uid ${stranger}`,
			);
		});
	},
);

/**
 * With a bound, so that one that hangs is told from one that works. `KILL`, as a program
 * that waits in a call of the system answers no other signal.
 */
function once(file: string, user: { uid?: number; gid?: number } = {}) {
	return runProgram(["once", "--config", file], {
		...user,
		launcher: ["timeout", "-s", "KILL", "20"],
	});
}
