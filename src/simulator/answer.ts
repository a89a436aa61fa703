import type { Endpoint } from "./request.ts";

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
