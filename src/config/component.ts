/**
 * 第三方平台 in the configuration: an entry `[[component]]`, and the accounts that have
 * authorised it. These are not configured one by one: WeChat tells of them.
 */
import type { EntryBase, PlatformBase } from "./entry-base.ts";
import { defaultTokenFile, type TicketName } from "./entry-names.ts";

/** What is said of one account alone. */
export interface AuthorizerSettings {
	readonly appid: string;
	readonly file: string | undefined;
	readonly tickets: readonly TicketName[] | undefined;
	readonly formats: readonly "php"[] | undefined;
}

/** A 第三方平台. */
export interface Component extends PlatformBase {
	readonly interface: "component";
	readonly appid: string;
	/** Whose tokens are kept. */
	readonly authorizers: "all" | readonly string[];
	/** For those that have no settings of their own. */
	readonly authorizerTickets: readonly TicketName[];
	readonly settings: readonly AuthorizerSettings[];
}

/** An account that has authorised a component: kept as if it were an own account. */
export interface Authorizer extends EntryBase {
	readonly interface: "authorizer";
	readonly appid: string;
	readonly tickets: readonly TicketName[];
	/** The component's appid. */
	readonly component: string;
	/** The file of the component's token. */
	readonly parent: string;
}

const nothing = {};
const outsideFleet = { fleet: false };

/** The entry of an account; undefined: its tokens are not to be kept. */
export function authorizerOf(
	component: Component,
	appid: string,
): Authorizer | undefined {
	const { authorizers, authorizerTickets, baseUrls } = component;
	if (authorizers !== "all" && !authorizers.includes(appid)) return undefined;
	const own =
		component.settings.length === 0
			? undefined
			: component.settings.find((one) => one.appid === appid);
	// Written out: there may be a hundred thousand.
	return {
		interface: "authorizer",
		appid,
		component: component.appid,
		parent: component.file,
		secret: "",
		file: own?.file ?? defaultTokenFile(appid),
		tickets: own?.tickets ?? authorizerTickets,
		formats: own?.formats ?? component.formats,
		baseUrls,
		timeoutMs: component.timeoutMs,
		refreshBeforeMs: component.refreshBeforeMs,
		cooldownMs: component.cooldownMs,
		budget: component.budget,
		...(component.fleet === false ? outsideFleet : nothing),
	};
}
