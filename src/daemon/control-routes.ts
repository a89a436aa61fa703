/**
 * The routes of the control socket and of the HTTP address: what a request asks for, and what it is answered.
 * Only a refresh or a reload changes anything, and no answer but that of a token or a
 * refresh holds a token.
 */
import { randomBytes } from "node:crypto";
import { defaultTokenFile, ticketFile } from "../config/entry-names.ts";
import type { Clock } from "../core/clock.ts";
import type { ClockSkew } from "../core/clock-skew.ts";
import {
	type Credential,
	type KnownToken,
	traitsOf,
} from "../core/credential.ts";
import type { ConfigError, StoreError } from "../core/errors.ts";
import { signPage } from "../core/jssdk.ts";
import type { FleetStatus } from "../core/ports.ts";
import {
	type RefreshAnswer,
	stopping as stoppingFailure,
} from "../core/request.ts";
import type { Token } from "../core/token.ts";
import { nextTurn } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import {
	type Answering,
	type ControlAnswer,
	type ControlRequest,
	failure,
	seeRoutes,
} from "./control-http.ts";
import { patternOf } from "./control-paths.ts";
import { healthOf, listOf, listWithDays } from "./control-reports.ts";
import type { ManagedSet } from "./credential-set.ts";
import type { History } from "./history.ts";
import type { Metrics } from "./metrics.ts";
import type { NextValues } from "./next-values.ts";

/** What the answers are made from. */
export interface AnswerParts {
	/** A reload changes them. */
	readonly managed: () => ManagedSet;
	readonly clock: Clock;
	/** Of this server's clock; null: it is right, as far as is known. */
	readonly skew: () => ClockSkew | null;
	/** As in `FleetSeat`: ends are told by the clock of this host, as in the files. */
	readonly shiftMs: () => number;
	/** Undefined: there is none. */
	readonly fleet: () => Promise<FleetStatus | undefined>;
	readonly history: Pick<History, "of">;
	readonly metrics: Pick<Metrics, "render" | "heldBytes">;
	/** What SIGHUP does; resolves when the refresh of every account has ended. */
	readonly reload: () => Promise<Reloaded>;
	/** Aborted once the daemon stops: no refresh begins any more. */
	readonly stopping: AbortSignal;
	/** For those who wait for a value. */
	readonly nextValues: Pick<NextValues, "after">;
	/** The status page. */
	readonly page: (request: ControlRequest) => Promise<ControlAnswer>;
}

/** How a reload ended. */
export interface Reloaded {
	/** Why the new configuration is not used; undefined: it is. */
	readonly refused: ConfigError | StoreError | undefined;
	/** Of the forced refresh of each account. */
	readonly answers: readonly RefreshAnswer[];
}

/**
 * How long a client waits for its refresh: enough for a cooldown, a lock and a
 * request. After that the refresh goes on, but without an answer.
 */
const refreshTimeoutMs = 120_000;

/** `one`: the credential of the path, by its appid or its file, if it names one. */
type Route = (
	request: ControlRequest,
	one: ManagedCredential | undefined,
) => ControlAnswer | Promise<ControlAnswer>;

/** Answers every request, also a wrong one; it throws only if wxtokend has a bug. */
export function createAnswers(parts: AnswerParts): Answering {
	const { clock, stopping } = parts;

	const statusNow = async (one: ManagedCredential): Promise<ControlAnswer> => {
		await nextTurn();
		return { status: 200, content: one.status(clock.now()) };
	};

	/** The same as the list of all credentials, and the last day of each in letters. */
	const withDays = () =>
		listWithDays(parts.managed().byFile, parts.history, parts);

	// Of ten thousand files it takes long, so requests that arrive meanwhile get the
	// same answer.
	const health = sharedWhileRunning(() =>
		healthOf(parts.managed().byFile.values(), clock),
	);

	const metrics = (): ControlAnswer => ({
		status: 200,
		content: parts.metrics.render(),
		heldBytes: parts.metrics.heldBytes(),
		headers: {
			"Content-Type": "text/plain; version=0.0.4; charset=utf-8",
		},
	});

	const { refresh, token } = createValueRoutes(parts);

	const sign = (body: string, file: string): ControlAnswer =>
		signatureFor(body, file, parts.managed(), clock.now());

	const reload = async (): Promise<ControlAnswer> => {
		if (stopping.aborted) return failure(503, stoppingFailure);
		const done = await within(refreshTimeoutMs, parts.reload());
		if (done === undefined) return stillWaiting("every account");
		const { refused, answers } = done;
		if (refused !== undefined)
			return failure(422, {
				code: "config",
				message: `the old configuration stays: ${refused.message}`,
				hint: "correct it (wxtokend check names the problems), then reload again",
			});
		const failed = answers.find(({ outcome }) => outcome === "failed");
		return failed === undefined
			? { status: 200, content: { outcome: "reloaded" } }
			: answerFor(failed, parts.shiftMs());
	};

	const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
		"/": { GET: parts.page },
		"/healthz": { GET: health },
		"/metrics": { GET: metrics },
		"/v1/reload": { POST: reload },
		"/v1/fleet": {
			GET: async () => {
				const fleet = await parts.fleet();
				return fleet === undefined
					? noFleet
					: { status: 200, content: { ...fleet, now: clock.now() } };
			},
		},
		"/v1/accounts": {
			GET: () => listOf("accounts", parts.managed().byAppid.values(), parts),
		},
		"/v1/accounts/{appid}": {
			GET: withCredential((_request, one) => statusNow(one)),
		},
		"/v1/accounts/{appid}/token": {
			GET: withCredential(token),
		},
		"/v1/accounts/{appid}/refresh": { POST: withCredential(refresh) },
		"/v1/accounts/{appid}/jssdk": {
			POST: withCredential(({ body }, { credential }) =>
				sign(body, ticketFile("jsapi", credential.appid)),
			),
		},
		"/v1/credentials": {
			GET: ({ query }) =>
				new URLSearchParams(query).has("days")
					? withDays()
					: listOf("credentials", parts.managed().byFile.values(), parts),
		},
		"/v1/credentials/{file}": {
			GET: withCredential((_request, one) => statusNow(one)),
		},
		"/v1/credentials/{file}/token": {
			GET: withCredential(token),
		},
		"/v1/credentials/{file}/refresh": { POST: withCredential(refresh) },
		"/v1/credentials/{file}/jssdk": {
			POST: withCredential(({ body }, { credential }) =>
				sign(body, credential.file),
			),
		},
	};

	return async (request) => {
		const { pattern, appid, file } = patternOf(request.path);
		// `hasOwn`, because a path may be the name of something that every object has.
		const methods = Object.hasOwn(routes, pattern)
			? routes[pattern]
			: undefined;
		if (methods === undefined) return unknownPath;
		const { byAppid, byFile } = parts.managed();
		const one =
			file === undefined
				? (byAppid.get(appid ?? "") ??
					// Readers call by this name whatever has the file that they look for.
					byFile.get(defaultTokenFile(appid ?? "")))
				: byFile.get(file);
		if (appid !== undefined && one === undefined) return unknownAccount(appid);
		if (file !== undefined && one === undefined) return unknownCredential(file);
		// Node.js leaves the body out of an answer to HEAD.
		const method = request.method === "HEAD" ? "GET" : request.method;
		const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
		return route === undefined
			? wrongMethod(Object.keys(methods))
			: route(request, one);
	};
}

/** What gives a value away: the token as it is, the next one, and a forced refresh. */
function createValueRoutes(parts: AnswerParts) {
	const { stopping } = parts;

	const refresh = async (
		{ body }: ControlRequest,
		{ credential, keeper }: ManagedCredential,
	): Promise<ControlAnswer> => {
		const wanted = requestIn(body);
		if ("status" in wanted) return wanted;
		if (stopping.aborted) return failure(503, stoppingFailure);
		const { stale, alone } = wanted;
		const answered =
			stale === undefined
				? keeper.force(undefined, { alone })
				: keeper.report(stale, { alone });
		const answer = await within(refreshTimeoutMs, answered);
		return answer === undefined
			? stillWaiting(credential.file)
			: answerFor(answer, parts.shiftMs());
	};

	/** A question only: it begins no refresh. With `newer_than` it waits for the next value. */
	const token = async (
		request: ControlRequest,
		one: ManagedCredential,
	): Promise<ControlAnswer> => {
		const wanted = newerIn(request.query);
		if ("status" in wanted) return wanted;
		const { newerThan, waitMs } = wanted;
		const known = livingOf(one);
		if (newerThan === undefined)
			return known === undefined
				? noValue(one)
				: valueAnswer(request, known, false, parts.shiftMs());
		if (known !== undefined && known.generation > newerThan)
			return valueAnswer(request, known, true, parts.shiftMs());
		const next = await parts.nextValues.after(
			one.credential.id,
			newerThan,
			waitMs,
			request.onEnd,
		);
		if (next === "full") return tooManyWaiting;
		return next === undefined
			? nothingNewer
			: valueAnswer(request, next, true, parts.shiftMs());
	};

	return { refresh, token };
}

/** The value as in its file, or without any JSON for those who ask for text. */
function valueAnswer(
	{ headers }: ControlRequest,
	known: KnownToken,
	isFollowed: boolean,
	shiftMs: number,
): ControlAnswer {
	const { token, generation } = known;
	const content = {
		...asInFile(token, shiftMs),
		...(isFollowed && { generation }),
	};
	return {
		status: 200,
		content: prefersText(headers.accept) ? token.value : content,
		headers: { "Wxtokend-Generation": String(generation) },
	};
}

/** `Accept: text/plain`, and not JSON before it. */
function prefersText(accept = ""): boolean {
	const types = accept.split(",").map((one) => one.split(";", 1)[0]?.trim());
	const text = types.indexOf("text/plain");
	const json = types.indexOf("application/json");
	return text >= 0 && (json < 0 || text < json);
}

function noValue({ credential }: ManagedCredential): ControlAnswer {
	return failure(503, {
		code: "no-token",
		message: `could not give the value of ${credential.file}: none is valid now`,
		hint: `GET /v1/credentials/${credential.file} says why`,
	});
}

/** The signature of a page by the ticket of that file. The ticket itself is not told. */
function signatureFor(
	body: string,
	file: string,
	{ byFile }: ReturnType<AnswerParts["managed"]>,
	now: number,
): ControlAnswer {
	const page = pageIn(body);
	if ("status" in page) return page;
	const one = byFile.get(file);
	if (one === undefined) return noTicket(file);
	if (!traitsOf(one.credential).signsPages) return notSigning(one.credential);
	const current = one.keeper.current();
	if (current === undefined) return noValue(one);
	const config = signPage(current.value, {
		appId: one.credential.appid,
		url: page.url,
		nonceStr: randomBytes(8).toString("hex"),
		timestamp: Math.floor(now / 1000),
	});
	return { status: 200, content: config };
}

/** What the query of a token asks for, or what is wrong with it. */
function newerIn(
	query: string,
):
	| { readonly newerThan: number | undefined; readonly waitMs: number }
	| ControlAnswer {
	const { newer_than: newer, wait = "0" } = Object.fromEntries(
		new URLSearchParams(query),
	);
	if (newer === undefined) return { newerThan: undefined, waitMs: 0 };
	const seconds = Number(wait);
	if (!/^\d{1,16}$/.test(newer))
		return badQuery("newer_than is not the generation of an answer");
	if (!/^\d+(\.\d+)?$/.test(wait) || seconds > maxWaitSeconds)
		return badQuery(`wait is not 0 to ${maxWaitSeconds} seconds`);
	return { newerThan: Number(newer), waitMs: seconds * 1000 };
}

/** Proxies end what is silent for much longer. */
const maxWaitSeconds = 300;

function badQuery(problem: string): ControlAnswer {
	return failure(400, {
		code: "bad-query",
		message: `could not read the request: ${problem}`,
		hint: "GET …/token?newer_than=GENERATION&wait=60, with the generation of the last answer, or 0",
	});
}

/** The newest value, if it lives. */
function livingOf({ keeper }: ManagedCredential): KnownToken | undefined {
	const known = keeper.known();
	const current = keeper.current();
	return known !== undefined && current?.value === known.token.value
		? known
		: undefined;
}

const noFleet = failure(404, {
	code: "no-fleet",
	message: "this host keeps its tokens alone: the configuration has no [fleet]",
	hint: "docs/fleet.md says how several hosts keep them together",
});

/** A 304 has no body. */
const nothingNewer: ControlAnswer = { status: 304, content: "" };

const tooManyWaiting = failure(503, {
	code: "too-many-waiting",
	message: "could not wait for the next value: too many clients wait already",
	hint: "ask again later, or without wait",
});

/** A route of one credential, which was looked up before. */
function withCredential(
	route: (
		request: ControlRequest,
		one: ManagedCredential,
	) => ControlAnswer | Promise<ControlAnswer>,
): Route {
	return (request, one) => {
		if (one === undefined) throw new Error("a route without its credential");
		return route(request, one);
	};
}

/** The page that a body wants signed, or what is wrong with it. */
function pageIn(body: string): { readonly url: string } | ControlAnswer {
	let content: unknown;
	try {
		content = JSON.parse(body);
	} catch {
		return badPage("it is not JSON");
	}
	const { url } = (content ?? {}) as Record<string, unknown>;
	if (typeof url !== "string") return badPage("url is not a string");
	if (!/^https?:\/\/[^/\s]/.test(url))
		return badPage("url is no http(s) address");
	return { url };
}

function badPage(problem: string): ControlAnswer {
	return failure(400, {
		code: "bad-body",
		message: `could not read the request's body: ${problem}`,
		hint: 'send {"url":"https://…"} with the page\'s full address: location.href.split("#")[0]',
	});
}

function noTicket(file: string): ControlAnswer {
	return failure(404, {
		code: "no-ticket",
		message: `could not sign the page: there is no jsapi ticket ${JSON.stringify(file.slice(0, 200))}`,
		hint: 'set tickets = ["jsapi"] in its entry of the configuration, then reload',
	});
}

function notSigning({ file, kind }: Credential): ControlAnswer {
	return failure(404, {
		code: "no-ticket",
		message: `could not sign the page: ${file} is no jsapi ticket, but of the kind ${kind}`,
		hint: "pages are signed by jsapi tickets: GET /v1/accounts lists the files and their kinds",
	});
}

/** What the body of a refresh asks for, or what is wrong with it. */
function requestIn(
	body: string,
):
	| { readonly stale: string | undefined; readonly alone: boolean }
	| ControlAnswer {
	if (body.trim() === "") return { stale: undefined, alone: false };
	let content: unknown;
	try {
		content = JSON.parse(body);
	} catch {
		return badBody("it is not JSON");
	}
	if (typeof content !== "object" || content === null || Array.isArray(content))
		return badBody("it is not a JSON object");
	const {
		stale,
		alone = false,
		...others
	} = content as Record<string, unknown>;
	const [other] = Object.keys(others);
	// With a misspelt key the report of a dead token would become a forced refresh.
	if (other !== undefined)
		return badBody(
			`it has the unknown key ${JSON.stringify(other.slice(0, 40))}`,
		);
	if (stale !== undefined && typeof stale !== "string")
		return badBody("stale is not a string");
	if (typeof alone !== "boolean")
		return badBody("alone is neither true nor false");
	// An app that has lost its token must not force a refresh with its report.
	if (stale?.trim() === "") return badBody("stale is empty");
	// As a file or a pipe hands it over: with the end of the line.
	return { stale: stale?.trim(), alone };
}

/** `problem` may name a key, but quotes no value: that may be a token. */
function badBody(problem: string): ControlAnswer {
	return failure(400, {
		code: "bad-body",
		message: `could not read the request's body: ${problem}`,
		hint: 'send {"stale":"TOKEN"} with the token that WeChat refused, or no body at all',
	});
}

/** What became of a refresh, for the client that asked for it. */
function answerFor(answer: RefreshAnswer, shiftMs: number): ControlAnswer {
	if (answer.outcome === "failed") {
		const { code, message, hint } = answer.error;
		return failure(statusFor(code), { code, message, hint });
	}
	const { outcome, token } = answer;
	return { status: 200, content: { outcome, ...asInFile(token, shiftMs) } };
}

/** With the keys and units of the token file. */
function asInFile({ value, expiresAt }: Token, shiftMs: number) {
	return { value, expire: Math.floor((expiresAt - shiftMs) / 1000) };
}

/** The HTTP status of a failed refresh, by who must act. */
function statusFor(code: string): number {
	// The client must ask less often.
	if (/^(budget|force-limit|errcode 450(09|11))$/.test(code)) return 429;
	// It passes by itself: the client may ask again.
	if (/^(stopping|lost|locked|no-keeper|\w+-unreachable)$/.test(code))
		return 503;
	if (/timeout|^ETIMEDOUT$/i.test(code)) return 504;
	// The operator must look at the disk of this server.
	if (
		/^(refused|EACCES|EBUSY|EDQUOT|EIO|EISDIR|EMFILE|ENFILE|ENOENT|ENOSPC|ENOTDIR|ENOTEMPTY|EPERM|EROFS)$/.test(
			code,
		)
	)
		return 500;
	// WeChat refused, or the way to it is broken.
	return 502;
}

/** Calls that come while another one runs share its result. */
function sharedWhileRunning<T>(make: () => Promise<T>): () => Promise<T> {
	let making: Promise<T> | undefined;
	return () => {
		making ??= make().finally(() => {
			making = undefined;
		});
		return making;
	};
}

/** What the promise gives; undefined after `timeoutMs`, while it goes on. */
async function within<T>(
	timeoutMs: number,
	promise: Promise<T>,
): Promise<T | undefined> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<undefined>((resolve) => {
		timer = setTimeout(() => resolve(undefined), timeoutMs);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

function stillWaiting(appid: string): ControlAnswer {
	return failure(504, {
		code: "still-waiting",
		message: `could not wait any longer for the refresh of ${appid}: its cooldown or another process still holds it up`,
		hint: "the refresh goes on: read the token file later; GET /v1/accounts says when it is tried",
	});
}

const unknownPath = failure(404, {
	code: "unknown-path",
	message: "there is nothing at this path",
	hint: seeRoutes,
});

/** Quotes only the beginning of what the client sent. */
function unknownAccount(appid: string): ControlAnswer {
	return failure(404, {
		code: "unknown-account",
		message: `there is no account with this appid: ${JSON.stringify(appid.slice(0, 64))}`,
		hint: "GET /v1/accounts lists them; a new one comes with a reload (SIGHUP)",
	});
}

function unknownCredential(file: string): ControlAnswer {
	return failure(404, {
		code: "unknown-credential",
		message: `there is no credential with this file: ${JSON.stringify(file.slice(0, 200))}`,
		hint: "GET /v1/credentials lists them; a new one comes with a reload (SIGHUP)",
	});
}

/** HTTP demands the header Allow with a 405. */
function wrongMethod(allowed: readonly string[]): ControlAnswer {
	const all = allowed.includes("GET") ? [...allowed, "HEAD"] : allowed;
	return failure(
		405,
		{
			code: "method-not-allowed",
			message: "this path does not take the method",
			hint: `use ${allowed.join(" or ")}`,
		},
		{ Allow: all.join(", ") },
	);
}
