/** Loading again: reloads are frequent, but the configuration seldom changes. */
import {
	chmodSync,
	mkdirSync,
	renameSync,
	rmSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Config, createConfigLoader } from "../../src/config/config.ts";
import { atOnce } from "../../src/config/steps.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";

let place = "";
let file = "";
let secretFile = "";
let load: () => Config;
let first: Config;

beforeEach(() => {
	place = newDirectory();
	file = join(place, "config.toml");
	secretFile = join(place, "wx1.secret");
	mkdirSync(join(place, "credentials"));
	write(file, toml());
	write(secretFile, newSecret());
	write(join(place, "credentials/secret_wx2"), newSecret());
	const steps = createConfigLoader({
		file,
		env: { CREDENTIALS_DIRECTORY: join(place, "credentials") },
		secrets: true,
	});
	load = () => atOnce(steps());
	first = load();
});

function toml(more = ""): string {
	return `directory = "${place}"
group = "root"
${more}
[[account]]
appid = "wx1"
secret_file = "${secretFile}"
[[account]]
appid = "wx2"
`;
}

function write(path: string, text: string): void {
	writeFileSync(path, text, { mode: 0o640 });
}

describe("an unchanged configuration is the same object again", () => {
	test("if nothing was touched", () => {
		expect(load()).toBe(first);
		expect(load()).toBe(first);
	});

	test("if the files were written again with the same content", () => {
		write(`${file}.new`, toml());
		renameSync(`${file}.new`, file);
		expect(load()).toBe(first);
	});
});

describe("the configuration is made again", () => {
	test("if its text has changed", () => {
		write(file, toml('log_level = "debug"'));
		expect(load().logLevel).toBe("debug");
	});

	test("if an AppSecret in a file has changed to one of the same length", () => {
		const secret = newSecret();
		write(secretFile, secret);
		const [one] = load().entries;
		expect(one?.secret).toBe(secret);
	});

	test("if an AppSecret in a credential has changed", () => {
		const secret = newSecret();
		write(join(place, "credentials/secret_wx2"), secret);
		expect(load().entries[1]?.secret).toBe(secret);
	});

	test("if there is a new credential that has priority over the one that was found", () => {
		const secret = newSecret();
		write(join(place, "credentials/wx2"), secret);
		expect(load().entries[1]?.secret).toBe(secret);
	});

	test("if all users may read a secret from now on, which adds a warning", () => {
		chmodSync(secretFile, 0o644);
		expect(load().warnings.join()).toContain("readable by all users");
	});
});

describe("problems are reported at each call, and not remembered", () => {
	test("a text that is not TOML", () => {
		write(file, "directory = [");
		expect(load).toThrow(ConfigError);
		expect(load).toThrow(ConfigError);
		write(file, toml());
		expect(load()).toEqual(first);
	});

	test("a configuration that is gone", () => {
		unlinkSync(file);
		expect(load).toThrow(ConfigError);
	});

	test("a secret file that is gone, a directory or empty", () => {
		unlinkSync(secretFile);
		expect(load).toThrow(ConfigError);
		mkdirSync(secretFile);
		expect(load).toThrow(ConfigError);
		rmSync(secretFile, { recursive: true });
		write(secretFile, "");
		expect(load).toThrow(ConfigError);
	});
});
