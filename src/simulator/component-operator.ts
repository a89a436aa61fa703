/** What people do with components: consents, withdrawals, changes in the console. */
import type { PlatformState } from "./accounts.ts";
import {
	type Component,
	createAuthorizer,
	createComponent,
	endTokensOf,
	makeAuthCode,
	type PushTarget,
	renewRefreshToken,
	type SimulatedComponent,
} from "./components.ts";
import type { PushEvent } from "./pushes.ts";
import type { Limit } from "./quotas.ts";

/** A consent: the code that the redirect carries, and the event, if one is pushed. */
export interface Consent {
	readonly code: string;
	readonly expiresIn: number;
	readonly event: PushEvent | undefined;
}

/** Changes to a component; what is absent stays. */
export interface ComponentChanges {
	readonly secret?: string;
	/** null: every address may call. */
	readonly whitelist?: readonly string[] | null;
	readonly push?: PushTarget;
	/** Ends its tokens at once: a use of them gets 40001. */
	readonly kill?: boolean;
	/** WeChat has given up pushing, or has not. */
	readonly stopped?: boolean;
	readonly limits?: Partial<Component["limits"]>;
}

export interface ComponentOperator {
	addComponent(given: SimulatedComponent): void;
	component(appid: string): Component | undefined;
	components(): Iterable<Component>;
	/** @throws RangeError for an unknown component */
	changeComponent(
		appid: string,
		changes: ComponentChanges,
		nowMs: number,
	): void;
	/**
	 * An account authorises, or authorises again: U26.
	 *
	 * @throws RangeError for an unknown component
	 */
	consent(appid: string, authorizer: string, nowMs: number): Consent;
	/**
	 * An account withdraws: U27. Returns the event.
	 *
	 * @throws RangeError for an unknown component or account
	 */
	withdraw(appid: string, authorizer: string, nowMs: number): PushEvent;
	/** Adds that many accounts, which have authorised long ago: `prefix` and a number. Returns how many there are. */
	loadAuthorizers(
		appid: string,
		prefix: string,
		count: number,
		nowMs: number,
	): number;
}

export function createComponentOperator(
	state: PlatformState,
): ComponentOperator {
	const known = (appid: string): Component => {
		const component = state.components.get(appid);
		if (component === undefined)
			throw new RangeError(`there is no component ${JSON.stringify(appid)}`);
		return component;
	};
	return {
		addComponent: (given) => {
			state.components.set(given.appid, createComponent(given));
		},
		component: (appid) => state.components.get(appid),
		components: () => state.components.values(),
		changeComponent: (appid, changes, nowMs) =>
			change(known(appid), changes, nowMs),
		consent: (appid, authorizer, nowMs) =>
			consent(state, known(appid), authorizer, nowMs),
		withdraw: (appid, authorizer, nowMs) => {
			const found = known(appid).authorizers.get(authorizer);
			if (found === undefined)
				throw new RangeError(`${authorizer} has not authorised ${appid}`);
			found.isCancelled = true;
			if (state.knobs.cancelKillsTokens) endTokensOf(found, nowMs, nowMs);
			return {
				infoType: "unauthorized",
				fields: { AuthorizerAppid: authorizer },
			};
		},
		loadAuthorizers: (appid, prefix, count, nowMs) => {
			const { authorizers } = known(appid);
			for (let number = 0; number < count; number += 1) {
				const name = `${prefix}${String(number).padStart(6, "0")}`;
				const one = createAuthorizer(name, state.random, nowMs);
				one.isExchanged = true;
				authorizers.set(name, one);
			}
			return authorizers.size;
		},
	};
}

function change(
	component: Component,
	{ secret, whitelist, push, kill, stopped, limits }: ComponentChanges,
	nowMs: number,
): void {
	if (secret !== undefined) component.secret = secret;
	if (whitelist !== undefined) component.whitelist = whitelist ?? undefined;
	if (push !== undefined) component.push = push;
	if (stopped !== undefined) component.isStopped = stopped;
	component.limits = { ...component.limits, ...limits };
	const { current, former } = component.line;
	for (const token of kill === true ? [current, ...former] : [])
		if (token !== undefined) {
			token.endsAt = Math.min(token.endsAt, nowMs);
			token.endsBy = "revoked";
		}
}

function consent(
	state: PlatformState,
	component: Component,
	appid: string,
	nowMs: number,
): Consent {
	const { authorizers } = component;
	const before = authorizers.get(appid);
	const isAgain = before !== undefined && !before.isCancelled;
	const one = before ?? createAuthorizer(appid, state.random, nowMs);
	// At the end of the list again, as the newest.
	authorizers.delete(appid);
	authorizers.set(appid, one);
	one.isCancelled = false;
	one.authorizedAt = nowMs;
	const { reconsent } = state.knobs;
	if (before !== undefined && (!isAgain || reconsent !== "same"))
		renewRefreshToken(one, state.random, nowMs);
	const { value, madeAt } = makeAuthCode(component, appid, state.random, nowMs);
	const expiresAt = Math.floor(madeAt / 1000) + 3600;
	const event: PushEvent = {
		infoType: isAgain ? "updateauthorized" : "authorized",
		fields: {
			AuthorizerAppid: appid,
			AuthorizationCode: value,
			AuthorizationCodeExpiredTime: expiresAt,
			PreAuthCode: `preauthcode@@@${state.random.text(86)}`,
		},
	};
	const isSilent = isAgain && reconsent !== "new-with-event";
	return { code: value, expiresIn: 3600, event: isSilent ? undefined : event };
}

/** The limits in a control request. @throws RangeError for anything else */
export function componentLimitsIn(
	given: unknown,
): Partial<Component["limits"]> {
	const limits: Record<string, Limit> = {};
	for (const [name, limit] of Object.entries(Object(given))) {
		const { perDay, perMinute = 1e9 } = Object(limit);
		if (
			!["api_component_token", "api_authorizer_token"].includes(name) ||
			!(perDay >= 0)
		)
			throw new RangeError(
				`there is no limit ${JSON.stringify(name)} of this kind`,
			);
		limits[name] = { perDay, perMinute };
	}
	return limits;
}
