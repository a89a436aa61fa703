import { execFileSync } from "node:child_process";
import {
	closeSync,
	constants,
	existsSync,
	openSync,
	readFileSync,
	readSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createFileOutput } from "../../src/daemon/log-file.ts";
import { createLogOutput } from "../../src/daemon/log-output.ts";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { startProgram } from "../support/program.ts";
import { callSocket, socketIn } from "../support/socket.ts";
import { tokenOtherThan } from "../support/token-file.ts";

const note = (dropped: number) => `(${dropped} dropped)\n`;

test("lines that do not fit into a full pipe are kept in order, and arrive when it is read again", async () => {
	const pipe = newPipe();
	pipe.fill();
	const output = createLogOutput(pipe.end, note);
	output.write("one\n");
	output.write("two\n");
	pipe.readAll();
	await eventually(() => pipe.readAll() === "one\ntwo\n", {
		what: "both lines",
	});
	output.write("three\n");
	expect(pipe.readAll()).toBe("three\n");
});

test("of more lines than the queue holds the oldest are dropped, and their number stands where they were", async () => {
	const pipe = newPipe();
	pipe.fill();
	const output = createLogOutput(pipe.end, note);
	const line = (n: number) => `${n} ${"x".repeat(1_000)}\n`;
	const count = 2_000;
	for (let n = 0; n < count; n += 1) output.write(line(n));
	let text = pipe.readAll().replace(/^\.*/, "");
	await eventually(
		() => {
			text += pipe.readAll();
			return text.endsWith(line(count - 1));
		},
		{ what: "the last line" },
	);
	const [, before, dropped = ""] =
		/^((?:\d+ x{1000}\n)*)\((\d+) dropped\)\n/.exec(text) ?? [];
	const kept = text.match(/^\d+ x{1000}$/gm) ?? [];
	expect(Number(dropped)).toBeGreaterThan(1_000);
	expect(kept.length).toBe(count - Number(dropped));
	expect(before?.length ?? 0).toBeLessThanOrEqual(line(0).length);
	expect(text.length).toBeLessThan(600_000);
});

test("a line that is half written is completed before anything else", async () => {
	const pipe = newPipe();
	const output = createLogOutput(pipe.end, note);
	const long = `${"y".repeat(200_000)}\n`;
	output.write(long);
	for (let n = 0; n < 100; n += 1) output.write(`${"z".repeat(20_000)}\n`);
	// Whatever is still queued at the end of the test would go into the next one's file.
	output.write("last\n");
	let text = "";
	await eventually(
		() => {
			text += pipe.readAll();
			return /\(\d+ dropped\)\n(?:z+\n)+last\n$/.test(text);
		},
		{ what: "the lines after those that were dropped" },
	);
	expect(text.startsWith(long)).toBe(true);
});

test("flush gives up when nobody reads, and writes all when somebody does", () => {
	const pipe = newPipe();
	pipe.fill();
	const output = createLogOutput(pipe.end, note);
	output.write("last words\n");
	output.flush();
	pipe.readAll();
	output.flush();
	expect(pipe.readAll()).toBe("last words\n");
});

test("a pipe without a reader is no failure, and later lines are tried again", () => {
	const pipe = newPipe();
	const { O_WRONLY, O_NONBLOCK } = constants;
	const end = openSync(pipe.path, O_WRONLY | O_NONBLOCK);
	onTestFinished(() => closeSync(end));
	pipe.close();
	const output = createLogOutput(end, note);
	output.write("one\n");
	output.write("two\n");
	const reader = openSync(pipe.path, constants.O_RDONLY | O_NONBLOCK);
	onTestFinished(() => closeSync(reader));
	output.write("three\n");
	const buffer = Buffer.alloc(100);
	const size = readSync(reader, buffer);
	expect(buffer.toString("utf8", 0, size)).toBe("(2 dropped)\nthree\n");
});

test("of a file: what is queued at the end of the process is written, each line once", async () => {
	const path = join(newDirectory(), "log");
	const file = openSync(path, "a");
	onTestFinished(() => closeSync(file));
	const output = createFileOutput(file, note);
	const lines = Array.from({ length: 1_000 }, (_, n) => `line ${n}`);
	for (const line of lines) output.write(`${line}\n`);
	output.flush();
	expect(await output.end()).toBe(false);
	const found = readFileSync(path, "utf8").trimEnd().split("\n");
	expect(found.sort()).toEqual(lines.sort());
});

test("of a file on a full disk: lines are dropped, and the process may end", async () => {
	const file = openSync("/dev/full", "w");
	onTestFinished(() => closeSync(file));
	const output = createFileOutput(file, note);
	output.write("one\n");
	output.write("two\n");
	expect(await output.end()).toBe(false);
	output.flush();
});

test.each([["SIGTERM"], ["SIGINT"]] as const)(
	"while nobody reads stderr the daemon keeps its tokens, answers, reloads, and ends with 0 after %s",
	async (signal) => {
		const pipe = newPipe();
		pipe.fill();
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = startProgram(["run", "--config", config.file], {
			launcher: ["sh", "-c", `exec "$@" 2>${pipe.path}`, "sh"],
		});
		const path = config.tokenFile("wx1");
		const first = await tokenOtherThan("", path);
		const socket = socketIn(config.directory);
		// It may open after the first token, and the log cannot tell.
		await eventually(() => existsSync(socket), { what: "the socket" });
		const { status } = await callSocket(socket, "/v1/accounts");
		expect(status).toBe(200);
		daemon.kill("SIGHUP");
		const second = await tokenOtherThan(first.value, path);
		// What a stranger does to the file is repaired.
		unlinkSync(path);
		expect(await tokenOtherThan("", path)).toEqual(second);
		daemon.kill(signal);
		expect(await daemon.exited).toEqual({ code: 0, signal: null });
	},
);

test("the last words arrive if the reader goes on before the end", async () => {
	const pipe = newPipe();
	pipe.fill();
	const issuer = await startIssuer();
	const config = writeConfig(issuer);
	const daemon = startProgram(["run", "--config", config.file], {
		launcher: ["sh", "-c", `exec "$@" 2>${pipe.path}`, "sh"],
	});
	await tokenOtherThan("", config.tokenFile("wx1"));
	daemon.kill("SIGTERM");
	let text = "";
	const ended = daemon.exited.then(() => true);
	while (!(await Promise.race([ended, nextTurn(false)])))
		text += pipe.readAll();
	text += pipe.readAll();
	const events = [...text.matchAll(/"event":"([a-z.]+)"/g)].map(([, e]) => e);
	expect(events).toEqual(
		expect.arrayContaining(["daemon.started", "token.refreshed"]),
	);
	expect(events.at(-1)).toBe("daemon.stopped");
});

interface Pipe {
	readonly path: string;
	/** For reading and writing; neither waits. */
	readonly end: number;
	/** With dots, until nothing more fits. */
	fill(): void;
	/** All that is in it, without the dots of `fill`. */
	readAll(): string;
	close(): void;
}

function newPipe(): Pipe {
	const path = join(newDirectory(), "pipe");
	execFileSync("mkfifo", [path]);
	const end = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
	let isOpen = true;
	const close = () => {
		if (isOpen) closeSync(end);
		isOpen = false;
	};
	onTestFinished(close);
	return {
		path,
		end,
		fill: () => {
			const dots = Buffer.alloc(65_536, ".");
			for (const some of [dots, dots.subarray(0, 1)])
				untilFull(() => writeSync(end, some));
		},
		readAll: () => {
			let text = "";
			const buffer = Buffer.alloc(65_536);
			untilFull(() => {
				text += buffer.toString("utf8", 0, readSync(end, buffer));
			});
			return text.replace(/^\.+/, "");
		},
		close,
	};
}

/** Until the call would wait. */
function untilFull(act: () => void): void {
	try {
		for (;;) act();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
	}
}
