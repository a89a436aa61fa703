/**
 * The secrets of pushes: Token and EncodingAESKeys of a platform, in files of their own
 * or from systemd. No problem ever quotes one.
 */
import { isAbsolute } from "node:path";
import type { ConfigProblem } from "../core/errors.ts";
import { pushKeyOf } from "../core/push-crypt.ts";
import type { EntryPushes } from "./entry.ts";
import type { PushSettings } from "./entry-base.ts";
import { entryTables } from "./entry-names.ts";
import type { Input } from "./inputs.ts";
import type { PlatformTable } from "./platform.ts";
import { type SecretDirectory, secretDirectory } from "./secret-directory.ts";
import { readText } from "./secrets.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

export interface FoundPushSecrets {
	readonly settings: EntryPushes;
	readonly problems: readonly ConfigProblem[];
	readonly warnings: readonly string[];
}

interface Reading {
	readonly entry: Readonly<Record<string, unknown>>;
	readonly table: PlatformTable;
	readonly path: string;
	readonly directory: () => SecretDirectory | undefined;
	readonly input: Input;
	readonly problems: ConfigProblem[];
	readonly warnings: string[];
}

/** With a `[receiver]` each platform must have them. */
export function findPushSecrets(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): FoundPushSecrets {
	const problems: ConfigProblem[] = [];
	const warnings: string[] = [];
	const { receiver } = source.content;
	const readList = (file: string, label: string) =>
		readText(file, label, 1_048_576, { input, problems, warnings });
	let opened: { readonly found: SecretDirectory | undefined } | undefined;
	const directory = () => {
		const parts = { source, env, input, problems, readList };
		opened ??= { found: secretDirectory(parts) };
		return opened.found;
	};
	const settingsOf = (table: PlatformTable): readonly PushSettings[] => {
		const { [table]: listed } = source.content;
		const entries = Array.isArray(listed) ? listed : [];
		return entries.map((entry: unknown, index) => {
			const path = `${table}[${index}]`;
			const reading: Reading = {
				...{ entry: Object(entry), table, path, directory },
				...{ input, problems, warnings },
			};
			return settingsIn(reading, receiver !== undefined);
		});
	};
	const settings = {
		component: settingsOf("component"),
		suite: settingsOf("suite"),
	};
	return { settings, problems, warnings };
}

function settingsIn(reading: Reading, isNeeded: boolean): PushSettings {
	const token = secretIn(reading, "token_file", ".token", isNeeded);
	const newest = secretIn(reading, "aes_key_file", ".aes-key", isNeeded);
	const previous = secretIn(
		reading,
		"previous_aes_key_file",
		".aes-key.previous",
		false,
	);
	const keys = [newest, previous].flatMap((one) => {
		if (one === undefined) return [];
		const key = pushKeyOf(one.text);
		if (key !== undefined) return [key];
		reading.problems.push({
			path: one.place,
			message:
				"holds no EncodingAESKey (消息加解密Key); expected its 43 characters of A-Z a-z 0-9 + /",
		});
		return [];
	});
	return { token: token?.text, keys };
}

/** Undefined: there is none, or a problem says what is wrong with it. */
function secretIn(
	reading: Reading,
	key: string,
	suffix: string,
	isNeeded: boolean,
): { readonly text: string; readonly place: string } | undefined {
	const { entry, table, path, problems } = reading;
	const file = entry[key];
	if (typeof file === "string") {
		if (isAbsolute(file)) return textIn(reading, file, `${path}.${key}`);
		problems.push({
			path: `${path}.${key}`,
			message: "is not an absolute path; expected one",
		});
		return undefined;
	}
	if (file !== undefined) return undefined; // The shape says what is wrong.
	const [idKey] = entryTables[table].idKeys;
	const { [idKey]: id } = entry;
	if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) return undefined;
	const name = `${id}${suffix}`;
	const found = reading.directory()?.find(name);
	if (found?.kind === "file") return textIn(reading, found.file, found.label);
	if (found !== undefined) return { text: found.text, place: found.label };
	if (isNeeded)
		problems.push({
			path: `${path}.${key}`,
			message: `is missing, and pushes come to [receiver]; expected a path, or a systemd credential named ${name}`,
		});
	return undefined;
}

function textIn(reading: Reading, file: string, place: string) {
	const read = readText(file, place, 4_096, reading);
	if (read === undefined) return undefined;
	const text = read.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
	if (/^[\x21-\x7e]{1,128}$/.test(text)) return { text, place };
	reading.problems.push({
		path: place,
		message: `${file} ${text === "" ? "is empty" : "holds blanks or characters that it cannot have"}; expected what the console shows, on one line`,
	});
	return undefined;
}
