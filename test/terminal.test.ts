import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { writeConfig } from "./support/config-file.ts";
import { startIssuer } from "./support/issuer.ts";
import { startDaemon, startProgram } from "./support/program.ts";
import { tokenOtherThan } from "./support/token-file.ts";

const noPython = spawnSync("python3", ["-c", "import pty"]).status !== 0;

/** Runs a program in a terminal, which SIGUSR1 takes away. */
const inTerminal = `
import os, pty, select, signal, sys
closing, wake = os.pipe()
signal.signal(signal.SIGUSR1, lambda *_: os.write(wake, b"x"))
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
print("pid", pid, flush=True)
while closing not in select.select([closing, terminal], [], [])[0]:
    os.read(terminal, 65536)
os.close(terminal)
print("closed", flush=True)
print("ended", os.waitpid(pid, 0)[1], flush=True)
`;

test.skipIf(noPython).each([["SIGTERM"], ["SIGINT"]] as const)(
	"a daemon whose terminal goes away keeps its tokens, and ends with 0 after %s",
	async (signal) => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const path = config.tokenFile("wx1");
		const python = startProgram(["run", "--config", config.file], {
			launcher: ["python3", "-c", inTerminal],
		});
		const [, pid] = await python.output(/^pid (\d+)$/m);
		const { value } = await tokenOtherThan("", path);
		python.kill("SIGUSR1");
		await python.output(/^closed$/m);
		// The kernel sends SIGHUP, which is a reload.
		await tokenOtherThan(value, path);
		process.kill(Number(pid), signal);
		const [, status] = await python.output(/^ended (\d+)$/m);
		expect(Number(status)).toBe(0);
	},
);

test.skipIf(process.platform !== "linux")(
	"a core of the daemon would hold none of its memory",
	async () => {
		const config = writeConfig(await startIssuer());
		const daemon = await startDaemon(config.file);
		const filter = `/proc/${daemon.pid}/coredump_filter`;
		expect(Number.parseInt(readFileSync(filter, "utf8"), 16)).toBe(0);
	},
);
