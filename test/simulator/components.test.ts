import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { decodePush } from "../../src/core/push.ts";
import { pushKeyOf } from "../../src/core/push-crypt.ts";
import { startSimulator } from "../../src/simulator/server.ts";
import { eventually } from "../support/eventually.ts";
import { call } from "./call.ts";
import { at, mp, scene } from "./scene.ts";

const component = { appid: "wxc", secret: "secret-of-component" };
const other = { appid: "wxo", secret: "secret-of-other" };

/** The keys of all seven endpoints. */
interface ComponentAnswer {
	readonly errcode?: number;
	readonly component_access_token: string;
	readonly authorizer_access_token: string;
	readonly authorizer_refresh_token: string;
	readonly total_count: number;
	readonly list: readonly { readonly refresh_token: string }[];
	readonly authorization_info: {
		readonly authorizer_appid: string;
		readonly authorizer_refresh_token: string;
	};
}

function platformScene() {
	const { platform, post, get } = scene({ components: [component, other] });
	const { random } = platform.state;
	const api = (
		name: string,
		body: object,
		seconds = 0,
		token: string | undefined = undefined,
	) =>
		post(`/cgi-bin/component/${name}`, body, seconds, {
			...(token === undefined ? {} : { access_token: token }),
		}) as unknown as ComponentAnswer;
	const newTicket = (seconds = 0) => {
		const found = platform.component("wxc");
		if (found === undefined) throw new Error("no component");
		const value = `ticket@@@${random.text(86)}`;
		found.tickets.push({ value, madeAt: at(seconds) });
		return value;
	};
	const fetchToken = (seconds = 0, ticket = newTicket(seconds)) =>
		api(
			"api_component_token",
			{
				component_appid: "wxc",
				component_appsecret: component.secret,
				component_verify_ticket: ticket,
			},
			seconds,
		);
	const consent = (authorizer: string, seconds = 0) =>
		platform.consent("wxc", authorizer, at(seconds));
	const asComponent = (
		token: string,
		name: string,
		body: object = {},
		seconds = 0,
	) => api(name, { component_appid: "wxc", ...body }, seconds, token);
	return {
		platform,
		api,
		get,
		newTicket,
		fetchToken,
		consent,
		asComponent,
	};
}

describe("api_component_token", () => {
	test("refuses as WeChat does, in this order", () => {
		const { platform, api, newTicket } = platformScene();
		const ask = (changes: object) =>
			api("api_component_token", {
				component_appid: "wxc",
				component_appsecret: component.secret,
				component_verify_ticket: newTicket(),
				...changes,
			}).errcode;
		expect(ask({ component_appid: "wx?" })).toBe(61011);
		expect(ask({ component_appsecret: "?" })).toBe(40125);
		expect(ask({ component_verify_ticket: undefined })).toBe(61006);
		expect(ask({ component_verify_ticket: "ticket@@@?" })).toBe(61006);
		expect(ask({ component_verify_ticket: newTicket(-43_201) })).toBe(61005);
		expect(ask({ component_verify_ticket: newTicket(-43_199) })).toBe(
			undefined,
		);
		platform.changeComponent("wxc", { whitelist: ["9.9.9.9"] }, at(0));
		expect(ask({ component_appsecret: "?" })).toBe(61004);
	});

	test("gives a new token each time; the former lives for 300 s, unless a knob says otherwise", () => {
		const { platform, fetchToken, asComponent } = platformScene();
		const works = (token: string, seconds: number) =>
			asComponent(token, "api_create_preauthcode", {}, seconds).errcode;
		const first = fetchToken(0).component_access_token;
		const second = fetchToken(10).component_access_token;
		expect(second).not.toBe(first);
		expect(works(first, 309)).toBeUndefined();
		expect(works(first, 310)).toBe(40001);
		expect(works(second, 7209)).toBeUndefined();
		expect(works(second, 7210)).toBe(42001);
		platform.turn({ componentFormer: "0" });
		const third = fetchToken(7300).component_access_token;
		fetchToken(7301);
		expect(works(third, 7301)).toBe(40001);
	});

	test("has a limit for the day", () => {
		const { platform, fetchToken } = platformScene();
		const limit = { perDay: 2, perMinute: 100 };
		platform.changeComponent(
			"wxc",
			{ limits: { api_component_token: limit } },
			at(0),
		);
		expect(fetchToken().errcode).toBeUndefined();
		expect(fetchToken().errcode).toBeUndefined();
		expect(fetchToken().errcode).toBe(45009);
	});
});

describe("an authorizer", () => {
	test("is exchanged once; before that, lists do not show its refresh token", () => {
		const { fetchToken, consent, asComponent } = platformScene();
		const token = fetchToken().component_access_token;
		const { code, event } = consent("wxa");
		expect(event?.infoType).toBe("authorized");
		const list = () =>
			asComponent(token, "api_get_authorizer_list", { offset: 0, count: 500 });
		expect(list().list[0]?.refresh_token).toBe("");
		const exchange = (seconds = 0) =>
			asComponent(
				token,
				"api_query_auth",
				{ authorization_code: code },
				seconds,
			);
		const { authorization_info: info } = exchange();
		expect(info.authorizer_appid).toBe("wxa");
		expect(list()).toMatchObject({
			total_count: 1,
			list: [
				{
					authorizer_appid: "wxa",
					refresh_token: info.authorizer_refresh_token,
				},
			],
		});
		expect(exchange().errcode).toBe(61009);
		const { code: late } = consent("wxb");
		const again = asComponent(
			token,
			"api_query_auth",
			{ authorization_code: late },
			3601,
		);
		expect(again.errcode).toBe(61010);
	});

	test("gets tokens by its refresh token, which business APIs accept", () => {
		const { platform, fetchToken, consent, asComponent, get } = platformScene();
		const token = fetchToken().component_access_token;
		consent("wxa");
		const found = platform.component("wxc")?.authorizers.get("wxa");
		const ask = (refresh: unknown, appid = "wxa", by = token) =>
			asComponent(by, "api_authorizer_token", {
				authorizer_appid: appid,
				authorizer_refresh_token: refresh,
			});
		const answer = ask(found?.refreshToken);
		expect(answer.authorizer_refresh_token).toBe(found?.refreshToken);
		const use = (value: string) => get("/sim/use", { access_token: value });
		expect(use(answer.authorizer_access_token).errcode).toBe(0);
		const ticket = get("/cgi-bin/ticket/getticket", {
			access_token: answer.authorizer_access_token,
			type: "jsapi",
		});
		expect(ticket.ticket).toHaveLength(86);
		expect(ask("refreshtoken@@@?").errcode).toBe(61023);
		expect(ask(found?.refreshToken, "wxz").errcode).toBe(61003);
		const own = answer.authorizer_access_token;
		expect(ask(found?.refreshToken, "wxa", own).errcode).toBe(61014);
	});

	test("that withdraws is refused and out of the list; a new consent brings another refresh token", () => {
		const { platform, fetchToken, consent, asComponent, get } = platformScene();
		const token = fetchToken().component_access_token;
		consent("wxa");
		const found = platform.component("wxc")?.authorizers.get("wxa");
		const ask = (refresh: unknown) =>
			asComponent(token, "api_authorizer_token", {
				authorizer_appid: "wxa",
				authorizer_refresh_token: refresh,
			});
		const before = found?.refreshToken;
		const { authorizer_access_token: value } = ask(before);
		expect(platform.withdraw("wxc", "wxa", at(0)).infoType).toBe(
			"unauthorized",
		);
		expect(ask(before).errcode).toBe(61003);
		expect(get("/sim/use", { access_token: value }).errcode).toBe(40001);
		const list = asComponent(token, "api_get_authorizer_list", {
			offset: 0,
			count: 500,
		});
		expect(list.total_count).toBe(0);
		consent("wxa", 10);
		expect(found?.refreshToken).not.toBe(before);
		expect(ask(found?.refreshToken).errcode).toBeUndefined();
	});

	test("that authorises again without having withdrawn: as the knob says", () => {
		const { platform, consent } = platformScene();
		consent("wxa");
		const found = platform.component("wxc")?.authorizers.get("wxa");
		const first = found?.refreshToken;
		expect(consent("wxa").event).toBeUndefined();
		expect(found?.refreshToken).toBe(first);
		platform.turn({ reconsent: "new-with-event" });
		expect(consent("wxa").event?.infoType).toBe("updateauthorized");
		expect(found?.refreshToken).not.toBe(first);
	});

	test("can be one of a hundred thousand; a page of the list has 500 at most", () => {
		const { platform, fetchToken, asComponent } = platformScene();
		const token = fetchToken().component_access_token;
		expect(platform.loadAuthorizers("wxc", "wxa", 100_000, at(0))).toBe(
			100_000,
		);
		const page = (offset: number, count: number) =>
			asComponent(token, "api_get_authorizer_list", { offset, count });
		expect(page(0, 501).errcode).toBe(40170);
		expect(page(99_900, 500)).toMatchObject({ total_count: 100_000 });
		expect(page(99_900, 500).list).toHaveLength(100);
	});

	test("has its own token, its stable token and one through each component, apart", () => {
		const { platform, fetchToken, asComponent, get } = platformScene();
		const token = fetchToken().component_access_token;
		platform.consent("wxc", mp.appid, at(0));
		const found = platform.component("wxc")?.authorizers.get(mp.appid);
		const through = asComponent(token, "api_authorizer_token", {
			authorizer_appid: mp.appid,
			authorizer_refresh_token: found?.refreshToken,
		}).authorizer_access_token;
		const own = platform.foreignFetch(mp.appid, "classic", at(0));
		platform.foreignFetch(mp.appid, "classic", at(1));
		platform.foreignFetch(mp.appid, "classic", at(2));
		expect(get("/sim/use", { access_token: through }, 400).errcode).toBe(0);
		expect(get("/sim/use", { access_token: own }, 400).errcode).toBe(40001);
	});
});

const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/** A simulator that pushes to a receiver, which answers as told. */
async function pushing(answer = { status: 200, body: "success" }) {
	const received: { query: Map<string, string>; body: string }[] = [];
	const server = createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			const { searchParams } = new URL(request.url ?? "/", "http://x");
			received.push({ query: new Map(searchParams), body });
			response.writeHead(answer.status).end(answer.body);
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const { port } = server.address() as AddressInfo;
	const url = `http://127.0.0.1:${port}/`;
	const push = { url, token: "tok", key };
	const simulator = await startSimulator({
		accounts: [],
		components: [{ ...component, push }],
		timeScale: 0,
		seed: 7,
	});
	onTestFinished(async () => {
		await simulator.close();
		server.close();
	});
	const sim = async (path: string, body: object) =>
		JSON.parse(
			(
				await call(`${simulator.url}/sim/${path}`, {
					method: "POST",
					body: JSON.stringify(body),
				})
			).body,
		);
	return { simulator, received, sim, url };
}

const receiver = {
	token: "tok",
	keys: [pushKeyOf(key) ?? Buffer.alloc(32)],
	idField: "AppId",
	id: component.appid,
} as const;

describe("pushes", () => {
	test("come with a ticket that works, and the receiver of the product reads them", async () => {
		const { simulator, received, sim } = await pushing();
		expect(await sim("push", { appid: "wxc" })).toMatchObject({
			outcome: "success",
		});
		const push = decodePush(
			received.at(-1) ?? { query: new Map(), body: "" },
			receiver,
		);
		if (typeof push === "string") throw new Error(push);
		const ticket = push.fields.get("ComponentVerifyTicket");
		const { body } = await call(
			`${simulator.url}/cgi-bin/component/api_component_token`,
			{
				method: "POST",
				body: JSON.stringify({
					component_appid: "wxc",
					component_appsecret: component.secret,
					component_verify_ticket: ticket,
				}),
			},
		);
		expect(JSON.parse(body).component_access_token).toMatch(/^\d\d_/);
	});

	test("are each readable, with every length of their padding", async () => {
		const { received, sim } = await pushing();
		for (let count = 0; count < 100; count += 1)
			await sim("push", { appid: "wxc" });
		for (const request of received)
			expect(decodePush(request, receiver)).toMatchObject({
				infoType: "component_verify_ticket",
			});
		const lengths = new Set(received.map(({ body }) => body.length));
		expect(lengths.size).toBeGreaterThan(1);
	});

	test.each([
		["bad-signature", "bad-signature"],
		["foreign-tail", "foreign-id"],
		["foreign-id", "foreign-receiver"],
		["former-key", "undecipherable"],
	])("may have the flaw %s", async (flaw, refusal) => {
		const { received, sim, url } = await pushing();
		const formerKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
		const push = { url, token: "tok", key, formerKey };
		await sim("components", { appid: "wxc", push });
		await sim("push", { appid: "wxc", flaw });
		expect(
			decodePush(received.at(-1) ?? { query: new Map(), body: "" }, receiver),
		).toBe(refusal);
	});

	test("are due each ten minutes, and tried five times", async () => {
		const { simulator, received } = await pushing({ status: 200, body: "ok" });
		simulator.platform.turn({ giveUpAfterSeconds: 1 });
		await simulator.advance(1);
		await eventually(() => received.length === 1, { what: "a push" });
		expect(simulator.pushes.records[0]).toMatchObject({
			outcome: "status 200",
			infoType: "component_verify_ticket",
		});
		await simulator.advance(600);
		await eventually(() => received.length === 2, { what: "a push" });
	});

	test("of a consent bring its code", async () => {
		const { received, sim } = await pushing();
		const { auth_code } = await sim("consents", {
			appid: "wxc",
			authorizer: "wxa",
		});
		const hasCode = () =>
			received.some((request) => {
				const push = decodePush(request, receiver);
				return (
					typeof push !== "string" &&
					push.fields.get("AuthorizationCode") === auth_code
				);
			});
		await eventually(hasCode, { what: "the event" });
	});

	test("that WeChat gave up begin again on request", async () => {
		const { simulator, sim } = await pushing();
		await sim("components", { appid: "wxc", stopped: true });
		const ask = async () => {
			const { body } = await call(
				`${simulator.url}/cgi-bin/component/api_start_push_ticket`,
				{
					method: "POST",
					body: JSON.stringify({
						component_appid: "wxc",
						component_secret: component.secret,
					}),
				},
			);
			return JSON.parse(body).errmsg;
		};
		expect(await ask()).toBe("ok");
		expect(await ask()).toBe("in a normal state");
	});
});
