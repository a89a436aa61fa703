/** Why no answer of WeChat could be read: errors of the way there, or of the answer's form. */
import { errnoOf } from "../core/errors.ts";
import { type Meaning, minute } from "./meaning.ts";

/** What can go wrong on the way to an answer of WeChat. */
export type LinkErrorKind =
	// No connection, so nothing of the request has left.
	| "unreachable"
	| "unasked"
	| "no-memory"
	| "no-proxy"
	| "no-tls"
	| "certificate"
	| "intercepted"
	// The request has left, but there is no complete answer.
	| "interrupted"
	| "timeout"
	| "server-error"
	// The answer of a gateway or a proxy, by its HTTP status.
	| "redirect"
	| "proxy-refused"
	| "not-found"
	| "length-required"
	| "http-status"
	// An answer that makes no sense: it comes from another service.
	| "not-http"
	| "not-json"
	| "no-token"
	| "bad-lifetime"
	| "too-large";

const notWeChat =
	"something on the way answers in WeChat's place (a proxy, a captive portal): check base_urls and https_proxy";

/** What each of them means. There is no errcode yet, so the table is the same for all hosts. */
export const linkErrors: Readonly<Record<LinkErrorKind, Meaning>> = {
	unreachable: {
		kind: "transient",
		meaning: "no connection to WeChat",
		hint: "check network, DNS and firewall: the server must reach the base URL; it is tried again",
	},
	// A proxy that mixes up two answers would give one account the token of another.
	unasked: {
		kind: "transient",
		meaning: "the server spoke before it was asked",
		hint: "nothing of that was used, and it is tried again; if it stays, a proxy or load balancer on the way mixes up answers: go around it (no_proxy), or have it repaired",
	},
	// undici's parser is WebAssembly, for which V8 reserves 10 GB of addresses.
	"no-memory": {
		kind: "config",
		meaning: "Node.js got no memory for WebAssembly, and no request has left",
		hint: "a limit on addresses is set (`ulimit -v`, LimitAS=): raise it, or set NODE_OPTIONS=--disable-wasm-trap-handler and restart",
		waitMs: minute,
	},
	interrupted: {
		kind: "transient",
		meaning: "the connection broke before the answer was complete",
		hint: "nothing to do if it passes: it is tried again, as WeChat may have changed the token",
	},
	timeout: {
		kind: "transient",
		meaning: "no answer in time",
		hint: "nothing to do if it passes; else check network and firewall, or raise `timeout`",
	},
	"no-proxy": {
		kind: "transient",
		meaning: "no connection through the proxy",
		hint: "check https_proxy and that the proxy runs, or go around it (no_proxy)",
	},
	"no-tls": {
		kind: "config",
		meaning: "the server does not speak TLS as it should",
		hint: "check base_urls (https, and its port) and that no proxy stands in between",
		waitMs: minute,
	},
	certificate: {
		kind: "config",
		meaning: "the server's certificate cannot be trusted",
		hint: "check the clock, the CA certificates (ca-certificates) and that no proxy opens TLS (NODE_EXTRA_CA_CERTS for your own CA)",
		waitMs: minute,
	},
	// Inside the containers of 微信云托管 api.weixin.qq.com has a self-signed certificate, and
	// only plain HTTP works: not documented, but reported by users.
	intercepted: {
		kind: "config",
		meaning: "a self-signed certificate answers for WeChat",
		hint: "where your company opens TLS, have Node.js trust its CA: set NODE_EXTRA_CA_CERTS=/path/to/ca.pem and restart; inside 微信云托管 set base_urls to http://api.weixin.qq.com, the only form that works there; elsewhere another program intercepts TLS",
		waitMs: minute,
	},
	"server-error": {
		kind: "transient",
		meaning: "WeChat's gateway reports an error of its own",
		hint: "nothing to do if it passes: it is tried again",
	},
	// A wait of minutes from here on: these do not pass until a person changes something.
	redirect: {
		kind: "config",
		meaning: "the server redirects elsewhere",
		hint: "redirects are not followed, as they would carry the AppSecret along: correct base_urls",
		waitMs: 5 * minute,
	},
	"proxy-refused": {
		kind: "config",
		meaning: "a proxy or gateway refuses the request",
		hint: "check https_proxy and its rights",
		waitMs: 5 * minute,
	},
	"not-found": {
		kind: "config",
		meaning: "the server does not know this path",
		hint: "correct base_urls: it is the address without /cgi-bin/…",
		waitMs: 5 * minute,
	},
	// WeChat's gateway answers 412 to a chunked body: not documented, but seen by SDKs.
	"length-required": {
		kind: "config",
		meaning:
			"the gateway wants a Content-Length, and got a request without one",
		hint: "a proxy on the way re-sends the request in chunks: go around it (no_proxy)",
		waitMs: 5 * minute,
	},
	"http-status": {
		kind: "garbled",
		meaning: "an answer with an unexpected HTTP status",
		hint: notWeChat,
	},
	"not-http": {
		kind: "garbled",
		meaning: "the answer is not HTTP",
		hint: notWeChat,
	},
	"not-json": {
		kind: "garbled",
		meaning: "the answer is not a JSON object",
		hint: notWeChat,
	},
	"no-token": {
		kind: "garbled",
		meaning: "the answer holds neither an errcode nor what was asked for",
		hint: notWeChat,
	},
	"bad-lifetime": {
		kind: "garbled",
		meaning: "the answer's expires_in is not a number of 1 to 86400 seconds",
		hint: notWeChat,
	},
	"too-large": {
		kind: "garbled",
		meaning: "the answer is larger than 64 KiB",
		hint: notWeChat,
	},
};

/**
 * Holds neither the URL nor a `cause`, as the AppSecret is in the path of some requests.
 * `detail` ends up in the message, in brackets.
 */
export class LinkError extends Error {
	/** Which of the links' errors it is: the key of `linkErrors`. */
	readonly kind: LinkErrorKind;
	/**
	 * `ECONNREFUSED`, `timeout`, `http 502`… If the answer makes no sense it is the kind,
	 * as a stranger may give other details each time, and each code is a metric.
	 */
	readonly code: string;
	/** The request had left this machine, so WeChat may have processed it. */
	readonly sent: boolean;
	constructor(kind: LinkErrorKind, detail: string, sent: boolean) {
		super(`${linkErrors[kind].meaning} (${detail})`);
		this.name = "LinkError";
		this.kind = kind;
		this.code = senseless.has(kind) ? kind : detail;
		this.sent = sent;
	}
}

/** The kinds of answers that make no sense. */
const senseless: ReadonlySet<LinkErrorKind> = new Set([
	"not-http",
	"not-json",
	"no-token",
	"bad-lifetime",
	"too-large",
]);

/** A base URL, and why it gave no usable answer. */
export interface FailedLink {
	readonly baseUrl: string;
	readonly error: LinkError;
}

/** `host[:port]` of a base URL; throws if that is not a URL. */
export function hostOf(baseUrl: string): string {
	return new URL(baseUrl).host;
}

/**
 * The error of a connection that failed, or could not be trusted: the request has not
 * left. An error that no link can cause is returned as it is.
 */
export function connectError(error: unknown): LinkError | Fault {
	if (error instanceof LinkError || isFault(error)) return error;
	const code = codeOf(error);
	if (/^(DEPTH_ZERO_)?SELF_SIGNED_CERT/.test(code))
		return new LinkError("intercepted", code, false);
	if (certificateErrors.test(code))
		return new LinkError("certificate", code, false);
	if (tlsErrors.test(code)) return new LinkError("no-tls", code, false);
	return new LinkError("unreachable", code, false);
}

/**
 * The error of a request on an open connection. `sent`: the request had left. An error
 * that no link can cause is returned as it is.
 */
export function exchangeError(
	error: unknown,
	sent: boolean,
): LinkError | Fault {
	if (error instanceof LinkError) return error;
	if (error instanceof RangeError && /WebAssembly/.test(error.message))
		return new LinkError("no-memory", "WebAssembly", false);
	if (isFault(error)) return error;
	const code = codeOf(error);
	if (/HEADERS?_OVERFLOW/.test(code))
		return new LinkError("too-large", "its headers", sent);
	if (/^(HPE_|HTTPParserError)/.test(code))
		return new LinkError("not-http", "no HTTP", sent);
	return new LinkError(
		"interrupted",
		isEnd(error, code) ? "closed" : code,
		sent,
	);
}

/** An error of a class that the network never causes: a bug, of ours or of Node.js. */
export type Fault = Error & { readonly kind?: never };

/** An operator who is told "the connection broke" looks for the fault in the network. */
function isFault(error: unknown): error is Fault {
	return (
		error instanceof TypeError ||
		error instanceof RangeError ||
		error instanceof ReferenceError ||
		(error instanceof Error && errnoOf(error) === "ERR_ASSERTION")
	);
}

/**
 * The other side has closed. undici has a code of its own for it; Node.js says
 * ECONNRESET, but no system call has failed.
 */
function isEnd(error: unknown, code: string): boolean {
	const isReset = error instanceof Error && "syscall" in error;
	return code === "UND_ERR_SOCKET" || (code === "ECONNRESET" && !isReset);
}

/** The codes that Node.js has for OpenSSL's errors of a certificate. */
const certificateErrors =
	/^(CERT_|CRL_|ERROR_IN_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|ERR_TLS_CERT_)/;

/** The codes of a handshake that failed for another reason. */
const tlsErrors = /^(EPROTO|ERR_SSL_|ERR_TLS_)/;

function codeOf(error: unknown): string {
	// A name with several addresses: the error of the first one.
	if (error instanceof AggregateError && error.errors.length > 0)
		return codeOf(error.errors[0]);
	const code = errnoOf(error);
	if (code !== undefined) return code;
	return error instanceof Error ? error.name : "unknown";
}
