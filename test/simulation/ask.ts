/** Requests to the simulated platform, without a network. */
import type { HttpRequest } from "../../src/issuer/http.ts";
import type { Answer } from "../../src/simulator/http-messages.ts";
import type { Platform } from "../../src/simulator/platform.ts";

/** The platform's answer to a request of the issuer. */
export function ask(
	platform: Platform,
	{ baseUrl, path, body }: HttpRequest,
	nowMs: number,
): Answer {
	const { host, pathname, protocol, searchParams } = new URL(path, baseUrl);
	return platform.answer(
		{
			method: body === undefined ? "GET" : "POST",
			host,
			path: pathname,
			query: Object.fromEntries(searchParams),
			secure: protocol === "https:",
			...(body === undefined ? {} : { body }),
		},
		nowMs,
	);
}

/** Whether the request probes a token, and asks for none. */
export function isProbe({ path }: HttpRequest): boolean {
	return path.startsWith("/cgi-bin/get_api_domain_ip");
}
