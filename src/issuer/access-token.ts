/** The issuer: WeChat's two token endpoints and the probe, as typed answers. */
import { isIPv6 } from "node:net";
import type { Clock } from "../core/clock.ts";
import { IssuerError } from "../core/errors.ts";
import { isTokenValue } from "../core/token.ts";
import {
	deadTokenCodes,
	type LinkTrouble,
	linkTroubles,
	meaningOf,
	thisAddress,
} from "./errcode.ts";
import type { Http, HttpAnswer, HttpRequest } from "./http.ts";
import { type FailedLink, hostOf, LinkError } from "./link-error.ts";
import type { LinkWitness } from "./link-monitor.ts";

/** A token that WeChat issued, not yet published. */
export interface Grant {
	readonly value: string;
	/** From `expires_in`; for the stable interface what is left, not the whole. */
	readonly lifetimeMs: number;
	/** Just before its request was sent, epoch ms: the lifetime counts from here. */
	readonly requestedAt: number;
}

/** What the platform thinks of a token; `unsure` if the answer does not tell. */
export type Verdict = "alive" | "dead" | "unsure";

export interface Issuer {
	/**
	 * One attempt, over the base URLs in turn if a link fails. `onCall`: at each
	 * request that leaves, of which there are `mostCalls` at most. Throws
	 * `IssuerError`.
	 */
	fetch(options: {
		readonly force: boolean;
		readonly onCall?: () => void;
		readonly mostCalls?: number;
	}): Promise<Grant>;
	/** Tries the token on a harmless API. Never throws. */
	probe(token: string, onCall?: () => void): Promise<Verdict>;
}

export interface IssuerOptions {
	readonly appid: string;
	readonly secret: string;
	readonly interface: "classic" | "stable";
	readonly baseUrls: readonly string[];
	readonly timeoutMs: number;
	readonly http: Pick<Http, "send">;
	readonly clock: Clock;
	/** Hears what each call tells about the way to WeChat; one for all accounts. */
	readonly witness: LinkWitness;
	/** Once aborted, no further base URL is tried. */
	readonly stopping: AbortSignal;
}

const maxLifetimeSeconds = 86_400;

export function createIssuer(options: IssuerOptions): Issuer {
	const { appid, baseUrls, clock, stopping } = options;
	/** The base URL that answered last. */
	let answering = baseUrls[0];

	const call = async (
		baseUrl: string,
		request: EndpointRequest,
		onSent: (() => void) | undefined,
	): Promise<Reply> => {
		const { timeoutMs } = options;
		const requestedAt = clock.now();
		const answer = await options.http.send({
			baseUrl,
			timeoutMs,
			onSent,
			...request,
		});
		const body = objectIn(answer);
		const serverTime = answer.serverTime ?? timeOfRid(ridIn(body));
		if (serverTime !== undefined) options.witness.serverTime(serverTime);
		return { requestedAt, serverTime: serverTime ?? clock.now(), body };
	};

	return {
		fetch: async ({ force, onCall, mostCalls = Number.POSITIVE_INFINITY }) => {
			const request = tokenRequest(options, force);
			let calls = 0;
			const count = () => {
				calls += 1;
				onCall?.();
			};
			const failed: FailedLink[] = [];
			// A forced request must not arrive twice: it goes where the normal one
			// before it was answered, and no further once it has left.
			for (const baseUrl of force
				? startingAt(answering, baseUrls)
				: baseUrls) {
				try {
					const onlyOnce = force || mostCalls - calls === 1;
					const reply = await call(baseUrl, { ...request, onlyOnce }, count);
					answering = baseUrl;
					options.witness.answered(baseUrl, failed);
					return grantIn(reply, {
						...options,
						force,
						mayHaveIssued: failed.some(({ error }) => error.sent),
					});
				} catch (error) {
					if (!(error instanceof LinkError)) throw error;
					failed.push({ baseUrl, error });
					const isOver = !failsOver(error.trouble) || (force && error.sent);
					if (isOver || stopping.aborted || calls >= mostCalls) break;
				}
			}
			throw linkFailure(appid, failed);
		},
		probe: async (token, onCall) => {
			const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
			for (const baseUrl of baseUrls) {
				try {
					return verdictIn((await call(baseUrl, { path }, onCall)).body);
				} catch (error) {
					if (!(error instanceof LinkError)) throw error;
					if (!failsOver(error.trouble) || stopping.aborted) break;
				}
			}
			return "unsure";
		},
	};
}

type EndpointRequest = Pick<HttpRequest, "path" | "body" | "onlyOnce">;

type Body = Readonly<Record<string, unknown>>;

/** A JSON object that came from where WeChat should be. */
interface Reply {
	readonly requestedAt: number;
	/** WeChat's clock, else ours. */
	readonly serverTime: number;
	readonly body: Body;
}

function tokenRequest(
	{ appid, secret, interface: wire }: IssuerOptions,
	force: boolean,
): EndpointRequest {
	switch (wire) {
		case "classic":
			return {
				path: `/cgi-bin/token?grant_type=client_credential&appid=${encodeURIComponent(appid)}&secret=${encodeURIComponent(secret)}`,
			};
		case "stable":
			return {
				path: "/cgi-bin/stable_token",
				body: JSON.stringify({
					grant_type: "client_credential",
					appid,
					secret,
					force_refresh: force,
				}),
			};
		default:
			return wire satisfies never;
	}
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

/** Another name of WeChat's may work; after an answer in words it would not help. */
function failsOver(trouble: LinkTrouble): boolean {
	switch (trouble) {
		case "unreachable":
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

// --- What an answer says. ---

function objectIn({ status, text }: HttpAnswer): Body {
	const trouble = troubleOf(status);
	if (trouble !== undefined) {
		const worked = trouble === "server-error" || trouble === "http-status";
		// A gateway that fails may have passed the request on before.
		throw new LinkError(trouble, `http ${status}`, worked);
	}
	let content: unknown;
	try {
		content = JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text);
	} catch {
		throw new LinkError("not-json", `${text.length} characters`, true);
	}
	if (
		typeof content === "object" &&
		content !== null &&
		!Array.isArray(content)
	)
		return content as Body;
	const found =
		content === null
			? "null"
			: Array.isArray(content)
				? "array"
				: typeof content;
	throw new LinkError("not-json", `a JSON ${found}`, true);
}

function troubleOf(status: number): LinkTrouble | undefined {
	if (status >= 200 && status < 300) return undefined;
	if (status >= 500) return "server-error";
	if (status >= 300 && status < 400) return "redirect";
	if (status === 403 || status === 407) return "proxy-refused";
	if (status === 404) return "not-found";
	if (status === 412 || status === 411) return "length-required";
	return "http-status";
}

/** The errcode, also if it came as a string; 0 if there is none. */
function errcodeIn({ errcode = 0 }: Body): number {
	const isNumeral = typeof errcode === "string" && /^-?\d+$/.test(errcode);
	const code = isNumeral ? Number(errcode) : errcode;
	if (typeof code === "number" && Number.isFinite(code)) return code;
	throw new LinkError("no-token", "an errcode that is no number", true);
}

/** @throws IssuerError if WeChat refuses, LinkError if it makes no sense */
function grantIn(reply: Reply, asked: AskedFor): Grant {
	const { body, requestedAt } = reply;
	const errcode = errcodeIn(body);
	if (errcode !== 0) throw refusal(errcode, reply, asked);
	const { access_token: value, expires_in: lifetime } = body;
	if (!isTokenValue(value)) {
		const found = value === undefined ? "absent" : "not a token";
		throw new LinkError("no-token", `access_token ${found}`, true);
	}
	if (
		typeof lifetime !== "number" ||
		!(lifetime >= 1 && lifetime <= maxLifetimeSeconds)
	) {
		const found = typeof lifetime === "number" ? lifetime : typeof lifetime;
		throw new LinkError("bad-lifetime", `expires_in ${found}`, true);
	}
	return { value, lifetimeMs: Math.floor(lifetime) * 1000, requestedAt };
}

/** An API without an errcode must show what it gives: `{}` comes from strangers. */
function verdictIn(body: Body): Verdict {
	const errcode = errcodeIn(body);
	if (deadTokenCodes.has(errcode)) return "dead";
	const isGood = "errcode" in body || Array.isArray(body.ip_list);
	return errcode === 0 && isGood ? "alive" : "unsure";
}

interface AskedFor
	extends Pick<IssuerOptions, "appid" | "secret" | "interface"> {
	readonly force: boolean;
	/** By a base URL that failed before: WeChat has not taken that back. */
	readonly mayHaveIssued: boolean;
}

// --- Errors in words. ---

function refusal(
	errcode: number,
	{ body, serverTime }: Reply,
	{ appid, secret, interface: wire, force, mayHaveIssued }: AskedFor,
): IssuerError {
	const call = { interface: wire, force, at: serverTime };
	const told = meaningOf(errcode, call);
	const { kind, code = `errcode ${errcode}`, meaning, hint, waitMs } = told;
	const errmsg = harmless(errmsgIn(body), secret);
	const address = addressIn(errmsg);
	const rid = ridIn(body);
	return new IssuerError({
		kind,
		code,
		message: `could not fetch a token for ${appid}: ${meaning} (errcode ${errcode}: ${errmsg})`,
		hint:
			address === undefined
				? hint
				: hint.replace(thisAddress, `the IP ${address}`),
		mayHaveIssued,
		sent: true,
		...(waitMs === undefined ? {} : { waitMs }),
		...(rid === undefined ? {} : { rid }),
	});
}

/** A mistake that stays tells more than a fault that may pass. */
function linkFailure(
	appid: string,
	failed: readonly FailedLink[],
): IssuerError {
	const lasting = failed.find(
		({ error }) => linkTroubles[error.trouble].kind === "config",
	);
	const told = lasting ?? failed.at(-1);
	if (told === undefined) throw new Error(`${appid} has no base URL`);
	const { kind, hint, waitMs } = linkTroubles[told.error.trouble];
	const causes = failed.map(
		({ baseUrl, error }) => `from ${hostOf(baseUrl)}: ${error.message}`,
	);
	const sent = failed.some(({ error }) => error.sent);
	return new IssuerError({
		kind,
		code: told.error.code,
		message: `could not fetch a token for ${appid} ${causes.join("; nor ")}`,
		hint,
		mayHaveIssued: sent,
		sent,
		...(waitMs === undefined ? {} : { waitMs }),
	});
}

function errmsgIn({ errmsg }: Body): string {
	return typeof errmsg === "string" ? errmsg : "";
}

function ridIn(body: Body): string | undefined {
	return /rid: ([0-9a-f]{8}-[0-9a-f-]{1,40})/.exec(errmsgIn(body))?.[1];
}

/** A rid begins with the server's time: eight hex digits of epoch seconds. */
function timeOfRid(rid: string | undefined): number | undefined {
	return rid === undefined
		? undefined
		: Number.parseInt(rid.slice(0, 8), 16) * 1000;
}

/** The first address in a text: `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist`. */
function addressIn(text: string): string | undefined {
	const v4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/.exec(text)?.[0];
	return v4 ?? text.split(/[^0-9a-f:]+/i).find(isIPv6);
}

/**
 * Text from outside, fit for a log: one line, short, without our secret; and
 * without anything that could be one, or a token, in whatever spelling.
 */
function harmless(text: string, secret: string): string {
	return text
		.replaceAll(secret, "***")
		.replaceAll(encodeURIComponent(secret), "***")
		.replace(/[\w-]{24,}/g, (run) =>
			/^[0-9a-f]{8}-[0-9a-f-]{1,40}$/.test(run) ? run : `${run.slice(0, 8)}…`,
		)
		.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
		.slice(0, 300)
		.trim();
}
