/** Mistakes that an editor, a keyboard or another program's habits cause: the cause in words, and the remedy. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkHere } from "../support/check-here.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";

/** What `check` says of that file, in one line. */
async function saidOf(content: string | Buffer): Promise<string> {
	const config = join(newDirectory(), "config.toml");
	writeFileSync(config, content, { mode: 0o600 });
	const { code, stderr } = await checkHere(["--config", config]);
	expect(code).toBe(78);
	return stderr;
}

const account = () => `[[account]]\nappid = "wx1"\nsecret = "${newSecret()}"\n`;

describe("the encoding", () => {
	const utf16 = (text: string) => Buffer.from(text, "utf16le");
	const swapped = (text: string) => utf16(text).swap16();
	test.each([
		["with a mark", utf16(`\ufeff${account()}`)],
		["without", utf16(account())],
		["big-endian with a mark", swapped(`\ufeff${account()}`)],
		["big-endian without", swapped(account())],
	])("UTF-16 %s", async (_how, bytes) => {
		expect(await saidOf(bytes)).toMatch(/is UTF-16.*UTF-8: save it again/);
	});

	test("GBK in a value, and in a line that is not TOML", async () => {
		const gbk = Buffer.from([0xb2, 0xe2, 0xca, 0xd4]);
		const inValue = [`# ok\ndirectory = "/run/`, gbk, `"\n${account()}`];
		const broken = [`# ok\ndirectory = `, gbk, `\n${account()}`];
		for (const parts of [inValue, broken])
			expect(
				await saidOf(Buffer.concat(parts.map((part) => Buffer.from(part)))),
			).toMatch(/line 2.*not UTF-8 \(perhaps GBK\)/);
	});
});

test.each([
	['directory ＝ "/run"', "line 1, column 11", "＝ (U+FF1D)", "expected ="],
	["directory = “/run”", "line 1, column 13", "“ (U+201C)", 'expected "'],
	['directory = "/run”\nx = 1', "line 1", "” (U+201D)", 'expected "'],
	["directory = ‘/run’", "line 1", "‘ (U+2018)", "expected '"],
	["［wechat］", "line 1, column 1", "［ (U+FF3B)", "expected ["],
	["【wechat】", "line 1, column 1", "【 (U+3010)", "expected ["],
	['x = ["a"，"b"]', "line 1", "， (U+FF0C)", "expected ,"],
	["budget = 1 ＃ many", "line 1", "＃ (U+FF03)", "expected #"],
	["mode\u3000= 1", "line 1", "U+3000", "invisible"],
	["mode\u00a0= 1", "line 1", "U+00A0", "invisible"],
])("%s: the character is named", async (line, place, character, remedy) => {
	const said = await saidOf(`${line}\n${account()}`);
	for (const words of [place, character, remedy]) expect(said).toContain(words);
});

test("such characters in a comment or a string are none of our business", async () => {
	const said = await saidOf(`# 注释，“引号”\nbudget = \n${account()}`);
	expect(said).not.toContain("U+");
});

test.each([
	["directory = /run/x", 'text stands in quotes: key = "value"'],
	['directory: "/run"', 'expected key = "value"'],
	["[[account]", "expected two brackets at each end: [[account]]"],
	["[[account", "expected two brackets at each end: [[account]]"],
])("%s: what to write", async (line, remedy) => {
	expect(await saidOf(`${line}\n${account()}`)).toContain(remedy);
});

test.each([
	["refresh_befor = 1", "wechat", "did you mean `refresh_before`?"],
	["refreshBefore = 1", "wechat", "did you mean `refresh_before`?"],
	["refresh-before = 1", "account", "did you mean `refresh_before`?"],
	["secert = 'x'", "account", "did you mean `secret`?"],
	["app_id = 'x'", "account", "did you mean `appid`?"],
	["baseurls = []", "wechat", "did you mean `base_urls`?"],
	[
		"directory = '/run'",
		"account",
		"`directory` belongs at the top of the file, above the first [table]",
	],
	["schedule = '* * * * *'", "wechat", "belongs at the top of the file"],
	["budget = 1", "top", "`budget` belongs below [wechat]"],
	["tickets = []", "wechat", "`tickets` belongs below [[account]]"],
	[
		"Directory = '/run'",
		"account",
		"did you mean `directory`, which belongs at the top",
	],
])("%s below %s: %s", async (line, table, remedy) => {
	const text =
		table === "top"
			? `${line}\n${account()}`
			: table === "wechat"
				? `${account()}[wechat]\n${line}\n`
				: `${account()}${line}\n`;
	const said = await saidOf(text);
	expect(said).toContain(remedy);
	const at = text.split("\n").indexOf(line) + 1;
	expect(said).toContain(`line ${at})`);
});

test("a key that is like no other gets no guess", async () => {
	expect(await saidOf(`colour = "red"\n${account()}`)).not.toContain("mean");
});

test("the line of every key is told, also below the second account, and for a key that is missing the line of its table", async () => {
	const said = await saidOf(
		`mode = "0999"\n\n${account()}\n# two\n[[account]]\nsecret = "${newSecret()}"\n[wechat]\nbase_urls = ["x"]\n`,
	);
	for (const [key, line] of [
		["mode", 1],
		["account[1].appid", 8],
		["wechat.base_urls[0]", 11],
	])
		expect(said).toMatch(
			new RegExp(
				`${String(key).replaceAll(/[[\].]/g, "\\$&")}: .*line ${line}\\)`,
			),
		);
});

test.each([
	["0/5 * * * * ?", "*/5 * * * * *"],
	["0 0/5 * * * ?", "0 */5 * * * *"],
	["0/5 * * * *", "*/5 * * * *"],
	["5/10 * * * * ?", "5-59/10 * * * * *"],
	["*/5 * * * * ? *", "*/5 * * * * *"],
	["0 2/3 0/4 ? * *", "0 2-59/3 */4 * * *"],
])("the Quartz schedule %s: write %s", async (quartz, cron) => {
	const said = await saidOf(`schedule = "${quartz}"\n${account()}`);
	expect(said).toContain(`write "${cron}"`);
});

test.each(["often", "0 0 12 * * ? 2026", "99/5 * * * * *"])(
	"%s is no schedule of Quartz that could be written here",
	async (expression) => {
		const said = await saidOf(`schedule = "${expression}"\n${account()}`);
		expect(said).not.toContain("write ");
	},
);
