import { readdirSync, readFileSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { startDaemon } from "../support/program.ts";
import { callSocket, socketIn } from "../support/socket.ts";
import {
	hasFile,
	readTokenFile,
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
		unlinkSync(path);
		expect(await tokenOtherThan("", path)).toEqual(second);
		const socket = socketIn(config.directory);
		expect((await callSocket(socket, "/healthz")).status).toBe(200);
		daemon.kill("SIGTERM");
		await eventually(() => isEnded(daemon.pid), { what: "the end" });
		// Until then the process is not gone: strace holds a thread of it.
		await Promise.all(workers.map((worker) => worker.detach()));
		expect(await daemon.exited).toEqual({ code: null, signal: "SIGTERM" });
		expect(daemon.events().at(-1)?.event).toBe("daemon.stopped");
	},
);

/** The threads that make slow system calls: the youngest ones, once each has had work. */
function workersOf(pid: number, count: number): readonly number[] {
	const ids = readdirSync(`/proc/${pid}/task`).map(Number);
	return ids.sort((a, b) => a - b).slice(-count);
}

function isEnded(pid: number): boolean {
	const status = readFileSync(`/proc/${pid}/task/${pid}/status`, "utf8");
	return /^State:\s+Z/m.test(status);
}
