import {
	type Endpoint,
	endpointNames,
	mainHost,
	type PlatformRequest,
} from "./request.ts";

/** How a scripted fault shows. */
export type FaultMode = (typeof faultModes)[number];

export const faultModes = [
	// No answer at all.
	"refuse",
	"reset",
	"hang",
	// The true answer, badly delivered.
	"cut",
	"delay",
	"drip",
	// An answer that is not WeChat's.
	"status",
	"redirect",
	"html",
	"empty",
	"big",
	"gzip-big",
	"body",
	// WeChat's answer, spoilt.
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
 * until it is cleared.
 */
export interface Fault {
	readonly mode: FaultMode;
	/** Only this endpoint; absent: all but `/sim/use`. */
	readonly endpoint?: Endpoint;
	readonly host?: string;
	readonly appid?: string;
	/** How many requests it hits. */
	readonly count?: number;
	/** Virtual seconds from when it is added. */
	readonly forSeconds?: number;
	/**
	 * Whether the platform does the work (rotates the token) before the fault. True
	 * by default for modes that spoil or delay the true answer, else false.
	 */
	readonly processed?: boolean;
	/** For `status` (502), `redirect` (301) and `body` (200). */
	readonly status?: number;
	/** For `errcode` and `errcode-text` (-1). */
	readonly errcode?: number;
	readonly errmsg?: string;
	/** For `delay` (5) and `drip` (60): virtual seconds. */
	readonly seconds?: number;
	/** For `redirect`. */
	readonly location?: string;
	/** For `body`: sent as it is. */
	readonly body?: string;
}

/** The faults to come, in the order in which they were added. */
export interface FaultScript {
	/** Returns a function that takes this fault out again. */
	add(fault: Fault, nowMs: number): () => void;
	clear(): void;
	/** The oldest fault that hits the request; it has one hit less then. */
	take(
		request: PlatformRequest,
		endpoint: Endpoint,
		appid: string | undefined,
		nowMs: number,
	): Fault | undefined;
	/** What is still to come, with the hits and seconds that are left. */
	pending(nowMs: number): readonly Fault[];
}

export function createFaultScript(): FaultScript {
	let script: readonly ScriptedFault[] = [];

	function settle(nowMs: number): readonly ScriptedFault[] {
		script = script.filter(({ left, until }) => left > 0 && nowMs < until);
		return script;
	}

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
		take(request, endpoint, appid, nowMs) {
			if (script.length === 0) return undefined;
			const entry = settle(nowMs).find(({ fault }) =>
				hits(fault, request, endpoint, appid),
			);
			if (entry === undefined) return undefined;
			entry.left -= 1;
			return entry.fault;
		},
		pending: (nowMs) =>
			settle(nowMs).map(({ fault, left, until }) => ({
				...fault,
				...(fault.count === undefined ? {} : { count: left }),
				...(fault.forSeconds === undefined
					? {}
					: { forSeconds: (until - nowMs) / 1000 }),
			})),
	};
}

/** Whether the platform does its work before this fault. */
export function isProcessed({ mode, processed }: Fault): boolean {
	return processed ?? needsTrueAnswer.has(mode);
}

/**
 * A fault from outside, once its fields are known to be right.
 *
 * @throws RangeError that names the field
 */
export function checkFault(given: Readonly<Record<string, unknown>>): Fault {
	for (const [name, value] of Object.entries(given)) {
		const allows = Object.hasOwn(fields, name) ? fields[name] : undefined;
		if (allows === undefined)
			throw new RangeError(`a fault has no ${JSON.stringify(name)}`);
		if (!allows(value))
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

interface ScriptedFault {
	readonly fault: Fault;
	readonly until: number;
	left: number;
}

const needsTrueAnswer: ReadonlySet<FaultMode> = new Set([
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

function hits(
	fault: Fault,
	{ host = mainHost }: PlatformRequest,
	endpoint: Endpoint,
	appid: string | undefined,
): boolean {
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
