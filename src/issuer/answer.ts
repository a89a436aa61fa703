/** Reading WeChat's answer: a JSON object with an errcode, or with what was asked for. */
import type { Grant } from "../core/ports.ts";
import { isTokenValue } from "../core/token.ts";
import type { HttpAnswer } from "./http.ts";
import { LinkError, type LinkErrorKind } from "./link-error.ts";

/** The JSON object of an answer. */
export type Body = Readonly<Record<string, unknown>>;

/** Throws `LinkError` for any other status than 2xx, and for any other body than an object. */
export function bodyOf({ status, text }: HttpAnswer): Body {
	const kind = linkErrorOf(status);
	if (kind !== undefined) {
		// A gateway that fails may have passed the request on before.
		const sent = kind === "server-error" || kind === "http-status";
		throw new LinkError(kind, `http ${status}`, sent);
	}
	let content: unknown;
	try {
		content = JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text);
	} catch {
		throw new LinkError("not-json", `${text.length} characters`, true);
	}
	const found = typeOf(content);
	if (found === "object") return content as Body;
	throw new LinkError("not-json", `a JSON ${found}`, true);
}

function typeOf(content: unknown): string {
	if (content === null) return "null";
	return Array.isArray(content) ? "array" : typeof content;
}

function linkErrorOf(status: number): LinkErrorKind | undefined {
	if (status >= 200 && status < 300) return undefined;
	if (status >= 500) return "server-error";
	if (status >= 300 && status < 400) return "redirect";
	if (status === 403 || status === 407) return "proxy-refused";
	if (status === 404) return "not-found";
	if (status === 412 || status === 411) return "length-required";
	return "http-status";
}

/**
 * The errcode, also if it came as a string; 0 if there is none. Throws `LinkError` if it
 * is not a number.
 */
export function errcodeIn({ errcode = 0 }: Body): number {
	const isNumeral = typeof errcode === "string" && /^-?\d+$/.test(errcode);
	const code = isNumeral ? Number(errcode) : errcode;
	if (typeof code === "number" && Number.isFinite(code)) return code;
	throw new LinkError("no-token", "errcode is not a number", true);
}

/** The errmsg, or "" if there is none. */
export function errmsgIn({ errmsg }: Body): string {
	return typeof errmsg === "string" ? errmsg : "";
}

/** A longer lifetime is not believed: WeChat documents 7200 s for tokens and tickets. */
const maxLifetimeSeconds = 86_400;

/**
 * The value of `field` with its `expires_in` (seconds), from an answer without an
 * errcode or with errcode 0. `requestedAt`: epoch ms. Throws `LinkError` if the answer
 * lacks one of the two, or it makes no sense.
 */
export function grantIn(body: Body, field: string, requestedAt: number): Grant {
	const value = body[field];
	if (!isTokenValue(value)) {
		const found = value === undefined ? "absent" : "not a token";
		throw new LinkError("no-token", `${field} ${found}`, true);
	}
	const lifetime = body.expires_in;
	if (
		typeof lifetime !== "number" ||
		!(lifetime >= 1 && lifetime <= maxLifetimeSeconds)
	) {
		const found =
			typeof lifetime === "number" || lifetime === null
				? lifetime
				: typeof lifetime;
		throw new LinkError("bad-lifetime", `expires_in ${found}`, true);
	}
	return { value, lifetimeMs: Math.floor(lifetime) * 1000, requestedAt };
}
