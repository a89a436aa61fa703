/** What a client of the control socket takes, it cannot keep: others are served afterwards. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { startHeldIssuer } from "./faults/held-issuer.ts";
import { writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { startIssuer } from "./support/issuer.ts";
import { startDaemon, startProgram } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";

test("answers that were queued behind a refresh when their client hung up do not count as unread for ever", async () => {
	const issuer = await startHeldIssuer();
	const config = writeConfig({ url: issuer.url, wechat: { cooldown: 0 } });
	const daemon = startProgram(["run", "--config", config.file]);
	(await issuer.next()).give();
	await daemon.event("daemon.ready");
	const path = socketIn(config.directory);
	const pipelined =
		"POST /v1/accounts/wx1/refresh HTTP/1.1\r\nContent-Length: 0\r\n\r\n" +
		"GET /metrics HTTP/1.1\r\n\r\n".repeat(98);
	const clients = await Promise.all(
		Array.from(
			{ length: 130 },
			() =>
				new Promise<ReturnType<typeof connect>>((resolve) => {
					const client = connect(path, () => {
						client.write(pipelined, () => resolve(client));
					});
					client.on("error", () => {});
				}),
		),
	);
	const held = await issuer.next();
	for (const client of clients) client.destroy();
	held.give();
	const answer = await eventually(
		async () => {
			const found = await callSocket(path, "/metrics");
			return found.status === 200 && found;
		},
		// Twelve thousand answers are made first, which a busy machine takes long for.
		{ what: "an answer" },
	);
	expect(answer.status).toBe(200);
});

test("thousands of connections with half a request on each keep no other client out", async () => {
	const issuer = await startIssuer();
	const config = writeConfig({ url: issuer.url });
	await startDaemon(config.file);
	const path = socketIn(config.directory);
	const halves = Array.from({ length: 2_048 }, (_, index) => {
		const client = connect(path, () => {
			client.write(
				index % 2 === 0
					? "GET /healthz HTTP/1.1\r\nX-Half: "
					: "POST /v1/accounts/wx1/refresh HTTP/1.1\r\nContent-Length: 20\r\n\r\n{",
			);
		});
		client.on("error", () => {});
		return client;
	});
	const statuses: number[] = [];
	for (let asked = 0; asked < 30; asked += 1)
		statuses.push(
			await callSocket(path, "/healthz").then(
				({ status }) => status,
				() => 0,
			),
		);
	for (const half of halves) half.destroy();
	expect(statuses.filter((status) => status === 200)).toHaveLength(30);
});
