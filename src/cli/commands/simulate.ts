import { randomBytes } from "node:crypto";
import { errnoOf, exitCode, inWords, UsageError } from "../../core/errors.ts";
import type { SimulatedAccount } from "../../simulator/account.ts";
import { lineOf } from "../../simulator/masking.ts";
import { apiHosts } from "../../simulator/request.ts";
import {
	type Simulator,
	type SimulatorOptions,
	startSimulator,
} from "../../simulator/server.ts";
import type { CommandLine } from "../command-line.ts";

/**
 * Runs the simulator until SIGINT or SIGTERM. Addresses and examples go to
 * stdout, one line per request to stderr.
 *
 * @returns the exit code
 */
export async function simulate(line: CommandLine): Promise<number> {
	const options = optionsFrom(line);
	const stopped = stopSignal();
	try {
		const simulator = await startSimulator(options);
		process.stdout.write(welcome(simulator, options.accounts));
		await stopped;
		await simulator.close();
		return exitCode.done;
	} catch (error) {
		const code = errnoOf(error);
		if (code === undefined) throw error;
		process.stderr.write(
			`wxtokend: could not start the simulator on port ${options.port}: ${inWords(code)}; ${
				code === "EADDRINUSE"
					? "another program has this port: choose one with --port N, or --port 0 for any"
					: "choose another port with --port N"
			}\n`,
		);
		return exitCode.noToken;
	}
}

function optionsFrom(line: CommandLine): SimulatorOptions {
	const port = line.number("port", 0, 65_535) ?? 8090;
	if (!Number.isInteger(port))
		throw new UsageError(
			`--port is ${port}; expected a whole number`,
			"give a port, or 0 for any free one",
		);
	const lifetime = line.number("token-lifetime", 1, 86_400);
	const overlap = line.number("overlap", 0, 86_400);
	const seed = line.number("seed", 0, 2 ** 32 - 1);
	return {
		port,
		accounts: accountsOf(line.values("account")),
		timeScale: line.number("time-scale", 0.001, 1e6) ?? 1,
		latencyMs: line.number("latency", 0, 600_000) ?? 0,
		knobs: {
			...(lifetime === undefined ? {} : { tokenLifetimeSeconds: lifetime }),
			...(overlap === undefined ? {} : { overlapSeconds: overlap }),
		},
		...(seed === undefined ? {} : { seed }),
		...(line.has("hosts") ? { hosts: nextPorts(port) } : {}),
		...(line.has("quiet")
			? {}
			: {
					onRequest: (record) => process.stderr.write(`${lineOf(record)}\n`),
				}),
	};
}

function accountsOf(pairs: readonly string[]): readonly SimulatedAccount[] {
	if (pairs.length === 0)
		return [
			{
				appid: "wx0123456789abcdef",
				secret: randomBytes(16).toString("hex"),
			},
		];
	const accounts = pairs.map((pair, index) => {
		const colon = pair.indexOf(":");
		const appid = pair.slice(0, Math.max(0, colon));
		const secret = pair.slice(colon + 1);
		if (!/^[A-Za-z0-9_-]{1,64}$/.test(appid) || secret === "")
			throw new UsageError(
				`--account number ${index + 1} is not APPID:SECRET`,
				"an appid is 1 to 64 of A-Z a-z 0-9 _ -, and a colon stands before the secret",
			);
		return { appid, secret };
	});
	const twice = accounts.find(
		({ appid }, index) =>
			accounts.findIndex((other) => other.appid === appid) !== index,
	);
	if (twice !== undefined)
		throw new UsageError(
			`--account ${twice.appid} is given twice`,
			"give each appid once",
		);
	return accounts;
}

function nextPorts(port: number): Readonly<Record<string, number>> {
	const most = 65_536 - apiHosts.length;
	if (port > most)
		throw new UsageError(
			`--hosts needs ${apiHosts.length} ports, from --port ${port} on`,
			`give a port up to ${most}`,
		);
	return Object.fromEntries(
		apiHosts
			.slice(1)
			.map((host, index) => [host, port === 0 ? 0 : port + 1 + index]),
	);
}

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

function welcome(
	{ url, hosts }: Simulator,
	accounts: readonly SimulatedAccount[],
): string {
	const [account] = accounts;
	if (account === undefined) return `WeChat simulator at ${url}\n`;
	const { appid, secret } = account;
	const urls = Object.values(hosts).map((host) => JSON.stringify(host.url));
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
