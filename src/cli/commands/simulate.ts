/** `wxtokend simulate`: the WeChat simulator as a server of its own. */
import { randomBytes } from "node:crypto";
import { errnoOf, exitCode, inWords, UsageError } from "../../core/errors.ts";
import type { SimulatedAccount } from "../../simulator/accounts.ts";
import type { SimulatedComponent } from "../../simulator/components.ts";
import { apiHosts, wecomHost } from "../../simulator/hosts.ts";
import { lineOf } from "../../simulator/request-log.ts";
import {
	type Simulator,
	type SimulatorOptions,
	startSimulator,
} from "../../simulator/server.ts";
import { type SimulatedSuite, usualProvider } from "../../simulator/suites.ts";
import type { SimulatedWecomApp } from "../../simulator/wecom.ts";
import type { CommandLine } from "../command-line.ts";
import { tellPerson } from "../explain.ts";

/**
 * Runs the simulator until SIGINT or SIGTERM; returns the exit code. Addresses and
 * examples go to stdout, a line for each request to stderr. Throws `UsageError`.
 */
export async function simulate(line: CommandLine): Promise<number> {
	const options = optionsFrom(line);
	// Before the server starts, so that an early signal closes it in order.
	const stopped = stopSignal();
	try {
		const simulator = await startSimulator(options);
		process.stdout.write(
			welcome(simulator, options.accounts) +
				wecomTables(simulator, options.wecom ?? [], options.suites ?? []),
		);
		await stopped;
		await simulator.close();
		return exitCode.done;
	} catch (error) {
		// Anything but a system error is a bug.
		const code = errnoOf(error);
		if (code === undefined) throw error;
		const hint =
			code === "EADDRINUSE"
				? "another program has this port: choose one with --port N, or --port 0 for any"
				: "choose another port with --port N";
		tellPerson(
			`could not start the simulator on port ${options.port}: ${inWords(code)}; ${hint}`,
		);
		return exitCode.noToken;
	}
}

/** Throws `UsageError` for a number that is out of its bounds. */
function optionsFrom(line: CommandLine): SimulatorOptions {
	const port = line.number("port", 0, 65_535) ?? 8090;
	if (!Number.isInteger(port))
		throw new UsageError(
			`--port is ${port}; expected a whole number`,
			"give a port, or 0 for any free one",
		);
	// Options that were not given are left out: the simulator has its own defaults.
	const lifetime = line.number("token-lifetime", 1, 86_400);
	const overlap = line.number("overlap", 0, 86_400);
	const seed = line.number("seed", 0, 2 ** 32 - 1);
	const pushed = pushedFrom(line);
	const wecom = [
		...wecomFrom(line.values("wecom")),
		...providersOf(pushed.suites),
	];
	return {
		port,
		accounts: accountsOf(line.values("account")),
		...pushed,
		wecom,
		timeScale: line.number("time-scale", 0.001, 1e6) ?? 1,
		latencyMs: line.number("latency", 0, 600_000) ?? 0,
		knobs: {
			...(lifetime === undefined ? {} : { tokenLifetimeSeconds: lifetime }),
			...(overlap === undefined ? {} : { overlapSeconds: overlap }),
			// The simulator has no certificate that a client would believe.
			wecomPlainHttp: "served",
		},
		...(seed === undefined ? {} : { seed }),
		hosts: {
			...(line.has("hosts") ? nextPorts(port) : {}),
			...(wecom.length > 0 ? { [wecomHost]: wecomPort(port) } : {}),
		},
		...(line.has("quiet")
			? {}
			: {
					onRequest: (record) => process.stderr.write(`${lineOf(record)}\n`),
				}),
	};
}

/** From `APPID:SECRET`. No message quotes a pair, which holds the secret. */
function accountsOf(pairs: readonly string[]): readonly SimulatedAccount[] {
	if (pairs.length === 0)
		return [
			{
				appid: "wx0123456789abcdef",
				secret: randomBytes(16).toString("hex"),
			},
		];
	return pairsIn("account", pairs);
}

/** From `APPID:SECRET`. No message quotes a pair, which holds the secret. */
function pairsIn(
	flag: string,
	pairs: readonly string[],
	id = "APPID",
): readonly SimulatedAccount[] {
	const all = pairs.map((pair, index) => {
		const colon = pair.indexOf(":");
		const appid = pair.slice(0, Math.max(0, colon));
		const secret = pair.slice(colon + 1);
		if (!/^[A-Za-z0-9_-]{1,64}$/.test(appid) || secret === "")
			throw new UsageError(
				`--${flag} number ${index + 1} is not ${id}:SECRET`,
				`${id === "APPID" ? "an appid" : "a suite_id"} is 1 to 64 of A-Z a-z 0-9 _ -, and a colon stands before the secret`,
			);
		return { appid, secret };
	});
	// It would be unclear which of the two secrets is right.
	const twice = all.find(
		({ appid }, index) =>
			all.findIndex((other) => other.appid === appid) !== index,
	);
	if (twice !== undefined)
		throw new UsageError(
			`--${flag} ${twice.appid} is given twice`,
			"give each appid once",
		);
	return all;
}

/** Those who get pushes. Without `--push` nothing is pushed. No message quotes Token or key. */
function pushedFrom(line: CommandLine): {
	readonly components: readonly SimulatedComponent[];
	readonly suites: readonly SimulatedSuite[];
} {
	const components = pairsIn("component", line.values("component"));
	const suites = pairsIn("suite", line.values("suite"), "SUITE_ID").map(
		({ appid: suiteId, secret }) => ({ suiteId, secret }),
	);
	const [url, token, key] = ["push", "push-token", "push-key"].map((flag) =>
		line.value(flag),
	);
	if (url === undefined && token === undefined && key === undefined)
		return { components, suites };
	if (components.length + suites.length === 0)
		throw new UsageError(
			"there is nothing to push",
			"give --component APPID:SECRET or --suite SUITE_ID:SECRET, too",
		);
	if (url === undefined || token === undefined || key === undefined)
		throw new UsageError(
			"pushes need all of --push URL, --push-token TOKEN and --push-key KEY",
			"give the ones that are missing",
		);
	if (!URL.canParse(url) || new URL(url).protocol !== "http:")
		throw new UsageError(
			"--push is not an http URL",
			"give the one of the receiver, such as http://127.0.0.1:7801",
		);
	if (!/^[A-Za-z0-9+/]{43}$/.test(key))
		throw new UsageError(
			"--push-key is no EncodingAESKey",
			"an EncodingAESKey has 43 characters of A-Z a-z 0-9 + /",
		);
	const targetAt = (path: string) => {
		const target = new URL(url);
		if (target.pathname === "/") target.pathname = path;
		return { push: { url: target.href, token, key } };
	};
	return {
		components: components.map((one) => ({
			...one,
			...targetAt(`/component/${one.appid}`),
		})),
		suites: suites.map((one) => ({
			...one,
			...targetAt(`/suite/${one.suiteId}`),
		})),
	};
}

/** The 服务商 of the suites, with a secret of its own. */
function providersOf(
	suites: readonly SimulatedSuite[],
): readonly SimulatedWecomApp[] {
	if (suites.length === 0) return [];
	const secret = randomBytes(32).toString("hex");
	return [{ corpid: usualProvider, secret, isProvider: true }];
}

/** From `CORPID:SECRET`; a corp may have several apps. No message quotes a pair. */
function wecomFrom(pairs: readonly string[]): readonly SimulatedWecomApp[] {
	return pairs.map((pair, index) => {
		const [, corpid, secret] = /^([A-Za-z0-9_-]{1,64}):(.+)$/.exec(pair) ?? [];
		if (corpid === undefined || secret === undefined)
			throw new UsageError(
				`--wecom number ${index + 1} is not CORPID:SECRET`,
				"a corpid is 1 to 64 of A-Z a-z 0-9 _ -, and a colon stands before the secret",
			);
		return { corpid, secret };
	});
}

/** The port of 企业微信 stays behind those of `--hosts`; 0: any free one. */
function wecomPort(port: number): number {
	const wanted = port === 0 ? 0 : port + apiHosts.length;
	if (wanted <= 65_535) return wanted;
	throw new UsageError(
		`--wecom needs port ${wanted}`,
		`give a --port up to ${65_535 - apiHosts.length}`,
	);
}

/** Host → port: the other API hosts on the ports after `port`; 0: any free ones. */
function nextPorts(port: number): Readonly<Record<string, number>> {
	const maxPort = 65_536 - apiHosts.length;
	if (port > maxPort)
		throw new UsageError(
			`--hosts needs ${apiHosts.length} ports, from --port ${port} on`,
			`give a port up to ${maxPort}`,
		);
	return Object.fromEntries(
		apiHosts
			.slice(1)
			.map((host, index) => [host, port === 0 ? 0 : port + 1 + index]),
	);
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process as by default. */
function stopSignal(): Promise<void> {
	return new Promise((resolve) => {
		function stop(): void {
			process.off("SIGINT", stop);
			process.off("SIGTERM", stop);
			resolve();
		}
		process.on("SIGINT", stop);
		process.on("SIGTERM", stop);
	});
}

/** A configuration and commands that can be copied. */
function welcome(
	{ url, hosts }: Simulator,
	accounts: readonly SimulatedAccount[],
): string {
	const [account] = accounts;
	if (account === undefined) return `WeChat simulator at ${url}\n`;
	const { appid, secret } = account;
	const urls = Object.entries(hosts)
		.filter(([name]) => name !== wecomHost)
		.map(([, host]) => JSON.stringify(host.url));
	const tables = accounts.map(
		(given) => `[[account]]
appid  = ${JSON.stringify(given.appid)}
secret = ${JSON.stringify(given.secret)}
`,
	);
	return `WeChat simulator at ${url}

# config.toml for a daemon that asks it:
directory = "/tmp/wxtokend"

[wechat]
base_urls = [${urls.join(", ")}]

${tables.join("\n")}
# or as environment variables:
export WECHAT_APPID=${appid} WECHAT_SECRET=${secret}
export WXTOKEND_BASE_URL=${url} WXTOKEND_DIRECTORY=/tmp/wxtokend

# fetch a token, use it, and see what happened:
curl '${url}/cgi-bin/token?grant_type=client_credential&appid=${appid}&secret=${secret}'
curl '${url}/sim/use?access_token=TOKEN'
curl '${url}/sim/state'
`;
}

/** The apps and suites of 企业微信 for the same configuration. */
function wecomTables(
	{ hosts }: Simulator,
	apps: readonly SimulatedWecomApp[],
	suites: readonly SimulatedSuite[],
): string {
	const url = hosts[wecomHost]?.url;
	if (url === undefined) return "";
	const tables = apps.map(({ corpid, secret, isProvider }, index) =>
		isProvider === true
			? tableOf("provider", { corpid, secret }, url)
			: `${tableOf("wecom", { corpid, name: `app${index + 1}`, secret }, url)}tickets   = ["jsapi", "agent_config"]\n`,
	);
	const ofSuites = suites.map(({ suiteId, secret }) =>
		tableOf(
			"suite",
			{ suite_id: suiteId, provider: usualProvider, secret },
			url,
		),
	);
	return `
# 企业微信 at ${url}; for the same config.toml:
${[...tables, ...ofSuites].join("")}`;
}

function tableOf(
	name: string,
	keys: Readonly<Record<string, string>>,
	url: string,
): string {
	const lines = Object.entries(keys).map(
		([key, value]) => `${key.padEnd(9)} = ${JSON.stringify(value)}\n`,
	);
	return `\n[[${name}]]\n${lines.join("")}base_urls = [${JSON.stringify(url)}]\n`;
}
