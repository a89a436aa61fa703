/**
 * What is sent to a robot (群机器人) or another receiver of alerts, and what its answer
 * means. Robots answer 200 also when they refuse: the code in the body tells. Sources:
 * the robots' own pages (企业微信 消息推送, 钉钉 自定义机器人, 飞书 自定义机器人).
 */
import { createHmac } from "node:crypto";
import type { AlertFormat, AlertSettings } from "../config/alert-settings.ts";
import { inWords } from "../core/errors.ts";
import type { HttpAnswer, HttpRequest } from "../issuer/http.ts";
import type { LinkError } from "../issuer/link-error.ts";

/** A message, as it is sent. */
export interface RobotMessage {
	/** For a person: some lines. */
	readonly text: string;
	/** The same for a program, for the format "json". */
	readonly content: Readonly<Record<string, unknown>>;
}

/** Why a message was not taken. Nothing of it holds the robot's address. */
export interface RobotRefusal {
	/** Stable: `errcode 93000`, `http 502`, `ECONNREFUSED`. */
	readonly code: string;
	/** The cause, for the middle of a sentence. */
	readonly cause: string;
	readonly hint: string;
	/** Before that time nothing more is taken; undefined: as after any failure. */
	readonly waitMs?: number;
}

/** Long: a robot that has taken a message and answers late would get it a second time. */
const timeoutMs = 30_000;

/** The request that hands the message over. `now`: epoch ms, for the signature. */
export function robotRequest(
	{ url, secret, format }: AlertSettings,
	message: RobotMessage,
	now: number,
): HttpRequest {
	const { origin, pathname, search } = new URL(url);
	const sign = format === "dingtalk" && secret !== undefined;
	const query = sign ? signedQuery(search, secret, now) : search;
	return {
		baseUrl: origin,
		path: pathname + query,
		body: JSON.stringify(bodyOf(format, message, secret, now)),
		timeoutMs,
		// A message that is lost is sent again by its sender, after a pause.
		onlyOnce: true,
	};
}

function bodyOf(
	format: AlertFormat,
	{ text, content }: RobotMessage,
	secret: string | undefined,
	now: number,
): object {
	switch (format) {
		case "wecom":
		case "dingtalk":
			return { msgtype: "text", text: { content: text } };
		case "feishu":
			return {
				...(secret === undefined ? {} : feishuSignature(secret, now)),
				msg_type: "text",
				content: { text },
			};
		case "json":
			return { text, ...content };
		default:
			return format satisfies never;
	}
}

/** 钉钉: HMAC-SHA256 of `timestamp\nsecret` with the secret; milliseconds. */
function signedQuery(search: string, secret: string, now: number): string {
	const timestamp = String(Math.floor(now));
	const sign = createHmac("sha256", secret)
		.update(`${timestamp}\n${secret}`)
		.digest("base64");
	const signed = `timestamp=${timestamp}&sign=${encodeURIComponent(sign)}`;
	return search === "" ? `?${signed}` : `${search}&${signed}`;
}

/** 飞书: HMAC-SHA256 of nothing with `timestamp\nsecret` as the key; seconds. */
function feishuSignature(secret: string, now: number) {
	const timestamp = String(Math.floor(now / 1000));
	const sign = createHmac("sha256", `${timestamp}\n${secret}`).digest("base64");
	return { timestamp, sign };
}

/** Why the answer says that the message was not taken; undefined: it was. */
export function refusalIn(
	format: AlertFormat,
	{ status, text }: HttpAnswer,
): RobotRefusal | undefined {
	if (status < 200 || status >= 300) return byStatus(status);
	if (format === "json") return undefined;
	const code = codeIn(text);
	if (code === 0) return undefined;
	if (code === undefined)
		return {
			code: "not-json",
			cause: "its answer is not that of such a robot",
			hint: `compare the address and \`format\` ("${format}") of [alert] with the robot's page; a proxy may answer in its place`,
		};
	const { cause, hint, waitMs } = meanings[format][code] ?? unknown;
	return {
		code: `errcode ${code}`,
		cause: `${cause} (${code})`,
		hint,
		...(waitMs === undefined ? {} : { waitMs }),
	};
}

/** Why there was no answer. */
export function refusalOf({ code }: LinkError): RobotRefusal {
	return {
		code,
		cause: inWords(code),
		hint: "check network, DNS, firewall and https_proxy: this server must reach the robot's host",
	};
}

/** `errcode` of 企业微信 and 钉钉; `code` of 飞书, which older robots call `StatusCode`. */
function codeIn(text: string): number | undefined {
	try {
		const { errcode, code, StatusCode } = JSON.parse(text);
		const found = errcode ?? code ?? StatusCode;
		return typeof found === "number" ? found : undefined;
	} catch {
		return undefined;
	}
}

function byStatus(status: number): RobotRefusal {
	const code = `http ${status}`;
	if (status === 429)
		return {
			code,
			cause: `it wants fewer messages (HTTP ${status})`,
			hint: tooMany,
			waitMs: 60_000,
		};
	return {
		code,
		cause: `it answered with HTTP ${status}`,
		hint:
			status >= 500
				? "nothing to do if it passes: it is tried again"
				: "compare the address of [alert] with the robot's page; redirects are not followed, and a proxy may answer in its place",
	};
}

interface RobotMeaning {
	readonly cause: string;
	readonly hint: string;
	readonly waitMs?: number;
}

const tooMany =
	"nothing to do: it is sent later; find out who else writes to this robot, or give wxtokend one of its own";
const gone =
	"the robot was removed, or its address is not complete: copy it again from the robot's page to where [alert] has it, then reload";
const needsKeyword =
	'add "wxtokend" to the robot\'s keywords (自定义关键词), or choose a signature (加签, 签名校验) and set `secret` in [alert]';
const badSign =
	"copy the secret again from the robot's page (加签, 签名校验) to [alert], and compare the clock of this server (NTP)";

const unknown: RobotMeaning = {
	cause: "it refused the message",
	hint: "look the code up in the robot's documentation",
};

/** By format, then by code. */
const meanings: Readonly<
	Record<Exclude<AlertFormat, "json">, Readonly<Record<number, RobotMeaning>>>
> = {
	wecom: {
		93000: { cause: "it does not know this address", hint: gone },
		// 20 messages a minute for each robot.
		45009: {
			cause: "too many messages in a minute",
			hint: tooMany,
			waitMs: 60_000,
		},
	},
	dingtalk: {
		300001: { cause: "it does not know this address", hint: gone },
		300005: { cause: "it does not know this address", hint: gone },
		400101: { cause: "it does not know this address", hint: gone },
		400102: { cause: "the robot is turned off", hint: gone },
		310000: {
			cause: "its security settings refuse the message",
			hint: `${badSign}; without a signature ${needsKeyword}, or add this server's IP`,
		},
		// 20 messages a minute; beyond that the robot is silent for ten minutes.
		130101: {
			cause: "too many messages in a minute",
			hint: tooMany,
			waitMs: 600_000,
		},
		410100: {
			cause: "too many messages in a minute",
			hint: tooMany,
			waitMs: 600_000,
		},
	},
	feishu: {
		9499: { cause: "it could not read the message", hint: gone },
		11232: {
			cause: "too many messages in a minute",
			hint: tooMany,
			waitMs: 60_000,
		},
		19001: { cause: "it does not know this address", hint: gone },
		19021: { cause: "the signature is wrong", hint: badSign },
		19022: {
			cause: "this server's IP is not in its whitelist",
			hint: "add it on the robot's page (IP 白名单)",
		},
		19024: { cause: "a keyword is missing", hint: needsKeyword },
	},
};
