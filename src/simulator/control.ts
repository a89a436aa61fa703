/**
 * The control face: JSON over HTTP under `/sim/` on every port, for tests in any
 * language and for curl. Errors are 400 or 404 with `{"error"}`.
 *
 * | request | does |
 * |---|---|
 * | `GET /sim/state` | accounts, counters, knobs, faults; no secret, no whole token |
 * | `GET /sim/requests?since=ID` | the request log, masked; at most 1000, after that id |
 * | `GET /sim/use?access_token=T&for=KIND`, or POST | a business API: accepts a live token (of an account of that kind) |
 * | `POST /sim/foreign-fetch {appid, interface?, force?}` | somebody else with this secret fetches |
 * | `POST /sim/kill {appid}` | its tokens end at once: uses answer 40001 |
 * | `POST /sim/expire {appid}` | its current tokens age out at once: uses answer 42001 |
 * | `POST /sim/accounts {appid, secret, kind?, …}` | adds an account |
 * | `POST /sim/accounts {appid, …}` | changes one: `secret`, `frozen`, `state`, `whitelist` (null: off), `ipConfirmation`, `approve` or `refuse` (an address), `limits` |
 * | `POST /sim/faults {mode, endpoint?, host?, appid?, count?, forSeconds?, processed?, …}` | scripts a fault |
 * | `POST /sim/faults {"clear":true}` | ends all faults; GET shows them |
 * | `POST /sim/knobs {…}` | turns knobs; GET shows them |
 * | `POST /sim/advance {seconds}` | skips time |
 */
import type { SimulatedAccount } from "./account.ts";
import { changeAccount } from "./account-changes.ts";
import { checkFault } from "./faults.ts";

import { isOutage, type Outages } from "./outages.ts";
import type { Platform } from "./platform.ts";
import { type PlatformRequest, parseBody } from "./request.ts";
import { masked, type RequestLog } from "./request-log.ts";
import { stateOf } from "./state.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What the control face acts on. */
export interface Controlled {
	readonly platform: Platform;
	readonly clock: VirtualClock;
	readonly requestLog: RequestLog;
	readonly outages: Outages;
}

export interface ControlAnswer {
	readonly status: number;
	readonly content: unknown;
}

/** Never throws: what is wrong with a request is told to its caller. */
export async function control(
	controlled: Controlled,
	{ method, path, query = {}, body = "" }: PlatformRequest,
): Promise<ControlAnswer> {
	const routes = routesOf(controlled);
	const known = Object.keys(routes).filter((name) => name.endsWith(` ${path}`));
	const route = routes[`${method} ${path}`];
	if (route === undefined)
		return known.length > 0
			? failure(405, `${path} knows only ${known.join(" and ")}`)
			: failure(404, `there is no ${path}`);
	const fields = body === "" ? {} : parseBody(body);
	if (fields === undefined) return failure(400, "the body is not JSON");
	try {
		return { status: 200, content: await route(fields, query) };
	} catch (error) {
		if (error instanceof RangeError) return failure(400, error.message);
		throw error;
	}
}

type Fields = Readonly<Record<string, unknown>>;
type Route = (fields: Fields, query: PlatformRequest["query"]) => unknown;

const mostRequests = 1000;

function routesOf({
	platform,
	clock,
	requestLog,
	outages,
}: Controlled): Readonly<Record<string, Route>> {
	const now = clock.now();
	const faults = () => ({ faults: platform.faults.pending(clock.now()) });
	return {
		"GET /sim/state": () => stateOf(platform, now),
		"GET /sim/requests": (_fields, query) => {
			const since = query?.since;
			const shown =
				since === undefined
					? requestLog.records.slice(-mostRequests)
					: requestLog.records
							.filter(({ id }) => id > Number(since))
							.slice(0, mostRequests);
			return shown.map(masked);
		},
		"POST /sim/foreign-fetch": (fields) => {
			const { interface: via = "classic", force = false } = fields;
			if (via !== "classic" && via !== "stable")
				throw new RangeError("interface is classic or stable");
			platform.foreignFetch(textOf(fields, "appid"), via, now, force === true);
			return {};
		},
		"POST /sim/kill": (fields) => {
			platform.kill(textOf(fields, "appid"), now);
			return {};
		},
		"POST /sim/expire": (fields) => {
			platform.expire(textOf(fields, "appid"), now);
			return {};
		},
		"POST /sim/accounts": (fields) => {
			const appid = textOf(fields, "appid");
			if (platform.account(appid, now) === undefined)
				platform.addAccount(newAccount(fields));
			else changeAccount(platform, appid, fields, now);
			return {};
		},
		"GET /sim/faults": faults,
		"POST /sim/faults": async (fields) => {
			if (fields.clear === true) platform.faults.clear();
			else {
				const fault = checkFault(fields);
				if (isOutage(fault) && !fault.host && !fault.forSeconds)
					throw new RangeError(
						"refusing every host would refuse this control face too: give a host, or forSeconds",
					);
				platform.faults.add(fault, now);
			}
			await outages.settle();
			return faults();
		},
		"GET /sim/knobs": () => platform.knobs,
		"POST /sim/knobs": (fields) => {
			platform.turn(fields);
			return platform.knobs;
		},
		"POST /sim/advance": async ({ seconds }) => {
			if (typeof seconds !== "number" || !(seconds >= 0))
				throw new RangeError("seconds is a number, not below 0");
			clock.advance(seconds);
			await outages.settle();
			return { now: clock.now() };
		},
	};
}

function newAccount(fields: Fields): SimulatedAccount {
	const { kind = "mp" } = fields;
	if (kind !== "mp" && kind !== "mini" && kind !== "test")
		throw new RangeError("kind is mp, mini or test");
	return {
		appid: textOf(fields, "appid"),
		secret: textOf(fields, "secret"),
		kind,
	};
}

function textOf(fields: Fields, name: string): string {
	const value = fields[name];
	if (typeof value !== "string" || value === "")
		throw new RangeError(`${name} is missing`);
	return value;
}

function failure(status: number, error: string): ControlAnswer {
	return { status, content: { error } };
}
