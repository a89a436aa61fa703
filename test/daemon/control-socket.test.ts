import { spawnSync } from "node:child_process";
import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	utimesSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import {
	lookForSocket,
	openSocket,
	removeSocket,
} from "../../src/daemon/control-socket.ts";
import { createDiskQuestions } from "../../src/daemon/disk-questions.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectory } from "../support/directory.ts";

const parts = { self: nameThisProcess(), clock: systemClock };

function newServer(): Server {
	const server = createServer((connection) => connection.destroy());
	onTestFinished(() => void server.close());
	return server;
}

/** A socket without a listener, as a killed process leaves it. */
function leaveDeadSocket(path: string): void {
	const script = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
	spawnSync(process.execPath, ["-e", script, path]);
	expect(lstatSync(path).isSocket()).toBe(true);
}

test("of ten processes that find a dead socket at the same instant, one opens its own and the others see that it lives", async () => {
	const path = join(newDirectory(), "control.sock");
	leaveDeadSocket(path);
	const opened = await Promise.all(
		Array.from({ length: 10 }, () =>
			openSocket(newServer(), { path, gid: undefined }, parts),
		),
	);
	const winners = opened.filter((one) => one !== "taken");
	expect(winners.length).toBe(1);
	const questions = createDiskQuestions(systemClock);
	for (const winner of winners)
		expect(await lookForSocket(winner, questions)).toBe("here");
});

test("a socket can be removed and opened again, and no other file stays behind", async () => {
	const directory = newDirectory();
	const location = { path: join(directory, "control.sock"), gid: undefined };
	for (let round = 0; round < 3; round += 1) {
		const server = newServer();
		const opened = await openSocket(server, location, parts);
		if (opened === "taken") throw new Error("no other process is there");
		removeSocket(opened);
		server.close();
	}
	expect(readdirSync(directory)).toEqual([]);
});

test("the private directory of a process that was killed while it opened a socket is swept after a minute, not before", async () => {
	const directory = newDirectory();
	const [old, young, foreign] = [".csAbc123", ".csXyz789", ".cs-notes"].map(
		(name) => join(directory, name),
	) as [string, string, string];
	for (const path of [old, young, foreign]) mkdirSync(path);
	leaveDeadSocket(join(old, "s"));
	const longAgo = Date.now() / 1_000 - 120;
	for (const path of [old, foreign]) utimesSync(path, longAgo, longAgo);
	const location = { path: join(directory, "control.sock"), gid: undefined };
	await openSocket(newServer(), location, parts);
	expect(readdirSync(directory).sort()).toEqual([
		".cs-notes",
		".csXyz789",
		"control.sock",
	]);
});

test("a path that is too long is refused with the limit, and not cut short", async () => {
	const directory = join(newDirectory(), "d".repeat(90));
	mkdirSync(directory);
	const path = join(directory, "c".repeat(30));
	await expect(
		openSocket(newServer(), { path, gid: undefined }, parts),
	).rejects.toMatchObject({
		kind: "refused",
		message: expect.stringContaining("107"),
	});
	expect(readdirSync(directory)).toEqual([]);
});

test("no socket is opened in a directory in which every user may replace files", async () => {
	const directory = join(newDirectory(), "open");
	mkdirSync(directory, { mode: 0o777 });
	chmodSync(directory, 0o777);
	const path = join(directory, "control.sock");
	await expect(
		openSocket(newServer(), { path, gid: undefined }, parts),
	).rejects.toMatchObject({ kind: "refused" });
});
