/**
 * WeChat and wxtokend as a reader sees them: an API, a token file and a control
 * socket, each of which a test can make behave in any way it likes. Where the
 * real ones will do, tests take those.
 */
import { randomBytes } from "node:crypto";
import {
	chmodSync,
	mkdtempSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

/** A call of the business API. */
export interface ApiCall {
	readonly method: string;
	readonly path: string;
	readonly token: string;
	readonly body: string;
}

export interface Answer {
	readonly content: unknown;
	/** Default 200. */
	readonly status?: number;
	/** Default `application/json; encoding=utf-8`, as WeChat says. */
	readonly type?: string;
}

type Answers<Asked> = (asked: Asked) => Answer | Promise<Answer>;

export interface FakeWechat {
	readonly appid: string;
	readonly secret: string;
	readonly url: string;
	readonly directory: string;
	/** The token file. */
	readonly file: string;
	/** Since the last `reset`. */
	readonly calls: readonly ApiCall[];
	/** The tokens that were reported stale, since the last `reset`. */
	readonly reports: readonly string[];
	/** Calls of the token endpoints, since the last `reset`: no reader may make one. */
	readonly fetches: readonly string[];
	/** Another token takes the place of the current one, also on disk; the old one is dead. */
	rotate(): string;
	/** Puts any text in the token file's place; undefined: nothing. */
	publish(content: string | undefined): void;
	/** The current token. */
	token(): string;
	/** Whether the API accepts it. */
	isLive(token: string): boolean;
	/** No token is accepted any more, until the next `rotate`. */
	kill(): void;
	/** How the API answers from now on. */
	answerCalls(answer: Answers<ApiCall>): void;
	/** How the control socket answers from now on. */
	answerReports(answer: Answers<string>): void;
	closeSocket(): Promise<void>;
	/** All as new: a live token on disk, a socket that refreshes dead ones. */
	reset(): Promise<void>;
	close(): Promise<void>;
}

export const granted: Answer = {
	content: {
		errcode: 0,
		errmsg: "ok",
		ticket: "a-ticket",
		expires_in: 7200,
		ip_list: ["127.0.0.1"],
	},
};

export function refused(errcode: number, type?: string): Answer {
	const content = { errcode, errmsg: `refused rid: ${errcode}` };
	return type === undefined ? { content } : { content, type };
}

export async function startFakeWechat(appid: string): Promise<FakeWechat> {
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-fake-"));
	chmodSync(directory, 0o755);
	const file = join(directory, `wx_access_token_${appid}`);
	const socket = join(directory, "control.sock");
	const calls: ApiCall[] = [];
	const reports: string[] = [];
	const fetches: string[] = [];
	let current = "";
	let live = "";
	let answerCall: Answers<ApiCall>;
	let answerReport: Answers<string>;
	let keeper: Server | undefined;

	const publish = (content: string | undefined) => {
		if (content === undefined) return rmSync(file, { force: true });
		writeFileSync(`${file}.new`, content);
		renameSync(`${file}.new`, file);
	};

	const rotate = () => {
		current = live = randomBytes(68).toString("hex");
		publish(tokenText(current, 7200));
		return current;
	};

	const api = await listen(
		async (request) => {
			const body = await text(request);
			const { pathname, searchParams } = new URL(
				request.url ?? "",
				"http://api",
			);
			if (/^\/cgi-bin\/(token|stable_token)$/.test(pathname)) {
				fetches.push(`${request.method} ${pathname}`);
				return { content: { access_token: rotate(), expires_in: 7200 } };
			}
			const call = {
				method: request.method ?? "",
				path: pathname,
				token: searchParams.get("access_token") ?? "",
				body,
			};
			calls.push(call);
			return answerCall(call);
		},
		{ port: 0, host: "127.0.0.1" },
	);

	const openSocket = async () => {
		keeper ??= await listen(
			async (request) => {
				const { stale } = JSON.parse(await text(request));
				if (
					request.method !== "POST" ||
					request.url !== `/v1/accounts/${appid}/refresh`
				)
					throw new Error(`no such request: ${request.method} ${request.url}`);
				reports.push(stale);
				return answerReport(stale);
			},
			{ path: socket },
		);
	};

	const closeSocket = async () => {
		if (keeper !== undefined) await closed(keeper);
		keeper = undefined;
	};

	const { port } = api.address() as AddressInfo;
	const fake: FakeWechat = {
		appid,
		secret: "a-secret",
		url: `http://127.0.0.1:${port}`,
		directory,
		file,
		calls,
		reports,
		fetches,
		rotate,
		publish,
		token: () => current,
		isLive: (token) => token === live,
		kill: () => {
			live = "";
		},
		answerCalls: (answer) => {
			answerCall = answer;
		},
		answerReports: (answer) => {
			answerReport = answer;
		},
		closeSocket,
		reset: async () => {
			for (const log of [calls, reports, fetches]) log.length = 0;
			rotate();
			answerCall = ({ token }) => (token === live ? granted : refused(40001));
			answerReport = (stale) => {
				const outcome = stale === current ? "refreshed" : "already-fresh";
				const value = stale === current ? rotate() : current;
				return { content: { outcome, value, expire: inSeconds(7200) } };
			};
			await openSocket();
		},
		close: async () => {
			await closed(api);
			await closeSocket();
			rmSync(directory, { recursive: true, force: true });
		},
	};
	await fake.reset();
	return fake;
}

/** The token file's line. */
export function tokenText(value: string, secondsLeft: number): string {
	return `${JSON.stringify({ value, expire: inSeconds(secondsLeft) })}\n`;
}

function inSeconds(seconds: number): number {
	return Math.floor(Date.now() / 1000) + seconds;
}

async function listen(
	answer: (request: IncomingMessage) => Promise<Answer>,
	place: { port: number; host: string } | { path: string },
): Promise<Server> {
	const server = createServer(async (request, response) => {
		const {
			content,
			status = 200,
			type = "application/json; encoding=utf-8",
		} = await answer(request);
		const body = JSON.stringify(content);
		response.writeHead(status, {
			"Content-Type": type,
			"Content-Length": Buffer.byteLength(body),
		});
		response.end(body);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(place, resolve);
	});
	return server;
}

function closed(server: Server): Promise<void> {
	return new Promise((resolve) => {
		server.close(() => resolve());
		server.closeAllConnections();
	});
}
