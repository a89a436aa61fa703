import { describe, expect, test } from "vitest";
import { apiHosts, wecomHost } from "../../src/simulator/hosts.ts";
import type {
	Simulator,
	SimulatorOptions,
} from "../../src/simulator/server.ts";
import { certificate } from "../support/certificate.ts";
import { startWeChat } from "../support/wechat.ts";
import { call } from "./call.ts";
import { at, mp, scene } from "./scene.ts";

function started(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
	return startWeChat({ accounts: [mp], ...options });
}

const year = 365 * 86_400_000;

const fetchTarget = `/cgi-bin/token?grant_type=client_credential&appid=${mp.appid}&secret=${mp.secret}`;

test("S1: every business outcome is HTTP 200 with WeChat's headers", async () => {
	const { url } = await started();
	const stable = JSON.stringify({ grant_type: "client_credential", ...mp });
	const answers = await Promise.all([
		call(`${url}${fetchTarget}`),
		call(`${url}/cgi-bin/token`),
		call(`${url}/cgi-bin/stable_token`, { method: "POST", body: stable }),
		call(`${url}/cgi-bin/get_api_domain_ip?access_token=made-up`),
		call(`${url}/cgi-bin/ticket/getticket`),
		call(`${url}/cgi-bin/nothing`),
	]);
	for (const { status, headers, body } of answers) {
		expect(status).toBe(200);
		expect(headers["content-type"]).toBe("application/json; encoding=utf-8");
		expect(headers["content-length"]).toBe(String(Buffer.byteLength(body)));
		expect(Date.parse(headers.date ?? "")).not.toBeNaN();
		expect(headers["transfer-encoding"]).toBeUndefined();
	}
});

test("S2: a token's body has exactly access_token and expires_in", () => {
	const { classic, stable } = scene();
	for (const body of [classic(0), stable(0)])
		expect(Object.keys(body)).toEqual(["access_token", "expires_in"]);
});

test("S3: errmsg ends with a rid whose first group is the virtual time", () => {
	const { get } = scene();
	const { errmsg } = get("/cgi-bin/token", {}, 1000.9);
	const hex = Math.floor(at(1000) / 1000).toString(16);
	expect(errmsg).toMatch(
		new RegExp(`^appid missing rid: ${hex}-[0-9a-f]{8}-[0-9a-f]{8}$`),
	);
	expect(get("/cgi-bin/token", {}, 1000.9).errmsg).not.toBe(errmsg);
});

test("S4: a chunked POST gets 412 with an empty body, and no token is issued", async () => {
	const { url, platform } = await started();
	const body = JSON.stringify({ grant_type: "client_credential", ...mp });
	const chunked = await call(`${url}/cgi-bin/stable_token`, {
		method: "POST",
		headers: { "Transfer-Encoding": "chunked" },
		body,
	});
	expect(chunked).toMatchObject({ status: 412, body: "" });
	expect(platform.account(mp.appid, 0)?.stable.issued).toBe(0);
	const whole = await call(`${url}/cgi-bin/stable_token`, {
		method: "POST",
		body,
	});
	expect(JSON.parse(whole.body)).toHaveProperty("access_token");
});

describe("S5: on the 企业微信 host", () => {
	test("plain HTTP answers 301 to https", async () => {
		const { hosts } = await started({ hosts: { [wecomHost]: 0 } });
		const { status, headers } = await call(
			`${hosts[wecomHost]?.url}/cgi-bin/x`,
		);
		expect({ status, location: headers.location }).toEqual({
			status: 301,
			location: `https://${wecomHost}/cgi-bin/x`,
		});
	});

	test("an unknown path over TLS answers 404 with an empty body", async () => {
		const now = Date.now();
		const { hosts } = await started({
			hosts: { [wecomHost]: 0 },
			tls: {
				[wecomHost]: certificate(new Date(now - year), new Date(now + year)),
			},
		});
		const url = `${hosts[wecomHost]?.url}/cgi-bin/x`;
		const answer = await call(url, { rejectUnauthorized: false });
		expect(answer).toMatchObject({ status: 404, body: "" });
	});
});

describe("S6: values", () => {
	test.each([undefined, 512])(
		"of tokens have WeChat's form and length (%s)",
		(tokenLength) => {
			const { classic, stable } = scene({
				knobs: tokenLength === undefined ? {} : { tokenLength },
			});
			for (const { access_token } of [classic(0), stable(0)]) {
				expect(access_token).toMatch(/^[0-9]{2}_[A-Za-z0-9_-]+$/);
				expect(access_token).toHaveLength(tokenLength ?? 136);
			}
		},
	);

	test("never repeat, not even between accounts and interfaces", () => {
		const { platform, classic, stable } = scene({
			limits: { token: { perDay: 1e9 } },
		});
		const values = new Set<string>();
		for (let count = 0; count < 5000; count += 1) {
			values.add(classic(count).access_token);
			platform.kill(mp.appid, at(count));
			values.add(stable(count).access_token);
		}
		expect(values.size).toBe(10_000);
	});

	test("of tokens differ in their first ten characters, because logs show only those", () => {
		const { classic } = scene();
		const heads = Array.from({ length: 100 }, (_, second) =>
			classic(second).access_token.slice(0, 10),
		);
		expect(new Set(heads).size).toBe(100);
	});

	test("are the same for the same seed, and differ for another", () => {
		const first = (seed: number) => scene({ seed }).classic(0).access_token;
		expect(first(7)).toBe(first(7));
		expect(first(7)).not.toBe(first(8));
	});

	test("differ between two simulators, so that an old token file is not taken for a new one", async () => {
		const values: string[] = [];
		for (const _run of [1, 2]) {
			const { url, close } = await started();
			values.push((await call(`${url}${fetchTarget}`)).body);
			await close();
		}
		expect(values[0]).not.toBe(values[1]);
	});
});

test("S44: a knob adds unknown keys to every body, and changes nothing else", () => {
	const { classic, get } = scene({ knobs: { extraKeys: true } });
	expect(classic(0)).toMatchObject({
		access_token: expect.any(String),
		expires_in: 7200,
		warning_msg: expect.any(String),
	});
	expect(get("/cgi-bin/token", {})).toMatchObject({
		errcode: 41002,
		warning_msg: expect.any(String),
	});
});

describe("S46: each host name has its own port", () => {
	const hosts = Object.fromEntries(apiHosts.slice(1).map((host) => [host, 0]));

	test("and all share the accounts", async () => {
		const { hosts: listeners, requests } = await started({ hosts });
		expect(Object.keys(listeners)).toEqual([...apiHosts]);
		const bodies: unknown[] = [];
		for (const { url } of Object.values(listeners))
			bodies.push(JSON.parse((await call(`${url}${fetchTarget}`)).body));
		const last = bodies.at(-1) as { access_token: string };
		for (const { url } of Object.values(listeners)) {
			const target = `/sim/use?access_token=${last.access_token}`;
			const { body } = await call(`${url}${target}`);
			expect(JSON.parse(body).errcode).toBe(0);
		}
		expect(requests.slice(0, 5).map(({ host }) => host)).toEqual([...apiHosts]);
	});

	test("and one can fail alone", async () => {
		const { hosts: listeners, addFault } = await started({ hosts });
		const failing = "api2.weixin.qq.com";
		const clear = await addFault({ mode: "refuse", host: failing });
		for (const [host, { url }] of Object.entries(listeners)) {
			const outcome = await call(`${url}${fetchTarget}`).then(
				({ status }) => status,
				({ code }) => code,
			);
			expect(outcome).toBe(host === failing ? "ECONNREFUSED" : 200);
		}
		await clear();
		const again = await call(`${listeners[failing]?.url}${fetchTarget}`);
		expect(again.status).toBe(200);
	});
});

describe("S47: a host can use TLS with its own certificate", () => {
	const host = "api2.weixin.qq.com";
	test.each([
		["self-signed", "DEPTH_ZERO_SELF_SIGNED_CERT", year],
		["expired", "CERT_HAS_EXPIRED", -year],
	])("that is %s", async (_kind, code, validMs) => {
		const tls = certificate(
			new Date(Date.now() - 2 * year),
			new Date(Date.now() + validMs),
		);
		const { hosts, url } = await started({
			hosts: { [host]: 0 },
			tls: { [host]: tls },
		});
		const secure = `${hosts[host]?.url}${fetchTarget}`;
		expect(secure).toMatch(/^https:/);
		// A client must trust the certificate before it checks the date.
		const trust = code === "CERT_HAS_EXPIRED" ? { ca: tls.cert } : {};
		await expect(call(secure, trust)).rejects.toMatchObject({ code });
		const blind = await call(secure, { rejectUnauthorized: false });
		expect(JSON.parse(blind.body)).toHaveProperty("access_token");
		// The other host still works.
		expect((await call(`${url}${fetchTarget}`)).status).toBe(200);
	});
});

test.each([-7200, 0, 90])(
	"S48: Date and rid can be off by %i s",
	async (clockOffsetSeconds) => {
		const { url } = await started({
			startAtMs: at(0),
			timeScale: 0,
			knobs: { clockOffsetSeconds },
		});
		const { headers, body } = await call(`${url}/cgi-bin/token`);
		const shown = at(clockOffsetSeconds);
		expect(Date.parse(headers.date ?? "")).toBe(shown);
		expect(JSON.parse(body).errmsg).toContain(
			`rid: ${(shown / 1000).toString(16)}-`,
		);
	},
);
