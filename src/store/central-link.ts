/** Calls to a central wxtokend, over the address of its `[http]`. */
import { request as requestHttp } from "node:http";
import { Agent, request as requestHttps } from "node:https";

/** Where it is, and what it wants to see. */
export interface CentralTarget {
	/** Scheme, host and port. */
	readonly url: string;
	/** Sent to it, and nowhere else. */
	readonly bearer: string;
	/** PEM of its authority; undefined: those of Node.js. */
	readonly ca: string | undefined;
}

export interface CentralAnswer {
	readonly status: number;
	/** Undefined: the body is no JSON object. */
	readonly content: Readonly<Record<string, unknown>> | undefined;
	/** What the server's clock says, epoch ms, in whole seconds; undefined: it does not tell. */
	readonly serverTime: number | undefined;
	readonly roundTripMs: number;
}

/** It did not answer. */
export class CentralSilent extends Error {}

export interface CentralLink {
	/** Rejects with `CentralSilent`. */
	call(
		method: "GET" | "POST",
		path: string,
		options: { readonly timeoutMs: number; readonly body?: string },
	): Promise<CentralAnswer>;
	/** Ends what is under way. */
	close(): void;
}

/** An answer is a token, or an error in words. */
const maxBytes = 65_536;

export function createCentralLink(
	{ url, bearer, ca }: CentralTarget,
	monotonic: () => number,
): CentralLink {
	const closing = new AbortController();
	const isTls = url.startsWith("https:");
	const agent = isTls
		? new Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) })
		: undefined;
	const request = isTls ? requestHttps : requestHttp;
	return {
		call: (method, path, { timeoutMs, body = "" }) =>
			new Promise((resolve, reject) => {
				const sentAt = monotonic();
				const signal = AbortSignal.any([
					closing.signal,
					AbortSignal.timeout(timeoutMs),
				]);
				const silent = (error: Error) =>
					reject(new CentralSilent(wordsOf(error)));
				const call = request(
					new URL(path, url),
					{
						method,
						signal,
						...(agent && { agent }),
						headers: {
							authorization: `Bearer ${bearer}`,
							"content-length": Buffer.byteLength(body),
							...(body === "" ? {} : { "content-type": "application/json" }),
						},
					},
					(response) => {
						const roundTripMs = monotonic() - sentAt;
						let text = "";
						response.setEncoding("utf8").on("data", (chunk) => {
							text += chunk;
							if (text.length > maxBytes)
								response.destroy(new Error("an answer of more than 64 KiB"));
						});
						response.on("error", silent);
						response.on("end", () => {
							const time = Date.parse(response.headers.date ?? "");
							resolve({
								status: response.statusCode ?? 0,
								content: contentOf(text),
								serverTime: Number.isNaN(time) ? undefined : time,
								roundTripMs,
							});
						});
					},
				);
				call.on("error", silent);
				call.end(body);
			}),
		close: () => {
			closing.abort();
			agent?.destroy();
		},
	};
}

function contentOf(text: string): CentralAnswer["content"] {
	try {
		const content: unknown = JSON.parse(text);
		return typeof content === "object" && content !== null
			? (content as Readonly<Record<string, unknown>>)
			: undefined;
	} catch {
		return undefined;
	}
}

function wordsOf(error: Error): string {
	const { code = "", name } = error as NodeJS.ErrnoException;
	if (name === "AbortError" || name === "TimeoutError")
		return "no answer in time";
	return String(code || error.message).slice(0, 160);
}
