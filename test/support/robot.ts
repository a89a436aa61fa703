/**
 * A chat robot on loopback, as those of 企业微信, 钉钉 and 飞书 answer: 200 with a code in
 * the body, also when they refuse. It checks keys and signatures as their pages say.
 */
import { createHmac, randomBytes } from "node:crypto";
import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AlertFormat } from "../../src/config/alert-settings.ts";
import { noteSecret } from "./leaks.ts";
import { listenOnLoopback } from "./listen.ts";

export interface FakeRobot {
	/** Its address; no output may show the key in it. */
	readonly url: string;
	/** With which messages must be signed; undefined: they need not be. */
	readonly secret: string | undefined;
	/** The texts that it has taken, oldest first. */
	readonly taken: readonly string[];
	/** The bodies of all requests, also of those that it refused. */
	readonly bodies: readonly Readonly<Record<string, unknown>>[];
	/** Answers each request in the robot's place; false: the robot answers. */
	twist(by: Twist | undefined): void;
	/** Resolves when that many requests have arrived. */
	arrived(count: number): Promise<void>;
}

type Twist = (nth: number, response: ServerResponse) => boolean | "take";

export interface RobotOptions {
	readonly format?: AlertFormat;
	readonly secret?: string;
	/** Epoch ms, for signatures and the limit of 20 messages a minute. */
	readonly now?: () => number;
}

/** Closed after the test. */
export async function startRobot({
	format = "wecom",
	secret,
	now = Date.now,
}: RobotOptions = {}): Promise<FakeRobot> {
	const key = noteSecret(randomBytes(18).toString("hex"));
	if (secret !== undefined) noteSecret(secret);
	const taken: string[] = [];
	const takenAt: number[] = [];
	const bodies: Record<string, unknown>[] = [];
	const waiting = new Set<() => void>();
	let twist: Twist | undefined;

	const answer = async (request: IncomingMessage, response: ServerResponse) => {
		let text = "";
		for await (const chunk of request.setEncoding("utf8")) text += chunk;
		const body = JSON.parse(text);
		bodies.push(body);
		for (const wake of [...waiting]) wake();
		const twisted = twist?.(bodies.length, response) ?? false;
		if (twisted === true) return;
		const url = new URL(request.url ?? "", "http://robot");
		const code = judge(url, body);
		if (code === 0) {
			taken.push(textIn(body));
			takenAt.push(now());
		}
		if (twisted === "take") return;
		const field = format === "feishu" ? "code" : "errcode";
		response.end(JSON.stringify({ [field]: code }));
	};

	/** The code of the answer. */
	const judge = (url: URL, body: Record<string, unknown>): number => {
		const { searchParams } = url;
		const isKnown =
			searchParams.get("key") === key || url.pathname.endsWith(`/${key}`);
		const age = (at: unknown, unit: number) =>
			Math.abs(now() - Number(at) * unit);
		switch (format) {
			case "wecom":
				if (!isKnown || body.msgtype !== "text") return 93000;
				if (takenAt.filter((at) => now() - at < 60_000).length >= 20)
					return 45009;
				return Buffer.byteLength(textIn(body)) > 2048 ? 40058 : 0;
			case "dingtalk": {
				if (!isKnown) return 300005;
				if (secret === undefined) return 0;
				const timestamp = searchParams.get("timestamp") ?? "";
				const sign = createHmac("sha256", secret)
					.update(`${timestamp}\n${secret}`)
					.digest("base64");
				return searchParams.get("sign") === sign && age(timestamp, 1) < 3.6e6
					? 0
					: 310000;
			}
			case "feishu": {
				if (!isKnown || body.msg_type !== "text") return 19001;
				if (secret === undefined) return 0;
				const { timestamp } = body;
				const sign = createHmac("sha256", `${timestamp}\n${secret}`)
					.update("")
					.digest("base64");
				return body.sign === sign && age(timestamp, 1000) < 3.6e6 ? 0 : 19021;
			}
			case "json":
				return isKnown ? 0 : 1;
			default:
				return format satisfies never;
		}
	};

	const server = createServer((request, response) => {
		void answer(request, response);
	});
	const port = await listenOnLoopback(server);
	const path = {
		wecom: `/cgi-bin/webhook/send?key=${key}`,
		dingtalk: `/robot/send?access_token=t&key=${key}`,
		feishu: `/open-apis/bot/v2/hook/${key}`,
		json: `/hooks/${key}`,
	}[format];
	return {
		url: `http://127.0.0.1:${port}${path}`,
		secret,
		taken,
		bodies,
		twist: (by) => {
			twist = by;
		},
		arrived: (count) =>
			new Promise((resolve) => {
				const wake = () => {
					if (bodies.length < count) return;
					waiting.delete(wake);
					resolve();
				};
				waiting.add(wake);
				wake();
			}),
	};
}

function textIn(body: Readonly<Record<string, unknown>>): string {
	const { text, content } = body as {
		readonly text?: string | { readonly content: string };
		readonly content?: { readonly text: string };
	};
	if (typeof text === "string") return text;
	return text?.content ?? content?.text ?? "";
}
