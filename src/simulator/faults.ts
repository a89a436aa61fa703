import {
	type Answer,
	type Delivery,
	type Endpoint,
	htmlHeaders,
	jsonHeaders,
	type PlatformRequest,
	wholeDelivery,
} from "./answer.ts";

/** How a scripted fault shows. */
export type FaultMode =
	| "refuse"
	| "reset"
	| "cut"
	| "hang"
	| "delay"
	| "drip"
	| "status"
	| "redirect"
	| "empty"
	| "truncated"
	| "html"
	| "no-fields"
	| "empty-token"
	| "expires-absent"
	| "expires-zero"
	| "expires-negative"
	| "expires-text"
	| "expires-huge"
	| "errcode"
	| "errcode-text"
	| "bom"
	| "big"
	| "gzip-big"
	| "body";

/**
 * A fault, and which requests it hits. Without `count` and `forSeconds` it stays
 * until it is cleared.
 */
export interface Fault {
	readonly mode: FaultMode;
	/** Only this endpoint; absent: all of WeChat's. */
	readonly endpoint?: Endpoint;
	readonly host?: string;
	readonly appid?: string;
	/** How many requests it hits. */
	readonly count?: number;
	/** Virtual seconds from when it is added. */
	readonly forSeconds?: number;
	/**
	 * The platform does the work (rotates the token) before the fault. Modes that
	 * spoil a real answer do so always; the others only if this is true.
	 */
	readonly processed?: boolean;
	/** For `status` (502) and `redirect` (301). */
	readonly status?: number;
	/** For `errcode` (-1). */
	readonly errcode?: number;
	readonly errmsg?: string;
	/** For `delay` (5) and `drip` (60); virtual seconds. */
	readonly seconds?: number;
	/** For `redirect`. */
	readonly location?: string;
	/** For `body`: sent as it is. */
	readonly body?: string;
}

/** Modes that need the real answer, because they spoil it. */
const spoilers: ReadonlySet<FaultMode> = new Set<FaultMode>([
	"cut",
	"delay",
	"drip",
	"truncated",
	"empty-token",
	"expires-absent",
	"expires-zero",
	"expires-negative",
	"expires-text",
	"expires-huge",
	"bom",
]);

export function isProcessed(fault: Fault): boolean {
	return fault.processed ?? spoilers.has(fault.mode);
}

export interface FaultScript {
	/** Returns a function that clears this fault. */
	add(fault: Fault, nowMs: number): () => void;
	clear(): void;
	/** The first fault that hits the request; it has one hit less then. */
	take(
		request: PlatformRequest & { readonly endpoint: Endpoint },
		appid: string | undefined,
		nowMs: number,
	): Fault | undefined;
	/** Faults that are still to come, with what is left of them. */
	pending(nowMs: number): readonly Fault[];
}

interface ScriptedFault {
	readonly fault: Fault;
	readonly until: number;
	left: number;
}

export function createFaultScript(): FaultScript {
	let script: readonly ScriptedFault[] = [];
	const isPending = (nowMs: number) => (entry: ScriptedFault) =>
		entry.left > 0 && nowMs < entry.until;
	return {
		add(fault, nowMs) {
			const entry: ScriptedFault = {
				fault,
				until: nowMs + (fault.forSeconds ?? Number.POSITIVE_INFINITY) * 1000,
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
		take(request, appid, nowMs) {
			if (script.length === 0) return undefined;
			script = script.filter(isPending(nowMs));
			const entry = script.find(({ fault }) => hits(fault, request, appid));
			if (entry === undefined) return undefined;
			entry.left -= 1;
			return entry.fault;
		},
		pending: (nowMs) =>
			script.filter(isPending(nowMs)).map(({ fault, left, until }) => ({
				...fault,
				...(fault.count === undefined ? {} : { count: left }),
				...(fault.forSeconds === undefined
					? {}
					: { forSeconds: (until - nowMs) / 1000 }),
			})),
	};
}

function hits(
	fault: Fault,
	request: PlatformRequest & { readonly endpoint: Endpoint },
	appid: string | undefined,
): boolean {
	return (
		(fault.endpoint === undefined || fault.endpoint === request.endpoint) &&
		(fault.host === undefined || fault.host === request.host) &&
		(fault.appid === undefined || fault.appid === appid)
	);
}

/** What the fault makes of the answer. */
export function spoil(fault: Fault, real: Answer | undefined): Partial<Answer> {
	const text = real?.body ?? "{}";
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
		case "redirect":
			return {
				...page(fault.status ?? 301),
				headers: {
					...htmlHeaders,
					Location: fault.location ?? "https://example.invalid/",
				},
			};
		case "empty":
			return json("");
		case "truncated":
			return json(text.slice(0, Math.floor(text.length / 2)));
		case "html":
			return { ...page(200), body: "<html><body>请登录 Wi-Fi</body></html>" };
		case "no-fields":
			return json("{}");
		case "empty-token":
			return json(altered(text, { access_token: "" }));
		case "expires-absent":
			return json(altered(text, { expires_in: undefined }));
		case "expires-zero":
			return json(altered(text, { expires_in: 0 }));
		case "expires-negative":
			return json(altered(text, { expires_in: -1 }));
		case "expires-text":
			return json(altered(text, { expires_in: "7200" }));
		case "expires-huge":
			return json(altered(text, { expires_in: 1e12 }));
		case "errcode":
			return json(
				JSON.stringify({
					errcode: fault.errcode ?? -1,
					errmsg: fault.errmsg ?? "system error",
				}),
			);
		case "errcode-text":
			return json(
				JSON.stringify({
					errcode: String(fault.errcode ?? -1),
					errmsg: fault.errmsg ?? "system error",
				}),
			);
		case "bom":
			return json(`\ufeff${text}`);
		case "big":
			return json(bigBody());
		case "gzip-big":
			return { ...json(bigBody()), delivery: { how: "gzip" } };
		case "body":
			return { ...json(fault.body ?? ""), status: fault.status ?? 200 };
		default:
			throw new TypeError(`unknown fault mode ${fault.mode satisfies never}`);
	}
}

function json(body: string): Partial<Answer> {
	const delivery: Delivery = wholeDelivery;
	return { status: 200, headers: jsonHeaders, body, delivery };
}

function page(status: number): Partial<Answer> {
	return {
		status,
		headers: htmlHeaders,
		body: `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>`,
		delivery: wholeDelivery,
	};
}

function altered(text: string, change: object): string {
	return JSON.stringify({ ...JSON.parse(text), ...change });
}

/** 2 MB of JSON that would be a token, if anybody read that far. */
function bigBody(): string {
	return `{"padding":"${"x".repeat(2 * 1024 * 1024)}","access_token":"big","expires_in":7200}`;
}
