/** What the control socket answers: its routes. */
import type { Clock } from "../core/clock.ts";
import type { ConfigError, StoreError } from "../core/errors.ts";
import type { RefreshAnswer } from "../core/request.ts";
import type { CredentialStatus, StatusReport } from "../core/status.ts";
import type { Token } from "../core/token.ts";
import { createYielding } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import {
	type ControlAnswer,
	type ControlFailure,
	type ControlRequest,
	failure,
	seeRoutes,
} from "./control-http.ts";

export interface AnswerParts {
	/** The accounts of now: a reload changes them. */
	readonly managed: () => ReadonlyMap<string, ManagedCredential>;
	readonly clock: Clock;
	/** Prometheus text. */
	readonly metrics: () => Promise<string>;
	/** As SIGHUP; resolves when every account was asked. */
	readonly reload: () => Promise<Reloaded>;
	readonly stopping: AbortSignal;
}

/** How a reload ended: why the new configuration was refused, if so, and each refresh. */
export interface Reloaded {
	readonly refused: ConfigError | StoreError | undefined;
	readonly answers: readonly RefreshAnswer[];
}

/**
 * A refresh is waited for so long: a cooldown, a lock and a request fit in. It
 * is done all the same when nobody waits any more.
 */
const refreshTimeoutMs = 120_000;

/** Many accounts are looked at in slices, between which keepers get their turn. */
const sliceMs = 5;
/** The reasons that `/healthz` gives; who wants all of them asks for the status. */
const maxReasons = 100;

type Route = (
	request: ControlRequest,
	one: ManagedCredential | undefined,
) => ControlAnswer | Promise<ControlAnswer>;

export function createAnswers(
	parts: AnswerParts,
): (request: ControlRequest) => Promise<ControlAnswer> {
	const { clock, stopping } = parts;

	const statusNow = (one: ManagedCredential) => one.status(clock.now());

	/** Who asks while another answer of the kind is being made gets the same one. */
	const report = shared(async (): Promise<ControlAnswer> => {
		const accounts = await inSlices(parts.managed().values(), statusNow);
		const content: StatusReport = { source: "daemon", accounts };
		return { status: 200, content };
	});

	const health = shared(async (): Promise<ControlAnswer> => {
		const accounts = await inSlices(parts.managed().values(), statusNow);
		return healthOf(accounts);
	});

	const metrics = shared(
		async (): Promise<ControlAnswer> => ({
			status: 200,
			content: await parts.metrics(),
			headers: {
				"Content-Type": "text/plain; version=0.0.4; charset=utf-8",
			},
		}),
	);

	const token = ({ credential, keeper }: ManagedCredential): ControlAnswer => {
		const current = keeper.current();
		if (current !== undefined)
			return { status: 200, content: inFileTerms(current) };
		return failure(503, {
			code: "no-token",
			message: `could not give a token of ${credential.appid}: there is none that lives`,
			hint: `GET /v1/accounts/${credential.appid} says why`,
		});
	};

	const refresh = async (
		{ body }: ControlRequest,
		{ credential, keeper }: ManagedCredential,
	): Promise<ControlAnswer> => {
		const wanted = requestIn(body);
		if ("status" in wanted) return wanted;
		if (stopping.aborted) return isStopping;
		const { stale } = wanted;
		const answered =
			stale === undefined ? keeper.force() : keeper.report(stale);
		const answer = await within(refreshTimeoutMs, answered);
		return answer === undefined
			? stillWaiting(credential.appid)
			: answerFor(answer);
	};

	const reload = async (): Promise<ControlAnswer> => {
		if (stopping.aborted) return isStopping;
		const done = await within(refreshTimeoutMs, parts.reload());
		if (done === undefined) return stillWaiting("every account");
		const { refused, answers } = done;
		if (refused !== undefined)
			return failure(422, {
				code: "config",
				message: `the old configuration stays: ${refused.message}`,
				hint: "mend it (wxtokend check), then reload again",
			});
		const failed = answers.find(({ outcome }) => outcome === "failed");
		return failed === undefined
			? { status: 200, content: { outcome: "reloaded" } }
			: answerFor(failed);
	};

	const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
		"/healthz": { GET: health },
		"/metrics": { GET: metrics },
		"/v1/reload": { POST: reload },
		"/v1/accounts": { GET: report },
		"/v1/accounts/{appid}": {
			GET: known((_request, one) => ({ status: 200, content: statusNow(one) })),
		},
		"/v1/accounts/{appid}/token": { GET: known((_request, one) => token(one)) },
		"/v1/accounts/{appid}/refresh": { POST: known(refresh) },
	};

	return async (request) => {
		const { pattern, appid } = patternOf(request.path);
		const methods = Object.hasOwn(routes, pattern)
			? routes[pattern]
			: undefined;
		if (methods === undefined) return unknownPath;
		const one = appid === undefined ? undefined : parts.managed().get(appid);
		if (appid !== undefined && one === undefined) return unknownAccount(appid);
		const method = request.method === "HEAD" ? "GET" : request.method;
		const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
		return route === undefined
			? wrongMethod(Object.keys(methods))
			: route(request, one);
	};
}

/** A route below an account, which the caller has looked up. */
function known(
	route: (
		request: ControlRequest,
		one: ManagedCredential,
	) => ControlAnswer | Promise<ControlAnswer>,
): Route {
	return (request, one) => {
		if (one === undefined) throw new Error("a route without its account");
		return route(request, one);
	};
}

/** The path with its appid taken out. It is looked up as it stands, never decoded. */
function patternOf(path: string): {
	readonly pattern: string;
	readonly appid?: string;
} {
	const [, appid, rest] = /^\/v1\/accounts\/([^/]+)(\/.*)?$/.exec(path) ?? [];
	return appid === undefined
		? { pattern: path }
		: { pattern: `/v1/accounts/{appid}${rest ?? ""}`, appid };
}

/** What the body of a refresh asks for, or what is wrong with it. */
function requestIn(
	body: string,
): { readonly stale: string | undefined } | ControlAnswer {
	if (body.trim() === "") return { stale: undefined };
	let content: unknown;
	try {
		content = JSON.parse(body);
	} catch {
		return badBody("it is not JSON");
	}
	if (typeof content !== "object" || content === null || Array.isArray(content))
		return badBody("it is not a JSON object");
	const { stale, ...others } = content as Record<string, unknown>;
	const [other] = Object.keys(others);
	// A misspelt key would turn a report into a forced refresh.
	if (other !== undefined)
		return badBody(
			`it has the unknown key ${JSON.stringify(other.slice(0, 40))}`,
		);
	if (stale !== undefined && typeof stale !== "string")
		return badBody("stale is not a string");
	// An app without a token at hand would turn its report into a forced refresh.
	if (stale?.trim() === "") return badBody("stale is empty");
	// As a file or a pipe hands it over: with the end of the line.
	return { stale: stale?.trim() };
}

function badBody(problem: string): ControlAnswer {
	return failure(400, {
		code: "bad-body",
		message: `could not read the request's body: ${problem}`,
		hint: 'send {"stale":"TOKEN"} with the token that WeChat refused, or no body at all',
	});
}

function answerFor(answer: RefreshAnswer): ControlAnswer {
	if (answer.outcome === "failed") {
		const { code, message, hint } = answer.error;
		return failure(statusFor(code), { code, message, hint });
	}
	const { outcome, token } = answer;
	return { status: 200, content: { outcome, ...inFileTerms(token) } };
}

/** Under the names that the token file has. */
function inFileTerms({ value, expiresAt }: Token) {
	return { value, expire: Math.floor(expiresAt / 1000) };
}

/** The status for a failed refresh: who must act. */
function statusFor(code: string): number {
	// The caller, who asks too much.
	if (/^(budget|force-limit|errcode 450(09|11))$/.test(code)) return 429;
	// Nobody: it passes.
	if (/^(stopping|lost|locked)$/.test(code)) return 503;
	if (/timeout|^ETIMEDOUT$/i.test(code)) return 504;
	// This server's disk.
	if (
		/^(refused|EACCES|EBUSY|EDQUOT|EIO|EISDIR|EMFILE|ENFILE|ENOENT|ENOSPC|ENOTDIR|ENOTEMPTY|EPERM|EROFS)$/.test(
			code,
		)
	)
		return 500;
	return 502;
}

function healthOf(accounts: readonly CredentialStatus[]): ControlAnswer {
	const ill = accounts.filter(({ valid }) => !valid);
	if (ill.length === 0)
		return {
			status: 200,
			content: { status: "ok", accounts: accounts.length },
		};
	const reasons = ill
		.slice(0, maxReasons)
		.map(({ appid, state, file, lastError }) => ({
			appid,
			state,
			reason: `${file}: ${reasonWords[state]}`,
			error: lastError,
		}));
	const sick: ControlFailure & { readonly reasons: unknown } = {
		code: "no-valid-token",
		message: `${ill.length} of ${accounts.length} accounts have no valid token on disk`,
		hint:
			ill[0]?.lastError?.hint ??
			"the daemon is at it: see GET /v1/accounts, or wxtokend status",
		reasons,
	};
	return failure(503, sick);
}

const reasonWords: Readonly<Record<CredentialStatus["state"], string>> = {
	valid: "holds a valid token",
	failing: "holds a valid token",
	expired: "its token has ended",
	missing: "there is no such file",
	unusable: "it is not what was published",
};

async function inSlices<T, R>(
	items: Iterable<T>,
	make: (item: T) => R,
): Promise<readonly R[]> {
	const made: R[] = [];
	const yielding = createYielding(sliceMs);
	for (const item of items) {
		made.push(make(item));
		await yielding.yieldIfLong();
	}
	return made;
}

/** One at a time; who asks meanwhile gets its result. */
function shared<T>(make: () => Promise<T>): () => Promise<T> {
	let making: Promise<T> | undefined;
	return () => {
		making ??= make().finally(() => {
			making = undefined;
		});
		return making;
	};
}

/** Undefined after `timeoutMs`. */
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
		message: `could not wait any longer for the refresh of ${appid}: it waits for its cooldown or for another process`,
		hint: "it is done all the same: read the token file, or GET /v1/accounts says when",
	});
}

const isStopping = failure(503, {
	code: "stopping",
	message: "could not refresh: wxtokend is stopping",
	hint: "ask again when it is back",
});

const unknownPath = failure(404, {
	code: "unknown-path",
	message: "there is nothing at this path",
	hint: seeRoutes,
});

function unknownAccount(appid: string): ControlAnswer {
	return failure(404, {
		code: "unknown-account",
		message: `there is no account with this appid: ${JSON.stringify(appid.slice(0, 64))}`,
		hint: "GET /v1/accounts lists them; a new one comes with a reload (SIGHUP)",
	});
}

function wrongMethod(allowed: readonly string[]): ControlAnswer {
	const all = allowed.includes("GET") ? [...allowed, "HEAD"] : allowed;
	return failure(
		405,
		{
			code: "method-not-allowed",
			message: "this path does not know the method",
			hint: `use ${allowed.join(" or ")}`,
		},
		{ Allow: all.join(", ") },
	);
}
