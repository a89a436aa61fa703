/** The names under which WeChat's API is reached; all share the accounts. */
export const apiHosts = [
	"api.weixin.qq.com",
	"api2.weixin.qq.com",
	"sh.api.weixin.qq.com",
	"sz.api.weixin.qq.com",
	"hk.api.weixin.qq.com",
] as const;

export const mainHost = apiHosts[0];

/** 企业微信, of which only the wire is here: no endpoint yet. */
export const wecomHost = "qyapi.weixin.qq.com";

/** Where a caller is, of whom nothing is said. */
export const loopback = "127.0.0.1";

/** A request as the platform sees it. */
export interface PlatformRequest {
	readonly method: string;
	/** The name it was sent to; absent: `mainHost`. */
	readonly host?: string;
	/** Without the query. */
	readonly path: string;
	readonly query?: Readonly<Record<string, string | undefined>>;
	readonly body?: string;
	/** The caller's address; absent: `loopback`. */
	readonly ip?: string;
	/** The body came without a Content-Length. */
	readonly chunked?: boolean;
	/** Over TLS. */
	readonly secure?: boolean;
}

export type Endpoint = (typeof endpointNames)[number];

export const endpointNames = [
	"token",
	"stable_token",
	"getticket",
	"get_api_domain_ip",
	"getcallbackip",
	"clear_quota",
	"clear_quota/v2",
	"quota/get",
	"use",
	"other",
] as const;

/** How the answer reaches the caller, or does not. */
export type Delivery =
	| { readonly how: "whole" }
	/** Nothing listens. */
	| { readonly how: "refuse" }
	/** The connection is reset instead of an answer. */
	| { readonly how: "reset" }
	/** Headers and half of the body, then a reset. */
	| { readonly how: "cut" }
	/** Connected, and silent for ever. */
	| { readonly how: "hang" }
	| { readonly how: "delay"; readonly seconds: number }
	/** One byte at a time, all in `seconds`. */
	| { readonly how: "drip"; readonly seconds: number }
	/** The body compressed. */
	| { readonly how: "gzip" };

/** What the platform answers, and what an onlooker is told about it. */
export interface Answer {
	readonly status: number;
	/** With `Date`; without the lengths and connection headers of the wire. */
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	readonly delivery: Delivery;
	readonly endpoint: Endpoint;
	/** `issued` (a new token), `same`, `ok`, `errcode N`, `status N`, or `fault MODE`. */
	readonly outcome: string;
	/** With a fault: what the platform had done before it. */
	readonly processed?: string | undefined;
	/** The account, as far as the request told. */
	readonly appid?: string | undefined;
}

export const wholeDelivery: Delivery = { how: "whole" };

export const jsonHeaders: Readonly<Record<string, string>> = {
	"Content-Type": "application/json; encoding=utf-8",
};

export const htmlHeaders: Readonly<Record<string, string>> = {
	"Content-Type": "text/html",
};
