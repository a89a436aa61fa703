/** The HTTP address of a daemon as its clients see it. */

import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { join } from "node:path";
import { newDirectory } from "./directory.ts";
import { newSecret } from "./leaks.ts";
import type { Running } from "./program.ts";
import type { SocketAnswer, SocketCall } from "./socket.ts";

export interface HttpCall extends SocketCall {
	/** Sent as `Authorization: Bearer …`. */
	readonly bearer?: string;
	/** The certificate that is trusted. */
	readonly ca?: string;
}

/** One request on a connection of its own; rejects if it is closed unanswered. */
export function callHttp(
	url: string,
	{ method = "GET", body, headers = {}, bearer, ca }: HttpCall = {},
): Promise<SocketAnswer> {
	const all = {
		...headers,
		...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
	};
	return new Promise((resolve, reject) => {
		const open = url.startsWith("https:") ? secureRequest : request;
		const call = open(
			url,
			{
				method,
				headers: all,
				agent: false,
				...(ca === undefined ? {} : { ca }),
			},
			(response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk) => {
					text += chunk;
				});
				response.on("error", reject);
				response.on("end", () =>
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						text,
						json: () => JSON.parse(text),
					}),
				);
			},
		);
		call.on("error", reject);
		call.end(body);
	});
}

/** Where the daemon says that it answers HTTP, without the slash at the end. */
export async function httpOf(daemon: Running): Promise<string> {
	const { url } = await daemon.event("http.opened");
	return String(url).replace(/\/$/, "");
}

/** A bearer that no output may show, and its file. */
export function newBearer(): {
	readonly bearer: string;
	readonly file: string;
} {
	const bearer = `${newSecret()}${newSecret()}`;
	const file = join(newDirectory(), "bearer");
	writeFileSync(file, `${bearer}\n`, { mode: 0o600 });
	return { bearer, file };
}
