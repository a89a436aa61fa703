/**
 * Who may ask for what over the HTTP address. The control socket's clients are those
 * who may read the tokens; here a bearer stands for that.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv6 } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/ports.ts";
import {
	type Answering,
	type ControlAnswer,
	type ControlRequest,
	failure,
} from "./control-http.ts";
import { isForAnybody, isHarmless } from "./control-paths.ts";

/** What the gate is made of. */
export interface GateParts {
	/** Undefined: nobody is given a token. */
	readonly bearer: () => string | undefined;
	/** The address is a loopback one. */
	readonly isLoopback: () => boolean;
	readonly answer: Answering;
	readonly clock: Clock;
	readonly log: Log;
}

/** What a caller has shown. */
type Shown = "bearer" | "password" | "nothing" | "wrong";

/** Wrong bearers that an address may send in a minute before it is not looked at any more. */
const maxFailures = 20;
const failureWindowMs = 60_000;
/** Addresses that are remembered: those that failed, and those that succeeded. */
const maxAddresses = 1_000;

/** Answers those who may ask, and tells the others why not. */
export function createGate(parts: GateParts): Answering {
	const { answer, clock, log } = parts;
	const failures = createFailures(clock);

	const refuse = (request: ControlRequest, shown: Shown): ControlAnswer => {
		if (parts.bearer() === undefined) return noBearer;
		if (shown !== "wrong") return needsBearer(request.path);
		const { isFirst, isOver } = failures.add(request.remote);
		if (isFirst)
			log.warn(
				{
					event: "http.unauthorized",
					address: request.remote,
					hint: "compare what that client sends with bearer_file; more of its failures are not logged",
				},
				`a client at ${request.remote} sent a wrong bearer`,
			);
		return isOver ? tooManyFailures : wrongBearer(request.path);
	};

	return async (request) => {
		if (isForAnybody(request.path)) return answer(request);
		if (failures.isLockedOut(request.remote)) return tooManyFailures;
		const shown = shownIn(request, parts.bearer());
		if (shown === "bearer") {
			failures.succeeded(request.remote);
			return answer(request);
		}
		if (shown === "wrong") return refuse(request, shown);
		// A browser sends a password with whatever a foreign page asks for: it is enough to look, not to act.
		const isSeen = shown === "password" || parts.isLoopback();
		return isSeen && isHarmless(request.path)
			? answer(request)
			: refuse(request, shown);
	};
}

function shownIn(
	{ headers: { authorization } }: ControlRequest,
	bearer: string | undefined,
): Shown {
	if (authorization === undefined || bearer === undefined) return "nothing";
	const [, scheme = "", sent = ""] =
		/^(\S+) +(\S+) *$/.exec(authorization) ?? [];
	switch (scheme.toLowerCase()) {
		case "bearer":
			return isSame(sent, bearer) ? "bearer" : "wrong";
		case "basic": {
			const text = Buffer.from(sent, "base64").toString("utf8");
			const password = text.slice(text.indexOf(":") + 1);
			return isSame(password, bearer) ? "password" : "wrong";
		}
		default:
			return "wrong";
	}
}

/** In a time that tells neither where they differ nor how long the bearer is. */
function isSame(sent: string, bearer: string): boolean {
	const digest = (text: string) => createHash("sha256").update(text).digest();
	return timingSafeEqual(digest(sent), digest(bearer));
}

/** Wrong bearers by the address that they came from. */
interface Failures {
	/** `isFirst`: of this address; `isOver`: there were too many in a minute. */
	add(address: string): { readonly isFirst: boolean; readonly isOver: boolean };
	/** Whether it had so many failures that its bearer is not even compared. */
	isLockedOut(address: string): boolean;
	/** From now on failures do not lock this address out: a proxy stands for many clients. */
	succeeded(address: string): void;
}

function createFailures(clock: Clock): Failures {
	const failed = new Map<string, { since: number; count: number }>();
	const trusted = new Set<string>();
	const isOver = (address: string) => {
		const known = failed.get(address);
		return (
			known !== undefined &&
			known.count > maxFailures &&
			clock.monotonic() - known.since < failureWindowMs
		);
	};
	return {
		add: (given) => {
			const address = networkOf(given);
			const known = failed.get(address);
			const now = clock.monotonic();
			const isNewWindow =
				known === undefined || now - known.since >= failureWindowMs;
			failed.set(
				address,
				isNewWindow
					? { since: now, count: 1 }
					: { since: known.since, count: known.count + 1 },
			);
			forgetOldest(failed);
			return { isFirst: known === undefined, isOver: isOver(address) };
		},
		isLockedOut: (given) => {
			const address = networkOf(given);
			return !trusted.has(address) && isOver(address);
		},
		succeeded: (given) => {
			trusted.add(networkOf(given));
			forgetOldest(trusted);
		},
	};
}

function forgetOldest(
	known: Pick<Map<string, unknown>, "size" | "keys" | "delete">,
): void {
	if (known.size <= maxAddresses) return;
	const [oldest] = known.keys();
	if (oldest !== undefined) known.delete(oldest);
}

/** Of IPv6, a host has a whole /64 of addresses. */
function networkOf(address: string): string {
	if (!isIPv6(address) || address.startsWith("::ffff:")) return address;
	const [head = "", tail] = address.split("::");
	const before = head.split(":").filter(Boolean);
	const after = tail === undefined ? [] : tail.split(":").filter(Boolean);
	const zeros = Array(Math.max(0, 8 - before.length - after.length)).fill("0");
	return [...before, ...zeros, ...after].slice(0, 4).join(":");
}

const noBearer = failure(403, {
	code: "no-bearer",
	message: "could not answer: this address gives it only with a bearer",
	hint: "set bearer_file below [http], then reload; or use the control socket",
});

/** A browser asks for a password only if the answer names Basic. */
function challenge(path: string): Readonly<Record<string, string>> {
	const bearer = 'Bearer realm="wxtokend"';
	return {
		"WWW-Authenticate":
			path === "/" ? `Basic realm="wxtokend", ${bearer}` : bearer,
	};
}

function needsBearer(path: string): ControlAnswer {
	return failure(
		401,
		{
			code: "unauthorized",
			message: "could not answer: this needs the bearer",
			hint: "send Authorization: Bearer … with the content of bearer_file; in a browser, give it as the password",
		},
		challenge(path),
	);
}

function wrongBearer(path: string): ControlAnswer {
	return failure(
		401,
		{
			code: "wrong-bearer",
			message: "could not answer: the bearer is another one",
			hint: "send Authorization: Bearer … with the present content of bearer_file, without its line end",
		},
		challenge(path),
	);
}

const tooManyFailures = failure(
	429,
	{
		code: "too-many-failures",
		message: `could not answer: too many wrong bearers came from this address`,
		hint: `correct what the client sends; try again in ${failureWindowMs / 1000} s`,
	},
	{ "Retry-After": String(failureWindowMs / 1000) },
);
