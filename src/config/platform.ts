/**
 * What 第三方平台 and suites have in common: both are platforms. Others authorise them, and
 * are then kept as their members: accounts (公众号, 小程序) or corps.
 */
import { type Authorizer, authorizerOf, type Component } from "./component.ts";
import { type Corp, corpOf, type Suite } from "./suite.ts";

/** A 第三方平台 or a suite. */
export type Platform = Component | Suite;

/** An account or a corp that has authorised a platform. */
export type Member = Authorizer | Corp;

/** The tables of the configuration that hold platforms. */
export const platformTables = ["component", "suite"] as const;
export type PlatformTable = (typeof platformTables)[number];

/** Whether it is an entry of one of these tables. */
export function isPlatform<T extends { readonly interface: string }>(
	entry: T,
): entry is Extract<T, Platform> {
	return platformTables.some((table) => table === entry.interface);
}

/** Its appid, or its suite_id. */
export function platformIdOf(platform: Platform): string {
	return platform.interface === "component" ? platform.appid : platform.suiteId;
}

/** The entry of a member, by its appid or corpid; undefined: it is not to be kept. */
export function memberOf(platform: Platform, id: string): Member | undefined {
	return platform.interface === "component"
		? authorizerOf(platform, id)
		: corpOf(platform, id);
}

/** Where a member belongs: its platform, and its own id there (an appid, or a corpid). */
export interface Belonging {
	readonly table: PlatformTable;
	readonly platform: string;
	readonly id: string;
}

export function belongingOf(member: Member): Belonging {
	return member.interface === "authorizer"
		? { table: "component", platform: member.component, id: member.appid }
		: { table: "suite", platform: member.suite, id: member.corpid };
}

/** Whether WeChat tells of it, and not the configuration. */
export function isMember<T extends { readonly interface: string }>(
	entry: T,
): entry is Extract<T, Member> {
	return entry.interface === "authorizer" || entry.interface === "corp";
}
