import type { SimulatedAccount } from "../../src/simulator/accounts.ts";
import type { Answer } from "../../src/simulator/http-messages.ts";
import {
	createPlatform,
	type Platform,
	type PlatformOptions,
} from "../../src/simulator/platform.ts";

/** 10:00 on a Monday in Beijing. */
const start = Date.UTC(2026, 0, 5, 2, 0, 0);

export const mp = { appid: "wxmp", secret: "secret-of-mp" };
export const mini = {
	appid: "wxmini",
	secret: "secret-of-mini",
	kind: "mini",
} as const satisfies SimulatedAccount;
export const sandbox = {
	appid: "wxtest",
	secret: "secret-of-test",
	kind: "test",
} as const satisfies SimulatedAccount;

/** The ticket of WeChat's documentation, and a page that is signed with it. */
export const sample = {
	ticket:
		"sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
	page: {
		url: "http://mp.weixin.qq.com",
		noncestr: "Wm3WZYTPz0wzccnW",
		timestamp: "1414587457",
		signature: "f4d90daf4b3bca3078ab155816175ba34c443a7b",
	},
};

/** A platform with one account of each kind, and short functions that call it. */
export function scene(options: Partial<PlatformOptions> = {}) {
	const platform = createPlatform({
		accounts: [mp, mini, sandbox],
		...options,
	});
	return { platform, ...callsTo(platform) };
}

export const at = (seconds: number) => start + seconds * 1000;

export interface Body {
	readonly errcode?: number;
	readonly errmsg?: string;
	readonly access_token: string;
	readonly expires_in: number;
	readonly ticket: string;
	readonly ip_list: readonly string[];
	readonly quota: Readonly<Record<string, number>>;
	readonly rate_limit: Readonly<Record<string, number>>;
}

export function bodyOf({ body }: Answer): Body {
	return JSON.parse(body);
}

function callsTo(platform: Platform) {
	const classic = (seconds: number, claim = mp, ip?: string) =>
		bodyOf(
			platform.classicToken({ ...claim, ...(ip ? { ip } : {}) }, at(seconds)),
		);
	const stable = (seconds: number, claim = mp, forceRefresh = false) =>
		bodyOf(platform.stableToken({ ...claim, forceRefresh }, at(seconds)));
	return {
		classic,
		stable,
		force: (seconds: number, claim = mp) => stable(seconds, claim, true),
		/** The errcode of a probe; undefined if the token is accepted. */
		probed: (token: string, seconds: number) =>
			bodyOf(platform.probe(token, at(seconds))).errcode,
		alive: (token: string, seconds: number, appid = mp.appid) =>
			platform.isAlive(appid, token, at(seconds)),
		get: (
			path: string,
			query: Record<string, string>,
			seconds = 0,
			ip = "127.0.0.1",
		) =>
			bodyOf(platform.answer({ method: "GET", path, query, ip }, at(seconds))),
		post: (
			path: string,
			body: unknown,
			seconds = 0,
			query: Record<string, string> = {},
		) =>
			bodyOf(
				platform.answer(
					{
						method: "POST",
						path,
						query,
						body: typeof body === "string" ? body : JSON.stringify(body),
					},
					at(seconds),
				),
			),
	};
}
