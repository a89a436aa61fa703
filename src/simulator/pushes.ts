/**
 * Pushes: WeChat as the client. Each component gets a ticket every ten minutes, and an
 * event when an account authorises it, changes that, or withdraws. What is not answered
 * with `success` is tried again.
 */
import { request as plainRequest } from "node:http";
import { type PlatformState, serverTime } from "./accounts.ts";
import {
	type Component,
	makeTicket,
	nextTicketAt,
	type PushTarget,
} from "./components.ts";
import { type SealedPush, seal } from "./push-seal.ts";

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

/** An event to push: the children besides AppId, CreateTime and InfoType. */
export interface PushEvent {
	readonly infoType: string;
	readonly fields?: Readonly<Record<string, string | number>>;
}

/** How a push differs from an ordinary one. */
export interface PushOptions {
	readonly flaw?: PushFlaw;
	/** Seconds by which its CreateTime is in the past. */
	readonly olderSeconds?: number;
}

/** One try, and how it was answered. */
export interface PushRecord {
	readonly at: number;
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
		component: Component,
		event: PushEvent,
		options?: PushOptions,
	): Promise<PushRecord>;
	/** Pushes as WeChat does: again if it fails. Resolves when that is over. */
	deliver(component: Component, event: PushEvent): Promise<void>;
	/** Makes and pushes the tickets that are due. */
	tick(): void;
	stop(): void;
}

const maxRecords = 1_000;

/** `now`: virtual epoch ms. `wait`: virtual seconds. */
export function createPushes(
	state: PlatformState,
	now: () => number,
	wait: (seconds: number) => Promise<void>,
): Pushes {
	const records: PushRecord[] = [];
	let isStopped = false;

	const push: Pushes["push"] = async (component, event, options = {}) => {
		const { appid, push: target } = component;
		const at = now();
		const beganAt = performance.now();
		const outcome =
			target === undefined
				? "no target"
				: await send(
						target,
						sealed(state, component, target, event, options, at),
						options.flaw,
						state.knobs.pushTimeoutSeconds * 1000,
					);
		const { infoType } = event;
		const tookMs = Math.round(performance.now() - beganAt);
		const record = { at, appid, infoType, outcome, tookMs };
		records.push(record);
		if (records.length > maxRecords) records.shift();
		return record;
	};

	const deliver: Pushes["deliver"] = async (component, event) => {
		if (component.isStopped) return;
		const tries = state.knobs.pushTries;
		for (let count = 1; count <= tries && !isStopped; count += 1) {
			const { outcome } = await push(component, event);
			if (outcome === "success" || outcome === "no target") {
				component.failingSince = undefined;
				return;
			}
			if (count < tries) await wait(5);
		}
		component.failingSince ??= now();
		const { giveUpAfterSeconds } = state.knobs;
		const failingMs = now() - component.failingSince;
		if (giveUpAfterSeconds > 0 && failingMs >= giveUpAfterSeconds * 1000)
			component.isStopped = true;
	};

	return {
		records,
		push,
		deliver,
		tick: () => {
			for (const component of state.components.values()) {
				const at = now();
				if (isStopped || component.isStopped || at < component.nextTicketAt)
					continue;
				component.nextTicketAt = nextTicketAt(state, at);
				void deliver(component, ticketEvent(state, component, at));
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
	component: Component,
	nowMs: number,
): PushEvent {
	const { value } = makeTicket(
		component,
		state.random,
		serverTime(state, nowMs),
	);
	return {
		infoType: "component_verify_ticket",
		fields: { ComponentVerifyTicket: value },
	};
}

function sealed(
	state: PlatformState,
	component: Component,
	target: PushTarget,
	{ infoType, fields = {} }: PushEvent,
	{ flaw, olderSeconds = 0 }: PushOptions,
	nowMs: number,
): SealedPush {
	const { random } = state;
	const seconds = Math.floor(serverTime(state, nowMs) / 1000);
	const foreign = "wxffffffffffffffff";
	const appid = flaw === "foreign-id" ? foreign : component.appid;
	const children = {
		AppId: appid,
		CreateTime: seconds - olderSeconds,
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
		tail: flaw === "foreign-tail" ? foreign : component.appid,
		outside: { name: "AppId", value: component.appid },
		timestamp: seconds,
		random,
	});
	return flaw === "bad-signature"
		? {
				...push,
				query: push.query.replace(/msg_signature=./, "msg_signature=x"),
			}
		: push;
}

function written(value: string | number, flaw: PushFlaw | undefined): string {
	if (typeof value === "number" || flaw === "plain-values")
		return String(value);
	const blank = flaw === "blank-before-cdata" ? " " : "";
	return `${blank}<![CDATA[${value}]]>`;
}

/** Only HTTP 200 with exactly `success` in time is a success. */
function send(
	{ url }: PushTarget,
	{ query, body }: SealedPush,
	flaw: PushFlaw | undefined,
	timeoutMs: number,
): Promise<string> {
	return new Promise((resolve) => {
		const separator = url.includes("?") ? "&" : "?";
		const request = plainRequest(
			`${url}${separator}${query}`,
			{
				method: "POST",
				agent: false,
				headers: {
					"Content-Type": "text/xml",
					"Content-Length": Buffer.byteLength(body),
				},
				signal: AbortSignal.timeout(timeoutMs),
			},
			(response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("error", () => resolve("broken answer"));
				response.on("end", () => {
					const text = Buffer.concat(chunks).toString("utf8");
					const isRight = response.statusCode === 200 && text === "success";
					resolve(isRight ? "success" : `status ${response.statusCode}`);
				});
			},
		);
		request.on("error", (error) => resolve(`no answer: ${error.name}`));
		if (flaw === "drip") drip(request, body);
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
