/**
 * The reference pages, the help and the man page say what the program does, and all of
 * it; the READMEs name nothing that is not there; the pages on its inside name every
 * file, and show the table of rooms.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type CommandUsage, commands } from "../src/cli/usage.ts";
import { entryTableNames } from "../src/config/entry-names.ts";
import { configKeys } from "../src/config/shape.ts";
import { exitCode } from "../src/core/errors.ts";
import { knownComponentErrcodes } from "../src/issuer/component-errcode.ts";
import { knownErrcodes } from "../src/issuer/errcode.ts";
import { knownSuiteErrcodes } from "../src/issuer/suite-errcode.ts";
import { ticketErrcodes } from "../src/issuer/ticket.ts";
import { knownWecomErrcodes } from "../src/issuer/wecom-errcode.ts";
import { faultModes } from "../src/simulator/faults.ts";
import { programPath, projectRoot } from "./support/program.ts";
import { type Language, roomRows } from "./support/rooms.ts";

const readmes = ["README.md", "README.zh-CN.md"];
const references = ["docs/reference.md", "docs/reference.zh-CN.md"];

/** The pages on the inside of the program. */
const architecture: readonly (readonly [string, Language])[] = [
	["docs/architecture.md", "en"],
	["docs/architecture.zh-CN.md", "zh"],
];

const sourceFiles = readdirSync(join(projectRoot, "src"), { recursive: true })
	.map(String)
	.filter((file) => file.endsWith(".ts"));

const all = Object.values<CommandUsage>(commands);

function read(name: string): string {
	return readFileSync(join(projectRoot, name), "utf8");
}

function exists(name: string): boolean {
	return existsSync(join(projectRoot, name));
}

/** Every route of the control socket: "GET /healthz". */
const routes = [
	...read("src/daemon/control-routes.ts").matchAll(
		/^\t\t"(\/[^"]+)": \{\s*(GET|POST):/gm,
	),
].map(([, path, method]) => `${method} ${path}`);

/** Rows whose first cell is a folder. */
function roomTableIn(text: string): readonly string[] {
	return text.match(/^\| `[a-z]+\/` \|.*$/gm) ?? [];
}

function found(text: string, pattern: RegExp): readonly string[] {
	return [...new Set(text.match(pattern) ?? [])].sort();
}

/** `89501–89505` stands for each of them. */
function errcodesIn(text: string): readonly number[] {
	const cells = text.match(/^\| (-?\d[\d, –-]*) \|/gm) ?? [];
	return cells
		.flatMap((cell) => cell.replace(/^\| | \|$/g, "").split(", "))
		.flatMap((entry) => {
			const [first = 0, last = first] = entry.split("–").map(Number);
			return Array.from({ length: last - first + 1 }, (_, i) => first + i);
		})
		.sort((a, b) => a - b);
}

describe.each(references)("%s", (name) => {
	const text = read(name);

	test("names every command, and no other", () => {
		const named = found(text, /(?<=`wxtokend )[a-z]+/g);
		expect(named).toEqual(Object.keys(commands).sort());
	});

	test("names every option, and no other", () => {
		const options = all.flatMap(({ options }) =>
			options.map(({ flag }) => `--${flag}`),
		);
		// Those of other programs in examples.
		const others = ["--help", "--unix-socket", "--use-openssl-ca"];
		const named = found(text, /(?<![\w-])--[a-z][a-z-]*/g);
		expect(named.filter((flag) => !others.includes(flag))).toEqual(
			[...new Set(options)].sort(),
		);
	});

	test("names every exit code", () => {
		for (const code of Object.values(exitCode))
			expect(text).toMatch(new RegExp(`(?<!\\d)${code} \\S`));
	});

	test("names every key of the configuration, and no other", () => {
		const named = found(text, /^\| `(?!wxtokend)[a-z_]+` \|/gm).map((row) =>
			row.replace(/[|` ]/g, ""),
		);
		const inTables = [...configKeys.top, ...configKeys.wechat].filter(
			(key) =>
				![
					"wechat",
					"http",
					"alert",
					"fleet",
					"receiver",
					...entryTableNames,
				].includes(key),
		);
		expect(named).toEqual([...new Set(inTables)].sort());
		for (const table of entryTableNames)
			for (const key of configKeys[table]) expect(text).toContain(`\`${key}\``);
	});

	test("names every key that only platforms have, and so does their page", () => {
		const page = read(name.replace("reference", "platform"));
		for (const key of [
			...configKeys.receiver,
			...configKeys["component.authorizer"],
		])
			expect(text).toContain(`\`${key}\``);
		for (const key of configKeys.receiver) expect(page).toContain(key);
		const known = [...knownComponentErrcodes, ...knownSuiteErrcodes];
		expect(errcodesIn(page)).toEqual(known.sort((a, b) => a - b));
	});

	test("names every environment variable that the program reads", () => {
		const used = sourceFiles.flatMap((file) =>
			found(read(join("src", file)), /\b(WXTOKEND|WECHAT)_[A-Z_]+\b/g),
		);
		const named = found(text, /\b(WXTOKEND|WECHAT)_[A-Z_]+\b/g);
		expect(named).toEqual([...new Set(used)].sort());
	});

	test("has a row for every route of the socket, and no other", () => {
		const rows = text.split("\n").filter((row) => /^\| `(GET|POST) /.test(row));
		const named = rows.flatMap((row) =>
			found(row, /(?<=`)(GET|POST) \/[^`]+/g),
		);
		expect(named.sort()).toEqual([...routes].sort());
	});

	test("has a row for every errcode of the table, and no other", () => {
		const known = [...knownErrcodes, ...ticketErrcodes];
		expect(errcodesIn(text)).toEqual(known.sort((a, b) => a - b));
	});

	test("names every metric, and no other", () => {
		const source = read("src/daemon/metrics.ts");
		const real = found(source, /(?<=name: ")wxtokend_[a-z_]+/g);
		expect(real.length).toBeGreaterThan(5);
		expect(found(text, /\bwxtokend_[a-z_]+/g)).toEqual(real);
	});
});

test.each(["docs/wecom.md", "docs/wecom.zh-CN.md"])(
	"%s has a row for every errcode of 企业微信, and no other",
	(name) => {
		expect(errcodesIn(read(name))).toEqual(knownWecomErrcodes);
	},
);

describe.each(readmes)("%s", (name) => {
	const text = read(name);

	test("names commands and settings that there are", () => {
		for (const command of found(text, /(?<=wxtokend )[a-z]+(?=`| --)/g))
			expect(Object.keys(commands)).toContain(command);
		const keys = [
			...configKeys.top,
			...configKeys.wechat,
			...configKeys.account,
		];
		for (const key of found(
			text.replaceAll("\\n", "\n"),
			/(?<=^|`)[a-z_]+(?= += ")/gm,
		))
			expect(keys).toContain(key);
	});

	test("runs scripts that package.json has", () => {
		const { scripts } = JSON.parse(read("package.json"));
		for (const script of found(text, /(?<=npm run )[a-z:]+/g))
			expect(scripts).toHaveProperty([script]);
	});
});

describe.each(architecture)("%s", (page, language) => {
	const text = read(page);

	test("shows the table of rooms", () => {
		expect(roomTableIn(text)).toEqual(roomRows(language));
	});

	test("has one line for each file of src/, and for nothing else", () => {
		const lines = text.match(/^- `[^`]+\.ts`[:：]/gm) ?? [];
		const files = lines.map((line) => line.replace(/^- `|`[:：]$/g, ""));
		expect(files.sort()).toEqual([...sourceFiles].sort());
	});

	test("names files and folders that exist", () => {
		const paths = found(text, /(?<=`)[\w./-]+(\.ts|\/)(?=`)/g);
		expect(paths.length).toBeGreaterThan(sourceFiles.length);
		for (const path of paths)
			expect(exists(path) || exists(join("src", path)), path).toBe(true);
	});

	test("names functions that the sources have", () => {
		const names = found(text, /(?<=`)\w+(?=\(\)`)/g);
		expect(names.length).toBeGreaterThan(20);
		const code = sourceFiles.map((file) => read(join("src", file))).join("\n");
		for (const name of names)
			expect(code, name).toMatch(new RegExp(`\\b${name}\\b *[(<:=]`));
	});
});

test.each(["docs/fleet.md", "docs/fleet.zh-CN.md"])(
	"%s names every metric of the fleet, and no other",
	(page) => {
		const source = read("src/daemon/fleet-metrics.ts");
		const real = found(source, /(?<=name: ")wxtokend_[a-z_]+/g);
		expect(real.length).toBeGreaterThan(5);
		expect(found(read(page), /\bwxtokend_[a-z_]+/g)).toEqual(real);
	},
);

test.each(["docs/fleet.md", "docs/fleet.zh-CN.md"])(
	"%s names every key of [fleet]",
	(page) => {
		const text = read(page);
		for (const key of configKeys.fleet) expect(text).toContain(`\`${key}\``);
	},
);

const pages = ["", "docs", "docs/install", "systemd"].flatMap((folder) =>
	readdirSync(join(projectRoot, folder))
		.filter((name) => name.endsWith(".md") && name !== "CHANGELOG.md")
		.map((name) => join(folder, name)),
);

test.each(pages)(
	"%s links to files, and to sections of them, that exist",
	(page) => {
		const links = [
			...read(page).matchAll(/\]\((?!http)([^)#]*)(?:#([^)]*))?\)/g),
		];
		for (const [, file = "", section] of links) {
			const path = file === "" ? page : join(dirname(page), file);
			expect(exists(path), path).toBe(true);
			if (section !== undefined)
				expect(sectionsIn(read(path)), path).toContain(section);
		}
	},
);

/** The names under which a page's sections can be linked to. */
function sectionsIn(text: string): readonly string[] {
	return found(text, /(?<=^#+ ).*$/gm).map((title) =>
		title
			.toLowerCase()
			.replace(/[^\p{L}\p{N}_ -]/gu, "")
			.replaceAll(" ", "-"),
	);
}

test.each([
	["README.md", "README.zh-CN.md"],
	["docs/reference.md", "docs/reference.zh-CN.md"],
	["docs/figures.md", "docs/figures.zh-CN.md"],
	["docs/testing.md", "docs/testing.zh-CN.md"],
	...readdirSync(join(projectRoot, "docs/install"))
		.filter((name) => name.endsWith(".zh-CN.md"))
		.map((name) => [
			`docs/install/${name.replace(".zh-CN", "")}`,
			`docs/install/${name}`,
		]),
	["docs/architecture.md", "docs/architecture.zh-CN.md"],
	["systemd/README.md", "systemd/README.zh-CN.md"],
	["docs/readers.md", "docs/readers.zh-CN.md"],
	["docs/tickets.md", "docs/tickets.zh-CN.md"],
	["docs/http.md", "docs/http.zh-CN.md"],
	["docs/alerts.md", "docs/alerts.zh-CN.md"],
	["docs/trust.md", "docs/trust.zh-CN.md"],
	["docs/wecom.md", "docs/wecom.zh-CN.md"],
	["docs/bounds.md", "docs/bounds.zh-CN.md"],
	["docs/field.md", "docs/field.zh-CN.md"],
])("%s and %s have the same sections, tables and examples", (one, other) => {
	const shape = (text: string) => ({
		sections: text.match(/^###? /gm)?.length,
		rows: text.match(/^\|/gm)?.length,
		points: text.match(/^(- |\d\. )/gm)?.length,
		blocks: text.match(/^ {4}\S|^```/gm)?.length,
	});
	expect(shape(read(one))).toEqual(shape(read(other)));
	const name = (path: string) => path.split("/").at(-1);
	expect(read(one)).toContain(`](${name(other)})`);
	expect(read(other)).toContain(`](${name(one)})`);
});

test.each(["docs/alerts.md", "docs/alerts.zh-CN.md"])(
	"%s has a row for every key of [alert], and no other",
	(page) => {
		const rows = found(read(page), /^\| `[a-z_]+`.*?(?= \| )/gm);
		const named = rows.flatMap((row) => found(row, /(?<=`)[a-z_]+(?=`)/g));
		expect(named.sort()).toEqual([...configKeys.alert].sort());
	},
);

test.each([
	"systemd/README",
	...readdirSync(join(projectRoot, "docs/install"))
		.filter((name) => name.endsWith(".zh-CN.md"))
		.map((name) => `docs/install/${name.replace(".zh-CN.md", "")}`),
])("the commands of %s are the same in both languages", (page) => {
	const commandsIn = (name: string) =>
		found(read(name), /^ {4}\S.*/gm).map((line) =>
			line.replace(/ {2,}# .*/, "").trim(),
		);
	expect([...commandsIn(`${page}.zh-CN.md`)].sort()).toEqual(
		[...commandsIn(`${page}.md`)].sort(),
	);
});

test("no example puts a token into the arguments of a program, where every user can see it", () => {
	const texts = [
		...[...readmes, ...references].map(read),
		read("docs/readers.md"),
		read("docs/readers.zh-CN.md"),
		read("docs/tickets.md"),
		read("docs/tickets.zh-CN.md"),
		...all.map(({ example, about }) => `${about}\n${example}`),
	];
	const inArguments =
		/curl[^\n|]*access_token=\$|curl[^\n|]*\{"stale"|--stale (?!-|TOKEN)\S/;
	for (const text of texts) expect(text).not.toMatch(inArguments);
});

test("simulate --help names every way in which the simulator can fail", () => {
	const words = commands.simulate.about.split(/[\s,;.]+/);
	expect(words).toEqual(expect.arrayContaining([...faultModes]));
});

test.each(Object.keys(commands))("%s --help is what the usage says", (name) => {
	const help = execFileSync(process.execPath, [programPath, name, "--help"], {
		encoding: "utf8",
	});
	const usage: CommandUsage = commands[name as keyof typeof commands];
	for (const { flag } of usage.options) expect(help).toContain(`--${flag}`);
	for (const [code] of usage.exitCodes) expect(help).toContain(`  ${code} `);
	expect(help).toContain(usage.example);
	expect(help.split("\n").filter((line) => line.length > 120)).toEqual([]);
});

test("the man page has every command and option", () => {
	const page = read("dist/wxtokend.8").replaceAll("\\-", "-");
	for (const { name, options } of all) {
		expect(page).toContain(`.SS wxtokend ${name}`);
		for (const { flag } of options) expect(page).toContain(`"--${flag}`);
	}
});

test.each(["docs/trust.md", "docs/trust.zh-CN.md"])(
	"%s names tests that hold each row of its table, and functions that are there",
	(page) => {
		const text = read(page);
		const tests = read("test/store/strangers.test.ts");
		const rows = text.match(/^\| (?:`[.<c]|a token or|另一个).*$/gm) ?? [];
		expect(rows.length).toBe(10);
		for (const row of rows) {
			const held = row.split(" | ").at(-1)?.replace(/ \|$/, "") ?? "";
			const [, file] = /^`(.+)`$/.exec(held) ?? [];
			if (file !== undefined) expect(exists(file), file).toBe(true);
			else for (const part of held.split(" … ")) expect(tests).toContain(part);
		}
		for (const name of found(text, /(?<=`)\w+(?=\(\)`)/g))
			expect(read("src/store/found-entry.ts")).toContain(`function ${name}(`);
	},
);

test.each(["docs/bounds.md", "docs/bounds.zh-CN.md"])(
	"%s has the numbers of the sources, and names tests that there are",
	(page) => {
		const rows = read(page).match(/^\|.*\| `test\/.*$/gm) ?? [];
		expect(rows.length).toBeGreaterThan(30);
		let numbers = 0;
		for (const row of rows) {
			const cells = row.split("|").map((cell) => cell.trim());
			const [, , bound = "", owner = "", , held = ""] = cells;
			expect(exists(held.replaceAll("`", "")), held).toBe(true);
			const source = read(owner.replaceAll("`", ""));
			for (const [, name = "", value] of bound.matchAll(/`(\w+)` = (\d+)/g)) {
				const found = new RegExp(
					`${name}\\b[^=\n;]*[=:] ([\\d_.e* ]+)[;,]`,
				).exec(source);
				const product = (found?.[1] ?? "")
					.replaceAll("_", "")
					.split("*")
					.reduce((left, right) => left * Number(right), 1);
				expect([owner, name, product]).toEqual([owner, name, Number(value)]);
				numbers += 1;
			}
		}
		expect(numbers).toBeGreaterThan(25);
	},
);

/**
 * Limits against which nobody outside can make anything grow: the others have a row in
 * docs/bounds.
 */
const harmless: Readonly<Record<string, readonly string[]>> = {
	// Work and texts of our own: how much in one go, and how often.
	"cli/commands/import.ts": ["maxAtOnce"],
	"cli/commands/refresh.ts": ["maxAtOnce"],
	"cli/distrust.ts": ["maxLooks"],
	"config/cross-checks.ts": ["maxSocketPathBytes"],
	"core/iso-time.ts": ["maxMinutes"],
	"core/push-crypt.ts": ["maxPadding"],
	"daemon/adoption-lines.ts": ["maxLines"],
	"daemon/alert-text.ts": ["maxNames"],
	"daemon/control-reports.ts": ["maxOverhead"],
	"daemon/heap.ts": ["maxNewSpaceBytes"],
	"daemon/log-file.ts": ["maxPiece"],
	"daemon/page/page.ts": ["maxParts"],
	"daemon/page/status-page.ts": ["maxShared"],
	"keeper/reconciler.ts": ["maxAtOnce", "maxDepth"],
	"keeper/spare-memory.ts": ["maxCollections"],
	"store/lock-directory.ts": ["maxLooks"],
	"store/redis-facts.ts": ["maxTold"],
	"store/redis-lease.ts": ["maxTriesAtEnd"],
	"store/sdk-copies.ts": ["maxChecked"],
	// Read from a mark that only a simulation makes.
	"store/simulated-directory.ts": ["maxBytes"],
	// What is believed of clocks, ends and wrong secrets.
	"core/clock-skew.ts": ["maxSkewMs"],
	"core/fleet-clock.ts": ["maxRoundTripMs"],
	"core/fleet-record.ts": ["maxAheadMs", "maxOwnAheadMs"],
	"core/ip-ledger.ts": ["maxWrong"],
	"core/record.ts": ["maxInstant"],
	"core/sighting.ts": ["maxGapMs"],
	"core/token-sighting.ts": ["maxGapMs"],
	"daemon/kept-platform.ts": ["maxSkewMs"],
	"keeper/observation.ts": ["maxGlimpseMs"],
	// Deadlines and turns of our own.
	"core/limits.ts": ["maxTurnMs"],
	"daemon/control-socket.ts": ["maxSocketPathBytes", "lockTimeoutMs"],
	"daemon/daemon.ts": ["drainTimeoutMs"],
	"daemon/fleet.ts": ["connectTimeoutMs"],
	"daemon/schedule.ts": ["longestSleepMs", "longestLookBackMs"],
	"daemon/server-life.ts": ["drainTimeoutMs"],
	"store/central-store.ts": ["lockTimeoutMs"],
	"store/fleet-news.ts": ["maxTurnMs", "lockTimeoutMs"],
	"store/redis-check.ts": ["connectTimeoutMs"],
	"store/redis-link.ts": ["maxExtensions"],
	"store/shared-note.ts": ["maxWaitMs"],
};

test.each(["docs/bounds.md", "docs/bounds.zh-CN.md"])(
	"%s has a row for each limit of the sources that others can reach",
	(page) => {
		const rows = read(page).match(/^\|.*\| `test\/.*$/gm) ?? [];
		const listed = Object.entries(harmless).flatMap(([file, names]) =>
			names.map((name) => `${file} ${name}`),
		);
		const told = new Set([
			...rows.flatMap((row) => {
				const [owner = ""] = found(row, /(?<=`src\/)[^`]+/g);
				return found(row, /(?<=`)\w+(?=`)/g).map((name) => `${owner} ${name}`);
			}),
			...listed,
		]);
		const limits = sourceFiles
			.filter((file) => !file.startsWith("simulator/"))
			.flatMap((file) =>
				found(
					read(join("src", file)),
					/(?<=^(?:export )?const )(?:(?:max|longest)[A-Z]\w*|\w*(?:Limit|Timeout)Ms)\b/gm,
				).map((name) => `${file} ${name}`),
			);
		expect(limits.length).toBeGreaterThan(80);
		expect(limits.filter((one) => !told.has(one))).toEqual([]);
		// What is no limit of the sources any more is to be taken out of the list.
		expect(listed.filter((one) => !limits.includes(one))).toEqual([]);
	},
);

test.each(["docs/field.md", "docs/field.zh-CN.md"])(
	"%s names a test for each situation, and tests that there are",
	(page) => {
		const text = read(page);
		const named = found(text, /\btest\/[\w./-]+\.ts\b/g);
		expect(named.filter((file) => !exists(file))).toEqual([]);
		const rows = text.match(/^\| [ABC]\d+ .*$/gm) ?? [];
		expect(rows.length).toBe(45);
		expect(rows.filter((row) => !/`test\/[^`]+` \|$/.test(row))).toEqual([]);
	},
);

describe.each(["SECURITY.md", "SECURITY.zh-CN.md"])("%s", (name) => {
	const text = read(name);
	const rows = text.split("\n").filter((row) => row.startsWith("| "));

	test("names only tests that there are", () => {
		const named = found(text, /\btest\/[\w./-]+\.(ts|sh)\b/g);
		expect(named.length).toBeGreaterThan(5);
		expect(named.filter((file) => !exists(file))).toEqual([]);
	});

	test("names a test in each row that says closed", () => {
		const closed = rows.filter((row) => /\| (closed|已封堵) \|/.test(row));
		expect(closed.length).toBeGreaterThan(8);
		const simulated = /run --simulate/;
		expect(
			closed.filter((row) => !row.includes("`test/") && !simulated.test(row)),
		).toEqual([]);
	});

	test("has as many rows as in the other language", () => {
		const other = read(
			name === "SECURITY.md" ? "SECURITY.zh-CN.md" : "SECURITY.md",
		);
		expect(rows).toHaveLength(
			other.split("\n").filter((row) => row.startsWith("| ")).length,
		);
	});
});
