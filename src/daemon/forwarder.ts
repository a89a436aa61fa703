/**
 * Hands pushes on to the program of the platform, as they came, so that it can check them
 * itself. Best effort: WeChat has its answer, and knows nothing of this.
 */
import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { errnoOf, inWords } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ControlRequest } from "./control-http.ts";
import { createChangeLog } from "./server-life.ts";

/** For a whole request. */
const timeoutMs = 5_000;
/** Under way at a time; more are dropped, and told. */
const maxForwards = 64;

/** `to`: the configured URL at this moment; undefined: nothing is handed on. */
export function createForwarder(
	to: () => string | undefined,
	log: Log,
): (request: ControlRequest) => void {
	const changes = createChangeLog();
	let underWay = 0;
	const tell = (cause: string | undefined) =>
		changes.log(cause ?? "", () => {
			if (cause === undefined)
				log.info({ event: "forward.works" }, "pushes are handed on again");
			else
				log.warn(
					{
						event: "forward.failed",
						hint: "see that the program at receiver.forward runs, and answers with 2xx within 5 s; WeChat does not send the push again",
					},
					`a push could not be handed on: ${cause}`,
				);
		});
	changes.log("", () => {});
	return ({ query, body, headers }) => {
		const url = to();
		if (url === undefined) return;
		if (underWay >= maxForwards) return tell("too many are under way");
		underWay += 1;
		send(url, query, body, headers["content-type"], (cause) => {
			underWay -= 1;
			tell(cause);
		});
	};
}

/** `done`: with the cause of a failure. */
function send(
	url: string,
	query: string,
	body: string,
	type: string | undefined,
	done: (cause: string | undefined) => void,
): void {
	const target = new URL(url);
	target.search = [target.search.slice(1), query].filter(Boolean).join("&");
	const make = target.protocol === "https:" ? tlsRequest : plainRequest;
	const request = make(
		target,
		{
			method: "POST",
			headers: {
				"Content-Type": type ?? "text/xml",
				"Content-Length": Buffer.byteLength(body),
			},
			signal: AbortSignal.timeout(timeoutMs),
		},
		(response) => {
			response.resume();
			const { statusCode = 0 } = response;
			const isGood = statusCode >= 200 && statusCode < 300;
			response.on("close", () =>
				done(isGood ? undefined : `HTTP status ${statusCode}`),
			);
		},
	);
	request.on("error", (error) => {
		const isLate = error.name === "TimeoutError" || error.name === "AbortError";
		done(isLate ? "no answer in time" : inWords(errnoOf(error)));
	});
	request.end(body);
}
