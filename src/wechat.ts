/** The issuer: WeChat's two token endpoints and the probe, as typed answers. */
import type { Clock } from "./clock.ts";
import {
	deadTokenCodes,
	type LinkTrouble,
	linkTroubles,
	meaningOf,
} from "./errcode.ts";
import { IssuerError } from "./errors.ts";
import {
	type Http,
	type HttpAnswer,
	type HttpRequest,
	LinkError,
} from "./http.ts";
import { isTokenValue } from "./token.ts";

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
	/** One attempt, over the base URLs in turn if a link fails. Throws `IssuerError`. */
	fetch(options: { readonly force: boolean }): Promise<Grant>;
	/** Tries the token on a harmless API. Never throws. */
	probe(token: string): Promise<Verdict>;
}

export interface IssuerOptions {
	readonly appid: string;
	readonly secret: string;
	readonly interface: "classic" | "stable";
	readonly baseUrls: readonly string[];
	readonly timeoutMs: number;
	readonly http: Pick<Http, "send">;
	readonly clock: Clock;
	/** Told once when our clock and WeChat's differ by more than a minute; positive: ours is ahead. */
	readonly onClockSkew: (skewMs: number) => void;
	/** Once aborted, no further base URL is tried. */
	readonly stopping: AbortSignal;
}

const maxSkewMs = 60_000;
const maxLifetimeSeconds = 86_400;

export function createIssuer(options: IssuerOptions): Issuer {
	const { appid, secret, clock } = options;
	let skewed = false;

	const watchClock = (serverTime: number | undefined) => {
		if (serverTime === undefined) return;
		const skewMs = clock.now() - serverTime;
		const now = Math.abs(skewMs) > maxSkewMs;
		if (now && !skewed) options.onClockSkew(skewMs);
		skewed = now;
	};

	const call = async (baseUrl: string, request: EndpointRequest) => {
		const requestedAt = clock.now();
		const answer = await options.http.send({
			baseUrl,
			timeoutMs: options.timeoutMs,
			...request,
		});
		const body = objectIn(answer);
		watchClock(answer.serverTime ?? timeOfRid(ridIn(body)));
		return { requestedAt, body };
	};

	const fetchFrom = async (
		baseUrl: string,
		request: EndpointRequest,
	): Promise<Grant> => {
		const { requestedAt, body } = await call(baseUrl, request);
		const errcode = errcodeIn(body);
		if (errcode !== 0) throw refusal(errcode, body, options);
		return { requestedAt, ...grantIn(body) };
	};

	return {
		fetch: async ({ force }) => {
			const request = tokenRequest(options, force);
			let sent = false;
			for (const [index, baseUrl] of options.baseUrls.entries()) {
				try {
					return await fetchFrom(baseUrl, request);
				} catch (error) {
					if (error instanceof LinkError) {
						sent ||= error.sent;
						const last = index === options.baseUrls.length - 1;
						if (last || options.stopping.aborted || !failsOver(error.trouble))
							throw linkFailure(error, baseUrl, sent);
					} else if (error instanceof IssuerError && sent) {
						// The base URL before this one may have issued a token unseen.
						const { message } = error;
						throw new IssuerError({ ...error, message, mayHaveIssued: true });
					} else {
						throw error;
					}
				}
			}
			throw new Error(`account ${appid} has no base URL`);
		},
		probe: async (token) => {
			const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
			for (const baseUrl of options.baseUrls) {
				try {
					const errcode = errcodeIn((await call(baseUrl, { path })).body);
					if (errcode === 0) return "alive";
					return deadTokenCodes.has(errcode) ? "dead" : "unsure";
				} catch (error) {
					if (!(error instanceof LinkError)) throw error;
					if (!failsOver(error.trouble)) break;
				}
			}
			return "unsure";
		},
	};

	function refusal(
		errcode: number,
		body: Readonly<Record<string, unknown>>,
		{ interface: wire }: IssuerOptions,
	): IssuerError {
		const { kind, meaning, hint, waitMs } = meaningOf(
			errcode,
			wire,
			clock.now(),
		);
		const errmsg = harmless(String(body.errmsg ?? ""), secret);
		const ip = /invalid ip ([0-9a-f.:]+)/i.exec(errmsg)?.[1];
		const rid = ridIn(body);
		return new IssuerError({
			kind,
			code: `errcode ${errcode}`,
			message: `could not fetch a token for ${appid}: ${meaning} (errcode ${errcode}: ${errmsg})`,
			hint: ip === undefined ? hint : hint.replace("the IP", `the IP ${ip}`),
			// WeChat has spoken: it refused, and changed nothing.
			mayHaveIssued: false,
			sent: true,
			...(waitMs === undefined ? {} : { waitMs }),
			...(rid === undefined ? {} : { rid }),
		});
	}

	function linkFailure(
		{ trouble, code }: LinkError,
		baseUrl: string,
		sent: boolean,
	): IssuerError {
		const { kind, meaning, hint, waitMs } = linkTroubles[trouble];
		return new IssuerError({
			kind,
			code,
			message: `could not fetch a token for ${appid} from ${new URL(baseUrl).host}: ${meaning} (${code})`,
			hint,
			mayHaveIssued: sent,
			sent,
			...(waitMs === undefined ? {} : { waitMs }),
		});
	}
}

type EndpointRequest = Pick<HttpRequest, "path" | "body">;

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

/** Another name of WeChat's may work; after an answer in words it would not help. */
function failsOver(trouble: LinkTrouble): boolean {
	switch (trouble) {
		case "unreachable":
		case "interrupted":
		case "timeout":
		case "certificate":
		case "intercepted":
		case "server-error":
			return true;
		default:
			return false;
	}
}

function objectIn({
	status,
	text,
}: HttpAnswer): Readonly<Record<string, unknown>> {
	const trouble = troubleOf(status);
	if (trouble !== undefined) {
		const worked = trouble === "server-error" || trouble === "http-status";
		// A gateway that fails may have passed the request on before.
		throw new LinkError(trouble, `http ${status}`, worked);
	}
	let content: unknown;
	try {
		content = JSON.parse(text.replace(/^\uFEFF/, ""));
	} catch {
		throw new LinkError("not-json", `${text.length} characters`, true);
	}
	if (typeof content !== "object" || content === null || Array.isArray(content))
		throw new LinkError("not-json", `a JSON ${typeof content}`, true);
	return content as Record<string, unknown>;
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
function errcodeIn(body: Readonly<Record<string, unknown>>): number {
	const { errcode = 0 } = body;
	const code = typeof errcode === "string" ? Number(errcode) : errcode;
	if (typeof code === "number" && Number.isFinite(code)) return code;
	throw new LinkError("no-token", "an errcode that is no number", true);
}

function grantIn(
	body: Readonly<Record<string, unknown>>,
): Pick<Grant, "value" | "lifetimeMs"> {
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
	return { value, lifetimeMs: Math.floor(lifetime) * 1000 };
}

function ridIn(body: Readonly<Record<string, unknown>>): string | undefined {
	return /rid: ([0-9a-f]{8}-[0-9a-f-]{1,40})/.exec(String(body.errmsg))?.[1];
}

/** A rid begins with the server's time: eight hex digits of epoch seconds. */
function timeOfRid(rid: string | undefined): number | undefined {
	return rid === undefined
		? undefined
		: Number.parseInt(rid.slice(0, 8), 16) * 1000;
}

/** Text from outside, fit for a log: one line, short, without our secret. */
function harmless(text: string, secret: string): string {
	return text
		.replaceAll(secret, "***")
		.replaceAll(encodeURIComponent(secret), "***")
		.replace(/\p{Cc}+/gu, " ")
		.slice(0, 300)
		.trim();
}
