/** A 第三方平台 as its users have it: the built program, real pushes, its files and sockets. */
import {
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { noteSecret } from "./support/leaks.ts";
import {
	callsTo,
	componentAppid,
	factsIn,
	liveToken,
	newPlatform,
	otherPushKey,
	type PlatformScene,
	pushKey,
} from "./support/platform.ts";
import { callAdmin, statusOf } from "./support/platform-place.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { hasFile, readTokenFile } from "./support/token-file.ts";

const hour = 3_600;

function admin(
	scene: PlatformScene,
	what: string,
	body?: object,
	method?: string,
) {
	const path = `/v1/components/${componentAppid}/${what}`;
	return callAdmin(scene, path, body, method);
}

describe("a ticket that is pushed", () => {
	test("brings the component token, and is on the disk before it is answered", async () => {
		const scene = await newPlatform();
		const daemon = await startDaemon(scene.config);
		const { lastError } = await statusOf(
			scene,
			`wx_component_access_token_${componentAppid}`,
		);
		expect(lastError).toMatchObject({ code: "no-ticket" });
		const { outcome, ticket } = await scene.push();
		expect(outcome).toBe("success");
		expect(factsIn(scene.stateFile("verify-ticket")).at(-1)).toMatchObject({
			ticket,
		});
		await liveToken(scene, scene.componentFile);
		// By age, and not by pushes.
		for (let count = 0; count < 3; count += 1) await scene.push();
		expect(callsTo(scene, "api_component_token")).toBe(1);
		await daemon.stop();
	});

	test("survives a kill at once after its answer, and a reboot that empties /run", async () => {
		const scene = await newPlatform();
		const first = await startDaemon(scene.config);
		const { outcome, ticket } = await scene.push();
		first.kill("SIGKILL");
		expect(outcome).toBe("success");
		await first.exited;
		rmSync(scene.directory, { recursive: true });
		mkdirSync(scene.directory, { mode: 0o750 });
		await startDaemon(scene.config);
		await liveToken(scene, scene.componentFile);
		const call = scene.wechat.requests.find(
			({ endpoint }) => endpoint === "api_component_token",
		);
		expect(JSON.parse(call?.body ?? "").component_verify_ticket).toBe(ticket);
	});

	test("is not replaced by an older one that comes late", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		const { ticket } = await scene.push();
		expect((await scene.push(undefined, 60)).outcome).toBe("success");
		const facts = factsIn(scene.stateFile("verify-ticket"));
		expect(facts.map((fact) => fact.ticket)).toEqual([ticket]);
	});

	test("that WeChat does not take is not tried again; the next one is", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		await admin(scene, "ticket", {
			ticket: noteSecret("ticket@@@of-yesterday-that-nobody-knows"),
		});
		await scene.wechat.waitFor(
			({ outcome }) => outcome === "errcode 61006",
			60_000,
		);
		const status = () =>
			statusOf(scene, `wx_component_access_token_${componentAppid}`);
		expect(JSON.stringify(await status())).toContain("ticket-invalid");
		expect(callsTo(scene, "api_component_token")).toBe(1);
		await scene.push();
		await liveToken(scene, scene.componentFile);
		expect(callsTo(scene, "api_component_token")).toBe(2);
	});
});

describe("the receiver", () => {
	test("answers exactly success, also for events that it does not know", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		for (const flaw of ["plain-values", "blank-before-cdata"] as const)
			expect((await scene.push(flaw)).outcome).toBe("success");
		const { outcome } = await scene.event("notify_third_fasteregister", {
			status: "0",
		});
		expect(outcome).toBe("success");
	});

	test("refuses what is not for it with 403, tells each kind once, and changes nothing", async () => {
		const scene = await newPlatform();
		const daemon = await startDaemon(scene.config);
		const { ticket } = await scene.push();
		for (const [flaw, kind] of [
			["bad-signature", "bad-signature"],
			["foreign-tail", "foreign-id"],
			["foreign-id", "foreign-receiver"],
			["former-key", "undecipherable"],
		] as const) {
			for (let count = 0; count < 3; count += 1)
				expect((await scene.push(flaw)).outcome).toBe("status 403");
			await daemon.event("push.refused", (one) => one.kind === kind);
		}
		expect((await scene.push("large")).outcome).not.toBe("success");
		const told = daemon
			.events()
			.filter(({ event }) => event === "push.refused");
		expect(told).toHaveLength(4);
		expect(factsIn(scene.stateFile("verify-ticket"))).toHaveLength(1);
		expect(factsIn(scene.stateFile("verify-ticket"))[0]?.ticket).toBe(ticket);
	});

	test("takes both keys while the EncodingAESKey is changed, by reloads alone", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		expect((await scene.push("former-key")).outcome).toBe("status 403");
		scene.write({
			previous_aes_key_file: scene.file("previous", otherPushKey),
		});
		const reload = () =>
			callSocket(socketIn(scene.directory), "/v1/reload", { method: "POST" });
		expect((await reload()).status).toBe(502);
		expect((await scene.push("former-key")).outcome).toBe("success");
		expect((await scene.push()).outcome).toBe("success");
		scene.write({
			aes_key_file: scene.file("newer", otherPushKey),
			previous_aes_key_file: scene.file("older", pushKey),
		});
		await reload();
		for (const flaw of [undefined, "former-key"] as const)
			expect((await scene.push(flaw)).outcome).toBe("success");
	});

	test("answers while WeChat's API hangs", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		await scene.wechat.addFault({ mode: "hang" });
		expect((await scene.push()).outcome).toBe("success");
		const code = await scene.consent("wxa1");
		expect(code).toContain("queryauthcode");
		expect(scene.wechat.pushes.records.at(-1)?.outcome).toBe("success");
	});

	test("does not answer success if the disk is full", async () => {
		const scene = await newPlatform();
		mkdirSync(join(scene.state, "component", componentAppid), {
			recursive: true,
		});
		// A file that can be opened, but takes nothing more.
		const daemon = await startDaemon(scene.config, {
			launcher: ["prlimit", "--fsize=20000:20000"],
		});
		writeFileSync(scene.stateFile("verify-ticket"), "\n".repeat(20_000));
		expect((await scene.push()).outcome).toBe("status 500");
		const failed = await daemon.event("push.failed");
		expect(failed).toMatchObject({ code: "EFBIG" });
	});

	test("hands the raw push on after its answer, so that a program can check it itself", async () => {
		const received: { url: string; body: string }[] = [];
		const server = createServer((request, response) => {
			let body = "";
			request.on("data", (chunk) => {
				body += chunk;
			});
			request.on("end", () => {
				received.push({ url: request.url ?? "", body });
				response.end("ok");
			});
		});
		await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
		onTestFinished(() => void server.close());
		const { port } = server.address() as AddressInfo;
		const scene = await newPlatform({
			receiver: { forward: `http://127.0.0.1:${port}/events?from=wechat` },
		});
		await startDaemon(scene.config);
		await scene.push();
		await scene.push("bad-signature");
		const [first] = await eventually(
			() => (received.length > 0 ? received : undefined),
			{ what: "the push" },
		);
		expect(first?.url).toMatch(
			/^\/events\?from=wechat&signature=.*&msg_signature=[0-9a-f]{40}$/,
		);
		expect(first?.body).toContain("<Encrypt>");
		expect(received).toHaveLength(1);
	});
});

describe("an account that authorises", () => {
	test("has its token under the name of an own account, and its tickets", async () => {
		const scene = await newPlatform({
			component: { authorizer_tickets: ["jsapi"] },
		});
		const daemon = await startDaemon(scene.config);
		await scene.push();
		await scene.consent("wxa1");
		const value = await liveToken(scene, scene.tokenOf("wxa1"));
		await eventually(() => hasFile(scene.path("wx_jsapi_ticket_wxa1")), {
			what: "its ticket",
		});
		const got = await runProgram(["get", "wxa1", "--config", scene.config]);
		expect(got.stdout.trim()).toBe(value);
		const status = await runProgram(["status", "--config", scene.config]);
		expect(status.stdout).toMatch(/^ {2}wxa1 +valid/m);
		expect(callsTo(scene, "api_query_auth")).toBe(1);
		await daemon.stop();
		// A restart takes all of it over without a call.
		const calls = scene.wechat.requests.length;
		const again = await startDaemon(scene.config);
		await again.stop();
		expect(scene.wechat.requests.length).toBe(calls);
	});

	test("is not lost if the daemon is killed after the answer and before the exchange", async () => {
		const scene = await newPlatform();
		const daemon = await startDaemon(scene.config);
		// Without a ticket nothing can be exchanged.
		await scene.consent("wxa1");
		expect(scene.wechat.pushes.records.at(-1)?.outcome).toBe("success");
		daemon.kill("SIGKILL");
		await daemon.exited;
		await startDaemon(scene.config);
		await scene.push();
		await liveToken(scene, scene.tokenOf("wxa1"));
	});

	test("whose code was exchanged by somebody else is found by asking for it", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		await scene.push();
		await liveToken(scene, scene.componentFile);
		const code = await scene.consent("wxa1", false);
		const found = scene.component.codes.get(code);
		if (found !== undefined) found.isUsed = true;
		const authorizer = scene.component.authorizers.get("wxa1");
		if (authorizer !== undefined) authorizer.isExchanged = true;
		await scene.event("authorized", {
			AuthorizerAppid: "wxa1",
			AuthorizationCode: code,
		});
		await liveToken(scene, scene.tokenOf("wxa1"));
		expect(callsTo(scene, "api_get_authorizer_info")).toBe(1);
	});

	test("and whose events were lost is found by the list", async () => {
		const scene = await newPlatform();
		scene.wechat.platform.loadAuthorizers(
			componentAppid,
			"wxa",
			600,
			scene.wechat.now(),
		);
		await startDaemon(scene.config);
		await scene.push();
		await liveToken(scene, scene.tokenOf("wxa000599"));
		expect(callsTo(scene, "api_get_authorizer_list")).toBe(2);
	});

	test("is left to the app with exchange = false", async () => {
		const scene = await newPlatform({ component: { exchange: false } });
		await startDaemon(scene.config);
		await scene.push();
		await liveToken(scene, scene.componentFile);
		const code = await scene.consent("wxa1");
		const authorizer = scene.component.authorizers.get("wxa1");
		if (authorizer === undefined) throw new Error("no authorizer");
		authorizer.isExchanged = true;
		noteSecret(authorizer.refreshToken);
		const { status } = await admin(scene, "authorizations", {
			appid: "wxa1",
			refresh_token: authorizer.refreshToken,
		});
		expect(status).toBe(204);
		await liveToken(scene, scene.tokenOf("wxa1"));
		expect(callsTo(scene, "api_query_auth")).toBe(0);
		expect(scene.component.codes.get(code)?.isUsed).toBe(false);
	});
});

describe("an account that withdraws", () => {
	test("costs no more calls; its file stays until its end; a new consent brings it back", async () => {
		const scene = await newPlatform({
			knobs: { tokenLifetimeSeconds: 20 },
		});
		const daemon = await startDaemon(scene.config);
		await scene.push();
		await scene.consent("wxa1");
		await liveToken(scene, scene.tokenOf("wxa1"));
		const { expire } = readTokenFile(scene.tokenOf("wxa1"));
		await scene.withdraw("wxa1");
		const calls = callsTo(scene, "api_authorizer_token");
		const { lastError } = await eventually(
			async () => {
				const status = await statusOf(scene, "wx_access_token_wxa1");
				return status.lastError === null ? undefined : status;
			},
			{ what: "the reason" },
		);
		expect(lastError).toMatchObject({ code: "unauthorized" });
		expect(hasFile(scene.tokenOf("wxa1"))).toBe(true);
		expect(readTokenFile(scene.tokenOf("wxa1")).expire).toBe(expire);
		expect(callsTo(scene, "api_authorizer_token")).toBe(calls);
		await scene.consent("wxa1");
		await liveToken(scene, scene.tokenOf("wxa1"));
		await daemon.stop();
	});

	test("unheard is found by the first refusal, and only if WeChat confirms it", async () => {
		const scene = await newPlatform();
		const daemon = await startDaemon(scene.config);
		await scene.push();
		for (const appid of ["wxa1", "wxa2"]) {
			await scene.consent(appid);
			await liveToken(scene, scene.tokenOf(appid));
		}
		// A refusal alone: the account is still there.
		await scene.wechat.addFault({
			...{ mode: "errcode", errcode: 61003, count: 1, appid: "wxa2" },
			endpoint: "api_authorizer_token",
		});
		await scene.withdraw("wxa1", false);
		for (const appid of ["wxa1", "wxa2"])
			void callSocket(
				socketIn(scene.directory),
				`/v1/accounts/${appid}/refresh`,
				{ method: "POST" },
			);
		await daemon.event("component.withdrawn", ({ appid }) => appid === "wxa1");
		await eventually(
			() => callsTo(scene, "api_get_authorizer_info", "wxa2") === 1,
			{ what: "the question" },
		);
		const facts = factsIn(scene.stateFile("authorizers"));
		expect(
			facts.filter((one) => "retired_at" in one).map(({ appid }) => appid),
		).toEqual(["wxa1"]);
	});
});

describe("refresh tokens", () => {
	test("that are all lost are read from the list again, without consent", async () => {
		const scene = await newPlatform();
		scene.wechat.platform.loadAuthorizers(
			componentAppid,
			"wxa",
			60,
			scene.wechat.now(),
		);
		const first = await startDaemon(scene.config);
		await scene.push();
		await liveToken(scene, scene.tokenOf("wxa000059"));
		await first.stop();
		rmSync(scene.stateFile("authorizers"));
		const calls = callsTo(scene, "api_get_authorizer_list");
		await startDaemon(scene.config);
		await eventually(
			() => factsIn(scene.stateFile("authorizers")).length >= 60,
			{ what: "the refresh tokens" },
		);
		expect(callsTo(scene, "api_get_authorizer_list")).toBe(calls + 1);
	});

	test("that WeChat refuses are asked for once, and then tried once more", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		await scene.push();
		await scene.consent("wxa1");
		const before = await liveToken(scene, scene.tokenOf("wxa1"));
		const authorizer = scene.component.authorizers.get("wxa1");
		if (authorizer === undefined) throw new Error("no authorizer");
		authorizer.refreshToken = noteSecret(
			"refreshtoken@@@another-one-that-nobody-was-told",
		);
		void callSocket(socketIn(scene.directory), "/v1/accounts/wxa1/refresh", {
			method: "POST",
		});
		await liveToken(scene, scene.tokenOf("wxa1"), before);
		expect(callsTo(scene, "api_get_authorizer_info")).toBe(1);
		expect(callsTo(scene, "api_authorizer_token", "wxa1")).toBe(3);
	});

	test("that change with each answer are kept before the token is published", async () => {
		const scene = await newPlatform({
			knobs: { refreshTokenOnRefresh: "new", tokenLifetimeSeconds: 6 },
		});
		await startDaemon(scene.config);
		await scene.push();
		await scene.consent("wxa1");
		await eventually(() => callsTo(scene, "api_authorizer_token") >= 3, {
			what: "three fetches",
		});
		const refused = scene.wechat.requests.filter(
			({ outcome }) => outcome === "errcode 61023",
		);
		expect(refused).toEqual([]);
	});
});

describe("a component token that died", () => {
	test("is fetched once for all its accounts, and none of them waits for long", async () => {
		const scene = await newPlatform({ knobs: { tokenLifetimeSeconds: 7200 } });
		scene.wechat.platform.loadAuthorizers(
			componentAppid,
			"wxa",
			100,
			scene.wechat.now(),
		);
		const daemon = await startDaemon(scene.config);
		await scene.push();
		await eventually(() => callsTo(scene, "api_authorizer_token") >= 100, {
			what: "all tokens",
		});
		await liveToken(scene, scene.tokenOf("wxa000099"));
		scene.wechat.platform.changeComponent(
			componentAppid,
			{ kill: true },
			scene.wechat.now(),
		);
		// Each account is asked for, and the component only by its accounts.
		const asked = await Promise.all(
			Array.from({ length: 100 }, (_, at) =>
				callSocket(
					socketIn(scene.directory),
					`/v1/accounts/wxa${String(at).padStart(6, "0")}/refresh`,
					{ method: "POST" },
				),
			),
		);
		expect(asked.length).toBe(100);
		await liveToken(scene, scene.componentFile);
		expect(callsTo(scene, "api_component_token")).toBe(2);
		await daemon.stop();
	});
});

describe("the admin socket", () => {
	test("is for the daemon's user alone, and takes what an app hands over", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		const path = join(scene.directory, "admin.sock");
		expect(statSync(path).mode & 0o777).toBe(0o600);
		const { ticketEvent } = await import("../src/simulator/pushes.ts");
		const { fields } = ticketEvent(
			scene.wechat.platform.state,
			scene.component,
			scene.wechat.now(),
		);
		const ticket = noteSecret(String(fields?.ComponentVerifyTicket));
		const create_time = Math.floor(scene.wechat.now() / 1000);
		expect((await admin(scene, "ticket", { ticket, create_time })).status).toBe(
			204,
		);
		await liveToken(scene, scene.componentFile);
		const auth_code = noteSecret(await scene.consent("wxa1", false));
		expect((await admin(scene, "authorizations", { auth_code })).status).toBe(
			204,
		);
		await liveToken(scene, scene.tokenOf("wxa1"));
		expect(
			(await admin(scene, "authorizations/wxa1", undefined, "DELETE")).status,
		).toBe(204);
		expect(factsIn(scene.stateFile("authorizers")).at(-1)).toHaveProperty(
			"retired_at",
		);
		const ahead = Math.floor(scene.wechat.now() / 1000) + 43_200;
		const answer = await admin(scene, "ticket", { ticket, create_time: ahead });
		expect(answer.status).toBe(400);
		expect(JSON.stringify(answer)).toContain("not when it ends");
		for (const [what, body, status] of [
			["ticket", {}, 400],
			["ticket", { ticket: "x".repeat(70_000) }, 413],
			["ticket", { ticket: "a b" }, 400],
			["authorizations", { appid: "../x", refresh_token: "a" }, 400],
			["authorizations", [], 400],
			["nothing", {}, 404],
		] as const)
			expect((await admin(scene, what, body)).status).toBe(status);
	});

	test("import hands lines over, tells wrong ones, and each right one is safe", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		const lines = Array.from({ length: 200 }, (_, at) =>
			JSON.stringify({
				component: componentAppid,
				appid: `wxi${at}`,
				refresh_token: noteSecret(`refreshtoken@@@imported-number-${at}`),
			}),
		);
		const file = scene.file("import.jsonl", [...lines, "{", "{}"].join("\n"));
		const done = await runProgram(["import", file, "--config", scene.config]);
		expect(done.stdout).toBe("took 200 lines over\n");
		expect(done.stderr).toMatch(/line 201: is not JSON/);
		expect(done.stderr).toMatch(/line 202: has no "component"/);
		expect(done.code).toBe(64);
		expect(factsIn(scene.stateFile("authorizers"))).toHaveLength(200);
	});

	test.each([
		["cannot write them", 500, "ENOSPC", 73],
		["cannot reach the fleet", 500, "redis-unreachable", 75],
		["has no time for them", 408, "request-timeout", 75],
	])(
		"import to a daemon that %s tells so once, and blames no line",
		async (_, status, code, exit) => {
			const scene = await newPlatform();
			const server = createServer((request, response) => {
				request.resume();
				response.writeHead(status).end(JSON.stringify({ code, message: "no" }));
			});
			await new Promise<void>((resolve) =>
				server.listen(join(scene.directory, "admin.sock"), resolve),
			);
			onTestFinished(() => void server.close());
			const lines = Array.from({ length: 40 }, (_, at) =>
				JSON.stringify({ component: componentAppid, auth_code: `code${at}` }),
			);
			const file = scene.file("import.jsonl", lines.join("\n"));
			const done = await runProgram(["import", file, "--config", scene.config]);
			expect(done.stdout).toBe("took 0 lines over\n");
			expect(done.stderr).toMatch(/^wxtokend: line \d+ and 39 more: no\n$/);
			expect(done.code).toBe(exit);
		},
	);
});

test("when pushes stop, WeChat is asked once an hour, and status names the push", async () => {
	const scene = await newPlatform();
	const old = Date.now() - 13 * hour * 1000;
	const place = join(scene.state, "component", componentAppid);
	mkdirSync(place, { recursive: true, mode: 0o700 });
	writeFileSync(
		scene.stateFile("verify-ticket"),
		`${JSON.stringify({ ticket: noteSecret("ticket@@@of-half-a-day-ago-and-more"), create_time: Math.floor(old / 1000), arrived_at: old })}\n`,
	);
	scene.wechat.platform.changeComponent(
		componentAppid,
		{ stopped: true },
		scene.wechat.now(),
	);
	await startDaemon(scene.config);
	const { lastError } = await statusOf(
		scene,
		`wx_component_access_token_${componentAppid}`,
	);
	expect(lastError).toMatchObject({ code: "no-ticket" });
	expect(JSON.stringify(lastError)).toContain(
		`no push since ${new Date(old).toISOString()}`,
	);
	expect(callsTo(scene, "api_component_token")).toBe(0);
});

describe("what is wrong with a configuration", () => {
	test("is told all at once, by check as by run", async () => {
		const place = newDirectory();
		const file = join(place, "config.toml");
		writeFileSync(
			file,
			`directory = "${place}/run"
[receiver]
listen = "7801"
forward = "ftp://x"
[[account]]
appid = "wxa1"
secret = "0123456789abcdef0123456789abcdef"
[[component]]
appid = "wxc1"
secret = "1123456789abcdef0123456789abcdef"
token_file = "${place}/none"
authorizers = ["wxa1", "wxa2"]
[[component]]
appid = "wxc2"
secret = "2123456789abcdef0123456789abcdef"
authorizers = ["wxa2"]
authorizer_tickets = ["nothing"]
[[component.authorizer]]
appid = "wxa3"
secret = "x"
`,
			{ mode: 0o600 },
		);
		for (const command of ["check", "run"]) {
			const { code, stderr } = await runProgram([command, "--config", file]);
			expect(code).toBe(78);
			for (const part of [
				"state_directory: is missing",
				"receiver.listen",
				"receiver.forward",
				"component[0].token_file",
				"component[0].aes_key_file: is missing",
				"component[1].token_file: is missing",
				"component[1].authorizer_tickets",
				"component[1].authorizer[0].secret: is not a key",
				'would publish "wx_access_token_wxa1"',
				'would publish "wx_access_token_wxa2"',
			])
				expect(stderr).toContain(part);
		}
	});

	test("an account with a file of its own name is found by that name", async () => {
		const scene = await newPlatform({
			component: {
				authorizer: [{ appid: "wxa1", file: "special.json" }],
			},
		});
		await startDaemon(scene.config);
		await scene.push();
		await scene.consent("wxa1");
		const path = join(scene.directory, "special.json");
		await eventually(() => hasFile(path), { what: path });
		const got = await runProgram([
			"get",
			"special.json",
			"--config",
			scene.config,
		]);
		expect(got).toMatchObject({
			code: 0,
			stdout: `${readTokenFile(path).value}\n`,
		});
	});

	test("two daemons on one state directory: the second one is refused", async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		const again = await runProgram(["run", "--config", scene.config]);
		expect(again.code).toBe(73);
		expect(again.stderr).toContain("has it");
	});
});

test("no secret of the state directory can be read by others", async () => {
	const scene = await newPlatform();
	await startDaemon(scene.config);
	await scene.push();
	await scene.consent("wxa1");
	await liveToken(scene, scene.tokenOf("wxa1"));
	expect(statSync(scene.state).mode & 0o777).toBe(0o700);
	const authorizer = scene.component.authorizers.get("wxa1");
	const published = readdirSync(scene.directory, { withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map(({ name }) => readFileSync(scene.path(name), "utf8"))
		.join("\n");
	expect(published).not.toContain(authorizer?.refreshToken);
	for (const path of ["/metrics", "/v1/credentials", "/healthz"]) {
		const { text } = await callSocket(socketIn(scene.directory), path);
		expect(text).not.toContain(authorizer?.refreshToken);
		for (const { value } of scene.component.tickets)
			expect(text).not.toContain(value);
	}
});
