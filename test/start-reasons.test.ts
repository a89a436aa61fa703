/**
 * Every reason for which `run` may end at its start: `check` ends with the same code,
 * and says all that `run` says. And all that `run` only does without: `check` names it in
 * the same words.
 */
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	mkdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { exitCode } from "../src/core/errors.ts";
import { certificate } from "./support/certificate.ts";
import { type TestConfig, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { freePort } from "./support/free-port.ts";
import { newSecret } from "./support/leaks.ts";
import { newPlatform } from "./support/platform.ts";
import {
	projectRoot,
	runProgram,
	type SpawnOptions,
	startDaemon,
	startProgram,
} from "./support/program.ts";
import { noRedis, startRedis } from "./support/redis.ts";

const url = "http://127.0.0.1:9";
const isRoot = process.geteuid?.() === 0;

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

function configuredAt(config: string, says: RegExp): Refused {
	const args = ["--config", config];
	return { code: exitCode.configuration, says, args };
}

function cannotWrite(config: string, says: RegExp): Refused {
	return { code: exitCode.cannotWrite, says, args: ["--config", config] };
}

function newFile(text: string): string {
	const path = join(newDirectory(), "file");
	writeFileSync(path, text, { mode: 0o600 });
	return path;
}

/** As `docker run -v FILE:FILE` does it; the mount ends with the process. */
function mounted(name: string): Refused {
	const { directory, file } = writeConfig({ url });
	mkdirSync(directory);
	const path = join(directory, name);
	writeFileSync(path, "");
	const script = `mount --bind "$0" "$0" && exec "$@"`;
	return {
		code: exitCode.cannotWrite,
		says: /could not use \S+: a single file is mounted there/,
		args: ["--config", file],
		options: { launcher: ["unshare", "-m", "sh", "-c", script, path] },
	};
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
	"an [http] whose certificate and key do not belong together": () => {
		const [from, until] = [new Date(0), new Date(4e12)];
		const files = {
			cert_file: newFile(certificate(from, until).cert),
			key_file: newFile(certificate(from, until).key),
		};
		return configured(
			{ url, top: { http: { listen: "127.0.0.1:0", ...files } } },
			/http\.key_file: is .*, the key of another certificate/,
		);
	},
	"an [http] with a bearer file that is not there": () =>
		configured(
			{
				url,
				top: { http: { listen: "127.0.0.1:0", bearer_file: "/nowhere/b" } },
			},
			/http\.bearer_file: \/nowhere\/b could not be read: no such file/,
		),
	"a [receiver] without a component": () =>
		configured(
			{ url, top: { receiver: { listen: "127.0.0.1:0" } } },
			/receiver: has nothing to receive for/,
		),
	"a component without a state directory": async () => {
		const { config, write } = await newPlatform();
		write({}, { state_directory: undefined });
		return configuredAt(config, /state_directory: is missing/);
	},
	"a component without its key": async () => {
		const { config, write } = await newPlatform();
		write({ aes_key_file: undefined });
		return configuredAt(config, /component\[0\]\.aes_key_file: is missing/);
	},
	"a [fleet] with a password file that is not there": () =>
		configured(
			{
				url,
				top: {
					fleet: { url: "redis://127.0.0.1:1/0", password_file: "/nowhere/p" },
				},
			},
			/fleet\.password_file: /,
		),
	"a [fleet] whose password file is a named pipe": () => {
		const password_file = join(newDirectory(), "pipe");
		execFileSync("mkfifo", [password_file]);
		const fleet = { url: "redis://127.0.0.1:1/0", password_file };
		return configured(
			{ url, top: { fleet } },
			/fleet\.password_file: \S+pipe could not be read: .*pipe/,
		);
	},
	"a [fleet] whose authority never ends": () => {
		const fleet = { url: "rediss://127.0.0.1:1/0", ca_file: "/dev/zero" };
		return configured(
			{ url, top: { fleet } },
			/fleet\.ca_file: \/dev\/zero could not be read: /,
		);
	},
	"a [fleet] whose authority is a file that is not there": () =>
		configured(
			{
				url,
				top: {
					fleet: { url: "rediss://127.0.0.1:1/0", ca_file: "/nowhere/c" },
				},
			},
			/fleet\.ca_file: /,
		),
	"a certificate in [http] that is a named pipe": () =>
		configured(
			{
				url,
				top: {
					http: {
						listen: "127.0.0.1:0",
						cert_file: "/dev/null",
						key_file: "/dev/null",
					},
				},
			},
			/http\.cert_file: \/dev\/null is not a plain file/,
		),
	"an [alert] whose address is none": () =>
		configured(
			{ url, top: { alert: { url: "wecom robot" } } },
			/alert\.url: is no address/,
		),
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
	"a state directory that is a file": async () => {
		const { config, state } = await newPlatform();
		writeFileSync(state, "");
		return cannotWrite(config, /could not use \S+state: it is not a directory/);
	},
	"a state directory behind a link": async () => {
		const { config, state } = await newPlatform();
		symlinkSync(newDirectory(), state);
		return cannotWrite(config, /could not use \S+state: it is not a directory/);
	},
	"a file in the way to the state directory": async () => {
		const { config, write, file } = await newPlatform();
		write({}, { state_directory: join(file("f", ""), "state") });
		return cannotWrite(config, /could not make the directory /);
	},
	"a state directory in which nothing can be written": async () => {
		const { config, write } = await newPlatform();
		write({}, { state_directory: "/proc" });
		return cannotWrite(config, /could not /);
	},
	"a folder of the state directory that is a file": async () => {
		const { config, state } = await newPlatform();
		mkdirSync(state, { mode: 0o700 });
		writeFileSync(join(state, "component"), "");
		return cannotWrite(config, /could not use \S+component: it is not a dir/);
	},
	"a file of the state that is a folder": async () => {
		const { config, stateFile } = await newPlatform();
		mkdirSync(stateFile("authorizers"), { recursive: true, mode: 0o700 });
		return cannotWrite(config, /could not open \S+authorizers: /);
	},
	"a file of the state that is a device": async () => {
		const { config, stateFile } = await newPlatform();
		mkdirSync(stateFile("authorizers").replace(/\w+$/, ""), {
			recursive: true,
			mode: 0o700,
		});
		symlinkSync("/dev/null", stateFile("verify-ticket"));
		return cannotWrite(config, /could not open \S+verify-ticket: /);
	},
	"a state directory that another daemon has": async () => {
		const { config, write } = await newPlatform();
		await startDaemon(config);
		// Of the configuration below no daemon is known.
		write({}, { directory: newDirectory(), receiver: undefined });
		return cannotWrite(config, /could not use \S+: the wxtokend with pid \d+/);
	},
	...(isRoot && {
		"a state directory of another user": async () => {
			const { config, state } = await newPlatform();
			mkdirSync(state, { mode: 0o700 });
			chownSync(state, 12_345, 12_345);
			return cannotWrite(config, /could not use \S+: it belongs to user 12345/);
		},
		"a file of the state that is a named pipe": async () => {
			const { config, stateFile } = await newPlatform();
			const path = stateFile("authorizers");
			mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
			execFileSync("mkfifo", [path]);
			return cannotWrite(config, /could not use \S+: it is not a plain file/);
		},
		"a token file that is mounted": () => mounted("wx_access_token_wx1"),
		"a record that is mounted": () => mounted(".wx_access_token_wx1.state"),
	}),
	"a directory in which a simulation runs": async () => {
		const config = writeConfig({ url });
		const args = withConfig(config);
		const simulation = startProgram(["run", "--simulate", ...args]);
		await simulation.event("daemon.ready");
		return { code: exitCode.configuration, says: /simulat/, args };
	},
};

/** All that `run` has said in the scenes. */
let said = "";

describe("run ends, and check says the same:", () => {
	test.each(Object.entries(scenes))("%s", async (_, stage) => {
		const { code, says, args, options } = await stage();
		const run = await runProgram(["run", ...args], options);
		said += run.stderr;
		expect(run.stderr).toMatch(says);
		expect(run.code).toBe(code);
		const check = await runProgram(["check", ...args], options);
		expect(check.code).toBe(code);
		const told = run.stderr.replaceAll("wxtokend run", "wxtokend check");
		for (const line of told.split("\n").filter(isTold))
			expect(check.stderr + check.stdout).toContain(line);
	});
});

/** What is told to a person, and no line of the log. */
function isTold(line: string): boolean {
	return line.trim() !== "" && !line.startsWith("{");
}

/** Where `prepareToKeep` refuses. */
const refusing = [
	"durable-log",
	"mounted-file",
	"output-directory",
	"simulated-directory",
	"state-directory",
];

test.skipIf(!isRoot)(
	"each refusal in the sources of the preparation has a scene",
	() => {
		const refusals = refusing.flatMap((name) => {
			const text = readFileSync(
				join(projectRoot, `src/store/${name}.ts`),
				"utf8",
			);
			const own = [
				...text.matchAll(/new StoreError\(\s*"refused",\s*`([^`]+)`/g),
				// Of `run --simulate` nothing is checked: `check` is about WeChat.
				...text.matchAll(/message: `(is [^`]*a simulation runs[^`]*)`/g),
			];
			return own.map(([, message = ""]) => message);
		});
		expect(refusals.length).toBeGreaterThan(6);
		for (const message of refusals) {
			const words = message
				.split(/\$\{[^}]*\}/)
				.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
			expect(said).toMatch(new RegExp(words.join(".*")));
		}
	},
);

/** A scene in which `run` goes on with less than it was asked for. */
interface Lacking {
	/** The line of the log that tells it. */
	readonly event: string;
	readonly code: number;
	readonly args: readonly string[];
}

function lacking(
	event: string,
	code: number,
	keys: Parameters<typeof writeConfig>[0]["top"],
): Lacking {
	const config = writeConfig({ url, top: { ...keys } });
	return { event, code, args: withConfig(config) };
}

/** A port on which somebody else listens. */
async function takenPort(): Promise<number> {
	const port = await freePort();
	const holder = createServer().listen(port, "127.0.0.1");
	onTestFinished(() => void holder.close());
	return port;
}

async function fleetWith(
	keys: Readonly<Record<string, unknown>>,
	commands: readonly (readonly string[])[],
): Promise<Lacking> {
	const redis = await startRedis();
	for (const command of commands) await redis.cli(...command);
	return lacking("fleet.unreachable", exitCode.temporary, {
		fleet: { url: redis.url, ...keys },
	});
}

const lackingScenes: Readonly<Record<string, () => Promise<Lacking>>> = {
	"the address of [http] is taken": async () =>
		lacking("http.unavailable", exitCode.configuration, {
			http: { listen: `127.0.0.1:${await takenPort()}` },
		}),
	"the address of [http] is not one of this machine": async () =>
		lacking("http.unavailable", exitCode.configuration, {
			http: { listen: "192.0.2.1:9470" },
		}),
	"the address of [receiver] is taken": async () => {
		const { config, write } = await newPlatform({
			receiver: { listen: `127.0.0.1:${await takenPort()}` },
		});
		write();
		const { configuration: code } = exitCode;
		return { event: "receiver.unavailable", code, args: ["--config", config] };
	},
	"something else lies in the place of the control socket": async () => {
		const socket = newFile("");
		return lacking("control.unavailable", exitCode.cannotWrite, { socket });
	},
	"the directory of the control socket is not there": async () =>
		lacking("control.unavailable", exitCode.cannotWrite, {
			socket: "/nowhere/control.sock",
		}),
	"the directory of metrics_file is not there": async () =>
		lacking("metrics.unwritten", exitCode.cannotWrite, {
			metrics_file: "/nowhere/wxtokend.prom",
		}),
	"no Redis answers": async () =>
		lacking("fleet.unreachable", exitCode.temporary, {
			fleet: { url: `redis://127.0.0.1:${await freePort()}/0` },
		}),
	"Redis has another password": () =>
		fleetWith({ password_file: newFile(newSecret()) }, [
			["CONFIG", "SET", "requirepass", "the right one"],
		]),
	"Redis wants a password, and none is configured": () =>
		fleetWith({}, [["CONFIG", "SET", "requirepass", "the right one"]]),
	"the user of the fleet may do nothing": () => {
		const password = newSecret();
		return fleetWith(
			{ username: "wxtokend", password_file: newFile(password) },
			[["ACL", "SETUSER", "wxtokend", "on", `>${password}`, "-@all", "+hello"]],
		);
	},
	"no central wxtokend answers": async () =>
		lacking("fleet.unreachable", exitCode.temporary, {
			fleet: {
				url: `https://127.0.0.1:${await freePort()}`,
				role: "follower",
				bearer_file: newFile(newSecret()),
			},
		}),
};

describe("run goes on without it, and check says so in the same words:", () => {
	test.each(
		Object.entries(lackingScenes).filter(
			([name]) => noRedis === undefined || !/Redis|fleet/.test(name),
		),
	)("%s", async (_, stage) => {
		const { event, code, args } = await stage();
		const run = startProgram(["run", ...args]);
		const { msg, hint } = await run.event(event);
		const [words = ""] = msg.split(
			/; the daemon runs without|; the token files stay/,
		);
		// Beside it, `check` would take what is in use for the daemon's.
		await run.stop();
		const check = await runProgram(["check", ...args]);
		const told = check.stdout + check.stderr;
		expect(told).toContain(words);
		expect(told).toContain(String(hint));
		expect(check.code).toBe(code);
	});
});
