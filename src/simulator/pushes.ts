/**
 * Pushes: WeChat as the client. Each component and each suite gets a ticket every ten
 * minutes, and an event when somebody authorises it, changes that, or withdraws. What is
 * not answered with `success` is tried again.
 */
import { request as plainRequest } from "node:http";
import { type PlatformState, serverTime } from "./accounts.ts";
import {
	type Component,
	makeTicket,
	nextTicketAt,
	type PushTarget,
} from "./components.ts";
import { type SealedPush, seal, sealEcho } from "./push-seal.ts";
import { makeSuiteTicket, type Suite } from "./suites.ts";

/** Who gets pushes. */
export type Subscriber = Component | Suite;

/** What is wrong with a push that a test asks for. */
export const pushFlaws = [
	"former-key",
	"foreign-tail",
	"foreign-id",
	"bad-signature",
	"plain-values",
	"blank-before-cdata",
	"large",
	"drip",
] as const;
export type PushFlaw = (typeof pushFlaws)[number];

/** An event to push: the children besides the id, the time and InfoType. */
export interface PushEvent {
	readonly infoType: string;
	readonly fields?: Readonly<Record<string, string | number>>;
}

/** How a push differs from an ordinary one. */
export interface PushOptions {
	readonly flaw?: PushFlaw;
	/** Seconds by which its time is in the past. */
	readonly olderSeconds?: number;
}

/** One try, and how it was answered. */
export interface PushRecord {
	readonly at: number;
	/** The appid, or the suite_id. */
	readonly appid: string;
	readonly infoType: string;
	/** `success`, or what came instead. */
	readonly outcome: string;
	readonly tookMs: number;
}

export interface Pushes {
	/** The last 1000 tries, oldest first. */
	readonly records: readonly PushRecord[];
	/** Pushes once, now, and tells how that was answered. */
	push(
		subscriber: Subscriber,
		event: PushEvent,
		options?: PushOptions,
	): Promise<PushRecord>;
	/** Pushes as WeChat does: again if it fails. Resolves when that is over. */
	deliver(subscriber: Subscriber, event: PushEvent): Promise<void>;
	/** 企业微信 checks the URL, as it does when that is saved; `success`, or what came instead. */
	checkUrl(suite: Suite): Promise<string>;
	/** Makes and pushes the tickets that are due. */
	tick(): void;
	stop(): void;
}

/** 企业微信 waits for an answer to these a fifth of the time. */
const hurried: ReadonlySet<string> = new Set([
	"create_auth",
	"change_auth",
	"cancel_auth",
	"reset_permanent_code",
]);
const maxRecords = 1_000;

/** Real ms. */
function timeoutOf({ knobs }: PlatformState, infoType = ""): number {
	const ms = knobs.pushTimeoutSeconds * 1000;
	return hurried.has(infoType) ? ms / 5 : ms;
}

/** `now`: virtual epoch ms. `wait`: virtual seconds. */
export function createPushes(
	state: PlatformState,
	now: () => number,
	wait: (seconds: number) => Promise<void>,
): Pushes {
	const records: PushRecord[] = [];
	let isStopped = false;

	const push: Pushes["push"] = async (subscriber, event, options = {}) => {
		const { push: target } = subscriber;
		const { id: appid } = wireOf(subscriber);
		const { infoType } = event;
		const at = now();
		const beganAt = performance.now();
		const outcome =
			target === undefined
				? "no target"
				: await send(
						target,
						{
							...sealed(state, subscriber, target, event, options, at),
							timeoutMs: timeoutOf(state, infoType),
						},
						options.flaw,
					);
		const tookMs = Math.round(performance.now() - beganAt);
		const record = { at, appid, infoType, outcome, tookMs };
		records.push(record);
		if (records.length > maxRecords) records.shift();
		return record;
	};

	const deliver: Pushes["deliver"] = async (subscriber, event) => {
		if (subscriber.isStopped) return;
		const tries = state.knobs.pushTries;
		for (let count = 1; count <= tries && !isStopped; count += 1) {
			const { outcome } = await push(subscriber, event);
			if (outcome === "success" || outcome === "no target") {
				subscriber.failingSince = undefined;
				return;
			}
			if (count < tries) await wait(5);
		}
		subscriber.failingSince ??= now();
		const { giveUpAfterSeconds } = state.knobs;
		const failingMs = now() - subscriber.failingSince;
		if (giveUpAfterSeconds > 0 && failingMs >= giveUpAfterSeconds * 1000)
			subscriber.isStopped = true;
	};

	return {
		records,
		push,
		deliver,
		checkUrl: async (suite) =>
			suite.push === undefined
				? "no target"
				: checkUrl(state, suite, suite.push, now()),
		tick: () => {
			for (const subscriber of [
				...state.components.values(),
				...state.suites.values(),
			]) {
				const at = now();
				if (isStopped || subscriber.isStopped || at < subscriber.nextTicketAt)
					continue;
				subscriber.nextTicketAt = nextTicketAt(state, at);
				void deliver(subscriber, ticketEvent(state, subscriber, at));
			}
		},
		stop: () => {
			isStopped = true;
		},
	};
}

/** A new ticket, as it is pushed. */
export function ticketEvent(
	state: PlatformState,
	subscriber: Subscriber,
	nowMs: number,
): PushEvent {
	const at = serverTime(state, nowMs);
	return "appid" in subscriber
		? {
				infoType: "component_verify_ticket",
				fields: {
					ComponentVerifyTicket: makeTicket(subscriber, state.random, at).value,
				},
			}
		: {
				infoType: "suite_ticket",
				fields: { SuiteTicket: makeSuiteTicket(subscriber, state, at) },
			};
}

/** What differs on the wire. */
function wireOf(subscriber: Subscriber) {
	return "appid" in subscriber
		? {
				...{ id: subscriber.appid, idField: "AppId", timeField: "CreateTime" },
				...{ outside: { AppId: subscriber.appid }, isBare: false },
			}
		: {
				...{ id: subscriber.suiteId, idField: "SuiteId" },
				timeField: "TimeStamp",
				outside: { ToUserName: subscriber.suiteId, AgentID: "" },
				isBare: true,
			};
}

const foreign = "wxffffffffffffffff";

function sealed(
	state: PlatformState,
	subscriber: Subscriber,
	target: PushTarget,
	{ infoType, fields = {} }: PushEvent,
	{ flaw, olderSeconds = 0 }: PushOptions,
	nowMs: number,
): SealedPush {
	const { random } = state;
	const { id, idField, timeField, outside, isBare } = wireOf(subscriber);
	const seconds = Math.floor(serverTime(state, nowMs) / 1000);
	const children = {
		[idField]: flaw === "foreign-id" ? foreign : id,
		[timeField]: seconds - olderSeconds,
		InfoType: infoType,
		...fields,
		...(flaw === "large" ? { Filling: "x".repeat(1_048_576) } : {}),
	};
	const message = [
		"<xml>",
		...Object.entries(children).map(
			([name, value]) => `<${name}>${written(value, flaw)}</${name}>`,
		),
		// So that every length of the padding occurs.
		"\n".repeat(Math.floor(random.next() * 32)),
		"</xml>",
	].join("\n");
	const push = seal(message, {
		token: target.token,
		key: flaw === "former-key" ? (target.formerKey ?? target.key) : target.key,
		tail: flaw === "foreign-tail" ? foreign : id,
		timestamp: seconds,
		...{ outside, isBare, random },
	});
	return flaw === "bad-signature"
		? {
				...push,
				query: push.query.replace(/msg_signature=./, "msg_signature=x"),
			}
		: push;
}

/** The 服务商's corpid stands behind what a check encrypts. */
async function checkUrl(
	state: PlatformState,
	{ provider }: Suite,
	{ url, token, key }: PushTarget,
	nowMs: number,
): Promise<string> {
	const { random } = state;
	const plain = String(Math.floor(random.next() * 1e15));
	const timestamp = Math.floor(serverTime(state, nowMs) / 1000);
	const query = sealEcho(plain, {
		...{ token, key, timestamp, random, tail: provider, isBare: true },
	});
	const timeoutMs = timeoutOf(state);
	return send({ url, token, key }, { query, timeoutMs, expected: plain });
}

function written(value: string | number, flaw: PushFlaw | undefined): string {
	if (typeof value === "number" || flaw === "plain-values")
		return String(value);
	const blank = flaw === "blank-before-cdata" ? " " : "";
	return `${blank}<![CDATA[${value}]]>`;
}

/** A request, and how long an answer may take; without a body it is a GET. */
interface Outgoing {
	readonly query: string;
	readonly body?: string;
	readonly timeoutMs: number;
	/** The only right answer; default `success`. */
	readonly expected?: string;
}

/** Only HTTP 200 with exactly the right answer in time is a success. */
function send(
	{ url }: PushTarget,
	{ query, body, timeoutMs, expected = "success" }: Outgoing,
	flaw?: PushFlaw,
): Promise<string> {
	return new Promise((resolve) => {
		const separator = url.includes("?") ? "&" : "?";
		const request = plainRequest(
			`${url}${separator}${query}`,
			{
				method: body === undefined ? "GET" : "POST",
				agent: false,
				...(body === undefined
					? {}
					: {
							headers: {
								"Content-Type": "text/xml",
								"Content-Length": Buffer.byteLength(body),
							},
						}),
				signal: AbortSignal.timeout(timeoutMs),
			},
			(response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("error", () => resolve("broken answer"));
				response.on("end", () => {
					const text = Buffer.concat(chunks).toString("utf8");
					const isRight = response.statusCode === 200 && text === expected;
					resolve(isRight ? "success" : `status ${response.statusCode}`);
				});
			},
		);
		request.on("error", (error) => resolve(`no answer: ${error.name}`));
		if (flaw === "drip" && body !== undefined) drip(request, body);
		else request.end(body);
	});
}

/** One byte a second. */
function drip(request: ReturnType<typeof plainRequest>, body: string): void {
	let at = 0;
	const timer = setInterval(() => {
		request.write(body.charAt(at));
		at += 1;
	}, 1_000);
	request.on("close", () => clearInterval(timer));
	request.flushHeaders();
}
