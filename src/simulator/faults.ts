/** Scripted faults: which requests they hit, and what they make of the answer. */
import { type Endpoint, endpointNames } from "./hosts.ts";
import {
	type Delivery,
	htmlHeaders,
	jsonHeaders,
	wholeDelivery,
} from "./http-messages.ts";

/** What a fault does. */
export type FaultMode = (typeof faultModes)[number];

/** Every mode, in the order of the documentation. */
export const faultModes = [
	// No answer at all.
	"refuse",
	"reset",
	"hang",
	// The right answer, badly delivered.
	"cut",
	"delay",
	"drip",
	// An answer that does not come from WeChat.
	"status",
	"redirect",
	"html",
	"empty",
	"big",
	"gzip-big",
	"body",
	// WeChat's answer, changed.
	"truncated",
	"bom",
	"no-fields",
	"empty-token",
	"expires-absent",
	"expires-zero",
	"expires-negative",
	"expires-text",
	"expires-huge",
	"errcode",
	"errcode-text",
] as const;

/**
 * A fault, and which requests it hits. Without `count` and `forSeconds` it stays
 * until it is removed.
 */
export interface Fault {
	readonly mode: FaultMode;
	/** Hits this endpoint only; absent: all except `/sim/use`. */
	readonly endpoint?: Endpoint;
	/** Hits this host name only. */
	readonly host?: string;
	/** Hits requests about this account only. */
	readonly appid?: string;
	/** How many requests it hits. */
	readonly count?: number;
	/** Virtual seconds that it lasts, from when it is added. */
	readonly forSeconds?: number;
	/**
	 * Whether the platform processes the request (and issues a token) before the
	 * fault. Default: true for modes that change or delay the right answer, else
	 * false.
	 */
	readonly processed?: boolean;
	/** HTTP status, for `status` (default 502), `redirect` (301) and `body` (200). */
	readonly status?: number;
	/** For `errcode` and `errcode-text`; default -1. */
	readonly errcode?: number;
	/** For `errcode` and `errcode-text`; default: the host's text for the errcode. */
	readonly errmsg?: string;
	/** Virtual seconds, for `delay` (default 5) and `drip` (60). */
	readonly seconds?: number;
	/** URL, for `redirect`. */
	readonly location?: string;
	/** Sent unchanged, for `body`. */
	readonly body?: string;
}

/** What a fault can select requests by. */
export interface FaultTarget {
	readonly host: string;
	readonly endpoint: Endpoint;
	readonly appid: string | undefined;
}

/** The faults to come, in the order in which they were added. */
export interface FaultScript {
	/** Adds a fault as of `nowMs`. The result removes it again. */
	add(fault: Fault, nowMs: number): () => void;
	clear(): void;
	/** The oldest fault that hits the request. This uses up one of its hits. */
	take(target: FaultTarget, nowMs: number): Fault | undefined;
	/** The faults that are still to come, with the hits and seconds that are left. */
	pending(nowMs: number): readonly Fault[];
}

interface ScriptedFault {
	readonly fault: Fault;
	/** Epoch ms; Infinity without `forSeconds`. */
	readonly endsAt: number;
	/** Hits; Infinity without `count`. */
	left: number;
}

/** A script without faults. */
export function createFaultScript(): FaultScript {
	let script: readonly ScriptedFault[] = [];

	function dropEnded(nowMs: number): readonly ScriptedFault[] {
		script = script.filter(({ left, endsAt }) => left > 0 && nowMs < endsAt);
		return script;
	}

	return {
		add(fault, nowMs) {
			const entry: ScriptedFault = {
				fault,
				endsAt: nowMs + (fault.forSeconds ?? Number.POSITIVE_INFINITY) * 1000,
				left: fault.count ?? Number.POSITIVE_INFINITY,
			};
			script = [...script, entry];
			return () => {
				script = script.filter((other) => other !== entry);
			};
		},
		clear() {
			script = [];
		},
		take(target, nowMs) {
			if (script.length === 0) return undefined;
			const entry = dropEnded(nowMs).find(({ fault }) => hits(fault, target));
			if (entry === undefined) return undefined;
			entry.left -= 1;
			return entry.fault;
		},
		pending: (nowMs) =>
			dropEnded(nowMs).map(({ fault, left, endsAt }) => ({
				...fault,
				...(fault.count === undefined ? {} : { count: left }),
				...(fault.forSeconds === undefined
					? {}
					: { forSeconds: (endsAt - nowMs) / 1000 }),
			})),
	};
}

function hits(fault: Fault, { host, endpoint, appid }: FaultTarget): boolean {
	// `/sim/use` shows tests whether a token is alive, so a general fault spares it.
	const isEndpoint =
		fault.endpoint === undefined
			? endpoint !== "use"
			: fault.endpoint === endpoint;
	return (
		isEndpoint &&
		(fault.host === undefined || fault.host === host) &&
		(fault.appid === undefined || fault.appid === appid)
	);
}

/** Whether the platform processes the request before this fault. */
export function isProcessed({ mode, processed }: Fault): boolean {
	return processed ?? needsRightAnswer.has(mode);
}

/**
 * Whether the fault closes the port of a whole host. A narrower `refuse` cannot:
 * the endpoint and the account are known only after the connection is open.
 */
export function isOutage({ mode, endpoint, appid, count }: Fault): boolean {
	return (
		mode === "refuse" &&
		endpoint === undefined &&
		appid === undefined &&
		count === undefined
	);
}

/**
 * Checks a fault that comes from outside.
 *
 * @returns the object itself
 * @throws RangeError with the name of the wrong field
 */
export function checkFault(given: Readonly<Record<string, unknown>>): Fault {
	for (const [name, value] of Object.entries(given)) {
		const accepts = Object.hasOwn(fields, name) ? fields[name] : undefined;
		if (accepts === undefined)
			throw new RangeError(`a fault has no ${JSON.stringify(name)}`);
		if (!accepts(value))
			throw new RangeError(
				`a fault's ${name} cannot be ${JSON.stringify(value)}`,
			);
	}
	if (given.mode === undefined)
		throw new RangeError(
			`a fault needs a mode, one of ${faultModes.join(", ")}`,
		);
	return given as unknown as Fault;
}

/** Modes that make no sense without a right answer to change or delay. */
const needsRightAnswer: ReadonlySet<FaultMode> = new Set([
	"cut",
	"delay",
	"drip",
	"truncated",
	"bom",
	"empty-token",
	"expires-absent",
	"expires-zero",
	"expires-negative",
	"expires-text",
	"expires-huge",
]);

const isText = (value: unknown) => typeof value === "string";
const isAmount = (value: unknown) => typeof value === "number" && value >= 0;

/** What each field accepts. A misspelt field would hit every request, so it is refused. */
const fields: Readonly<Record<string, (value: unknown) => boolean>> = {
	mode: (value) => (faultModes as readonly unknown[]).includes(value),
	endpoint: (value) => (endpointNames as readonly unknown[]).includes(value),
	host: isText,
	appid: isText,
	count: isAmount,
	forSeconds: isAmount,
	processed: (value) => typeof value === "boolean",
	status: (value) =>
		Number.isInteger(value) && Number(value) >= 200 && Number(value) <= 599,
	errcode: Number.isInteger,
	errmsg: isText,
	seconds: isAmount,
	location: isText,
	body: isText,
};

/** What a fault changes in the answer. What is absent stays as it was. */
export interface FaultyAnswer {
	readonly status?: number;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: string;
	readonly delivery: Delivery;
}

/**
 * Applies a fault to an answer.
 *
 * @param rightBody the body without the fault; undefined if the request was not processed
 * @param errmsg the host's text for the errcode of the fault
 */
export function applyFault(
	fault: Fault,
	rightBody: string | undefined,
	errmsg: string,
): FaultyAnswer {
	const right = rightBody ?? "{}";
	switch (fault.mode) {
		case "refuse":
		case "reset":
		case "cut":
		case "hang":
			return { delivery: { how: fault.mode } };
		case "delay":
			return { delivery: { how: "delay", seconds: fault.seconds ?? 5 } };
		case "drip":
			return { delivery: { how: "drip", seconds: fault.seconds ?? 60 } };
		case "status":
			return page(fault.status ?? 502);
		case "redirect": {
			const Location = fault.location ?? "https://example.invalid/";
			const headers = { ...htmlHeaders, Location };
			return { ...page(fault.status ?? 301), headers };
		}
		case "html":
			return { ...page(200), body: "<html><body>请登录 Wi-Fi</body></html>" };
		case "empty":
			return json("");
		case "big":
			return json(bigBody());
		case "gzip-big":
			return { ...json(bigBody()), delivery: { how: "gzip" } };
		case "body":
			return { ...json(fault.body ?? ""), status: fault.status ?? 200 };
		case "truncated":
			return json(right.slice(0, Math.floor(right.length / 2)));
		case "bom":
			return json(`\ufeff${right}`);
		case "no-fields":
			return json("{}");
		case "empty-token":
			return json(withEmptyValue(right));
		case "expires-absent":
		case "expires-zero":
		case "expires-negative":
		case "expires-text":
		case "expires-huge":
			return json(overwrite(right, overwrites[fault.mode]));
		case "errcode":
			return json(JSON.stringify({ errcode: fault.errcode ?? -1, errmsg }));
		case "errcode-text":
			return json(
				JSON.stringify({ errcode: String(fault.errcode ?? -1), errmsg }),
			);
		default:
			throw new TypeError(`unknown fault mode ${fault.mode satisfies never}`);
	}
}

function json(body: string): FaultyAnswer {
	return { status: 200, headers: jsonHeaders, body, delivery: wholeDelivery };
}

/** An error page as nginx writes it: gateways and captive portals send such pages. */
function page(status: number): FaultyAnswer {
	return {
		status,
		headers: htmlHeaders,
		body: `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>`,
		delivery: wholeDelivery,
	};
}

/** Fields of an answer that a mode overwrites; undefined removes the field. */
const overwrites = {
	"expires-absent": { expires_in: undefined },
	"expires-zero": { expires_in: 0 },
	"expires-negative": { expires_in: -1 },
	"expires-text": { expires_in: "7200" },
	"expires-huge": { expires_in: 1e12 },
} as const;

function overwrite(body: string, fields: object): string {
	return JSON.stringify({ ...JSON.parse(body), ...fields });
}

/** The token, or else the ticket, becomes empty. */
function withEmptyValue(body: string): string {
	const name = "ticket" in JSON.parse(body) ? "ticket" : "access_token";
	return overwrite(body, { [name]: "" });
}

/** 2 MB of JSON with values at its end: a client should stop reading before that. */
function bigBody(): string {
	return `{"padding":"${"x".repeat(2 * 1024 * 1024)}","access_token":"big","ticket":"big","expires_in":7200}`;
}
