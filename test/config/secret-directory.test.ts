/** Secrets as systemd hands them over: a directory of credentials, and what systemd makes of it. */
import {
	appendFileSync,
	mkdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkHere } from "../support/check-here.ts";
import { newDirectory } from "../support/directory.ts";
import { noteSecret } from "../support/leaks.ts";
import { projectRoot, runProgram } from "../support/program.ts";

/** As WeChat has them; no output may show it. */
function hexSecret(): string {
	return noteSecret(
		Array.from({ length: 32 }, () =>
			Math.floor(Math.random() * 16).toString(16),
		).join(""),
	);
}

/** A configuration as the package leaves it: `secrets` beside it, and no other way to a secret. */
function place(appids: readonly string[] = ["wx1"]) {
	const directory = newDirectory();
	const secrets = join(directory, "secrets");
	mkdirSync(secrets);
	const file = join(directory, "config.toml");
	const tables = appids.map((appid) => `[[account]]\nappid = "${appid}"\n`);
	writeFileSync(file, `directory = "${directory}/tokens"\n${tables.join("")}`);
	const check = (env = {}) => checkHere(["--config", file], env);
	const write = (name: string, text: string) =>
		writeFileSync(join(secrets, name), text, { mode: 0o600 });
	return { directory, secrets, file, check, write };
}

describe("a command by hand finds the secrets of the unit", () => {
	test("in secrets/ beside the configuration, without a variable", async () => {
		const { check, write } = place();
		write("wx1", `${hexSecret()}\n`);
		expect(await check()).toMatchObject({ code: 0, stderr: "" });
	});

	test("and names the whole path of the file that is missing", async () => {
		const { check, secrets } = place();
		const { code, stderr } = await check();
		expect(code).toBe(78);
		expect(stderr).toContain(`${secrets}/wx1`);
	});

	test("but under systemd only what systemd handed over counts", async () => {
		const { check, write, directory } = place();
		write("wx1", `${hexSecret()}\n`);
		const empty = join(directory, "credentials");
		mkdirSync(empty);
		const { code, stderr } = await check({ CREDENTIALS_DIRECTORY: empty });
		expect(code).toBe(78);
		expect(stderr).toContain(`${empty}/wx1`);
		expect(stderr).toContain(`${empty}/secret_wx1`);
	});

	test.runIf(process.getuid?.() === 0)(
		"and says who may look, if this user may not",
		async () => {
			const { secrets, write, file, directory } = place();
			write("wx1", `${hexSecret()}\n`);
			mkdirSync(join(directory, "tokens"), { mode: 0o777 });
			const { chmodSync, chownSync } = await import("node:fs");
			chownSync(join(directory, "tokens"), 65534, 65534);
			chmodSync(secrets, 0o700);
			const args = ["check", "--config", file];
			const { code, stderr } = await runProgram(args, {
				uid: 65534,
				gid: 65534,
			});
			expect(code).toBe(78);
			expect(stderr).toContain(secrets);
			expect(stderr).toMatch(/permission denied \(EACCES\).*root/);
		},
	);
});

describe("one credential holds many secrets", () => {
	test.each([
		["secrets/ beside the configuration", "accounts.list", false],
		["a credential of that name", "accounts.list", true],
		["a directory of credentials", "secret_accounts.list", true],
	])("in %s", async (_where, name, isCredential) => {
		const { check, write, secrets } = place(["wx1", "wx2"]);
		write(
			name,
			`# by hand\r\nwx1 ${hexSecret()}\r\n\n  wx2\t${hexSecret()}  \nwx3 ${hexSecret()}`,
		);
		const env = isCredential ? { CREDENTIALS_DIRECTORY: secrets } : {};
		expect(await check(env)).toMatchObject({ code: 0, stderr: "" });
	});

	test("for ten thousand accounts", async () => {
		const appids = Array.from({ length: 10_000 }, (_, index) => `wx${index}`);
		const { check, write } = place(appids);
		const secret = hexSecret();
		write("accounts.list", appids.map((one) => `${one} ${secret}\n`).join(""));
		expect(await check()).toMatchObject({ code: 0, stderr: "" });
	});

	test.each([
		["wx1\n", "line 1 holds no name and secret"],
		["# a\nwx1 A B\n", "line 2 holds no name and secret"],
		["wx1 A\nwx1 B\n", "line 2 names wx1 a second time"],
		["wx2 A\n", "is missing"],
		['wx1 "A"\n', "in quotes"],
	])("a list such as %j is refused, without a secret", async (text, says) => {
		const { check, write, secrets } = place();
		write(
			"accounts.list",
			text.replaceAll("A", hexSecret()).replaceAll("B", hexSecret()),
		);
		const { code, stderr } = await check();
		expect(code).toBe(78);
		expect(stderr).toContain(says);
		expect(stderr).toContain(`${secrets}/accounts.list`);
	});

	test("an account's own file comes before the list", async () => {
		const { check, write, secrets } = place();
		write("accounts.list", `wx1 ${hexSecret()}`);
		write("wx1", "");
		const { stderr } = await check();
		expect(stderr).toContain(`${secrets}/wx1 is empty`);
	});
});

describe("check tells what systemd will not hand over", () => {
	/** Both ways to the same directory. */
	const named = (secrets: string, isNamed: boolean) =>
		isNamed ? { CREDENTIALS_DIRECTORY: secrets } : {};

	test.each([[false], [true]])(
		"a symbolic link: systemd leaves it out (CREDENTIALS_DIRECTORY given: %s)",
		async (isNamed) => {
			const { check, secrets, directory } = place();
			writeFileSync(join(directory, "elsewhere"), hexSecret(), { mode: 0o600 });
			symlinkSync(join(directory, "elsewhere"), join(secrets, "wx1"));
			const { code, stderr } = await check(named(secrets, isNamed));
			expect(code).toBe(78);
			expect(stderr).toMatch(/secrets\/wx1: is a symbolic link.*systemd/);
		},
	);

	test("a link that the secrets of a container are made of works", async () => {
		const { check, directory } = place();
		const mounted = join(directory, "mounted");
		mkdirSync(mounted);
		writeFileSync(join(mounted, "..data"), hexSecret(), { mode: 0o600 });
		symlinkSync("..data", join(mounted, "wx1"));
		const env = { CREDENTIALS_DIRECTORY: mounted };
		expect((await check(env)).code).toBe(0);
	});

	test.each([
		[256, 0, false],
		[256, 0, true],
		[257, 78, false],
		[257, 78, true],
	])(
		"%i files: exit code %i (CREDENTIALS_DIRECTORY given: %s)",
		async (count, code, isNamed) => {
			const { check, secrets, write, file } = place();
			for (let index = 1; index <= count; index += 1)
				write(`wx${index}`, hexSecret());
			for (let index = 2; index <= count; index += 1)
				appendFileSync(file, `[[account]]\nappid = "wx${index}"\n`);
			const checked = await check(named(secrets, isNamed));
			expect(checked.code).toBe(code);
			if (code === 0) expect(checked.stderr).toBe("");
			else expect(checked.stderr).toMatch(/257 files.*256.*accounts\.list/s);
		},
	);
});

test.each(["systemd/README.md", "systemd/README.zh-CN.md"])(
	"%s tells how one credential holds many secrets, and how an encrypted one is named",
	(name) => {
		const text = readFileSync(join(projectRoot, name), "utf8");
		expect(text).toContain("/etc/wxtokend/secrets/accounts.list");
		expect(text).toMatch(/systemd-creds encrypt --name=secret_wx\w+/);
		expect(text).not.toContain("CREDENTIALS_DIRECTORY=/etc");
	},
);
