/**
 * `[alert]`: the address of a robot and the secret that signs its messages, from the
 * configuration, files of their own or systemd. No problem and no warning quotes them.
 */
import { isAbsolute } from "node:path";
import type { ConfigProblem } from "../core/errors.ts";
import { formatOf } from "./alert-settings.ts";
import type { Input } from "./inputs.ts";
import { type SecretDirectory, secretDirectory } from "./secret-directory.ts";
import { readText } from "./secrets.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** The two secrets of `[alert]`, and what is wrong with them. */
export interface FoundAlert {
	/** Undefined: there is no `[alert]`, or a problem says what is wrong. */
	readonly url: string | undefined;
	/** Undefined: messages are not signed. */
	readonly secret: string | undefined;
	readonly problems: readonly ConfigProblem[];
	/** Sentences for the operator. */
	readonly warnings: readonly string[];
}

/** The names of the systemd credentials. No appid has a dot. */
const credentialNames = { url: "alert.url", secret: "alert.secret" } as const;

/** A robot's address has some 150 characters. A file that is much longer was named by mistake. */
const maxBytes = 4_096;

/** Of any type: the shape tells of wrong ones. */
type Table = Readonly<Record<string, unknown>>;

interface Search {
	readonly source: ConfigSource;
	readonly directory: () => SecretDirectory | undefined;
	readonly input: Input;
	readonly problems: ConfigProblem[];
	readonly warnings: string[];
}

/** Of `[alert]`. What else is wrong with the content does not matter here. */
export function findAlert(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): FoundAlert {
	const problems: ConfigProblem[] = [];
	const warnings: string[] = [];
	const { alert } = source.content;
	const found = { url: undefined, secret: undefined, problems, warnings };
	if (typeof alert !== "object" || alert === null || Array.isArray(alert))
		return found;
	const search: Search = {
		...{ source, input, problems, warnings },
		directory: () =>
			secretDirectory({
				...{ source, env, input, problems },
				readList: () => undefined,
			}),
	};
	const table: Table = { ...alert };
	const url = checkedUrl(textOf("url", table, search), table, search);
	const secret = checkedSecret(textOf("secret", table, search), table, search);
	return { url, secret, problems, warnings };
}

/**
 * What the key or its file or its credential holds, without blanks around it.
 * Undefined: there is none, or a problem says why.
 */
function textOf(
	key: keyof typeof credentialNames,
	table: Table,
	search: Search,
): string | undefined {
	const { source, problems, warnings } = search;
	const { [key]: inline, [`${key}_file`]: file } = table;
	const what = key === "url" ? "the robot's address" : "the robot's secret";
	const wrong = (path: string, message: string) => {
		problems.push({ path: `alert.${path}`, message });
		return undefined;
	};
	if (inline !== undefined && file !== undefined)
		return wrong(key, `stands beside ${key}_file; expected one of the two`);
	if (typeof inline === "string") {
		if (source.isOpenToAll)
			warnings.push(
				`${source.name} holds ${what} and is readable by all users of this machine: chmod 0640 ${source.name}`,
			);
		return inline.trim();
	}
	const read = (path: string, label: string) =>
		readText(path, label, maxBytes, {
			...search,
			expected: `a file with ${what} that the daemon's user can read`,
		})?.trim();
	if (typeof file === "string") {
		if (isAbsolute(file)) return read(file, `alert.${key}_file`);
		return wrong(
			`${key}_file`,
			`is not an absolute path (it is not shown here: it may be ${what} itself); expected one, or did you mean \`${key}\`?`,
		);
	}
	if (inline !== undefined || file !== undefined) return undefined;
	const name = credentialNames[key];
	const found = search.directory()?.find(name);
	if (found?.kind === "file") return read(found.file, found.label);
	return key === "secret"
		? undefined
		: wrong(
				"url",
				`is missing; expected url = "…", url_file = "…", or a systemd credential named ${name}`,
			);
}

const urlRule =
	"the whole address of the robot, as its page shows it: https://…, in one line";

function checkedUrl(
	url: string | undefined,
	{ url: inline, format }: Table,
	{ problems, warnings }: Search,
): string | undefined {
	if (url === undefined) return undefined;
	const path = inline === undefined ? "alert.url_file" : "alert.url";
	const refuse = (message: string) => {
		problems.push({ path, message });
		return undefined;
	};
	// A URL with a blank would be mended silently.
	if (!/^https?:\/\/[\x21-\x7e]+$/.test(url) || !URL.canParse(url))
		return refuse(`is no address (it is not shown here); expected ${urlRule}`);
	const { protocol, hostname, username, password, hash } = new URL(url);
	if (username + password + hash !== "")
		return refuse(
			`has a user, a password or a fragment, which are not sent; expected ${urlRule}`,
		);
	const known = formatOf(url);
	if (known !== undefined && format !== undefined && known !== format)
		problems.push({
			path: "alert.format",
			message: `is not the one of this robot; expected "${known}", by the host of its address`,
		});
	if (
		protocol === "http:" &&
		!/^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)
	)
		warnings.push(
			"the address of [alert] is plain http: everybody on the way can read it, and then write to the robot",
		);
	return url;
}

function checkedSecret(
	secret: string | undefined,
	{ secret: inline, format }: Table,
	{ problems }: Search,
): string | undefined {
	if (secret === undefined) return undefined;
	const path = inline === undefined ? "alert.secret_file" : "alert.secret";
	if (!/^[\x21-\x7e]{1,256}$/.test(secret)) {
		const message =
			"is empty, or holds blanks or characters that no such secret has; expected the one that the robot's page shows (加签, 签名校验)";
		problems.push({ path, message });
		return undefined;
	}
	if (format === "wecom" || format === "json")
		problems.push({
			path,
			message: `is of no use with format = "${format}"; expected it with "dingtalk" or "feishu" only`,
		});
	return secret;
}
