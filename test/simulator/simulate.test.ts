import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Running, runProgram, startProgram } from "../support/program.ts";
import { call } from "./call.ts";

/** Starts the command, and waits for the end of its welcome, which holds the address. */
async function welcomed(
	...words: readonly string[]
): Promise<{ readonly running: Running; readonly url: string }> {
	const running = startProgram(["simulate", "--port", "0", ...words]);
	await running.output(/\/sim\/state'/);
	const [, url = ""] = await running.output(/simulator at (\S+)/);
	return { running, url };
}

test("without --account it makes an account, and prints the configuration for a daemon", async () => {
	const { running } = await welcomed();
	const stdout = running.stdout();
	const [, secret] = /secret = "([0-9a-f]{32})"/.exec(stdout) ?? [];
	expect(stdout).toContain('appid  = "wx0123456789abcdef"');
	expect(stdout).toContain(
		`export WECHAT_APPID=wx0123456789abcdef WECHAT_SECRET=${secret}`,
	);
	const [, fetchUrl = ""] = /curl '(\S+cgi-bin\/token\S+)'/.exec(stdout) ?? [];
	const { body } = await call(fetchUrl);
	expect(JSON.parse(body)).toHaveProperty("access_token");
});

test("--suite prints the suite with its 服务商, pushes to its path, and is controlled by its id", async () => {
	const { running, url } = await welcomed(
		...["--suite", "dk1:hush-1", "--suite", "ww2:hush-2"],
		...["--push", "http://127.0.0.1:1", "--push-token", "sampletoken"],
		...["--push-key", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"],
	);
	await running.output(/suite_id {2}= "ww2"/);
	const stdout = running.stdout();
	const [, provider] =
		/\[\[provider\]\]\ncorpid {4}= "(\w+)"/.exec(stdout) ?? [];
	expect(stdout).toContain(
		`[[suite]]\nsuite_id  = "dk1"\nprovider  = "${provider}"\nsecret    = "hush-1"\nbase_urls = ["http://127.0.0.1:`,
	);
	const control = async (path: string, content?: object) => {
		const body = content && JSON.stringify(content);
		const answer = await call(`${url}${path}`, {
			...(body === undefined ? {} : { method: "POST", body }),
		});
		return JSON.parse(answer.body);
	};
	const corp = { suite_id: "dk1", corpid: "ww-corp", push: false };
	const { auth_code } = await control("/sim/consents", corp);
	expect(auth_code).toMatch(/^[\w-]{64}$/);
	expect(await control("/sim/resets", corp)).toHaveProperty("auth_code");
	expect(await control("/sim/push", { suite_id: "ww2" })).toMatchObject({
		...{ appid: "ww2", infoType: "suite_ticket" },
		outcome: expect.stringContaining("no answer"),
	});
	expect(await control("/sim/url-checks", { suite_id: "ww2" })).toMatchObject({
		outcome: expect.stringContaining("no answer"),
	});
	const { suites } = await control("/sim/state");
	expect(suites).toMatchObject([
		{
			...{ suite_id: "dk1", provider, corps: ["ww-corp"] },
			pushesTo: "http://127.0.0.1:1/suite/dk1",
		},
		{ suite_id: "ww2" },
	]);
	expect(await control("/sim/withdrawals", corp)).toEqual({});
	expect((await control("/sim/state")).suites[0].corps).toEqual([]);
	expect(await control("/sim/resets", corp)).toHaveProperty("error");
});

test("--hosts with a port too high for all hosts is refused with a reason", async () => {
	const said = await runProgram(["simulate", "--hosts", "--port", "65532"]);
	expect(said).toMatchObject({
		code: 64,
		stderr:
			"wxtokend: --hosts needs 5 ports, from --port 65532 on; give a port up to 65531\n",
	});
});

test.each(["SIGINT", "SIGTERM"] as const)(
	"%s ends it with exit code 0, also while a request hangs",
	async (signal) => {
		const { running, url } = await welcomed();
		const hang = JSON.stringify({ mode: "hang" });
		await call(`${url}/sim/faults`, { method: "POST", body: hang });
		const hanging = call(`${url}/cgi-bin/token`).catch(({ code }) => code);
		await eventually(
			async () =>
				(await call(`${url}/sim/requests`)).body.includes("fault hang"),
			{ what: "the request that hangs" },
		);
		running.kill(signal);
		expect((await running.exited).code).toBe(0);
		expect(await hanging).toBe("ECONNRESET");
	},
);

test("it logs each request on one line, masked, and nothing with --quiet", async () => {
	const secret = "do-not-show-me";
	const target = `/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=${secret}`;
	const loud = await welcomed("--account", `wx1:${secret}`);
	const { body } = await call(`${loud.url}${target}`);
	await call(`${loud.url}/cgi-bin/token?appid=a%0ab%1b`);
	const { stderr } = await loud.running.stop();
	expect(stderr.trimEnd().split("\n")).toHaveLength(2);
	expect(stderr).toMatch(/GET \/cgi-bin\/token .*secret=\*\*\* -> issued$/m);
	expect(stderr).not.toContain(secret);
	expect(stderr).not.toContain(JSON.parse(body).access_token);
	expect(stderr).not.toContain("\u001b");

	const quiet = await welcomed("--quiet", "--account", `wx1:${secret}`);
	await call(`${quiet.url}${target}`);
	expect(await quiet.running.stop()).toMatchObject({ code: 0, stderr: "" });
});

test("its options reach the platform", async () => {
	const { url, running } = await welcomed(
		...["--token-lifetime", "20", "--overlap", "5", "--time-scale", "2"],
		...["--seed", "7", "--latency", "1", "--hosts", "--quiet"],
		...["--account", "wx1:s1", "--account", "wx2:s:2"],
	);
	const { body } = await call(
		`${url}/cgi-bin/token?grant_type=client_credential&appid=wx2&secret=s:2`,
	);
	expect(JSON.parse(body)).toMatchObject({ expires_in: 20 });
	const knobs = JSON.parse((await call(`${url}/sim/knobs`)).body);
	expect(knobs).toMatchObject({ tokenLifetimeSeconds: 20, overlapSeconds: 5 });
	const [, urls = ""] = /base_urls = (\[.*\])/.exec(running.stdout()) ?? [];
	const answers = await Promise.all(
		JSON.parse(urls).map((host: string) => call(`${host}/cgi-bin/token`)),
	);
	expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
});

describe("a wrong command line ends with exit code 64 and names the wrong option", () => {
	test.each([
		[["--prot", "1"], "--prot"],
		[["extra"], "extra"],
		[["--port"], "--port"],
		[["--port", "x"], '--port is "x"; expected a number from 0 to 65535'],
		[["--port", "1.5"], "--port is 1.5; expected a whole number"],
		[["--port", ""], "--port"],
		[["--time-scale", "0"], '--time-scale is "0"'],
		[["--token-lifetime", "0"], '--token-lifetime is "0"'],
		[["--account", "wx1"], "--account number 1 is not APPID:SECRET"],
		[["--account", "wx/1:s"], "--account number 1"],
		[["--account", "wx1:a", "--account", "wx1:b"], "wx1 is given twice"],
	])("%j", async (words, message) => {
		const { code, stdout, stderr } = await runProgram(["simulate", ...words]);
		expect(code).toBe(64);
		expect(stderr).toContain(message);
		expect(stderr).not.toMatch(/^\s+at /m);
		expect(stdout).toBe("");
	});

	test("a secret in it is not printed", async () => {
		const words = ["simulate", "--account", "bad appid:hush"];
		const { code, stderr } = await runProgram(words);
		expect(code).toBe(64);
		expect(stderr).not.toContain("hush");
	});
});

test("a port in use ends with exit code 69 and says what to do", async () => {
	const { url } = await welcomed();
	const { port } = new URL(url);
	const { code, stderr } = await runProgram(["simulate", "--port", port]);
	expect(code).toBe(69);
	expect(stderr).toContain("address already in use");
	expect(stderr).toContain("--port N");
	expect(stderr).not.toMatch(/^\s+at /m);
});

test("--help names every option, the exit codes and an example", async () => {
	const { code, stdout } = await runProgram(["simulate", "--help"]);
	expect(code).toBe(0);
	for (const word of [
		...["--port", "--account", "--token-lifetime", "--overlap", "--seed"],
		...["--time-scale", "--latency", "--hosts", "--quiet", "--help"],
		...["Exit codes", "Example", "/sim/kill"],
	])
		expect(stdout).toContain(word);
});
