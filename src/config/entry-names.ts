/**
 * The tables of the configuration that hold entries, and the names of an entry: what it
 * is called, where its secret is, and which files are published for it. Loads next to nothing.
 */
import { atOnce, eachInSteps, type Steps } from "../core/steps.ts";

/** The tickets that an account may have, by their names in the configuration. */
export const ticketNames = ["jsapi", "wx_card", "sdk"] as const;
export type TicketName = (typeof ticketNames)[number];

/** The tickets that an app of 企业微信 may have, by their names in the configuration. */
export const wecomTicketNames = ["jsapi", "agent_config"] as const;
export type WecomTicketName = (typeof wecomTicketNames)[number];

/** The name of an account's token file, unless the configuration names another one. */
export function defaultTokenFile(appid: string): string {
	return `wx_access_token_${appid}`;
}

/** The name of a ticket's file in the directory. */
export function ticketFile(ticket: TicketName, appid: string): string {
	const kind = ticket === "wx_card" ? "card" : ticket;
	return `wx_${kind}_ticket_${appid}`;
}

/** The name of the file of an app's ticket; `app`: corpid and name, joined by `_`. */
export function wecomTicketFile(ticket: WecomTicketName, app: string): string {
	return ticket === "agent_config"
		? `wecom_agent_ticket_${app}`
		: `wecom_jsapi_ticket_${app}`;
}

/** The name of the token file of a corp that has authorised a suite. */
export function suiteCorpFile(corpid: string, suiteId: string): string {
	return `wecom_access_token_${corpid}_${suiteId}`;
}

/** What the entries of one table have in common. */
interface EntryTable {
	/** The keys that say which entry it is; together they stand once in the file. */
	readonly idKeys: readonly string[];
	/** The tickets that `tickets` may list. */
	readonly tickets: readonly string[];
	/** The token file, unless `file` names another one; `ids`: the values of `idKeys`. */
	readonly tokenFile: (ids: readonly string[]) => string;
	readonly ticketFile: (ticket: string, ids: readonly string[]) => string;
}

/** The tables that hold entries: `[[account]]` and so on. */
export const entryTables = {
	account: {
		idKeys: ["appid"],
		tickets: ticketNames,
		tokenFile: ([appid = ""]) => defaultTokenFile(appid),
		ticketFile: (ticket, [appid = ""]) =>
			ticketFile(ticket as TicketName, appid),
	},
	wecom: {
		idKeys: ["corpid", "name"],
		tickets: wecomTicketNames,
		tokenFile: (ids) => `wecom_access_token_${ids.join("_")}`,
		ticketFile: (ticket, ids) =>
			wecomTicketFile(ticket as WecomTicketName, ids.join("_")),
	},
	provider: {
		idKeys: ["corpid"],
		tickets: [],
		tokenFile: ([corpid = ""]) => `wecom_provider_access_token_${corpid}`,
		ticketFile: (ticket) => ticket,
	},
	component: {
		idKeys: ["appid"],
		tickets: [],
		tokenFile: ([appid = ""]) => `wx_component_access_token_${appid}`,
		ticketFile: (ticket) => ticket,
	},
	suite: {
		idKeys: ["suite_id"],
		tickets: [],
		tokenFile: ([suiteId = ""]) => `wecom_suite_access_token_${suiteId}`,
		ticketFile: (ticket) => ticket,
	},
} as const satisfies Readonly<Record<string, EntryTable>>;

export type EntryTableName = keyof typeof entryTables;

/** The names of the tables, in the order in which their entries are kept. */
export const entryTableNames = Object.keys(
	entryTables,
) as readonly EntryTableName[];

/** The tables as a person lists them: "[[account]], [[wecom]] or [[provider]]". */
export const entryTablesInWords = entryTableNames
	.map((table) => `[[${table}]]`)
	.join(", ")
	.replace(/, (?=[^,]*$)/, " or ");

/** Whether a name is that of a published file, and no appid. */
export function isPublishedFile(name: string): boolean {
	return /^(wx_((component_)?access_token|(jsapi|card|sdk)_ticket)_[\w-]{1,64}|wecom_((provider|suite)_access_token_[\w-]{1,64}|(access_token|(jsapi|agent)_ticket)_[\w-]{3,129}))$/.test(
		name,
	);
}

/** What an entry is called. Undefined: the content does not tell. */
export interface EntryNames {
	readonly table: EntryTableName;
	/** Its place in the file: `account[0]`. */
	readonly path: string;
	/** The values of the keys that say which one it is. */
	readonly ids: readonly string[] | undefined;
	/** The token's file. */
	readonly file: string | undefined;
	/** The files of its tickets. */
	readonly ticketFiles: readonly string[];
	/** The copies of all its files in other formats. */
	readonly copies: readonly string[];
	/** Where its secret is, if that is a file of its own. */
	readonly secretFile: string | undefined;
}

/** The names of every entry, table by table, in the order of the file. Types may be wrong. */
export function namesIn(
	content: Readonly<Record<string, unknown>>,
): readonly EntryNames[] {
	return atOnce(namesInSteps(content));
}

/** The same in steps. */
export function* namesInSteps(
	content: Readonly<Record<string, unknown>>,
): Steps<readonly EntryNames[]> {
	const all: EntryNames[] = [];
	for (const table of entryTableNames) {
		const { [table]: entries } = content;
		if (Array.isArray(entries))
			yield* eachInSteps(entries, (entry: unknown, index) =>
				all.push(namesOf(table, `${table}[${index}]`, Object(entry))),
			);
	}
	return all;
}

function namesOf(
	table: EntryTableName,
	path: string,
	entry: Readonly<Record<string, unknown>>,
): EntryNames {
	const { idKeys, tickets, tokenFile, ticketFile }: EntryTable =
		entryTables[table];
	// A value of a wrong type is a problem of the shape, and has no name.
	const found = idKeys.map((key) => entry[key]).filter(isText);
	const ids = found.length === idKeys.length ? found : undefined;
	const file = isText(entry.file) ? entry.file : ids && tokenFile(ids);
	// Most of ten thousand accounts have neither: then nothing is made for them.
	const ticketFiles =
		ids === undefined || entry.tickets === undefined
			? nothing
			: tickets
					.filter((one) => listed(entry.tickets).includes(one))
					.map((one) => ticketFile(one, ids));
	const copies = listed(entry.formats).includes("php")
		? [file ?? [], ticketFiles].flat().map((one) => `${one}.php`)
		: nothing;
	const secretFile = isText(entry.secret_file) ? entry.secret_file : undefined;
	return { table, path, ids, file, ticketFiles, copies, secretFile };
}

const nothing: readonly string[] = [];

function isText(value: unknown): value is string {
	return typeof value === "string";
}

function listed(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : nothing;
}

/** The name of its systemd credential: the ids, joined by `-`. */
export function secretNameOf(ids: readonly string[]): string {
	return ids.join("-");
}
