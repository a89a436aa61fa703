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
import { systemClock } from "../../src/core/clock.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { atOnce } from "../../src/core/steps.ts";
import { createConfigReader } from "../../src/daemon/config-reader.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";

let place = "";
let file = "";
let secretFile = "";
let load: () => Promise<Config>;
let first: Config;

/** As commands load it, and as a daemon does that runs. */
const ways = ["from the disk", "beside the main thread"] as const;

async function begin(way: (typeof ways)[number]) {
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
	const groups = { isKnown: () => true, settled: async () => {} };
	load =
		way === "from the disk"
			? async () => atOnce(steps())
			: createConfigReader(steps, groups, systemClock).read;
	first = await load();
}

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

describe.each(ways)("%s", (way) => {
	beforeEach(() => begin(way));

	describe("an unchanged configuration is the same object again", () => {
		test("if nothing was touched", async () => {
			expect(await load()).toBe(first);
			expect(await load()).toBe(first);
		});

		test("if the files were written again with the same content", async () => {
			write(`${file}.new`, toml());
			renameSync(`${file}.new`, file);
			expect(await load()).toBe(first);
		});
	});

	describe("the configuration is made again", () => {
		test("if its text has changed", async () => {
			write(file, toml('log_level = "debug"'));
			expect((await load()).logLevel).toBe("debug");
		});

		test("if an AppSecret in a file has changed to one of the same length", async () => {
			const secret = newSecret();
			write(secretFile, secret);
			const [one] = (await load()).entries;
			expect(one?.secret).toBe(secret);
		});

		test("if an AppSecret in a credential has changed", async () => {
			const secret = newSecret();
			write(join(place, "credentials/secret_wx2"), secret);
			expect((await load()).entries[1]?.secret).toBe(secret);
		});

		test("if there is a new credential that has priority over the one that was found", async () => {
			const secret = newSecret();
			write(join(place, "credentials/wx2"), secret);
			expect((await load()).entries[1]?.secret).toBe(secret);
		});

		test("if all users may read a secret from now on, which adds a warning", async () => {
			chmodSync(secretFile, 0o644);
			expect((await load()).warnings.join()).toContain("readable by all users");
		});
	});

	test("what is true of the whole file is told once, also beside a mistake", async () => {
		const accounts = [1, 2, 3].map(
			(nth) => `[[account]]\nappid = "wx${nth}"\nsecret = "${newSecret()}"\n`,
		);
		write(file, `[[account]]\n${accounts.join("")}`);
		chmodSync(file, 0o644);
		const wrong = await load().catch((error) => error);
		expect(wrong).toBeInstanceOf(ConfigError);
		expect(wrong.warnings).toEqual([
			expect.stringContaining("readable by all users"),
		]);
	});

	describe("problems are reported at each call, and not remembered", () => {
		test("a text that is not TOML", async () => {
			write(file, "directory = [");
			await expect(load()).rejects.toThrow(ConfigError);
			await expect(load()).rejects.toThrow(ConfigError);
			write(file, toml());
			expect(await load()).toEqual(first);
		});

		test("a configuration that is gone", async () => {
			unlinkSync(file);
			await expect(load()).rejects.toThrow(ConfigError);
		});

		test("a secret file that is gone, a directory or empty", async () => {
			unlinkSync(secretFile);
			await expect(load()).rejects.toThrow(ConfigError);
			mkdirSync(secretFile);
			await expect(load()).rejects.toThrow(ConfigError);
			rmSync(secretFile, { recursive: true });
			write(secretFile, "");
			await expect(load()).rejects.toThrow(ConfigError);
		});
	});

	test("a secret, its file and its directory all change at once", async () => {
		const secret = newSecret();
		write(join(place, "new.secret"), secret);
		write(
			file,
			toml(`log_level = "debug"
metrics_file = "${join(place, "metrics.prom")}"
[[account]]
appid = "wx3"
secret_file = "${join(place, "new.secret")}"`),
		);
		const { entries, metricsFile } = await load();
		expect(entries[0]?.secret).toBe(secret);
		expect(metricsFile).toBe(join(place, "metrics.prom"));
	});
});
