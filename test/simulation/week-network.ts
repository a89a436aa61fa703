/** The links of a week to the host names of WeChat, each of which may be broken. */
import type { HttpAnswer, HttpRequest } from "../../src/issuer/http.ts";
import { LinkError } from "../../src/issuer/link-error.ts";
import type { Platform } from "../../src/simulator/platform.ts";
import { type Agenda, pauseOf } from "./agenda.ts";
import { ask, isProbe } from "./ask.ts";

/** A fault of the way to a host. */
export interface BrokenLink {
	readonly error: () => LinkError;
	/** After so long the caller gets the error. */
	readonly takesMs: number;
	/** WeChat has processed the request, and only the answer is lost. */
	readonly isProcessed: boolean;
}

const broken = (
	kind: LinkError["kind"],
	code: string,
	sent: boolean,
	takesMs = 50,
): BrokenLink => ({
	error: () => new LinkError(kind, code, sent),
	takesMs,
	isProcessed: false,
});

/** With the link errors that http.ts throws for them. */
export const brokenLinks = {
	refused: broken("unreachable", "ECONNREFUSED", false),
	"no such name": broken("unreachable", "EAI_AGAIN", false, 5_000),
	blackhole: broken("unreachable", "UND_ERR_CONNECT_TIMEOUT", false, 5_000),
	reset: broken("interrupted", "ECONNRESET", true),
	hang: broken("timeout", "timeout", true, 10_000),
	"bad certificate": broken("certificate", "CERT_HAS_EXPIRED", false),
	"self-signed": broken("intercepted", "DEPTH_ZERO_SELF_SIGNED_CERT", false),
	"502": broken("server-error", "http 502", true),
	"502 after the work": {
		...broken("server-error", "http 502", true),
		isProcessed: true,
	},
	"hang after the work": {
		...broken("timeout", "timeout", true, 10_000),
		isProcessed: true,
	},
} as const satisfies Readonly<Record<string, BrokenLink>>;

/** A request to WeChat, whether it arrived or not. */
export interface Call {
	readonly at: number;
	readonly host: string;
	readonly isProbe: boolean;
	readonly isForce: boolean;
	/** What the platform answered; undefined if the request did not arrive. */
	readonly outcome: string | undefined;
}

/** What the network needs of the week. */
export interface WeekNetworkParts {
	readonly agenda: Agenda;
	readonly platform: Platform;
	/** 0 to 1. */
	readonly random: () => number;
	/** Called after each request that arrived, as it may end the life of a token. */
	readonly noteLife: () => void;
}

/** All links work until one is put into `links`, by its host name. */
export function createWeekNetwork({
	agenda,
	platform,
	random,
	noteLife,
}: WeekNetworkParts) {
	const links = new Map<string, BrokenLink>();
	const calls: Call[] = [];
	const later = (ms: number) => pauseOf(agenda, ms);
	const send = async (request: HttpRequest): Promise<HttpAnswer> => {
		const { host } = new URL(request.baseUrl);
		const isForce = request.body?.includes('"force_refresh":true') ?? false;
		const note = (outcome: string | undefined) =>
			calls.push({
				at: agenda.now(),
				host,
				isProbe: isProbe(request),
				isForce,
				outcome,
			});
		const link = links.get(host);
		await later(10 + 40 * random());
		if (link !== undefined && !link.isProcessed) {
			note(undefined);
			await later(link.takesMs);
			throw link.error();
		}
		const answered = ask(platform, request, agenda.now());
		note(answered.outcome);
		noteLife();
		await later(link?.takesMs ?? 10 + 40 * random());
		if (link !== undefined) throw link.error();
		return {
			status: answered.status,
			text: answered.body,
			serverTime: Date.parse(answered.headers.Date ?? ""),
		};
	};
	return { links, calls, send };
}
