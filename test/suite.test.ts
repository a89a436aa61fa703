/** A suite of 企业微信 as its users have it: the built program, real pushes, its files and sockets. */
import {
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { noteSecret } from "./support/leaks.ts";
import { callsTo, factsIn, otherPushKey, pushKey } from "./support/platform.ts";
import { callAdmin, statusOf } from "./support/platform-place.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { startRobot } from "./support/robot.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import {
	corp,
	customized,
	livingToken,
	newSuite,
	provider,
	type SuiteScene,
	thirdParty,
} from "./support/suite.ts";
import { hasFile, readTokenFile } from "./support/token-file.ts";

function refresh(scene: SuiteScene, path: string) {
	const file = path.slice(path.lastIndexOf("/") + 1);
	return callSocket(
		socketIn(scene.directory),
		`/v1/credentials/${file}/refresh`,
		{ method: "POST" },
	);
}

function admin(
	scene: SuiteScene,
	what: string,
	body?: object,
	method?: string,
) {
	const path = `/v1/suites/${scene.suiteId}/${what}`;
	return callAdmin(scene, path, body, method);
}

describe("a suite_ticket that is pushed", () => {
	test("brings the suite token, and is on the disk before it is answered", async () => {
		const scene = await newSuite();
		await startDaemon(scene.config);
		const { lastError } = await statusOf(scene, scene.suiteFile);
		expect(lastError).toMatchObject({ code: "no-ticket" });
		const { outcome, ticket } = await scene.push();
		expect(outcome).toBe("success");
		expect(factsIn(scene.stateFile("ticket")).at(-1)).toMatchObject({ ticket });
		await livingToken(scene, scene.suiteFile);
		// By age, and not by pushes.
		for (let count = 0; count < 3; count += 1) await scene.push();
		expect(callsTo(scene, "get_suite_token")).toBe(1);
	});

	test("survives a kill at once after its answer, and a reboot that empties /run", async () => {
		const scene = await newSuite();
		const first = await startDaemon(scene.config);
		const { outcome, ticket } = await scene.push();
		first.kill("SIGKILL");
		expect(outcome).toBe("success");
		await first.exited;
		rmSync(scene.directory, { recursive: true });
		mkdirSync(scene.directory, { mode: 0o750 });
		await startDaemon(scene.config);
		await livingToken(scene, scene.suiteFile);
		const call = scene.wechat.requests.find(
			({ endpoint }) => endpoint === "get_suite_token",
		);
		expect(JSON.parse(call?.body ?? "").suite_ticket).toBe(ticket);
	});

	test("is used for half an hour after it came, and then status names the push", async () => {
		for (const [minutes, isUsed] of [
			[29, true],
			[31, false],
		] as const) {
			const scene = await newSuite();
			const ticket = noteSecret("a-ticket-of-some-time-ago-0123456789");
			const now = scene.wechat.now();
			scene.suite.tickets.push({
				...{ value: ticket, firstMadeAt: now, pushedAt: now },
			});
			const arrived_at = Date.now() - minutes * 60_000;
			const place = join(scene.state, "suite", scene.suiteId);
			mkdirSync(place, { recursive: true, mode: 0o700 });
			// Its value is old news, which does not matter.
			writeFileSync(
				scene.stateFile("ticket"),
				`${JSON.stringify({ ticket, create_time: 1, arrived_at })}\n`,
			);
			await startDaemon(scene.config);
			if (isUsed) await livingToken(scene, scene.suiteFile);
			else {
				const { lastError } = await statusOf(scene, scene.suiteFile);
				expect(JSON.stringify(lastError)).toContain(
					`no push since ${new Date(arrived_at).toISOString()}`,
				);
				expect(callsTo(scene, "get_suite_token")).toBe(0);
			}
		}
	});

	test("that 企业微信 does not take is not tried again; the next one is", async () => {
		const scene = await newSuite({ hasReceiver: false });
		await startDaemon(scene.config);
		const ticket = noteSecret("a-ticket-that-nobody-has-ever-made-0");
		await admin(scene, "ticket", { ticket });
		await scene.wechat.waitFor(
			({ outcome }) => outcome === "errcode 40085",
			60_000,
		);
		await refresh(scene, scene.suiteFile);
		expect(JSON.stringify(await statusOf(scene, scene.suiteFile))).toContain(
			"refused the last ticket",
		);
		expect(callsTo(scene, "get_suite_token")).toBe(1);
		const now = scene.wechat.now();
		scene.suite.tickets.push({
			...{ value: ticket, firstMadeAt: now, pushedAt: now },
		});
		// The same value may be pushed again, and be good then.
		await admin(scene, "ticket", { ticket });
		await livingToken(scene, scene.suiteFile);
		expect(callsTo(scene, "get_suite_token")).toBe(2);
	});
});

describe("the receiver", () => {
	test("proves the URL to 企业微信, with the 服务商 behind the message, and to nobody else", async () => {
		const scene = await newSuite();
		const daemon = await startDaemon(scene.config);
		expect(await scene.wechat.pushes.checkUrl(scene.suite)).toBe("success");
		scene.suite.provider = "ww9999999999999999";
		expect(await scene.wechat.pushes.checkUrl(scene.suite)).toBe("status 403");
		await daemon.event("push.refused", ({ kind }) => kind === "foreign-id");
		const plain = await fetch(
			`http://127.0.0.1:${scene.port}/suite/${scene.suiteId}`,
		);
		expect([plain.status, await plain.text()]).toEqual([403, ""]);
	});

	test("takes what is for it, unknown events too, and changes nothing for another suite's", async () => {
		const scene = await newSuite();
		const daemon = await startDaemon(scene.config);
		const { ticket } = await scene.push({ flaw: "blank-before-cdata" });
		expect(
			(await scene.event({ infoType: "approve_special_auth" })).outcome,
		).toBe("success");
		for (const [flaw, kind] of [
			["bad-signature", "bad-signature"],
			["foreign-tail", "foreign-id"],
			["foreign-id", "foreign-receiver"],
			["former-key", "undecipherable"],
		] as const) {
			for (let count = 0; count < 2; count += 1)
				expect((await scene.push({ flaw })).outcome).toBe("status 403");
			await daemon.event(
				"push.refused",
				(one) => one.kind === kind && one.suite === scene.suiteId,
			);
		}
		const told = daemon
			.events()
			.filter(({ event }) => event === "push.refused");
		expect(told).toHaveLength(4);
		expect((await scene.push({ olderSeconds: 60 })).outcome).toBe("success");
		const facts = factsIn(scene.stateFile("ticket"));
		expect(facts.map((fact) => fact.ticket)).toEqual([ticket]);
	});

	test("takes both keys while the EncodingAESKey is changed, by reloads alone", async () => {
		const scene = await newSuite();
		await startDaemon(scene.config);
		expect((await scene.push({ flaw: "former-key" })).outcome).toBe(
			"status 403",
		);
		scene.write({
			aes_key_file: scene.file("newer", pushKey),
			previous_aes_key_file: scene.file("older", otherPushKey),
		});
		await callSocket(socketIn(scene.directory), "/v1/reload", {
			method: "POST",
		});
		for (const options of [{}, { flaw: "former-key" }] as const)
			expect((await scene.push(options)).outcome).toBe("success");
	});
});

describe.each([
	["第三方应用", thirdParty, "get_corp_token"],
	["代开发", customized, "gettoken"],
])("a corp that authorises a %s", (_, suiteId, endpoint) => {
	test("has its token, whose code is exchanged once, whatever is pushed again", async () => {
		const scene = await newSuite({
			suiteId,
			suite: { corp_tickets: ["jsapi"] },
		});
		const daemon = await startDaemon(scene.config);
		await scene.push();
		const { event } = await scene.consent();
		const value = await livingToken(scene, scene.tokenOf(corp));
		await eventually(
			() => hasFile(scene.path(`wecom_jsapi_ticket_${corp}_${suiteId}`)),
			{ what: "its ticket" },
		);
		expect((await scene.event(event)).outcome).toBe("success");
		await scene.push();
		await daemon.event("suite.authorized", ({ corpid }) => corpid === corp);
		const name = `wecom_access_token_${corp}_${suiteId}`;
		const got = await runProgram(["get", name, "--config", scene.config]);
		expect(got.stdout.trim()).toBe(value);
		const status = await runProgram(["status", "--config", scene.config]);
		expect(status.stdout).toMatch(new RegExp(`^ *${name} +valid`, "m"));
		const answer = await refresh(scene, scene.tokenOf(corp));
		expect(answer.status).toBe(200);
		expect(callsTo(scene, "get_permanent_code")).toBe(1);
		expect(callsTo(scene, endpoint)).toBe(2);
		const { text } = await callSocket(socketIn(scene.directory), "/metrics");
		expect(text).toContain(`credential="${name}"`);
		await daemon.stop();
		// A restart takes all of it over without a call.
		const calls = scene.wechat.requests.length;
		const again = await startDaemon(scene.config);
		await again.stop();
		expect(scene.wechat.requests.length).toBe(calls);
		expect(
			daemon.events().some(({ event }) => event === "suite.code-lost"),
		).toBe(false);
	});

	test("and whose permanent code is reset has its next tokens by the new one", async () => {
		const scene = await newSuite({ suiteId });
		await startDaemon(scene.config);
		await scene.push();
		await scene.consent();
		const first = await livingToken(scene, scene.tokenOf(corp));
		expect((await scene.reset()).outcome).toBe("success");
		await eventually(() => callsTo(scene, "get_permanent_code") === 2, {
			what: "the exchange",
		});
		const token = scene.suite.corps.get(corp)?.app.current;
		if (token !== undefined) token.isInvalid = true;
		await eventually(
			() =>
				factsIn(scene.stateFile("corps")).filter(
					(fact) => "permanent_code" in fact,
				).length === 2,
			{ what: "the new code" },
		);
		await refresh(scene, scene.tokenOf(corp));
		await livingToken(scene, scene.tokenOf(corp), first);
		expect(
			scene.wechat.requests.filter(({ outcome }) =>
				/^errcode [1-9]/.test(outcome),
			),
		).toEqual([]);
	});

	test("and withdraws costs no more calls; its file stays until its end; a new consent brings it back", async () => {
		const scene = await newSuite({ suiteId });
		await startDaemon(scene.config);
		await scene.push();
		await scene.consent();
		await livingToken(scene, scene.tokenOf(corp));
		const { expire } = readTokenFile(scene.tokenOf(corp));
		expect((await scene.withdraw()).outcome).toBe("success");
		const { lastError } = await eventually(
			async () => {
				const status = await statusOf(scene, scene.tokenOf(corp));
				return status.lastError === null ? undefined : status;
			},
			{ what: "the reason" },
		);
		expect(lastError).toMatchObject({ code: "unauthorized" });
		expect(readTokenFile(scene.tokenOf(corp)).expire).toBe(expire);
		expect(callsTo(scene, endpoint)).toBe(1);
		await scene.consent();
		await eventually(() => callsTo(scene, endpoint) === 2, {
			what: "a token for the corp that is back",
		});
	});
});

describe("a permanent code", () => {
	test("is on the disk before anything is done with it, and survives a kill", async () => {
		const scene = await newSuite();
		const daemon = await startDaemon(scene.config);
		await scene.push();
		await livingToken(scene, scene.suiteFile);
		await scene.wechat.addFault({ mode: "hang", endpoint: "get_corp_token" });
		await scene.consent();
		await scene.wechat.waitFor(
			({ endpoint }) => endpoint === "get_corp_token",
			60_000,
		);
		daemon.kill("SIGKILL");
		await daemon.exited;
		const { code } = scene.suite.corps.get(corp) ?? {};
		expect(factsIn(scene.stateFile("corps"))).toContainEqual({
			...{ corpid: corp, permanent_code: code },
		});
		await scene.wechat.clearFaults();
		await startDaemon(scene.config);
		await livingToken(scene, scene.tokenOf(corp));
		expect(callsTo(scene, "get_permanent_code")).toBe(1);
	});

	test("whose auth code came before a kill is fetched by the next daemon", async () => {
		const scene = await newSuite();
		const daemon = await startDaemon(scene.config);
		// Without a ticket nothing can be exchanged.
		await scene.consent();
		expect(scene.wechat.pushes.records.at(-1)?.outcome).toBe("success");
		daemon.kill("SIGKILL");
		await daemon.exited;
		await startDaemon(scene.config);
		await scene.push();
		await livingToken(scene, scene.tokenOf(corp));
	});

	test("that 企业微信 has given to nobody here is told as lost, to people as well, and holds up no other", async () => {
		const robot = await startRobot();
		const scene = await newSuite({
			top: { alert: { url: robot.url, format: "wecom", language: "en" } },
		});
		const daemon = await startDaemon(scene.config);
		await scene.push();
		await livingToken(scene, scene.suiteFile);
		await scene.wechat.addFault({
			...{ mode: "cut", endpoint: "get_permanent_code", count: 1 },
			processed: true,
		});
		await scene.consent("ww-lost");
		await scene.wechat.waitFor(
			({ endpoint }) => endpoint === "get_permanent_code",
			60_000,
		);
		await scene.consent();
		const lost = await daemon.event("suite.code-lost");
		expect(lost.msg).toContain("it was tried before");
		const told = await eventually(
			() => robot.taken.find((text) => text.includes("no permanent code")),
			{ what: "an alert of it" },
		);
		expect(told).toContain("let the corp authorise the suite again");
		await livingToken(scene, scene.tokenOf(corp));
		expect(callsTo(scene, "get_permanent_code")).toBe(3);
	});

	test("is not asked for while the disk takes nothing, so that it cannot be lost", async () => {
		const scene = await newSuite();
		const place = join(scene.state, "suite", scene.suiteId);
		mkdirSync(place, { recursive: true, mode: 0o700 });
		const arrived_at = Date.now();
		const { code: auth_code } = await scene.consent(corp, false);
		const fact = `${JSON.stringify({ auth_code, arrived_at })}\n`;
		writeFileSync(
			scene.stateFile("corps"),
			"\n".repeat(20_000 - fact.length) + fact,
		);
		const daemon = await startDaemon(scene.config, {
			launcher: ["prlimit", "--fsize=20000:20000"],
		});
		await scene.push();
		await livingToken(scene, scene.suiteFile);
		await daemon.event("suite.failed", ({ code }) => code === "EFBIG");
		expect(callsTo(scene, "get_permanent_code")).toBe(0);
	});

	test("is left to the app with exchange = false, which hands it over", async () => {
		const scene = await newSuite({ suite: { exchange: false } });
		await startDaemon(scene.config);
		await scene.push();
		await livingToken(scene, scene.suiteFile);
		const { code: auth_code } = await scene.consent();
		expect((await admin(scene, "authorizations", { auth_code })).status).toBe(
			409,
		);
		// Nor is it kept for later: the app has used it by then.
		expect(readFileSync(scene.stateFile("corps"), "utf8")).toBe("");
		const { code: permanent_code = "" } = scene.suite.corps.get(corp) ?? {};
		expect(
			(await admin(scene, "authorizations", { corpid: corp, permanent_code }))
				.status,
		).toBe(204);
		await livingToken(scene, scene.tokenOf(corp));
		expect(callsTo(scene, "get_permanent_code")).toBe(0);
	});

	test("of a dead corp stops no other one", async () => {
		const scene = await newSuite({ hasReceiver: false });
		await startDaemon(scene.config);
		const hand = (corpid: string, permanent_code: string) =>
			admin(scene, "authorizations", { corpid, permanent_code });
		const wrong = noteSecret("a-permanent-code-that-is-nobody-s-0123456789");
		await hand("ww-dead", wrong);
		const { ticket } = await scene.push();
		await admin(scene, "ticket", { ticket });
		await scene.wechat.waitFor(
			({ outcome }) => outcome === "errcode 40084",
			60_000,
		);
		await scene.consent(corp, false);
		await hand(corp, scene.suite.corps.get(corp)?.code ?? "");
		await livingToken(scene, scene.tokenOf(corp));
		const { lastError } = await statusOf(scene, scene.tokenOf("ww-dead"));
		expect(lastError).toMatchObject({ code: "errcode 40084" });
		await refresh(scene, scene.tokenOf("ww-dead"));
		// Once an hour, however often it is asked for: the ban is one of this IP.
		expect(callsTo(scene, "get_corp_token", "ww-dead")).toBe(1);
	});
});

test("a suite token that died is fetched once for all its corps", async () => {
	const scene = await newSuite();
	await startDaemon(scene.config);
	await scene.push();
	const corps = Array.from({ length: 20 }, (_, at) => `ww-corp-${at}`);
	for (const corpid of corps) await scene.consent(corpid);
	for (const corpid of corps) await livingToken(scene, scene.tokenOf(corpid));
	const before = readTokenFile(scene.suiteFile).value;
	scene.wechat.platform.changeSuite(scene.suiteId, { kill: true });
	// Each corp is asked for, and the suite only by its corps.
	await Promise.all(corps.map((one) => refresh(scene, scene.tokenOf(one))));
	await livingToken(scene, scene.suiteFile, before);
	expect(callsTo(scene, "get_suite_token")).toBe(2);
});

describe("the admin socket and import", () => {
	test("take tickets, auth codes and permanent codes, and refuse the rest", async () => {
		const scene = await newSuite({ hasReceiver: false });
		await startDaemon(scene.config);
		const { ticket } = await scene.push();
		expect((await admin(scene, "ticket", { ticket })).status).toBe(204);
		await livingToken(scene, scene.suiteFile);
		const { code: auth_code } = await scene.consent(corp, false);
		expect((await admin(scene, "authorizations", { auth_code })).status).toBe(
			204,
		);
		await livingToken(scene, scene.tokenOf(corp));
		const gone = await admin(
			...([scene, `authorizations/${corp}`, undefined, "DELETE"] as const),
		);
		expect(gone.status).toBe(204);
		expect(factsIn(scene.stateFile("corps")).at(-1)).toHaveProperty(
			"retired_at",
		);
		for (const [what, body, status] of [
			["ticket", {}, 400],
			["authorizations", { corpid: "../x", permanent_code: "a" }, 400],
			["authorizations", { appid: "wxa", refresh_token: "a" }, 400],
			["nothing", {}, 404],
		] as const)
			expect((await admin(scene, what, body)).status).toBe(status);
		const lines = [
			{ corpid: "ww-i1", permanent_code: noteSecret("imported-code-number-1") },
			{
				suite: scene.suiteId,
				...{
					corpid: "ww-i2",
					permanent_code: noteSecret("imported-code-number-2"),
				},
			},
			{ component: "wxc", appid: "wxa", refresh_token: "a" },
		].map((line) => JSON.stringify(line));
		const done = await runProgram([
			"import",
			scene.file("import.jsonl", lines.join("\n")),
			"--suite",
			scene.suiteId,
			"--config",
			scene.config,
		]);
		expect(done.stdout).toBe("took 2 lines over\n");
		expect(done.stderr).toMatch(
			/line 3: there is no component with this appid/,
		);
		expect(factsIn(scene.stateFile("corps")).slice(-2)).toMatchObject([
			{ corpid: "ww-i1" },
			{ corpid: "ww-i2" },
		]);
	});
});

test("no secret of the state directory can be read by others", async () => {
	const scene = await newSuite();
	await startDaemon(scene.config);
	const { ticket } = await scene.push();
	await scene.consent();
	await livingToken(scene, scene.tokenOf(corp));
	for (const name of ["ticket", "corps"])
		expect(statSync(scene.stateFile(name)).mode & 0o777).toBe(0o600);
	const { code = "" } = scene.suite.corps.get(corp) ?? {};
	const published = readdirSync(scene.directory, { withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map(({ name }) => readFileSync(scene.path(name), "utf8"));
	const answers = await Promise.all(
		["/metrics", "/v1/credentials", "/healthz"].map((path) =>
			callSocket(socketIn(scene.directory), path),
		),
	);
	for (const text of [...published, ...answers.map((one) => one.text)])
		for (const secret of [code, ticket]) expect(text).not.toContain(secret);
});

test("what is wrong with a configuration is told all at once", async () => {
	const place = newDirectory();
	const file = join(place, "config.toml");
	const secret = noteSecret("0123456789012345678901234567890123456789abc");
	writeFileSync(
		file,
		`directory = "${place}/run"
[receiver]
listen = "127.0.0.1:7801"
[[provider]]
corpid = "${provider}"
secret = "p-${secret}"
[[wecom]]
corpid = "${corp}"
name = "dk1"
secret = "${secret}"
[[suite]]
suite_id = "dk1"
provider = "${provider}"
secret = "s-${secret}"
aes_key_file = "${place}/none"
corps = ["${corp}"]
[[suite]]
suite_id = "dk2"
provider = "wwother"
secret = "t-${secret}"
corps = "some"
corp_tickets = ["sdk"]
authorizers = "all"
[[suite]]
secret = "u-${secret}"
`,
		{ mode: 0o600 },
	);
	for (const command of ["check", "run"]) {
		const { code, stderr } = await runProgram([command, "--config", file]);
		expect(code).toBe(78);
		for (const part of [
			"state_directory: is missing",
			"suite[0].token_file: is missing",
			"suite[0].aes_key_file",
			`suite[0].corps: would publish "wecom_access_token_${corp}_dk1"`,
			'suite[1].provider: is "wwother", and there is no such [[provider]]',
			'suite[1].corps: is "some"',
			"suite[1].corp_tickets",
			"suite[1].authorizers: is not a key",
			"suite[2].suite_id: is missing",
			"suite[2].provider: is missing",
		])
			expect(stderr).toContain(part);
	}
});
