/** The entries of a configuration, with the defaults filled in: what is kept, and how. */
import { mapInSteps, type Steps } from "../core/steps.ts";
import type { Component } from "./component.ts";
import type { EntryBase, PushSettings } from "./entry-base.ts";
import {
	type EntryTableName,
	entryTables,
	type TicketName,
	type WecomTicketName,
} from "./entry-names.ts";
import type { Member, Platform, PlatformTable } from "./platform.ts";
import type { ConfigContent } from "./shape.ts";
import type { Suite } from "./suite.ts";

/** A 公众号, 服务号 or 小程序. */
export interface Account extends EntryBase {
	readonly appid: string;
	/** By which endpoint its token is fetched; it tells entries apart, too. */
	readonly interface: "classic" | "stable";
	/** The tickets that are kept beside its token. */
	readonly tickets: readonly TicketName[];
}

/** An app of 企业微信: an own app, a 代开发 app, 会话存档, 客服: all that has a secret for gettoken. */
export interface WecomApp extends EntryBase {
	readonly interface: "wecom";
	readonly corpid: string;
	/** Its agentid, or any word; unique in the corp. */
	readonly name: string;
	readonly tickets: readonly WecomTicketName[];
}

/** A 服务商 of 企业微信, for its provider_access_token. */
export interface Provider extends EntryBase {
	readonly interface: "provider";
	readonly corpid: string;
	readonly tickets: readonly never[];
}

/** Whatever is configured by a table of its own. */
export type ConfiguredEntry = Account | WecomApp | Provider | Platform;

/** The same, and what WeChat tells of. */
export type Entry = ConfiguredEntry | Member;

/** The secrets of the entries, by their tables, in the order of the file; "": none was found. */
export type EntrySecrets = Readonly<Record<EntryTableName, readonly string[]>>;

/** How pushes to the platforms are opened, by their tables, in the order of the file. */
export type EntryPushes = Readonly<
	Record<PlatformTable, readonly PushSettings[]>
>;

/** Names an entry among all: the same one in another configuration has the same key. */
export function entryKeyOf(entry: Entry): string {
	switch (entry.interface) {
		case "classic":
		case "stable":
			return entry.appid;
		// No appid has a blank.
		case "wecom":
			return `${entry.corpid} ${entry.name}`;
		case "provider":
			return `provider ${entry.corpid}`;
		case "component":
			return `component ${entry.appid}`;
		case "suite":
			return `suite ${entry.suiteId}`;
		case "authorizer":
		case "corp":
			// Not a new text for each of a hundred thousand.
			return entry.file;
		default:
			return entry satisfies never;
	}
}

/** What a person calls it: an appid; of others its table as well. */
export function entryNameOf(entry: Entry): string {
	if (entry.interface === "authorizer") return entry.appid;
	if (entry.interface === "corp") return entry.corpid;
	return entry.interface === "wecom"
		? `wecom ${entryKeyOf(entry)}`
		: entryKeyOf(entry);
}

/** Whether it is one of `[[account]]`. */
export function isAccount(entry: Entry): entry is Account {
	return entry.interface === "classic" || entry.interface === "stable";
}

/** From content of the right shape, table by table. */
export function* entriesIn(
	content: ConfigContent,
	secrets: EntrySecrets,
	pushes: EntryPushes,
): Steps<readonly ConfiguredEntry[]> {
	const defaults = content.wechat ?? {};
	const accounts = yield* mapInSteps(
		content.account ?? none,
		(entry, index): Account => {
			const of = { ...defaults, ...entry };
			const appid = alone(entry.appid);
			return {
				appid,
				secret: alone(secrets.account[index] ?? ""),
				file: alone(entry.file ?? entryTables.account.tokenFile([appid])),
				tickets: entry.tickets ?? none,
				formats: entry.formats ?? none,
				interface: of.interface ?? "classic",
				baseUrls: of.base_urls ?? weixinUrls,
				// Written out: a spread takes more memory, and there may be ten thousand.
				timeoutMs: timeoutIn(of),
				refreshBeforeMs: refreshBeforeIn(of),
				cooldownMs: cooldownIn(of),
				budget: budgetIn(of),
				...outsideFleet(entry),
			};
		},
	);
	return [
		...accounts,
		...(content.wecom ?? none).map((entry, index): WecomApp => {
			const { corpid, name } = entry;
			return {
				...{ corpid, name, interface: "wecom" },
				secret: secrets.wecom[index] ?? "",
				file: entry.file ?? entryTables.wecom.tokenFile([corpid, name]),
				tickets: entry.tickets ?? none,
				formats: entry.formats ?? none,
				baseUrls: entry.base_urls ?? qyapiUrls,
				...limitsIn({ ...defaults, ...entry }),
				...outsideFleet(entry),
			};
		}),
		...(content.provider ?? none).map((entry, index): Provider => {
			const { corpid } = entry;
			return {
				...{ corpid, interface: "provider" },
				secret: secrets.provider[index] ?? "",
				file: entry.file ?? entryTables.provider.tokenFile([corpid]),
				tickets: none,
				formats: entry.formats ?? none,
				baseUrls: entry.base_urls ?? qyapiUrls,
				...limitsIn({ ...defaults, ...entry }),
				...outsideFleet(entry),
			};
		}),
		...(content.component ?? none).map((entry, index): Component => {
			const { appid, exchange = true, authorizers = "all" } = entry;
			return {
				...{ appid, exchange, authorizers, interface: "component" },
				secret: secrets.component[index] ?? "",
				file: entry.file ?? entryTables.component.tokenFile([appid]),
				tickets: none,
				formats: entry.formats ?? none,
				push: pushes.component[index] ?? noPushes,
				authorizerTickets: entry.authorizer_tickets ?? none,
				settings: (entry.authorizer ?? none).map((one) => ({
					appid: one.appid,
					file: one.file,
					tickets: one.tickets,
					formats: one.formats,
				})),
				baseUrls: entry.base_urls ?? defaults.base_urls ?? weixinUrls,
				...limitsIn({ ...defaults, ...entry }),
			};
		}),
		...(content.suite ?? none).map((entry, index): Suite => {
			const { suite_id: suiteId, provider } = entry;
			return {
				...{ suiteId, provider, interface: "suite" },
				exchange: entry.exchange ?? true,
				corps: entry.corps ?? "all",
				corpTickets: entry.corp_tickets ?? none,
				secret: secrets.suite[index] ?? "",
				file: entry.file ?? entryTables.suite.tokenFile([suiteId]),
				tickets: none,
				formats: entry.formats ?? none,
				push: pushes.suite[index] ?? noPushes,
				baseUrls: entry.base_urls ?? qyapiUrls,
				...limitsIn({ ...defaults, ...entry }),
			};
		}),
	];
}

/**
 * The same text on its own: in V8 a part of a text holds the whole of it, which here is
 * the file of the configuration.
 */
function alone(text: string): string {
	return Buffer.from(text, "latin1").toString("latin1");
}

/** Most entries say nothing of it, and have no key for it. */
function outsideFleet({ fleet }: { readonly fleet?: boolean | undefined }) {
	return fleet === false ? { fleet } : nothing;
}

/** The keys of `[wechat]` that hold for every entry, as they were written: in seconds. */
interface WrittenLimits {
	readonly timeout?: number | undefined;
	readonly refresh_before?: number | undefined;
	readonly cooldown?: number | undefined;
	readonly budget?: number | undefined;
}

function limitsIn(of: WrittenLimits) {
	return {
		timeoutMs: timeoutIn(of),
		refreshBeforeMs: refreshBeforeIn(of),
		cooldownMs: cooldownIn(of),
		budget: budgetIn(of),
	};
}

function timeoutIn({ timeout = 10 }: WrittenLimits): number {
	return timeout * 1000;
}

function refreshBeforeIn({ refresh_before = 2400 }: WrittenLimits): number {
	return refresh_before * 1000;
}

function cooldownIn({ cooldown = 10 }: WrittenLimits): number {
	return cooldown * 1000;
}

function budgetIn({ budget = 60 }: WrittenLimits): number {
	return budget;
}

/** The second one is only tried if the link to the first one fails. */
const weixinUrls = ["https://api.weixin.qq.com", "https://api2.weixin.qq.com"];

const qyapiUrls = ["https://qyapi.weixin.qq.com"];

const nothing = {};
const noPushes: PushSettings = { token: undefined, keys: [] };

/** One array for all: most of ten thousand accounts have neither tickets nor formats. */
const none: readonly never[] = [];
