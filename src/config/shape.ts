/**
 * The shape of the configuration file: its keys, and what each of them may hold. Every
 * problem says what stands there and what was expected.
 */
import { isAbsolute } from "node:path";
import * as v from "valibot";
import type { ConfigProblem } from "../core/errors.ts";
import { logLevels } from "../core/log-level.ts";
import type { Steps } from "../core/steps.ts";
import { alertFormats, alertLanguages } from "./alert-settings.ts";
import { cronProblem } from "./cron.ts";
import {
	type EntryTableName,
	entryTableNames,
	entryTables,
	ticketNames,
	wecomTicketNames,
} from "./entry-names.ts";
import { fleetKeys } from "./fleet.ts";
import { addressIn, listenRule } from "./http-address.ts";
import {
	forwardRule,
	isForwardUrl,
	isReceiverListen,
	receiverListenRule,
} from "./receiver.ts";
import { looksLikeSecret, withoutSecrets } from "./secret-words.ts";
import { nearestName } from "./toml-words.ts";

/**
 * The problems of the shape, and the typed content without the wrong keys. `content`
 * is undefined if a wrong key cannot be left out. It is needed even with problems, so
 * that one run reports those that are found later, too.
 */
export function* checkShape(
	content: Readonly<Record<string, unknown>>,
): Steps<CheckedShape> {
	const right = yield* rightInParts(content);
	return right === undefined
		? findProblems(content)
		: { content: right, problems: [] };
}

export interface CheckedShape {
	readonly content: ConfigContent | undefined;
	readonly problems: readonly ConfigProblem[];
}

/** Tables that are checked at a time. */
const tablesInPart = 64;

/** The content, some tables at a time. Undefined: something is wrong. */
function* rightInParts(
	content: Readonly<Record<string, unknown>>,
): Steps<ConfigContent | undefined> {
	const { account, ...rest } = content;
	const isLong = Array.isArray(account) && account.length > tablesInPart;
	const first = v.safeParse(
		fileSchema,
		isLong ? { ...rest, account: account.slice(0, tablesInPart) } : content,
	);
	if (!first.success) return undefined;
	if (!isLong) return first.output;
	const accounts = [...(first.output.account ?? [])];
	for (let at = tablesInPart; at < account.length; at += tablesInPart) {
		yield;
		const part = account.slice(at, at + tablesInPart);
		const { success, output } = v.safeParse(accountTables, part);
		if (!success || output === undefined) return undefined;
		for (const one of output) accounts.push(one);
	}
	return { ...first.output, account: accounts };
}

/** Of a content that is not right. */
function findProblems(content: unknown): CheckedShape {
	// The input is never changed: wrong keys are removed from copies.
	let rest = content;
	const problems: ConfigProblem[] = [];
	for (;;) {
		const { success, output, issues = [] } = v.safeParse(fileSchema, rest);
		if (success) return { content: output, problems };
		// Valibot reports one unknown key of a table at a time, so it runs again without
		// the wrong keys. A problem of another kind that appears then is our own doing: a
		// key that was taken away is missing.
		const found = problems.length === 0 ? issues : issues.filter(isUnknownKey);
		if (found.length === 0) return { content: undefined, problems };
		problems.push(...found.map(problemOf));
		rest = structuredClone(rest);
		for (const { path } of issues)
			removeAt(rest, path?.map(({ key }) => String(key)) ?? []);
	}
}

/** Valibot marks an unknown key as one of type `never`. */
function isUnknownKey({ type, expected }: v.BaseIssue<unknown>): boolean {
	return type === "strict_object" && expected === "never";
}

/** Removes a key; for an element of a list, the whole list. */
function removeAt(tree: unknown, [key = "", ...deeper]: readonly string[]) {
	if (typeof tree !== "object" || tree === null) return;
	const branch = (tree as Record<string, unknown>)[key];
	const isLeaf =
		deeper.length === 0 || (deeper.length === 1 && Array.isArray(branch));
	if (isLeaf) Reflect.deleteProperty(tree, key);
	else removeAt(branch, deeper);
}

/** A value as it stands in the file, shortened; never one that may be a secret. */
export function show(value: unknown, key = ""): string {
	// A robot's address is a secret, too.
	if (/secret|bearer|^url|token_file|aes_key/.test(key)) return "not usable";
	switch (typeof value) {
		case "string":
			return showText(value, key);
		case "number":
			// TOML has its own names for these.
			return String(value).replace("Infinity", "inf").replace("NaN", "nan");
		case "object":
			if (Array.isArray(value)) return `an array of ${value.length}`;
			return value instanceof Date ? "a date" : "a table";
		default:
			return String(value);
	}
}

/** By the key: a user may have written a secret in the wrong place. */
function showText(text: string, key: string): string {
	// The text in place of a table may hold its secret.
	const isTable = /^(wechat|http|alert|fleet|receiver|authorizer)$/.test(key);
	if (isTable || Object.hasOwn(entryTables, key)) return "a string";
	// In place of an appid there may be appid and secret: "wx…:secret".
	if (isIdKey(key)) {
		if (looksLikeSecret(text)) return "not shown, as it looks like a secret";
		if (!/[\w-]{16}/.test(text)) return quote(text);
		const [name = ""] = text.split(/[^\w-]/, 1);
		return quote(name === text ? text : `${name.slice(0, 24)}…`);
	}
	if (key === "base_urls" || key === "url" || key === "sentinels")
		return quote(text.replace(/\/\/.*@/s, "//***@").replace(/[?#].*/s, "?***"));
	return quote(text);
}

/** Whether it is one of the keys that say which entry it is, such as `appid`. */
function isIdKey(key: string): boolean {
	return entryTableNames.some((table) =>
		entryTables[table].idKeys.some((idKey) => idKey === key),
	);
}

function quote(text: string, maxLength = 80): string {
	const shown = withoutSecrets(text);
	return JSON.stringify(
		shown.length > maxLength ? `${shown.slice(0, maxLength)}…` : shown,
	);
}

// --- The rules. The message of each one says what was expected. ---

/** An optional number; `expected` also stands for a wrong type. */
function number(expected: string, allows: (value: number) => boolean) {
	return v.optional(v.pipe(v.number(expected), v.check(allows, expected)));
}

function seconds(min: number, max: number) {
	return number(
		`a number of seconds, ${min} to ${max}`,
		(value) => value >= min && value <= max,
	);
}

const urlRule =
	"an https (or http) URL without user, query or fragment, such as https://api.weixin.qq.com";
const bareUrlRule =
	"only scheme, host and port, such as https://api.weixin.qq.com; the path is wxtokend's matter";

/** Keys that every entry may have; in `[wechat]` they are the defaults of all. */
const limitKeys = {
	timeout: seconds(0.1, 300),
	refresh_before: seconds(1, 86_400),
	cooldown: seconds(0, 86_400),
	budget: number(
		"a whole number, 1 to 10000",
		(value) => Number.isInteger(value) && value >= 1 && value <= 10_000,
	),
};

const baseUrlsKey = {
	base_urls: v.optional(
		v.pipe(
			v.array(
				v.pipe(
					v.string(urlRule),
					v.check(isBaseUrl, urlRule),
					v.check(hasNoPath, bareUrlRule),
				),
				"an array of URLs",
			),
			v.minLength(1, "at least one URL"),
			v.maxLength(8, "at most 8 URLs"),
		),
	),
};

/** Keys of `[wechat]`; each one may stand in `[[account]]`, too. */
const wechatKeys = {
	interface: v.optional(
		v.picklist(["classic", "stable"], '"classic" or "stable"'),
	),
	...baseUrlsKey,
	...limitKeys,
};

/** How lines of the log look. */
const logFormats = ["json", "text"] as const;
export type LogFormat = (typeof logFormats)[number];

const appidRule = "1 to 64 of A–Z a–z 0–9 _ -";
const suiteRule = `the suite_id (SuiteID): ${appidRule}`;
const providerRule = `the corpid of a [[provider]]: ${appidRule}`;
const nameRule = `the agentid or a word in quotes: ${appidRule}`;
const fileNameRule =
	'a bare file name: 1 to 200 of A–Z a–z 0–9 . _ -, not beginning with "." and not ending in ".lock"';
const secretFileRule = "a path in quotes";

/** A path that is not shown: the secret itself may stand there by mistake. */
const secretPath = v.optional(
	v.pipe(
		v.string(secretFileRule),
		v.minLength(1, secretFileRule),
		v.check(isPath, secretFileRule),
	),
);

/** Copies of a file in forms that existing sites read. */
const formatNames = ["php"] as const;

/** A list without repetitions of some of these names. */
function listOf<const Name extends string>(names: readonly Name[]) {
	const rule = `a list of ${names.map((name) => `"${name}"`).join(", ")}, each once`;
	return v.pipe(
		v.array(v.picklist(names, rule), rule),
		v.check((list) => new Set(list).size === list.length, rule),
	);
}

const pathRule = "an absolute path";

function absolutePath() {
	return v.optional(
		v.pipe(v.string(pathRule), v.check(isAbsolutePath, pathRule)),
	);
}

/** An id becomes a part of a file's name. */
function idKey(rule: string) {
	return v.pipe(v.string(rule), v.regex(/^[A-Za-z0-9_-]{1,64}$/, rule));
}

const formatsKey = { formats: v.optional(listOf(formatNames)) };

/** Keys of every entry. */
const entryKeys = {
	secret: v.optional(v.string("a string in quotes")),
	secret_file: secretPath,
	file: v.optional(
		v.pipe(
			v.string(fileNameRule),
			v.regex(/^(?!\.)(?!.*\.lock$)[A-Za-z0-9._-]{1,200}$/, fileNameRule),
		),
	),
	fleet: v.optional(v.boolean("true or false")),
};

/** Strict: an unknown key is mostly a misspelt one, whose default would be used silently. */
const accountSchema = v.strictObject(
	{
		appid: idKey(appidRule),
		...entryKeys,
		tickets: v.optional(listOf(ticketNames)),
		...formatsKey,
		...wechatKeys,
	},
	missingKey({ appid: appidRule }),
);

const wecomSchema = v.strictObject(
	{
		corpid: idKey(appidRule),
		name: idKey(nameRule),
		...entryKeys,
		tickets: v.optional(listOf(wecomTicketNames)),
		...formatsKey,
		...baseUrlsKey,
		...limitKeys,
	},
	missingKey({ corpid: appidRule, name: nameRule }),
);

const providerSchema = v.strictObject(
	{
		corpid: idKey(appidRule),
		...entryKeys,
		...formatsKey,
		...baseUrlsKey,
		...limitKeys,
	},
	missingKey({ corpid: appidRule }),
);

/** Of what gets pushes. */
const pushKeys = {
	token_file: absolutePath(),
	aes_key_file: absolutePath(),
	previous_aes_key_file: absolutePath(),
};

const authorizersRule = '"all", or a list of appids';

/** An account of a component that differs from the others. */
const authorizerSchema = v.strictObject(
	{
		appid: idKey(appidRule),
		file: entryKeys.file,
		tickets: v.optional(listOf(ticketNames)),
		...formatsKey,
	},
	missingKey({ appid: appidRule }),
);

const componentSchema = v.strictObject(
	{
		appid: idKey(appidRule),
		...entryKeys,
		...pushKeys,
		authorizers: v.optional(
			v.union(
				[v.literal("all"), v.array(idKey(appidRule), authorizersRule)],
				authorizersRule,
			),
		),
		authorizer_tickets: v.optional(listOf(ticketNames)),
		authorizer: v.optional(
			v.array(
				v.pipe(isTable("a table: [[component.authorizer]]"), authorizerSchema),
				"an array of tables: [[component.authorizer]]",
			),
		),
		exchange: v.optional(v.boolean("true or false")),
		...formatsKey,
		...baseUrlsKey,
		...limitKeys,
	},
	missingKey({ appid: appidRule }),
);

const corpsRule = '"all", or a list of corpids';

const suiteSchema = v.strictObject(
	{
		suite_id: idKey(suiteRule),
		provider: idKey(providerRule),
		...entryKeys,
		...pushKeys,
		corps: v.optional(
			v.union(
				[v.literal("all"), v.array(idKey(appidRule), corpsRule)],
				corpsRule,
			),
		),
		corp_tickets: v.optional(listOf(wecomTicketNames)),
		exchange: v.optional(v.boolean("true or false")),
		...formatsKey,
		...baseUrlsKey,
		...limitKeys,
	},
	missingKey({ suite_id: suiteRule, provider: providerRule }),
);

/** A list of entries. */
function tablesOf<
	Schema extends v.GenericSchema<Readonly<Record<string, unknown>>>,
>(name: EntryTableName, entry: Schema) {
	return v.optional(
		v.pipe(
			v.array(
				v.pipe(isTable(`a table: [[${name}]]`), entry),
				`an array of tables: [[${name}]]`,
			),
			v.minLength(1, `at least one [[${name}]]`),
		),
	);
}
/** Keys of `[alert]`; what an address must be is said by alert.ts, which also reads its file. */
const alertKeys = {
	url: v.optional(v.string("a string in quotes")),
	url_file: secretPath,
	secret: v.optional(v.string("a string in quotes")),
	secret_file: secretPath,
	format: v.optional(
		v.picklist(
			alertFormats,
			`one of ${alertFormats.map((name) => `"${name}"`).join(", ")}`,
		),
	),
	after: seconds(0, 86_400),
	language: v.optional(v.picklist(alertLanguages, '"zh" or "en"')),
};

const directoryRule = "an absolute path, such as /run/wxtokend";
const scheduleRule = 'a node-cron expression such as "*/5 * * * * *"';
const modeRule = 'an octal string such as "0640", readable by its owner';
/** What `group` must be. */
export const groupRule = "the name or id of a group on this machine";
const socketRule = 'a path, or "" for none';
const metricsRule = "an absolute path that ends in .prom";

/** Keys of `[http]`. */
const httpSchema = v.strictObject(
	{
		listen: v.pipe(
			v.string(listenRule),
			v.check((value) => addressIn(value) !== undefined, listenRule),
		),
		bearer_file: absolutePath(),
		cert_file: absolutePath(),
		key_file: absolutePath(),
	},
	missingKey({ listen: listenRule }),
);

const fleetSchema = v.strictObject(fleetKeys);
/** Keys of `[receiver]`. */
const receiverSchema = v.strictObject(
	{
		listen: v.pipe(
			v.string(receiverListenRule),
			v.check(isReceiverListen, receiverListenRule),
		),
		forward: v.optional(
			v.pipe(v.string(forwardRule), v.check(isForwardUrl, forwardRule)),
		),
	},
	missingKey({ listen: receiverListenRule }),
);

const accountTables = tablesOf("account", accountSchema);

/** The whole file. Defaults are not filled in here: config.ts does that. */
const fileSchema = v.strictObject({
	directory: v.optional(
		v.pipe(v.string(directoryRule), v.check(isAbsolutePath, directoryRule)),
	),
	state_directory: absolutePath(),
	schedule: v.optional(
		v.pipe(
			v.string(scheduleRule),
			v.check(
				(expression) => cronProblem(expression) === undefined,
				({ input }) => `${scheduleRule} (${cronProblem(String(input))})`,
			),
		),
	),
	mode: v.optional(
		v.pipe(
			v.string(modeRule),
			v.regex(/^0?[4-7][0-7]{2}$/, modeRule),
			v.check(
				(mode) => (Number.parseInt(mode, 8) & 0o133) === 0,
				"a mode without execute bits, writable by its owner at most",
			),
		),
	),
	group: v.optional(
		// Whether there is such a group is asked in config.ts.
		v.union([v.string(), v.number()], groupRule),
	),
	socket: v.optional(v.pipe(v.string(socketRule), v.check(isPath, socketRule))),
	log_level: v.optional(
		v.picklist(logLevels, `one of ${logLevels.join(", ")}`),
	),
	log_format: v.optional(v.picklist(logFormats, '"json" or "text"')),
	metrics_file: v.optional(
		v.pipe(
			v.string(metricsRule),
			v.check(
				(path) => isAbsolutePath(path) && path.endsWith(".prom"),
				metricsRule,
			),
		),
	),
	wechat: v.optional(
		v.pipe(isTable("a table: [wechat]"), v.strictObject(wechatKeys)),
	),
	fleet: v.optional(v.pipe(isTable("a table: [fleet]"), fleetSchema)),
	http: v.optional(v.pipe(isTable("a table: [http]"), httpSchema)),
	alert: v.optional(
		v.pipe(isTable("a table: [alert]"), v.strictObject(alertKeys)),
	),
	receiver: v.optional(v.pipe(isTable("a table: [receiver]"), receiverSchema)),
	account: accountTables,
	wecom: tablesOf("wecom", wecomSchema),
	provider: tablesOf("provider", providerSchema),
	component: tablesOf("component", componentSchema),
	suite: tablesOf("suite", suiteSchema),
});

/** The content of a configuration file without mistakes. */
export type ConfigContent = v.InferOutput<typeof fileSchema>;

/** An object, but no array and no date: Valibot would accept these, too. */
function isTable(expected: string) {
	return v.custom<Readonly<Record<string, unknown>>>(
		(value) =>
			typeof value === "object" &&
			value !== null &&
			!Array.isArray(value) &&
			!(value instanceof Date),
		expected,
	);
}

/** The message for a key that is missing: what was expected. */
function missingKey(
	rules: Readonly<Record<string, string>>,
): (issue: v.StrictObjectIssue) => string {
	return ({ path }) => rules[String(path?.at(-1)?.key)] ?? "a key";
}

/** The system accepts everything without a NUL. */
function isPath(value: string): boolean {
	return !value.includes("\0");
}

function isAbsolutePath(value: string): boolean {
	return isAbsolute(value) && isPath(value);
}

/** User and password would get into errors, and a query belongs to a request. */
function isBaseUrl(value: string): boolean {
	if (!URL.canParse(value)) return false;
	const { protocol, username, password, search, hash } = new URL(value);
	return (
		(protocol === "https:" || protocol === "http:") &&
		username + password + search + hash === ""
	);
}

/** A wrong URL has a problem of its own. */
function hasNoPath(value: string): boolean {
	return !URL.canParse(value) || new URL(value).pathname === "/";
}

// --- Problems in words. ---

/** The path as an operator writes it, such as `wechat.base_urls[0]`. */
function problemOf(issue: v.BaseIssue<unknown>): ConfigProblem {
	const keys = issue.path?.map(({ key }) => key) ?? [];
	const path = keys.reduce<string>(
		(before, key) =>
			typeof key === "number"
				? `${before}[${key}]`
				: `${before}${before === "" ? "" : "."}${String(key)}`,
		"",
	);
	if (isUnknownKey(issue)) {
		const known = knownKeysAt(keys);
		return {
			path,
			message: `is not a key that wxtokend knows; expected one of ${known.join(", ")}${remedyFor(keys, known)}`,
		};
	}
	if (issue.input === undefined)
		return { path, message: `is missing; expected ${issue.message}` };
	const key = keys.findLast((part) => typeof part === "string");
	const value = show(issue.input, String(key));
	return { path, message: `is ${value}; expected ${issue.message}` };
}

/** What was probably meant by a wrong key, or where a key of another table belongs. */
function remedyFor(keys: readonly unknown[], known: readonly string[]): string {
	const wrong = String(keys.at(-1));
	const tables = [
		{ names: known, where: "" },
		{
			names: configKeys.top,
			where: " at the top of the file, above the first [table]",
		},
		{ names: configKeys.wechat, where: " below [wechat]" },
		{ names: configKeys.http, where: " below [http]" },
		{ names: configKeys.fleet, where: " below [fleet]" },
		{ names: configKeys.receiver, where: " below [receiver]" },
		...entryTableNames.map((table) => ({
			names: configKeys[table],
			where: ` below [[${table}]]`,
		})),
		{
			names: configKeys["component.authorizer"],
			where: " below [[component.authorizer]]",
		},
		{ names: configKeys.alert, where: " below [alert]" },
	];
	const home = tables.find(({ names }) => names.includes(wrong));
	if (home !== undefined) return `; \`${wrong}\` belongs${home.where}`;
	for (const { names, where } of tables) {
		const near = nearestName(wrong, names);
		if (near !== undefined)
			return `; did you mean \`${near}\`${where === "" ? "" : `, which belongs${where}`}?`;
	}
	return "";
}

/** The keys that are known in the table of a wrong key. */
function knownKeysAt(keys: readonly unknown[]): readonly string[] {
	if (keys[0] === "component" && keys[2] === "authorizer" && keys.length > 3)
		return configKeys["component.authorizer"];
	const table = entryTableNames.find((name) => name === keys[0]);
	if (table !== undefined && keys.length > 1) return configKeys[table];
	if (keys[0] === "wechat" && keys.length > 1) return configKeys.wechat;
	if (keys[0] === "http" && keys.length > 1) return configKeys.http;
	if (keys[0] === "alert" && keys.length > 1) return configKeys.alert;
	if (keys[0] === "fleet" && keys.length > 1) return configKeys.fleet;
	if (keys[0] === "receiver" && keys.length > 1) return configKeys.receiver;
	return configKeys.top;
}

/** All keys that a configuration may have, by table. */
export const configKeys = {
	top: Object.keys(fileSchema.entries),
	wechat: Object.keys(wechatKeys),
	account: Object.keys(accountSchema.entries),
	http: Object.keys(httpSchema.entries),
	fleet: Object.keys(fleetSchema.entries),
	wecom: Object.keys(wecomSchema.entries),
	provider: Object.keys(providerSchema.entries),
	alert: Object.keys(alertKeys),
	component: Object.keys(componentSchema.entries),
	suite: Object.keys(suiteSchema.entries),
	"component.authorizer": Object.keys(authorizerSchema.entries),
	receiver: Object.keys(receiverSchema.entries),
} as const;
