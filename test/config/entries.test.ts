/** [[wecom]] and [[provider]] beside [[account]], and what is mixed up between them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import {
	entryTableNames,
	entryTables,
	isPublishedFile,
} from "../../src/config/entry-names.ts";
import { findToken } from "../../src/config/lookup.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { credentialsOf } from "../../src/daemon/credential-of.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret, noteSecret } from "../support/leaks.ts";

const corpid = "ww0123456789abcdef";

/** In the console's form: 43 characters. */
function wecomSecret(): string {
	return noteSecret(
		Buffer.from(newSecret()).toString("base64url").slice(0, 43),
	);
}

function hexSecret(): string {
	return noteSecret(Buffer.from(newSecret()).toString("hex").slice(0, 32));
}

interface Files {
	/** Beside the configuration: name → content. */
	readonly [name: string]: string;
}

function written(toml: string, files: Files = {}) {
	const place = newDirectory();
	for (const [name, text] of Object.entries(files))
		writeFileSync(join(place, name), text, { mode: 0o600 });
	const file = join(place, "config.toml");
	writeFileSync(file, toml.replaceAll("PLACE", place), { mode: 0o600 });
	const options = { file, env: { CREDENTIALS_DIRECTORY: place } };
	return { file, place, load: () => loadConfig({ ...options, secrets: true }) };
}

/** Path → message. */
function problemsIn(toml: string, files?: Files): Record<string, string> {
	try {
		written(toml, files).load();
		return {};
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		return Object.fromEntries(
			error.problems.map(({ path, message }) => [path, message]),
		);
	}
}

const app = (more = "", name = "1000002") =>
	`[[wecom]]\ncorpid = "${corpid}"\nname = "${name}"\n${more}\n`;

test.each(entryTableNames)(
	"the files of [[%s]] are told from appids by their names",
	(table) => {
		const { idKeys, tickets, tokenFile, ticketFile } = entryTables[table];
		const ids = idKeys.map((_, index) => `ab${index}`);
		const files = [
			tokenFile(ids),
			...tickets.map((one) => ticketFile(one, ids)),
		];
		expect(files.filter((file) => !isPublishedFile(file))).toEqual([]);
		expect(ids.filter(isPublishedFile)).toEqual([]);
	},
);

test("a file without [[account]]: the files that each entry publishes, parents first", () => {
	const { load } = written(
		`directory = "/tmp/x"
[wechat]
timeout = 3
base_urls = ["https://proxy.example.com"]
${app('tickets = ["agent_config", "jsapi"]\nformats = ["php"]')}
[[provider]]
corpid = "${corpid}"
base_urls = ["http://127.0.0.1:9"]`,
		{
			[`${corpid}-1000002`]: wecomSecret(),
			[corpid]: "a-ProviderSecret-of-any-form",
		},
	);
	const { entries, warnings } = load();
	expect(warnings).toEqual([]);
	// The base URLs of [wechat] are those of api.weixin.qq.com; the other keys hold for all.
	expect(entries).toMatchObject([
		{ baseUrls: ["https://qyapi.weixin.qq.com"], timeoutMs: 3_000, budget: 60 },
		{ baseUrls: ["http://127.0.0.1:9"], timeoutMs: 3_000 },
	]);
	expect(
		entries.flatMap(credentialsOf).map(({ kind, file, needs }) => ({
			...{ kind, file, needs },
		})),
	).toEqual([
		{
			kind: "wecom_access_token",
			file: `wecom_access_token_${corpid}_1000002`,
			needs: [],
		},
		{
			kind: "wecom_agent_ticket",
			file: `wecom_agent_ticket_${corpid}_1000002`,
			needs: [`wecom_access_token_${corpid}_1000002`],
		},
		{
			kind: "wecom_jsapi_ticket",
			file: `wecom_jsapi_ticket_${corpid}_1000002`,
			needs: [`wecom_access_token_${corpid}_1000002`],
		},
		{
			kind: "wecom_provider_access_token",
			file: `wecom_provider_access_token_${corpid}`,
			needs: [],
		},
	]);
});

test("`get` finds each of these files by its name, without a validation", () => {
	const { file } = written(
		`directory = "/tmp/x"\n${app('tickets = ["agent_config"]')}[[provider]]\ncorpid = "${corpid}"\n`,
	);
	const found = (name: string) => findToken(name, file, {})?.path;
	for (const name of [
		`wecom_access_token_${corpid}_1000002`,
		`wecom_agent_ticket_${corpid}_1000002`,
		`wecom_provider_access_token_${corpid}`,
	])
		expect(found(name)).toBe(`/tmp/x/${name}`);
	expect(found(`wecom_jsapi_ticket_${corpid}_1000002`)).toBeUndefined();
});

describe("problems:", () => {
	const cases: readonly (readonly [string, string, string, RegExp])[] = [
		[
			"no entry at all",
			"",
			"account",
			/at least one .*\[\[component\]\] or \[\[suite/,
		],
		[
			"a single table",
			"[wecom]\n",
			"wecom",
			/an array of tables: \[\[wecom\]\]/,
		],
		[
			"a number for a name",
			`[[wecom]]\ncorpid = "${corpid}"\nname = 1000002\n`,
			"wecom[0].name",
			/^is 1000002; expected the agentid or a word in quotes/,
		],
		[
			"a ticket of another host",
			app('tickets = ["wx_card"]'),
			"wecom[0].tickets[0]",
			/"jsapi", "agent_config", each once/,
		],
		[
			"an interface",
			app('interface = "stable"'),
			"wecom[0].interface",
			/belongs below \[wechat\]/,
		],
		[
			"the same app twice",
			app() + app(),
			"wecom[1].name",
			/as wecom\[0\]\.name already; expected each corpid and name once/,
		],
		[
			"names that make the same file",
			'[[wecom]]\ncorpid = "a_b"\nname = "c"\n[[wecom]]\ncorpid = "a"\nname = "b_c"\n',
			"wecom[1].file",
			/the file of wecom\[0\] already/,
		],
		[
			"no secret",
			app(),
			"wecom[0].secret_file",
			new RegExp(`a systemd credential named ${corpid}-1000002; looked for`),
		],
		[
			"a corpid for an appid",
			`[[account]]\nappid = "${corpid}"\nsecret = "${hexSecret()}"\n`,
			"account[0].appid",
			/is a corpid .* belongs below \[\[wecom\]\]/,
		],
		[
			"an appid for a corpid",
			`[[wecom]]\ncorpid = "wx0123456789abcdef"\nname = "a"\nsecret = "${hexSecret()}"\n`,
			"wecom[0].corpid",
			/is the appid of .* belongs below \[\[account\]\]/,
		],
		[
			"a secret of 企业微信 below [[account]]",
			`[[account]]\nappid = "wx0123456789abcdef"\nsecret = "${wecomSecret()}"\n`,
			"account[0].secret",
			/has 43 characters/,
		],
		[
			"an AppSecret below [[wecom]]",
			app(`secret = "${hexSecret()}"`),
			"wecom[0].secret",
			/has 32 characters of 0-9 a-f/,
		],
		[
			"corpid and secret the other way round",
			`[[wecom]]\ncorpid = "${wecomSecret()}"\nname = "a"\nsecret = "${corpid}"\n`,
			"wecom[0].corpid",
			/the other way round/,
		],
		[
			"the original id in place of the AppID",
			`[[account]]\nappid = "gh_0123456789ab"\nsecret = "${hexSecret()}"\n`,
			"account[0].appid",
			/原始ID.*begins with wx/,
		],
		[
			"another appid in place of the secret",
			`[[account]]\nappid = "wx0123456789abcdef"\nsecret = "wx0123456789abcdee"\n`,
			"account[0].secret",
			/looks like an id.*32 characters/,
		],
	];
	test.each(cases)("%s", (_what, toml, path, message) => {
		expect(problemsIn(toml)[path]).toMatch(message);
	});
});

test("only the oldest corps have a corpid like an appid: with a Secret beside it, it is a warning", () => {
	const toml = `[[wecom]]\ncorpid = "wx0123456789abcdef"\nname = "a"\nsecret_file = "PLACE/secret"\n`;
	const { warnings } = written(toml, { secret: wecomSecret() }).load();
	expect(warnings.join()).toMatch(
		/wx0123456789abcdef looks like the appid .* belongs below \[\[account\]\]/,
	);
});

test("a secret that was not copied as a whole is doubted, but not shown", () => {
	const cut = hexSecret().slice(1);
	const toml = `[[account]]\nappid = "wx0123456789abcdef"\nsecret = "${cut}"\n`;
	const { warnings } = written(toml, {}).load();
	expect(warnings.join()).toMatch(
		/AppSecret of wx0123456789abcdef has 31 characters.* 32/,
	);
	expect(warnings.join()).not.toContain(cut);
	const whole = toml.replace(cut, `${cut}0`);
	expect(written(whole, {}).load().warnings).toEqual([]);
});
