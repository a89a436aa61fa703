/** Why there was no answer that could be read. */

import { errnoOf } from "../core/errors.ts";
import { type LinkTrouble, linkTroubles } from "./errcode.ts";

/** Holds neither the URL nor a cause: the AppSecret is in some requests' path. */
export class LinkError extends Error {
	readonly trouble: LinkTrouble;
	/**
	 * `ECONNREFUSED`, `timeout`, `http 502`…: for those who know. Of an answer that
	 * makes no sense the trouble's name, as its details are different each time.
	 */
	readonly code: string;
	/** The request had left, and may have been worked on. */
	readonly sent: boolean;
	constructor(trouble: LinkTrouble, detail: string, sent: boolean) {
		super(`${linkTroubles[trouble].meaning} (${detail})`);
		this.name = "LinkError";
		this.trouble = trouble;
		this.code = senseless.has(trouble) ? trouble : detail;
		this.sent = sent;
	}
}

const senseless: ReadonlySet<LinkTrouble> = new Set([
	"not-http",
	"not-json",
	"no-token",
	"bad-lifetime",
	"too-large",
]);

/** A base URL that did not answer. */
export interface FailedLink {
	readonly baseUrl: string;
	readonly error: LinkError;
}

export function hostOf(baseUrl: string): string {
	return new URL(baseUrl).host;
}

/** No connection, or none that could be trusted: nothing of the request has left. */
export function connectError(error: unknown): LinkError {
	if (error instanceof LinkError) return error;
	const code = codeOf(error);
	if (/^(DEPTH_ZERO_)?SELF_SIGNED_CERT/.test(code))
		return new LinkError("intercepted", code, false);
	if (certificateTrouble.test(code))
		return new LinkError("certificate", code, false);
	if (tlsTrouble.test(code)) return new LinkError("no-tls", code, false);
	return new LinkError("unreachable", code, false);
}

/** The connection was there; what went wrong on it? */
export function exchangeError(error: unknown, sent: boolean): LinkError {
	if (error instanceof LinkError) return error;
	const code = codeOf(error);
	if (/HEADERS?_OVERFLOW/.test(code))
		return new LinkError("too-large", "its headers", sent);
	if (/^(HPE_|HTTPParserError)/.test(code))
		return new LinkError("not-http", "no HTTP", sent);
	// undici's word for a connection that the other side has closed.
	const isClosed = code === "UND_ERR_SOCKET";
	return new LinkError("interrupted", isClosed ? "closed" : code, sent);
}

/** What OpenSSL finds wrong with a certificate, as Node.js names it. */
const certificateTrouble =
	/^(CERT_|CRL_|ERROR_IN_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|ERR_TLS_CERT_)/;

const tlsTrouble = /^(EPROTO|ERR_SSL_|ERR_TLS_)/;

function codeOf(error: unknown): string {
	// Several addresses of one name: what happened to the first one.
	if (error instanceof AggregateError && error.errors.length > 0)
		return codeOf(error.errors[0]);
	const code = errnoOf(error);
	if (code !== undefined) return code;
	return error instanceof Error ? error.name : "unknown";
}
