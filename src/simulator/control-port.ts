/**
 * The control port: JSON over HTTP under `/sim/` on every port, for tests in any
 * language and for curl. Errors are 400, 404 or 405 with `{"error"}`.
 *
 * | request | does |
 * |---|---|
 * | `GET /sim/state` | accounts, counters, knobs, faults; without secrets and whole tokens |
 * | `GET /sim/requests?since=ID` | the request log after that id, masked; at most 1000 |
 * | `GET /sim/use?access_token=T&for=KIND`, or POST | a business API: accepts a live token (of an account of that kind); so is every path that is not simulated, if `access_token` is in its query |
 * | `POST /sim/foreign-fetch {appid, interface?, force?}` | fetches as another program with this secret |
 * | `POST /sim/foreign-ticket {appid, type?}` | fetches a ticket as another program: if a new one is due, it gets it first |
 * | `POST /sim/tickets {appid, ticket, type?}` | makes this the current ticket, first issued now |
 * | `POST /sim/verify-signature {url, noncestr, timestamp, signature, appid?, type?}` | judges a JS-SDK signature as a phone does: `{"result"}` is `alive`, `dead-ticket` or `invalid` |
 * | `POST /sim/kill {appid}` | ends its tokens at once: uses answer 40001 |
 * | `POST /sim/expire {appid}` | lets its current tokens expire at once: uses answer 42001 |
 * | `POST /sim/accounts {appid, secret, kind?}` | adds an account |
 * | `POST /sim/accounts {appid, …}` | changes one: `secret`, `frozen`, `state`, `whitelist` (null: off), `ipConfirmation`, `approve` or `refuse` (an address), `limits` |
 * | `POST /sim/components {appid, secret}` | adds a 第三方平台 |
 * | `POST /sim/components {appid, …}` | changes one: `secret`, `whitelist` (null: off), `push` (`{url, token, key, formerKey?}`), `kill` (its tokens die), `stopped` (WeChat has given up pushing), `limits` |
 * | `POST /sim/suites {suite_id, secret, provider?}` | adds a suite of 企业微信 |
 * | `POST /sim/suites {suite_id, …}` | changes one: `secret`, `provider`, `trustedIps` (null: off), `push`, `kill` (its token dies: 40082), `stopped` |
 * | `POST /sim/consents {appid, authorizer, push?}` | an account authorises the component: `{auth_code, expires_in}`; the event is pushed unless `push` is false |
 * | `POST /sim/consents {suite_id, corpid, push?}` | a corp authorises the suite, the same |
 * | `POST /sim/changes {suite_id, corpid}` | a corp changes what it allows |
 * | `POST /sim/resets {suite_id, corpid, push?}` | 重新获取secret: `{auth_code}` for another permanent code |
 * | `POST /sim/url-checks {suite_id}` | 企业微信 checks the URL of pushes: `{"outcome"}` |
 * | `POST /sim/withdrawals {appid, authorizer, push?}` | an account withdraws; a corp: `{suite_id, corpid, push?}` |
 * | `POST /sim/authorizers {appid, count, prefix?}` | adds that many accounts, which have authorised long ago |
 * | `POST /sim/push {appid or suite_id, infoType?, fields?, flaw?, olderSeconds?}` | pushes once, now: a new ticket, or that event; `{"outcome"}` |
 * | `GET /sim/pushes` | the last 1000 tries to push, and how they were answered |
 * | `POST /sim/wecom {corpid, secret, provider?}` | adds an app of 企业微信, or changes it: `newSecret`, `disabled`, `trustedIps` (null: off), `kill` (its token dies: 40014) |
 * | `POST /sim/faults {mode, endpoint?, host?, appid?, count?, forSeconds?, processed?, …}` | adds a fault |
 * | `POST /sim/faults {"clear":true}` | removes all faults; GET shows them |
 * | `POST /sim/knobs {…}` | changes knobs; GET shows them |
 * | `POST /sim/advance {seconds}` | skips time |
 *
 * The `type` of a ticket is `jsapi` (default), `wx_card` or `2`; for a signature also `agent_config`.
 */
import type { SimulatedAccount } from "./accounts.ts";
import {
	type Controlled,
	type Fields,
	type Routes,
	textOf,
} from "./control-fields.ts";
import { platformRoutes } from "./control-platforms.ts";
import { checkFault, isOutage } from "./faults.ts";
import { type CompleteRequest, parseBody } from "./http-messages.ts";
import type { Knobs } from "./knobs.ts";
import { changeAccount } from "./operator.ts";
import { viewOf } from "./platform-view.ts";
import { masked } from "./request-log.ts";
import type { PageSignature } from "./ticket-signature.ts";
import { isTicketType, type TicketType, ticketTypes } from "./tickets.ts";
import { addWecomApp } from "./wecom.ts";

/** An HTTP status with its JSON content. */
export interface ControlAnswer {
	readonly status: number;
	readonly content: unknown;
}

/** `/sim/use` is a business API: the platform answers it, and faults can hit it. */
export function isControlPath(path: string): boolean {
	return path.startsWith("/sim/") && path !== "/sim/use";
}

/** Answers a request to the control port. A wrong request is answered, not thrown. */
export async function answerControl(
	controlled: Controlled,
	{ method, path, query, body }: CompleteRequest,
): Promise<ControlAnswer> {
	const routes = routesOf(controlled);
	// A wrong method on a known path gets 405 with the methods that it has.
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

function routesOf(controlled: Controlled): Routes {
	return {
		...readingRoutes(controlled),
		...accountRoutes(controlled),
		...ticketRoutes(controlled),
		...platformRoutes(controlled),
		...wecomRoutes(controlled),
		...conditionRoutes(controlled),
	};
}

/** Bounds one answer. A client gets the rest with `since`. */
const maxRequests = 1000;

function readingRoutes({ platform, requests, now }: Controlled): Routes {
	return {
		"GET /sim/state": () => viewOf(platform, now()),
		"GET /sim/requests": (_fields, { since }) => {
			const shown =
				since === undefined
					? requests.slice(-maxRequests)
					: requests
							.filter(({ id }) => id > Number(since))
							.slice(0, maxRequests);
			return shown.map(masked);
		},
	};
}

function accountRoutes({ platform, now }: Controlled): Routes {
	return {
		"POST /sim/foreign-fetch": (fields) => {
			const { interface: via = "classic", force = false } = fields;
			if (via !== "classic" && via !== "stable")
				throw new RangeError("interface is classic or stable");
			const appid = textOf(fields, "appid");
			platform.foreignFetch(appid, via, now(), force === true);
			return {};
		},
		"POST /sim/kill": (fields) => {
			platform.kill(textOf(fields, "appid"), now());
			return {};
		},
		"POST /sim/expire": (fields) => {
			platform.expire(textOf(fields, "appid"), now());
			return {};
		},
		"POST /sim/accounts": (fields) => {
			const appid = textOf(fields, "appid");
			if (platform.account(appid, now()) === undefined) {
				platform.addAccount(newAccount(fields));
				return {};
			}
			changeAccount(platform, appid, fields, now());
			return delaysOf(fields, platform.knobs);
		},
	};
}

/** When the changes act that WeChat, too, lets wait: a person would take them for refused. */
function delaysOf(fields: Fields, knobs: Knobs): object {
	const delays = [
		["whitelist", "whitelistDelaySeconds"],
		["frozen", "freezeDelaySeconds"],
	] as const;
	const pending = delays
		.filter(([field, knob]) => Object.hasOwn(fields, field) && knobs[knob] > 0)
		.map(([field, knob]) => ({ field, actsInSeconds: knobs[knob], knob }));
	const [first] = pending;
	if (first === undefined) return {};
	const longest = Math.max(...pending.map((one) => one.actsInSeconds));
	return {
		pending,
		hint: `as with WeChat it acts later, each change after its own wait; to have it now: POST /sim/advance {"seconds":${longest}}, or before the change POST /sim/knobs {"${first.knob}":0}`,
	};
}

function ticketRoutes({ platform, now }: Controlled): Routes {
	return {
		"POST /sim/foreign-ticket": (fields) => {
			const appid = textOf(fields, "appid");
			platform.foreignTicket(appid, ticketTypeOf(fields), now());
			return {};
		},
		"POST /sim/tickets": (fields) => {
			const [appid, ticket] = [
				textOf(fields, "appid"),
				textOf(fields, "ticket"),
			];
			platform.putTicket(appid, ticketTypeOf(fields), ticket, now());
			return {};
		},
		"POST /sim/verify-signature": (fields) => ({
			result: platform.verifySignature(pageSignatureOf(fields), now()),
		}),
	};
}

function wecomRoutes({ platform }: Controlled): Routes {
	const { wecom } = platform.state;
	return {
		"POST /sim/wecom": (fields) => {
			const [corpid, secret] = [
				textOf(fields, "corpid"),
				textOf(fields, "secret"),
			];
			const app =
				wecom.apps.find(
					(one) => one.corpid === corpid && one.secret === secret,
				) ??
				addWecomApp(wecom, {
					...{ corpid, secret },
					isProvider: fields.provider === true,
				});
			const { newSecret, disabled, trustedIps, kill } = fields;
			if (newSecret !== undefined) app.secret = textOf(fields, "newSecret");
			if (typeof disabled === "boolean") app.isDisabled = disabled;
			if (trustedIps !== undefined)
				app.trustedIps =
					trustedIps === null ? undefined : [trustedIps].flat().map(String);
			if (kill === true && app.current !== undefined)
				app.current.isInvalid = true;
			return { agentId: app.agentId };
		},
	};
}

/** Faults, knobs and time: the conditions of a test. */
function conditionRoutes(controlled: Controlled): Routes {
	const { platform, now } = controlled;
	const faults = () => ({ faults: platform.faults.pending(now()) });
	return {
		"GET /sim/faults": faults,
		"POST /sim/faults": async (fields) => {
			if (fields.clear === true) await controlled.clearFaults();
			else {
				const fault = checkFault(fields);
				if (isOutage(fault) && !fault.host && !fault.forSeconds)
					throw new RangeError(
						"refusing every host would refuse this control face too: give a host, or forSeconds",
					);
				await controlled.addFault(fault);
			}
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
			await controlled.advance(seconds);
			return { now: now() };
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

/** A timestamp may be a JSON number: its digits are signed. */
function pageSignatureOf(fields: Fields): PageSignature {
	const { timestamp } = fields;
	return {
		url: textOf(fields, "url"),
		noncestr: textOf(fields, "noncestr"),
		timestamp: Number.isSafeInteger(timestamp)
			? String(timestamp)
			: textOf(fields, "timestamp"),
		signature: textOf(fields, "signature"),
		type:
			fields.type === "agent_config" ? "agent_config" : ticketTypeOf(fields),
		...(fields.appid === undefined ? {} : { appid: textOf(fields, "appid") }),
	};
}

function ticketTypeOf({ type = "jsapi" }: Fields): TicketType {
	if (!isTicketType(type))
		throw new RangeError(`type is one of ${ticketTypes.join(", ")}`);
	return type;
}

function failure(status: number, error: string): ControlAnswer {
	return { status, content: { error } };
}
