/**
 * What WeChat's pushes are answered: exactly `success` once they are safe on the disk, and
 * also for events that mean nothing here, as anything else counts as a failure and is sent
 * again. Whatever is not signed by WeChat gets 403 without a reason.
 */
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { decodePush, type PushRefusal } from "../core/push.ts";
import {
	type Answering,
	type ControlAnswer,
	type ControlRequest,
	failure,
} from "./control-http.ts";
import type { KeptComponent } from "./kept-component.ts";

export interface PushAnswerParts {
	readonly component: (appid: string) => KeptComponent | undefined;
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
		const [, appid = ""] =
			/^\/component\/([\w-]{1,64})$/.exec(request.path) ?? [];
		const component = parts.component(appid);
		if (component === undefined) return unknownPath;
		if (request.method !== "POST") return wrongMethod;
		const { token, keys } = component.entry.push;
		if (token === undefined || keys.length === 0) return noSecrets;
		const query = queryIn(request.query);
		const push = decodePush(
			{ query, body: request.body },
			{ token, keys, idField: "AppId", id: appid },
		);
		if (typeof push === "string") {
			tellRefused(appid, push);
			return forbidden;
		}
		try {
			await component.takePush(push);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			log.error(
				{ event: "push.failed", component: appid, code, hint },
				`a push (${push.infoType}) could not be kept, so WeChat sends it again: ${message}`,
			);
			return unsafe;
		}
		log.debug(
			{ event: "push.taken", component: appid, infoType: push.infoType },
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

const hint = "WeChat pushes to POST /component/APPID";
const unknownPath = failure(404, {
	code: "unknown-path",
	message: "nothing is pushed to this path",
	hint,
});
const wrongMethod = failure(
	405,
	{ code: "method-not-allowed", message: "pushes are POSTs", hint },
	{ Allow: "POST" },
);
const noSecrets = failure(403, {
	code: "no-secrets",
	message: "this component has no Token or no EncodingAESKey configured",
	hint: "set token_file and aes_key_file below [[component]]",
});

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
	"foreign-id": "it is for another component, which has the same Token and key",
	"foreign-receiver": "it is about another component",
};

/** One line for each kind and component in an hour, with how many there were. */
function createRefusalLog(clock: Clock, log: Log) {
	const told = new Map<string, { at: number; count: number }>();
	return (component: string, kind: PushRefusal) => {
		const key = `${component} ${kind}`;
		const known = told.get(key) ?? { at: Number.NEGATIVE_INFINITY, count: 0 };
		known.count += 1;
		told.set(key, known);
		const now = clock.monotonic();
		if (now - known.at < toldEveryMs) return;
		log.warn(
			{
				event: "push.refused",
				component,
				kind,
				count: known.count,
				hint: "if WeChat's pushes do not arrive (wxtokend status), compare Token and EncodingAESKey with the console; else somebody else calls this address, and nothing is to be done",
			},
			`a push to ${component} is refused: ${causes[kind]}`,
		);
		known.at = now;
		known.count = 0;
	};
}
