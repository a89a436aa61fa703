/** The routes of the control port for those who get pushes: 第三方平台 and suites. */
import { componentLimitsIn } from "./component-operator.ts";
import type { Component, PushTarget } from "./components.ts";
import {
	type Controlled,
	type Fields,
	type Routes,
	textOf,
} from "./control-fields.ts";
import type { Platform } from "./platform.ts";
import {
	type Pushes,
	type PushFlaw,
	pushFlaws,
	type Subscriber,
	ticketEvent,
} from "./pushes.ts";
import type { SuiteChanges } from "./suite-operator.ts";
import { type Suite, suiteCodeMs } from "./suites.ts";

export function platformRoutes(controlled: Controlled): Routes {
	return {
		...componentRoutes(controlled),
		...suiteRoutes(controlled),
		...pushRoutes(controlled),
	};
}

function componentRoutes({ platform, pushes, now }: Controlled): Routes {
	return {
		"POST /sim/components": (fields) => {
			const appid = textOf(fields, "appid");
			if (platform.component(appid) === undefined)
				platform.addComponent({ appid, secret: textOf(fields, "secret") });
			platform.changeComponent(appid, componentChangesIn(fields), now());
			return {};
		},
		"POST /sim/consents": (fields) => {
			if (fields.suite_id !== undefined)
				return consentOfCorp(fields, platform, pushes, now());
			const component = componentIn(platform, fields);
			const authorizer = textOf(fields, "authorizer");
			const { code, expiresIn, event } = platform.consent(
				component.appid,
				authorizer,
				now(),
			);
			if (event !== undefined && fields.push !== false)
				void pushes.deliver(component, event);
			return { auth_code: code, expires_in: expiresIn };
		},
		"POST /sim/withdrawals": (fields) => {
			if (fields.suite_id !== undefined)
				return withdrawalOfCorp(fields, platform, pushes);
			const component = componentIn(platform, fields);
			const authorizer = textOf(fields, "authorizer");
			const event = platform.withdraw(component.appid, authorizer, now());
			if (fields.push !== false) void pushes.deliver(component, event);
			return {};
		},
		"POST /sim/authorizers": (fields) => {
			const { appid } = componentIn(platform, fields);
			const { count, prefix = "wxa" } = fields;
			if (!Number.isInteger(count)) throw new RangeError("count is missing");
			return {
				authorizers: platform.loadAuthorizers(
					appid,
					String(prefix),
					Number(count),
					now(),
				),
			};
		},
	};
}

function componentIn(platform: Platform, fields: Fields): Component {
	const appid = textOf(fields, "appid");
	const component = platform.component(appid);
	if (component === undefined)
		throw new RangeError(`there is no component ${JSON.stringify(appid)}`);
	return component;
}

function suiteIn(platform: Platform, fields: Fields): Suite {
	const suiteId = textOf(fields, "suite_id");
	const suite = platform.suite(suiteId);
	if (suite === undefined)
		throw new RangeError(`there is no suite ${JSON.stringify(suiteId)}`);
	return suite;
}

function consentOfCorp(
	fields: Fields,
	platform: Platform,
	pushes: Pushes,
	nowMs: number,
) {
	const suite = suiteIn(platform, fields);
	const corpid = textOf(fields, "corpid");
	const given = platform.authorizeSuite(suite.suiteId, corpid, nowMs);
	if (fields.push !== false) void pushes.deliver(suite, given.event);
	return { auth_code: given.code, expires_in: suiteCodeMs / 1000 };
}

function withdrawalOfCorp(fields: Fields, platform: Platform, pushes: Pushes) {
	const suite = suiteIn(platform, fields);
	const corpid = textOf(fields, "corpid");
	const event = platform.withdrawSuite(suite.suiteId, corpid);
	if (fields.push !== false) void pushes.deliver(suite, event);
	return {};
}

function suiteRoutes({ platform, pushes, now }: Controlled): Routes {
	return {
		"POST /sim/suites": (fields) => {
			const suiteId = textOf(fields, "suite_id");
			if (platform.suite(suiteId) === undefined)
				platform.addSuite({ suiteId, secret: textOf(fields, "secret") });
			platform.changeSuite(suiteId, suiteChangesIn(fields));
			return {};
		},
		"POST /sim/changes": (fields) => {
			const suite = suiteIn(platform, fields);
			const corpid = textOf(fields, "corpid");
			const event = platform.changeSuiteCorp(suite.suiteId, corpid);
			void pushes.deliver(suite, event);
			return {};
		},
		"POST /sim/resets": (fields) => {
			const suite = suiteIn(platform, fields);
			const corpid = textOf(fields, "corpid");
			const given = platform.resetSuiteCode(suite.suiteId, corpid, now());
			if (fields.push !== false) void pushes.deliver(suite, given.event);
			return { auth_code: given.code };
		},
		"POST /sim/url-checks": async (fields) => ({
			outcome: await pushes.checkUrl(suiteIn(platform, fields)),
		}),
	};
}

/** @throws RangeError for a wrong field */
function suiteChangesIn(fields: Fields): SuiteChanges {
	const { secret, provider, trustedIps, push, kill, stopped } = fields;
	return {
		...(secret === undefined ? {} : { secret: textOf(fields, "secret") }),
		...(provider === undefined ? {} : { provider: textOf(fields, "provider") }),
		...(trustedIps === undefined
			? {}
			: { trustedIps: addressesIn(trustedIps) }),
		...(push === undefined ? {} : { push: pushTargetIn(Object(push)) }),
		kill: kill === true,
		...(typeof stopped === "boolean" ? { stopped } : {}),
	};
}

/** null: every address. */
function addressesIn(given: unknown): readonly string[] | null {
	return given === null ? null : [given].flat().map(String);
}

function pushRoutes({ platform, pushes, now }: Controlled): Routes {
	const subscriberIn = (fields: Fields): Subscriber =>
		fields.suite_id === undefined
			? componentIn(platform, fields)
			: suiteIn(platform, fields);
	return {
		"POST /sim/push": async (fields) => {
			const subscriber = subscriberIn(fields);
			const { infoType, olderSeconds = 0, flaw } = fields;
			if (flaw !== undefined && !pushFlaws.some((one) => one === flaw))
				throw new RangeError(`flaw is one of ${pushFlaws.join(", ")}`);
			const event =
				infoType === undefined
					? ticketEvent(platform.state, subscriber, now())
					: { infoType: String(infoType), fields: Object(fields.fields) };
			return pushes.push(subscriber, event, {
				olderSeconds: Number(olderSeconds),
				...(flaw === undefined ? {} : { flaw: flaw as PushFlaw }),
			});
		},
		"GET /sim/pushes": () => pushes.records,
	};
}

/** @throws RangeError for a wrong field */
function componentChangesIn(fields: Fields) {
	const { secret, whitelist, push, kill, stopped, limits } = fields;
	return {
		...(secret === undefined ? {} : { secret: textOf(fields, "secret") }),
		...(whitelist === undefined ? {} : { whitelist: addressesIn(whitelist) }),
		...(push === undefined ? {} : { push: pushTargetIn(Object(push)) }),
		...(limits === undefined ? {} : { limits: componentLimitsIn(limits) }),
		kill: kill === true,
		...(typeof stopped === "boolean" ? { stopped } : {}),
	};
}

function pushTargetIn(fields: Fields): PushTarget {
	return {
		url: textOf(fields, "url"),
		token: textOf(fields, "token"),
		key: textOf(fields, "key"),
		...(fields.formerKey === undefined
			? {}
			: { formerKey: textOf(fields, "formerKey") }),
	};
}
