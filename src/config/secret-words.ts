/** What a secret of each table is called and looks like, and whether two were mixed up. */
import { type EntryTableName, entryTables } from "./entry-names.ts";

/** How a person knows a secret. */
export interface SecretWords {
	/** As the console calls it. */
	readonly name: string;
	/** The same with its article. */
	readonly one: string;
	/** What each one that was ever issued looks like; absent: not documented. */
	readonly looks?: RegExp;
	/** What it consists of, in words. */
	readonly characters: string;
}

const appSecret = /^[0-9a-f]{32}$/i;
const wecomSecret = /^[\w-]{43}$/;

/** Of the entries of each table. */
export const secretWords = {
	account: {
		name: "AppSecret",
		one: "an AppSecret",
		looks: appSecret,
		characters: "32 characters of 0-9 a-f",
	},
	wecom: {
		name: "Secret of the app",
		one: "a Secret of 企业微信",
		looks: wecomSecret,
		characters: "43 characters of A-Z a-z 0-9 _ -",
	},
	provider: {
		name: "ProviderSecret",
		one: "a ProviderSecret",
		characters: "the characters that the console shows",
	},
	component: {
		name: "AppSecret of the component",
		one: "the AppSecret of a component",
		looks: appSecret,
		characters: "32 characters of 0-9 a-f",
	},
	suite: {
		name: "Secret of the suite",
		one: "the Secret of a suite",
		characters: "the characters that the console shows",
	},
} as const satisfies Readonly<Record<EntryTableName, SecretWords>>;

/** Whether it looks like a secret of any kind: no name does. */
export function looksLikeSecret(text: string): boolean {
	return appSecret.test(text) || wecomSecret.test(text);
}

/**
 * The same without what may be a secret that was pasted there, whole or in part; only its
 * first four characters are left, by which its owner knows it.
 */
export function withoutSecrets(text: string): string {
	return text.replace(
		/[0-9a-f]{24,}|[\w-]{43,}/gi,
		(found) => `${found.slice(0, 4)}…`,
	);
}

/** A key whose value belongs to another key, or to another table. */
export interface Confusion {
	readonly key: string;
	/** Shows no value: each may be a secret. */
	readonly message: string;
}

/** `secret`: "" if there is none. Undefined: nothing is mixed up, as far as can be told. */
export function confusionIn(
	table: EntryTableName,
	entry: Readonly<Record<string, unknown>>,
	secret: string,
): Confusion | undefined {
	const [key] = entryTables[table].idKeys;
	const { [key]: id } = entry;
	if (typeof id !== "string") return undefined;
	if (secret !== "" && id === secret)
		return {
			key,
			message: `is the same as the ${secretWords[table].name}; expected the ${idNames[key]} beside it in the console`,
		};
	if (looksLikeSecret(id) && /^(w[wx]|dk)/.test(secret))
		return {
			key,
			message: `looks like ${secretWords[table].one}, and the secret like an id; expected them the other way round`,
		};
	if (realId.test(secret))
		return {
			key: "secret",
			message: `looks like an id, which begins with wx or ww; expected ${secretWords[table].one}, which has ${secretWords[table].characters}`,
		};
	// Their ids look like those of all others, and their secrets are not documented.
	if (table === "suite") return undefined;
	return table === "account" || table === "component"
		? (ofOriginalId(id) ?? ofWecom(id, secret))
		: ofAccount(table, id, secret);
}

/** What the consoles call an id. */
const idNames = {
	appid: "AppID",
	corpid: "企业ID",
	suite_id: "SuiteID",
} as const;

/** An appid or a corpid, as each one is that was ever issued. */
const realId = /^w[wx][0-9a-f]{16}$/;

/** What is doubtful about a secret that may be right all the same; shows nothing of it. */
export function doubtAbout(
	entry: Readonly<Record<string, unknown>>,
	secret: string,
): string | undefined {
	const { appid } = entry;
	const isCut = /^[0-9a-f]+$/.test(secret) && secret.length !== 32;
	return isCut && typeof appid === "string" && realId.test(appid)
		? `the AppSecret of ${appid} has ${secret.length} characters, and each one that WeChat issues has 32: see that it was copied as a whole`
		: undefined;
}

/** The console shows both, and only one of them is the AppID. */
function ofOriginalId(appid: string): Confusion | undefined {
	return /^gh_[0-9a-f]{12}$/.test(appid)
		? {
				key: "appid",
				message:
					"is an original id (原始ID); expected the AppID (开发者ID), which begins with wx (公众号: 设置与开发 → 基本配置; 小程序: 开发管理 → 开发设置)",
			}
		: undefined;
}

/** Whether what stands below [[account]] is of 企业微信. */
function ofWecom(appid: string, secret: string): Confusion | undefined {
	if (/^ww[0-9a-f]{16}$/.test(appid))
		return {
			key: "appid",
			message:
				"is a corpid of 企业微信; expected an appid, which begins with wx; a corpid belongs below [[wecom]]",
		};
	if (!wecomSecret.test(secret)) return undefined;
	return {
		key: "secret",
		message:
			"has 43 characters, as a Secret of 企业微信 has; expected the AppSecret with its 32; an app of 企业微信 belongs below [[wecom]]",
	};
}

/** Whether what stands below [[wecom]] or [[provider]] is of a 公众号 or 小程序. */
function ofAccount(
	table: "wecom" | "provider",
	corpid: string,
	secret: string,
): Confusion | undefined {
	if (!appSecret.test(secret)) return undefined;
	const isAppid = /^wx[0-9a-f]{16}$/.test(corpid);
	return isAppid
		? {
				key: "corpid",
				message:
					"is the appid of a 公众号 or 小程序, as the AppSecret beside it shows; expected a corpid, which begins with ww; an appid belongs below [[account]]",
			}
		: {
				key: "secret",
				message: `has 32 characters of 0-9 a-f, as an AppSecret of a 公众号 or 小程序 has; expected ${secretWords[table].one}, which has ${secretWords[table].characters}`,
			};
}
