import { afterEach, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/server.ts";

let simulator: Simulator | undefined;
afterEach(() => simulator?.close());

test("a token is fetched, used, and dies when it is killed", async () => {
	simulator = await startSimulator({
		accounts: [{ appid: "wx1", secret: "s1" }],
	});
	const { url } = simulator;
	const fetched = await fetch(
		`${url}/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1`,
	);
	const { access_token } = (await fetched.json()) as { access_token: string };
	const use = async () =>
		(await fetch(`${url}/sim/use?access_token=${access_token}`)).json();
	expect(await use()).toMatchObject({ errcode: 0 });
	await fetch(`${url}/sim/kill`, {
		method: "POST",
		body: JSON.stringify({ appid: "wx1" }),
	});
	expect(await use()).toMatchObject({ errcode: 40001 });
	const log = await (await fetch(`${url}/sim/requests`)).text();
	expect(log).not.toContain(access_token);
	expect(log).not.toContain("s1");
});

test("a cut answer has rotated the token all the same", async () => {
	simulator = await startSimulator({
		accounts: [{ appid: "wx1", secret: "s1" }],
	});
	simulator.platform.faults.add({ mode: "cut", count: 1 }, simulator.now());
	const target = `${simulator.url}/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1`;
	await expect(fetch(target).then((r) => r.text())).rejects.toThrow();
	expect(simulator.requests.at(-1)).toMatchObject({
		outcome: "fault cut",
		processed: "issued",
	});
	expect((await fetch(target)).status).toBe(200);
});
