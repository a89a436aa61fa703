/**
 * What WeChat's pushes are answered: exactly `success` once they are safe on the disk, and
 * also for events that mean nothing here, as anything else counts as a failure and is sent
 * again. Whatever is not signed by WeChat gets 403 without a reason. 企业微信 also checks a
 * URL by a GET, when it is saved in the console.
 */
import { type PlatformTable, platformTables } from "../config/platform.ts";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import {
	decodeEcho,
	decodePush,
	type PushReceiver,
	type PushRefusal,
} from "../core/push.ts";
import {
	type Answering,
	type ControlAnswer,
	type ControlRequest,
	failure,
} from "./control-http.ts";
import type { KeptPlatform } from "./kept-platform.ts";

export interface PushAnswerParts {
	readonly platform: (
		table: PlatformTable,
		id: string,
	) => KeptPlatform | undefined;
	/** Hands a genuine push on, after it was answered. */
	readonly forward: (request: ControlRequest) => void;
	readonly clock: Clock;
	readonly log: Log;
}

/** Answers every request; throws only if wxtokend has a bug. */
export function createPushAnswers(parts: PushAnswerParts): Answering {
	const { clock, log } = parts;
	const tellRefused = createRefusalLog(clock, log);
	return async (request) => {
		const [, name = "", id = ""] =
			/^\/(component|suite)\/([\w-]{1,64})$/.exec(request.path) ?? [];
		const table = platformTables.find((one) => one === name);
		const platform = table && parts.platform(table, id);
		if (platform === undefined) return unknownPath;
		const isCheck = request.method === "GET" && platform.kind.isUrlChecked;
		if (request.method !== "POST" && !isCheck) return wrongMethod(platform);
		const receiver = receiverOf(platform);
		if (receiver === undefined) return noSecrets(platform);
		const query = queryIn(request.query);
		if (isCheck) {
			const echo = decodeEcho(query, receiver);
			if (typeof echo !== "string")
				return { status: 200, content: echo.message };
			tellRefused(platform, echo);
			return forbidden;
		}
		const push = decodePush({ query, body: request.body }, receiver);
		if (typeof push === "string") {
			tellRefused(platform, push);
			return forbidden;
		}
		try {
			await platform.takePush(push);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			log.error(
				{ event: "push.failed", ...platform.fields(), code, hint },
				`a push (${push.infoType}) could not be kept, so WeChat sends it again: ${message}`,
			);
			return unsafe;
		}
		log.debug(
			{ event: "push.taken", ...platform.fields(), infoType: push.infoType },
			"a push of WeChat is safe",
		);
		request.onEnd(() => parts.forward(request));
		return success;
	};
}

/** Without a line feed: WeChat compares it byte by byte. */
const success: ControlAnswer = { status: 200, content: "success" };
const forbidden: ControlAnswer = { status: 403, content: "" };
const unsafe: ControlAnswer = { status: 500, content: "" };

/** Undefined: its secrets are not configured. */
function receiverOf({
	entry,
	kind,
	id,
}: KeptPlatform): PushReceiver | undefined {
	const { token, keys } = entry.push;
	if (token === undefined || keys.length === 0) return undefined;
	// The check of a URL, and pushes of older suites, are about the 服务商.
	const otherIds = entry.interface === "suite" ? [entry.provider] : [];
	return { token, keys, idField: kind.idField, id, otherIds };
}

const hint =
	"WeChat pushes to POST /component/APPID, 企业微信 to GET and POST /suite/SUITE_ID";
const unknownPath = failure(404, {
	code: "unknown-path",
	message: "nothing is pushed to this path",
	hint,
});

function wrongMethod({ kind }: KeptPlatform): ControlAnswer {
	return failure(
		405,
		{ code: "method-not-allowed", message: "pushes are POSTs", hint },
		{ Allow: kind.isUrlChecked ? "GET, POST" : "POST" },
	);
}

function noSecrets({ entry: { interface: table } }: KeptPlatform) {
	return failure(403, {
		code: "no-secrets",
		message: `this ${table} has no Token or no EncodingAESKey configured`,
		hint: `set token_file and aes_key_file below [[${table}]]`,
	});
}

/** As sent: a "+" stays one, as base64 has it. What cannot be decoded is left out. */
export function queryIn(query: string): ReadonlyMap<string, string> {
	const fields = new Map<string, string>();
	for (const pair of query.split("&", 32)) {
		const [name = "", ...value] = pair.split("=");
		try {
			fields.set(decodeURIComponent(name), decodeURIComponent(value.join("=")));
		} catch {}
	}
	return fields;
}

/** How often a refusal of one kind is told while they go on. */
const toldEveryMs = 3_600_000;

const causes: Readonly<Record<PushRefusal, string>> = {
	"not-xml": "it holds no XML with an encrypted message",
	"bad-signature":
		"its signature is wrong: it is not of WeChat, or the Token (消息校验Token) is another one than in the console",
	undecipherable:
		"it cannot be decrypted: the EncodingAESKey (消息加解密Key) is another one than in the console",
	"foreign-id": "it is for another platform, which has the same Token and key",
	"foreign-receiver": "it is about another platform",
};

/** One line for each kind and platform in an hour, with how many there were. */
function createRefusalLog(clock: Clock, log: Log) {
	const told = new Map<string, { at: number; count: number }>();
	return (platform: KeptPlatform, kind: PushRefusal) => {
		const key = `${platform.entry.interface} ${platform.id} ${kind}`;
		const known = told.get(key) ?? { at: Number.NEGATIVE_INFINITY, count: 0 };
		known.count += 1;
		told.set(key, known);
		const now = clock.monotonic();
		if (now - known.at < toldEveryMs) return;
		log.warn(
			{
				event: "push.refused",
				...platform.fields(),
				kind,
				count: known.count,
				hint: "if WeChat's pushes do not arrive (wxtokend status), compare Token and EncodingAESKey with the console; else somebody else calls this address, and nothing is to be done",
			},
			`a push to ${platform.id} is refused: ${causes[kind]}`,
		);
		known.at = now;
		known.count = 0;
	};
}
