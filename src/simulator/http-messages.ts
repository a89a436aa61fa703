/**
 * HTTP requests and answers as plain values. The platform takes and returns
 * these; http-server.ts alone turns them into bytes.
 */

/** The simulator listens here only, and a request without `ip` comes from here. */
export const loopback = "127.0.0.1";

/** A request to one of WeChat's hosts. */
export interface PlatformRequest {
	readonly method: string;
	/** The host name that the request was sent to; absent: the main host. */
	readonly host?: string;
	/** Without the query. */
	readonly path: string;
	readonly query?: Readonly<Record<string, string | undefined>>;
	readonly body?: string;
	/** The caller's address, IPv4 or IPv6; absent: `loopback`. */
	readonly ip?: string;
	/** Whether the body came with Transfer-Encoding instead of Content-Length. */
	readonly chunked?: boolean;
	/** Whether the request came over TLS. */
	readonly secure?: boolean;
}

/** A request in which every default is filled in. */
export type CompleteRequest = Required<PlatformRequest>;

/** How an answer reaches the caller, or fails to. All seconds are virtual. */
export type Delivery =
	| { readonly how: "whole" }
	/** The port is closed; if that is not possible, as `reset`. */
	| { readonly how: "refuse" }
	/** The connection is reset instead of an answer. */
	| { readonly how: "reset" }
	/** Headers and half of the body, then a reset. */
	| { readonly how: "cut" }
	/** The connection stays open without a byte. */
	| { readonly how: "hang" }
	| { readonly how: "delay"; readonly seconds: number }
	/** One byte at a time, spread over `seconds`. */
	| { readonly how: "drip"; readonly seconds: number }
	/** The body compressed. */
	| { readonly how: "gzip" };

/** The answer of a host to a request. */
export interface HostAnswer {
	readonly status: number;
	/** Without `Date`, lengths and connection headers. */
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	/** For logs and counters: `issued` (a new value), `same`, `ok`, `errcode N`, `status N`. */
	readonly outcome: string;
}

/** What the platform answers, with what a request log needs to know about it. */
export interface Answer extends HostAnswer {
	/** As in HostAnswer, plus `Date`. */
	readonly headers: Readonly<Record<string, string>>;
	/** As in HostAnswer, or `fault MODE`. */
	readonly outcome: string;
	readonly delivery: Delivery;
	/** The name of the endpoint in its host's table, or `other`. */
	readonly endpoint: string;
	/** With a fault: the outcome that the platform reached before the fault. */
	readonly processed?: string | undefined;
	/** The account that the request named, by its appid or by a token. */
	readonly appid?: string | undefined;
}

/** The delivery of an answer that no fault touches. */
export const wholeDelivery: Delivery = { how: "whole" };

/** WeChat writes `encoding=`, not `charset=`. Captured from `/cgi-bin/token`. */
export const jsonHeaders: Readonly<Record<string, string>> = {
	"Content-Type": "application/json; encoding=utf-8",
};

/** The headers of an answer that comes from a gateway and not from an API. */
export const htmlHeaders: Readonly<Record<string, string>> = {
	"Content-Type": "text/html",
};

/** An HTTP status without a body, as a gateway answers. */
export function statusOnly(
	status: number,
	headers: Readonly<Record<string, string>> = {},
): HostAnswer {
	return {
		status,
		headers: { ...htmlHeaders, ...headers },
		body: "",
		outcome: `status ${status}`,
	};
}

/** The fields of a JSON body; none for JSON that is no object, undefined if it is not JSON. */
export function parseBody(body: string): Record<string, unknown> | undefined {
	try {
		const content: unknown = JSON.parse(body);
		return typeof content === "object" && content !== null
			? (content as Record<string, unknown>)
			: {};
	} catch {
		return undefined;
	}
}
