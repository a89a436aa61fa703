/** The entries of a configuration, with the defaults filled in: what is kept, and how. */
import {
	type EntryTableName,
	entryTables,
	type TicketName,
	type WecomTicketName,
} from "./entry-names.ts";
import type { ConfigContent } from "./shape.ts";

/** What every entry has, whatever it is an entry of. */
interface EntryBase {
	/** "" if secrets were not asked for, or a follower has none. */
	readonly secret: string;
	/** The token file's name in the directory, unique among all entries. */
	readonly file: string;
	/** Copies of each of its files: "php" as the sample of WeChat's JS-SDK reads them. */
	readonly formats: readonly "php"[];
	/** In the order in which they are tried; at least one. */
	readonly baseUrls: readonly string[];
	/** For a whole request. */
	readonly timeoutMs: number;
	/** How long before its end a token becomes due. */
	readonly refreshBeforeMs: number;
	/** As in `Limits`; only `once` sets it. */
	readonly refreshEarly?: boolean;
	/** Between two forced refreshes. */
	readonly cooldownMs: number;
	/** The most calls to WeChat in one token lifetime. */
	readonly budget: number;
	/** False: this host keeps it alone. */
	readonly fleet?: boolean;
}

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
export type Entry = Account | WecomApp | Provider;

/** The secrets of the entries, by their tables, in the order of the file; "": none was found. */
export type EntrySecrets = Readonly<Record<EntryTableName, readonly string[]>>;

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
		default:
			return entry satisfies never;
	}
}

/** What a person calls it: an appid; of others its table as well. */
export function entryNameOf(entry: Entry): string {
	return entry.interface === "wecom"
		? `wecom ${entryKeyOf(entry)}`
		: entryKeyOf(entry);
}

/** Whether it is one of `[[account]]`. */
export function isAccount(entry: Entry): entry is Account {
	return "appid" in entry;
}

/** From content of the right shape; all accounts, then all apps, then all providers. */
export function entriesIn(
	content: ConfigContent,
	secrets: EntrySecrets,
): readonly Entry[] {
	const defaults = content.wechat ?? {};
	return [
		...(content.account ?? none).map((entry, index): Account => {
			const of = { ...defaults, ...entry };
			return {
				appid: entry.appid,
				secret: secrets.account[index] ?? "",
				file: entry.file ?? entryTables.account.tokenFile([entry.appid]),
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
		}),
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
	];
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

/** One array for all: most of ten thousand accounts have neither tickets nor formats. */
const none: readonly never[] = [];
