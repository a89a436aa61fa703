import { readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { newSecret } from "../support/leaks.ts";
import { type Running, startDaemon, startProgram } from "../support/program.ts";
import { callSocket, socketIn } from "../support/socket.ts";
import {
	hasFile,
	readTokenFile,
	type SeenToken,
	tokenOtherThan,
} from "../support/token-file.ts";
import { attach, noStrace } from "./strace.ts";

test.skipIf(noStrace)(
	"while the mount of metrics_file hangs, tokens are renewed and repaired, the socket answers, and the daemon ends",
	async () => {
		const place = newDirectory();
		const file = join(place, "wxtokend.prom");
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, top: { metrics_file: file } });
		const daemon = await startDaemon(config.file, {
			env: { UV_THREADPOOL_SIZE: "2" },
		});
		await eventually(() => hasFile(file), { what: "the metrics file" });
		// The token files are renamed by the main thread, which is not traced. An hour: the
		// mount never answers.
		const workers = await Promise.all(
			workersOf(daemon.pid, 2).map((thread) =>
				attach(daemon.pid, {
					thread,
					expressions: ["trace=rename", "inject=rename:delay_enter=3600000000"],
				}),
			),
		);
		const path = config.tokenFile("wx1");
		const first = readTokenFile(path);
		daemon.kill("SIGHUP");
		const second = await tokenOtherThan(first.value, path);
		await eventually(
			() => readdirSync(place).some((name) => name.endsWith(".tmp")),
			{ what: "a write of the metrics file that hangs" },
		);
		await goesOn(config.directory, path, second);
		daemon.kill("SIGTERM");
		await eventually(() => isEnded(daemon.pid), { what: "the end" });
		// Until then the process is not gone: strace holds a thread of it.
		await Promise.all(workers.map((worker) => worker.detach()));
		expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
		expect(daemon.events().at(-1)?.event).toBe("daemon.stopped");
	},
);

/** Anything that is done with the file; an hour: the mount never answers. */
const hang = ["trace=%file", "inject=%file:delay_enter=3600000000"];

test.skipIf(noStrace).each([
	["few", 1],
	["many", 300],
])(
	"while the mount of a secret hangs, with %s accounts, a reload is refused, tokens are renewed and repaired, the socket answers, and the daemon ends",
	async (_, count) => {
		const { config, secretFile } = await withSecretFiles(count);
		const daemon = await startDaemon(config.file);
		const path = config.tokenFile("wx1");
		const first = readTokenFile(path);
		const threads = threadsOf(daemon);
		const disk = await attach(daemon.pid, {
			path: secretFile,
			expressions: hang,
		});
		daemon.kill("SIGHUP");
		const refused = await daemon.event("config.refused");
		expect(refused.problems).toEqual([
			{
				path: secretFile,
				message: expect.stringContaining("has not answered within 5 s"),
			},
		]);
		const second = await tokenOtherThan(first.value, path);
		await goesOn(config.directory, path, second);
		const socket = socketIn(config.directory);
		// No second question may hang beside the first: keepers need the other threads.
		const again = await callSocket(socket, "/v1/reload", { method: "POST" });
		expect(again.status).toBe(422);
		expect(again.text).toContain(secretFile);
		await tokenOtherThan(second.value, path);
		await eventually(() => hungThreadsOf(daemon) === 1, {
			what: "the second reload to ask nothing more of that disk",
		});
		if (count > 256) expect(threadsOf(daemon)).toBeGreaterThan(threads);
		daemon.kill("SIGTERM");
		await eventually(() => isEnded(daemon.pid), { what: "the end" });
		await disk.kill();
		expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
		expect(daemon.events().at(-1)?.event).toBe("daemon.stopped");
	},
);

test.skipIf(noStrace)(
	"once the mount of a secret answers again, a reload takes what is there now",
	async () => {
		const { config, secretFile, issuer } = await withSecretFiles(1);
		const daemon = await startDaemon(config.file);
		const disk = await attach(daemon.pid, {
			path: secretFile,
			expressions: hang,
		});
		const socket = socketIn(config.directory);
		const reload = () => callSocket(socket, "/v1/reload", { method: "POST" });
		expect((await reload()).status).toBe(422);
		const secret = newSecret();
		writeFileSync(secretFile, secret);
		await disk.detach();
		await eventually(async () => (await reload()).status === 200, {
			what: "a reload that is not refused",
		});
		expect(issuer.requests.at(-1)?.query.secret).toBe(secret);
		expect(await daemon.stop()).toMatchObject({ code: 0 });
	},
);

test.skipIf(noStrace)(
	"while the mount of the log hangs, tokens are renewed and repaired, the socket answers, and the daemon ends",
	async () => {
		const log = join(newDirectory(), "log");
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = startProgram(["run", "--config", config.file], {
			launcher: ["sh", "-c", `exec "$@" 2>>${log}`, "sh"],
		});
		const path = config.tokenFile("wx1");
		const first = await tokenOtherThan("", path);
		await eventually(() => /"daemon.ready"/.test(readFileSync(log, "utf8")), {
			what: "the daemon's readiness",
		});
		const disk = await attach(daemon.pid, {
			path: log,
			expressions: ["trace=write", "inject=write:delay_enter=3600000000"],
		});
		daemon.kill("SIGHUP");
		const second = await tokenOtherThan(first.value, path);
		await eventually(() => hungThreadsOf(daemon) === 1, {
			what: "a line that is not written",
		});
		await goesOn(config.directory, path, second);
		daemon.kill("SIGTERM");
		await eventually(() => isEnded(daemon.pid), { what: "the end" });
		await disk.kill();
		expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
	},
);

test("in a log that is a file each line is there, in order, and none twice", async () => {
	const directory = newDirectory();
	const log = join(directory, "log");
	const issuer = await startIssuer();
	const config = writeConfig(issuer);
	const launcher = ["sh", "-c", `exec "$@" 2>>${log}`, "sh"];
	const daemon = startProgram(["run", "--config", config.file], { launcher });
	const isTold = (event: string) =>
		hasFile(log) && readFileSync(log, "utf8").includes(`"${event}"`);
	await eventually(() => isTold("daemon.ready"), {
		what: "the daemon's readiness",
	});
	daemon.kill("SIGTERM");
	expect(await daemon.exited).toEqual({ code: 0, signal: null });
	const told = readFileSync(log, "utf8")
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line).event);
	expect(told.at(0)).toBe("daemon.started");
	expect(told.slice(-2)).toEqual(["daemon.stopping", "daemon.stopped"]);
	expect(new Set(told).size).toBe(told.length);
});

test.skipIf(noStrace)(
	"while the mount of the control socket hangs, tokens are renewed and repaired, and the daemon ends and leaves the socket there",
	async () => {
		const socket = join(newDirectory(), "control.sock");
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, top: { socket } });
		const daemon = await startDaemon(config.file);
		const disk = await attach(daemon.pid, { path: socket, expressions: hang });
		const path = config.tokenFile("wx1");
		const first = readTokenFile(path);
		await daemon.event("control.silent");
		daemon.kill("SIGHUP");
		const second = await tokenOtherThan(first.value, path);
		unlinkSync(path);
		expect(await tokenOtherThan("", path)).toEqual(second);
		daemon.kill("SIGTERM");
		await eventually(() => isEnded(daemon.pid), { what: "the end" });
		await disk.kill();
		expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
		expect(daemon.events().at(-1)?.event).toBe("daemon.stopped");
		expect(hasFile(socket)).toBe(true);
	},
);

/** A token file that is removed comes back, and the control socket answers. */
async function goesOn(
	directory: string,
	path: string,
	token: SeenToken,
): Promise<void> {
	unlinkSync(path);
	expect(await tokenOtherThan("", path)).toEqual(token);
	const answer = await callSocket(socketIn(directory), "/healthz");
	expect(answer.status).toBe(200);
}

/** Accounts wx1, wx2… with a file for each secret; `secretFile` is that of wx1. */
async function withSecretFiles(count: number) {
	const place = newDirectory();
	const issuer = await startIssuer();
	const accounts = newAccounts(count);
	const config = writeConfig({
		...issuer,
		accounts,
		withoutSecrets: true,
		wechat: { cooldown: 0 },
	});
	const fileOf = (appid: string) => join(place, `${appid}.secret`);
	for (const { appid, secret } of accounts)
		writeFileSync(fileOf(appid), secret, { mode: 0o600 });
	const text = readFileSync(config.file, "utf8").replace(
		/^appid = "(.*)"$/gm,
		(line, appid) => `${line}\nsecret_file = "${fileOf(appid)}"`,
	);
	writeFileSync(config.file, text);
	return { config, issuer, secretFile: fileOf("wx1") };
}

/** strace stops a thread for as long as its call is delayed. */
function hungThreadsOf({ pid }: Pick<Running, "pid">): number {
	const task = `/proc/${pid}/task`;
	return readdirSync(task).filter((id) =>
		/^State:\s+t/m.test(readFileSync(`${task}/${id}/status`, "utf8")),
	).length;
}

function threadsOf({ pid }: Pick<Running, "pid">): number {
	return readdirSync(`/proc/${pid}/task`).length;
}

/** The threads that make slow system calls: the youngest ones, once each has had work. */
function workersOf(pid: number, count: number): readonly number[] {
	const ids = readdirSync(`/proc/${pid}/task`).map(Number);
	return ids.sort((a, b) => a - b).slice(-count);
}

function isEnded(pid: number): boolean {
	const status = readFileSync(`/proc/${pid}/task/${pid}/status`, "utf8");
	return /^State:\s+Z/m.test(status);
}
