import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { projectRoot, startDaemon } from "../support/program.ts";
import { tokenOtherThan } from "../support/token-file.ts";

test("systemd is told soon that a renewal has failed, and that it works again, however seldom the schedule ticks", async () => {
	const messages = join(newDirectory(), "messages");
	const issuer = await startIssuer();
	const config = writeConfig({ ...issuer, top: { schedule: "0 0 1 1 *" } });
	const daemon = await startDaemon(config.file, {
		env: { NOTIFY_SOCKET: "unused", NOTIFY_FD: "3" },
		launcher: ["sh", "-c", `exec "$@" 3>${messages}`, "sh"],
	});
	const statusIs = (pattern: RegExp) =>
		eventually(
			() => {
				const all = readFileSync(messages, "utf8").split("STATUS=");
				return pattern.test(all.at(-1) ?? "");
			},
			{ what: `the status ${pattern}` },
		);
	await statusIs(/^1 of 1 tokens fresh/);
	issuer.twist((_request, response) => response.destroy());
	daemon.kill("SIGHUP");
	await daemon.event("fetch.failed");
	await statusIs(
		/^0 of 1 tokens fresh, 1 that could not be renewed still valid; wx1: /,
	);
	issuer.twist(undefined);
	daemon.kill("SIGHUP");
	await statusIs(/^1 of 1 tokens fresh/);
	expect((await daemon.stop()).code).toBe(0);
});

test("systemd is asked for time before the daemon does anything, so a slow machine does not end its start", async () => {
	const messages = join(newDirectory(), "messages");
	const issuer = await startIssuer();
	const config = writeConfig({ ...issuer, top: { schedule: "0 0 1 1 *" } });
	const daemon = await startDaemon(config.file, {
		env: { NOTIFY_SOCKET: "unused", NOTIFY_FD: "3" },
		launcher: ["sh", "-c", `exec "$@" 3>${messages}`, "sh"],
	});
	expect(readFileSync(messages, "utf8")).toMatch(/^EXTEND_TIMEOUT_USEC=\d+/);
	expect((await daemon.stop()).code).toBe(0);
});

const noPerl = spawnSync("perl", ["-MSocket", "-e", "1"]).status !== 0;

test.skipIf(noPerl)(
	"a systemd that stands still holds up nothing, and is told later that the daemon is ready",
	async () => {
		const systemd = await startFullSystemd();
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = await startDaemon(config.file, {
			env: { NOTIFY_SOCKET: systemd.path },
			launcher: ["perl", join(projectRoot, "systemd/notify-exec")],
		});
		const path = config.tokenFile("wx1");
		const { value } = await tokenOtherThan("", path);
		daemon.kill("SIGHUP");
		await tokenOtherThan(value, path);
		systemd.goOn();
		await eventually(
			() =>
				/^READY=1$[\s\S]*^RELOADING=1$[\s\S]*^READY=1$/m.test(systemd.heard()),
			{ what: "what systemd is told of the start and of the reload" },
		);
		expect((await daemon.stop()).code).toBe(0);
	},
);

/** Its socket holds as many messages as it can. From `goOn` on it reads them. */
async function startFullSystemd() {
	const path = join(newDirectory(), "notify");
	const program = `
		use Socket; use Fcntl; $| = 1; my ($socket, $sender);
		my $to = pack_sockaddr_un($ARGV[0]);
		socket($socket, AF_UNIX, SOCK_DGRAM, 0) and bind($socket, $to) or die $!;
		socket($sender, AF_UNIX, SOCK_DGRAM, 0) and connect($sender, $to) or die $!;
		fcntl($sender, F_SETFL, O_NONBLOCK) or die $!;
		1 while defined syswrite($sender, "full");
		print "full\\n";
		<STDIN>;
		while (defined recv($socket, my $message, 4096, 0)) { print "$message\\n"; }`;
	const child = spawn("perl", ["-e", program, path], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	let heard = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		heard += text;
	});
	await eventually(() => heard !== "", { what: "a full socket" });
	return {
		path,
		heard: () => heard,
		goOn: () => child.stdin.write("\n"),
	};
}
