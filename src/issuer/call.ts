/**
 * One call to WeChat, over its base URLs in turn: what all kinds of credentials have in
 * common. A kind gives its endpoint, the field it expects, its errcode table, and the
 * words for what is fetched.
 */

import type { Clock } from "../core/clock.ts";
import { IssuerError } from "../core/errors.ts";
import type { Grant } from "../core/ports.ts";
import { type Addresses, createAddresses } from "./addresses.ts";
import { type Body, bodyOf, errcodeIn, errmsgIn, grantIn } from "./answer.ts";
import { addressIn, harmless, ridIn, timeOfRid } from "./errmsg.ts";
import type { Http, HttpRequest } from "./http.ts";
import {
	type FailedLink,
	hostOf,
	LinkError,
	type LinkErrorKind,
	linkErrors,
} from "./link-error.ts";
import type { LinkMonitor } from "./link-monitor.ts";
import { type Meaning, thisAddress } from "./meaning.ts";

/** What all calls to one host have in common. */
export interface CallerOptions {
	/** The servers of one host, the preferred one first; at least one. */
	readonly baseUrls: readonly string[];
	/** For one request as a whole. */
	readonly timeoutMs: number;
	readonly http: Pick<Http, "send">;
	readonly clock: Clock;
	/** Shared by all accounts: it logs when a link fails, and when the clock is wrong. */
	readonly monitor: LinkMonitor;
	/** Once aborted, no further base URL is tried. */
	readonly stopping: AbortSignal;
}

/** What is sent to an endpoint: a path, and a body if it is a POST. */
export type EndpointRequest = Pick<HttpRequest, "path" | "body" | "maxBytes">;

/** What is asked for, and how a refusal is understood. */
export interface Asked {
	readonly request: EndpointRequest;
	/** What is fetched, as in "could not fetch <a token for wx1>". */
	readonly what: string;
	/** What was sent and must never be shown: an AppSecret, a parent's token. */
	readonly secret: string;
	/** The errcode table of the host. `at`: the time by WeChat's clock, epoch ms. */
	readonly meaningOf: (errcode: number, at: number) => Meaning;
}

/** A credential that is fetched. */
export interface Wanted extends Asked {
	/** Where the answer holds the value: `access_token`, `ticket`… */
	readonly field: string;
}

/** What differs from attempt to attempt. */
export interface FetchOptions {
	/**
	 * WeChat must not get the request twice. So it goes to the base URL that answered
	 * last, and to another one only if it had not left.
	 */
	readonly onlyOnce?: boolean;
	/** How many requests may leave; at least 1. */
	readonly maxCalls?: number | undefined;
	/** Called at each request that leaves. */
	readonly onCall?: (() => void) | undefined;
}

/** Calls to the servers of one host. */
export interface Caller {
	/**
	 * One attempt. Throws `IssuerError`: of the errcode table if WeChat refuses, of the
	 * link errors if no base URL gives a usable answer.
	 */
	fetch(wanted: Wanted, options?: FetchOptions): Promise<Grant>;
	/**
	 * The same for an answer that holds more than a value: `read` understands it, and may
	 * throw `LinkError`. `requestedAt`: epoch ms.
	 */
	ask<T>(
		asked: Asked,
		read: (body: Body, requestedAt: number) => T,
		options?: FetchOptions,
	): Promise<T>;
	/**
	 * A harmless request, whose answer `read` understands. Undefined if no base URL gives an
	 * answer that `read` can use. Never throws.
	 */
	look<T>(
		request: string | EndpointRequest,
		read: (body: Body) => T,
		onCall?: () => void,
	): Promise<T | undefined>;
}

/** Calls to one host. Remembers only which base URL answered last. */
export function createCaller(options: CallerOptions): Caller {
	const { baseUrls, stopping, monitor } = options;
	let lastAnswering = baseUrls[0];
	const addresses = createAddresses();
	const ask: Caller["ask"] = async (
		asked,
		read,
		{ onlyOnce = false, maxCalls = Number.POSITIVE_INFINITY, onCall } = {},
	) => {
		let calls = 0;
		const count = () => {
			calls += 1;
			onCall?.();
		};
		const failed: FailedLink[] = [];
		for (const baseUrl of onlyOnce
			? startingAt(lastAnswering, baseUrls)
			: baseUrls) {
			try {
				// With one call left the connection must not be tried again either.
				const isLast = onlyOnce || maxCalls - calls === 1;
				const request = { ...asked.request, onlyOnce: isLast };
				const reply = await send(options, baseUrl, request, count);
				lastAnswering = baseUrl;
				monitor.answered(baseUrl, failed);
				return readOrThrow(reply, asked, read, failed, addresses);
			} catch (error) {
				if (!(error instanceof LinkError)) throw error;
				failed.push({ baseUrl, error });
				const isOver = !failsOver(error.kind) || (onlyOnce && error.sent);
				if (isOver || stopping.aborted || calls >= maxCalls) break;
			}
		}
		throw linkFailure(asked.what, failed);
	};
	return {
		ask,
		fetch: (wanted, options) =>
			ask(
				wanted,
				(body, requestedAt) => grantIn(body, wanted.field, requestedAt),
				options,
			),
		look: async (request, read, onCall) => {
			const asked = typeof request === "string" ? { path: request } : request;
			for (const baseUrl of baseUrls) {
				try {
					return read((await send(options, baseUrl, asked, onCall)).body);
				} catch (error) {
					if (!(error instanceof LinkError)) throw error;
					if (!failsOver(error.kind) || stopping.aborted) break;
				}
			}
			return undefined;
		},
	};
}

/** An answer of WeChat: a JSON object, which may hold an errcode. */
interface Reply {
	/** Epoch ms by our clock, before the request was sent. */
	readonly requestedAt: number;
	/** WeChat's clock, or ours if the answer does not tell; epoch ms. */
	readonly serverTime: number;
	readonly body: Body;
}

/** One request to one base URL. Throws `LinkError`. */
async function send(
	{ http, clock, monitor, timeoutMs }: CallerOptions,
	baseUrl: string,
	request: EndpointRequest & Pick<HttpRequest, "onlyOnce">,
	onSent: (() => void) | undefined,
): Promise<Reply> {
	const requestedAt = clock.now();
	const answer = await http.send({ baseUrl, timeoutMs, onSent, ...request });
	const body = bodyOf(answer);
	const serverTime = answer.serverTime ?? timeOfRid(ridIn(errmsgIn(body)));
	if (serverTime !== undefined) monitor.serverTime(serverTime);
	return { requestedAt, serverTime: serverTime ?? clock.now(), body };
}

function startingAt(
	first: string | undefined,
	all: readonly string[],
): readonly string[] {
	return [
		...all.filter((one) => one === first),
		...all.filter((one) => one !== first),
	];
}

/** Whether another base URL may work. After an answer of a server it would not help. */
function failsOver(kind: LinkErrorKind): boolean {
	switch (kind) {
		case "unreachable":
		case "unasked":
		case "no-memory":
		case "interrupted":
		case "timeout":
		case "no-proxy":
		case "no-tls":
		case "certificate":
		case "intercepted":
		case "server-error":
			return true;
		default:
			return false;
	}
}

/** Throws `IssuerError` if WeChat refuses, `LinkError` if the answer makes no sense. */
function readOrThrow<T>(
	{ body, requestedAt, serverTime }: Reply,
	asked: Asked,
	read: (body: Body, requestedAt: number) => T,
	failed: readonly FailedLink[],
	addresses: Addresses,
): T {
	const errcode = errcodeIn(body);
	if (errcode === 0) {
		const found = read(body, requestedAt);
		addresses.accepted();
		return found;
	}
	const meaning = asked.meaningOf(errcode, serverTime);
	// A refusal by one base URL does not undo what an earlier request, whose answer was
	// lost, may have done.
	const mayHaveIssued = failed.some(({ error }) => error.sent);
	throw refusal(
		errcode,
		meaning,
		errmsgIn(body),
		asked,
		mayHaveIssued,
		addresses,
	);
}

function refusal(
	errcode: number,
	refused: Meaning,
	errmsg: string,
	{ what, secret }: Asked,
	mayHaveIssued: boolean,
	addresses: Addresses,
): IssuerError {
	const { kind, code = `errcode ${errcode}`, meaning, hint } = refused;
	const shown = harmless(errmsg, secret);
	const address = hint.includes(thisAddress) ? addressIn(shown) : undefined;
	const isOther = address !== undefined && addresses.refused(address);
	const waitMs =
		(isOther ? refused.otherAddressWaitMs : undefined) ?? refused.waitMs;
	const rid = ridIn(errmsg);
	return new IssuerError({
		kind,
		code,
		message: `could not fetch ${what}: ${meaning} (errcode ${errcode}: ${shown})`,
		hint:
			address === undefined
				? hint
				: hint.replace(thisAddress, addresses.describe()),
		mayHaveIssued,
		sent: true,
		...(waitMs === undefined ? {} : { waitMs }),
		...(rid === undefined ? {} : { rid }),
	});
}

/**
 * All links failed. The message names each of them; kind and hint are those of a wrong
 * configuration, if there is one, as it does not pass by itself.
 */
function linkFailure(what: string, failed: readonly FailedLink[]): IssuerError {
	const lasting = failed.find(
		({ error }) => linkErrors[error.kind].kind === "config",
	);
	const decisive = lasting ?? failed.at(-1);
	if (decisive === undefined) throw new Error(`no base URL for ${what}`);
	const { kind, hint, waitMs } = linkErrors[decisive.error.kind];
	const causes = failed.map(
		({ baseUrl, error }) => `from ${hostOf(baseUrl)}: ${error.message}`,
	);
	const sent = failed.some(({ error }) => error.sent);
	return new IssuerError({
		kind,
		code: decisive.error.code,
		message: `could not fetch ${what} ${causes.join("; nor ")}`,
		hint,
		mayHaveIssued: sent,
		sent,
		...(waitMs === undefined ? {} : { waitMs }),
	});
}
