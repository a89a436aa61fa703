import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { startDaemon } from "../support/program.ts";

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
