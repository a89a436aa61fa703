/**
 * Every reason for which `run` may end at its start: `check` ends with the same code,
 * and says all that `run` says.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exitCode } from "../src/core/errors.ts";
import { type TestConfig, writeConfig } from "./support/config-file.ts";
import {
	runProgram,
	type SpawnOptions,
	startProgram,
} from "./support/program.ts";

const url = "http://127.0.0.1:9";

/** A scene that `run` refuses. */
interface Refused {
	readonly code: number;
	/** In the words of `run`. */
	readonly says: RegExp;
	readonly args: readonly string[];
	readonly options?: SpawnOptions;
}

const withConfig = ({ file }: TestConfig) => ["--config", file];

const configured = (
	keys: Parameters<typeof writeConfig>[0],
	says: RegExp,
	options: SpawnOptions = {},
): Refused => ({
	...{ code: exitCode.configuration, says, options },
	args: withConfig(writeConfig(keys)),
});

/** With a directory that `prepare` makes unfit. */
function onDisk(prepare: (path: string) => string, says: RegExp): Refused {
	const { directory } = writeConfig({ url });
	const config = writeConfig({ url, directory: prepare(directory) });
	return { code: exitCode.cannotWrite, says, args: withConfig(config) };
}

const scenes: Readonly<Record<string, () => Refused | Promise<Refused>>> = {
	"an option that there is not": () => ({
		...{ code: exitCode.usage, says: /--no-such-option/ },
		args: ["--no-such-option"],
	}),
	"a configuration that is not there": () => ({
		...{ code: exitCode.configuration, says: /no such file or directory/ },
		args: ["--config", "/nowhere/config.toml"],
	}),
	"a configuration that is not TOML": () => {
		const config = writeConfig({ url });
		writeFileSync(config.file, "account = [");
		const says = /is not TOML/;
		return { code: exitCode.configuration, says, args: withConfig(config) };
	},
	"two wrong keys, which are told in one run": () =>
		configured(
			{ url, top: { schedule: "now", mode: "0777" } },
			/schedule: .*mode: |mode: .*schedule: /s,
		),
	"an account without its secret": () =>
		configured(
			{ url, accounts: [{ appid: "wx1" } as never] },
			/account\[0\]\.secret_file: is missing/,
		),
	"a group that there is not": () =>
		configured({ url, top: { group: "no-such-group" } }, /group: is "no-such/),
	"an [http] without an address": () =>
		configured({ url, top: { http: { listen: "x:y:z" } } }, /http\.listen: /),
	"an [alert] without an address": () =>
		configured({ url, top: { alert: { after: 1 } } }, /alert\.url: is missing/),
	"a proxy with a wrong address": () =>
		configured({ url }, /https_proxy/, { env: { https_proxy: "http://:x" } }),
	"a proxy of another protocol": () =>
		configured({ url }, /http_proxy/, { env: { http_proxy: "socks5://a:1" } }),
	"Node.js's debug output": () =>
		configured({ url }, /NODE_DEBUG: would /, { env: { NODE_DEBUG: "x" } }),
	"a file in the place of the directory": () =>
		onDisk((path) => {
			writeFileSync(path, "");
			return path;
		}, /could not .*directory/),
	"a file in the way to the directory": () =>
		onDisk((path) => {
			writeFileSync(path, "");
			return join(path, "tokens");
		}, /could not /),
	"a directory in which everybody may write": () =>
		onDisk((path) => {
			mkdirSync(path);
			chmodSync(path, 0o777);
			return path;
		}, /could not /),
	"a directory in which a simulation runs": async () => {
		const config = writeConfig({ url });
		const args = withConfig(config);
		const simulation = startProgram(["run", "--simulate", ...args]);
		await simulation.event("daemon.ready");
		return { code: exitCode.configuration, says: /simulat/, args };
	},
};

test.each(Object.entries(scenes))(
	"%s: run ends, and check says the same",
	async (_, stage) => {
		const { code, says, args, options } = await stage();
		const run = await runProgram(["run", ...args], options);
		expect(run.stderr).toMatch(says);
		expect(run.code).toBe(code);
		const check = await runProgram(["check", ...args], options);
		expect(check.code).toBe(code);
		const told = run.stderr.replaceAll("wxtokend run", "wxtokend check");
		for (const line of told.split("\n").filter(isTold))
			expect(check.stderr + check.stdout).toContain(line);
	},
);

/** What is told to a person, and no line of the log. */
function isTold(line: string): boolean {
	return line.trim() !== "" && !line.startsWith("{");
}
