/**
 * WeChat issues a token, but its answer never arrives. The token on disk looks valid for
 * an hour, but is dead within 300 s. So it must be replaced, and not adopted.
 */
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { newToken, startIssuer, type Twist } from "../support/issuer.ts";
import { noteToken } from "../support/leaks.ts";
import { runProgram, startDaemon, startProgram } from "../support/program.ts";
import { readTokenFile } from "../support/token-file.ts";
import { inParallel } from "./in-parallel.ts";

/** What happens to an answer that holds a token. */
const losses: Readonly<
	Record<string, (response: ServerResponse, text: string) => void>
> = {
	"cut before a byte": (response) => response.destroy(),
	"cut after the headers": (response, text) => {
		response.writeHead(200, { "content-length": text.length });
		response.flushHeaders();
		setTimeout(() => response.destroy(), 20);
	},
	"cut in the middle": (response, text) => {
		response.writeHead(200, { "content-length": text.length });
		response.write(text.slice(0, 40));
		setTimeout(() => response.destroy(), 20);
	},
	"never sent": () => {},
	"replaced by a gateway": (response) => {
		response.writeHead(502);
		response.end("<html>bad gateway</html>");
	},
	garbled: (response, text) => response.end(text.replaceAll('"', "?")),
};

test("a request whose answer was lost is sent again at the next attempt, and its token is published", () =>
	inParallel(Object.keys(losses), 6, async (loss) => {
		const { config, issuer, lose } = await keep();
		const daemon = await startDaemon(config.file);
		lose(loss);
		daemon.kill("SIGHUP");
		const { token } = await daemon.event(
			"token.refreshed",
			({ reason }) => reason !== "first",
		);
		expect(issuer.requests.length).toBe(3);
		await eventually(
			() => readTokenFile(config.tokenFile("wx1")).value === issuer.last(),
			{ what: `the token ${token}` },
		);
	}));

test("a start after a lost answer fetches a token, and the start after that adopts it", () =>
	inParallel(Object.keys(losses), 3, async (loss) => {
		const { config, issuer, lose } = await keep();
		const daemon = await startDaemon(config.file);
		lose(loss);
		daemon.kill("SIGHUP");
		await eventually(() => issuer.requests.length > 1, {
			what: "the request whose answer is lost",
		});
		daemon.kill("SIGKILL");
		await daemon.exited;
		// One request was lost, or two if it tried again before it was killed.
		const lost = issuer.requests.length;
		const old = readTokenFile(config.tokenFile("wx1")).value;
		expect(old).not.toBe(issuer.last());

		expect((await once(config.file)).code).toBe(0);
		expect(issuer.requests.length).toBe(lost + 1);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(issuer.last());

		expect((await once(config.file)).code).toBe(0);
		expect(issuer.requests.length).toBe(lost + 1);
	}));

test("fifty processes that find the lock of a dead process make one request, and all succeed", async () => {
	// The holder has to share the machine with 49 starts, and how long others wait for the
	// lock, or take it for given up, follows from this: with 10 s a busy machine is late.
	const { config, issuer, lose, maxInFlight } = await keep(60);
	const dying = startProgram(["run", "--config", config.file]);
	await dying.event("daemon.ready");
	lose("never sent");
	dying.kill("SIGHUP");
	await eventually(() => issuer.requests.length === 2, {
		what: "the request of the process that is killed",
	});
	dying.kill("SIGKILL");
	await dying.exited;

	const ends = await Promise.all(
		Array.from({ length: 50 }, () => once(config.file)),
	);
	for (const { code, stderr } of ends) expect(code, stderr).toBe(0);
	expect(issuer.requests.length).toBe(3);
	expect(maxInFlight()).toBe(1);
	expect(readTokenFile(config.tokenFile("wx1")).value).toBe(issuer.last());
});

async function keep(timeout = 1) {
	const values: string[] = [];
	let loss: string | undefined;
	let inFlight = 0;
	let max = 0;
	const twist: Twist = (_, response) => {
		inFlight += 1;
		max = Math.max(max, inFlight);
		response.on("close", () => {
			inFlight -= 1;
		});
		const value = noteToken(newToken());
		values.push(value);
		const text = JSON.stringify({ access_token: value, expires_in: 7200 });
		const lose = losses[loss ?? ""];
		loss = undefined;
		if (lose !== undefined) lose(response, text);
		else setTimeout(() => response.end(text), 50);
	};
	const issuer = await startIssuer({ twist });
	const config = writeConfig({
		url: issuer.url,
		top: { socket: "" },
		wechat: { timeout },
	});
	return {
		config,
		issuer: { requests: issuer.requests, last: () => values.at(-1) },
		/** Loses the next answer in that way, and no later one. */
		lose: (next: string) => {
			loss = next;
		},
		maxInFlight: () => max,
	};
}

function once(configFile: string) {
	return runProgram(["once", "--config", configFile]);
}
