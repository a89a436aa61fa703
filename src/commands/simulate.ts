import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { errnoOf, exitCode, UsageError } from "../errors.ts";
import type { SimulatedAccount } from "../simulator/account.ts";
import { apiHosts } from "../simulator/answer.ts";
import { lineOf } from "../simulator/journal.ts";
import {
	type Simulator,
	type SimulatorOptions,
	startSimulator,
} from "../simulator/server.ts";

export const simulateHelp = `Usage: wxtokend simulate [options]

A WeChat to try your apps against: it issues access tokens, lets them expire,
and refuses dead ones with the errcodes of the real one. No account needed.

Options:
  --port N                 port on 127.0.0.1 (default 8090; 0: any free one)
  --account APPID:SECRET   an account; may be given again (default: one account
                           wx0123456789abcdef with a random secret, printed)
  --token-lifetime S       expires_in of new tokens, 1 to 86400 (default 7200)
  --overlap S              seconds that a replaced token lives on (default 300,
                           at most a quarter of the lifetime)
  --time-scale X           virtual seconds per real second (default 1). Callers
                           are still told the full expires_in: for a program
                           that looks at a real clock use --token-lifetime
  --latency MS             real milliseconds that every answer takes (default 0)
  --hosts                  also api2, sh.api, sz.api and hk.api, each on one of
                           the next four ports, to let one of them fail alone
  --seed N                 the same seed issues the same tokens (default: random)
  --quiet                  no line per request on stderr
  --help                   this text

Control, as JSON over HTTP on the same port:
  GET  /sim/use?access_token=T   a business API: accepts T while it lives
  GET  /sim/state                accounts, counters, faults
  GET  /sim/requests?since=ID    the requests, secrets and tokens masked
  POST /sim/foreign-fetch {"appid"}    somebody else fetches with your secret
  POST /sim/kill {"appid"}             its tokens die now: 40001
  POST /sim/expire {"appid"}           its tokens age out now: 42001
  POST /sim/accounts {"appid", …}      adds one (secret, kind), or changes it:
       secret, frozen, state, whitelist, ipConfirmation, approve, refuse, limits
  POST /sim/faults {"mode", …}         what goes wrong: endpoint, host, appid,
       count or forSeconds, processed; {"clear":true} ends all
  POST /sim/knobs {…}                  what is uncertain about WeChat; GET lists
  POST /sim/advance {"seconds"}        skips time

Exit codes: 0 after INT or TERM · 64 usage · 69 the port cannot be had

Example:
  wxtokend simulate --token-lifetime 20
`;

/**
 * Runs the simulator until SIGINT or SIGTERM. Addresses and examples go to
 * stdout, one line per request to stderr.
 *
 * @returns the exit code
 */
export async function simulate(argv: readonly string[]): Promise<number> {
	try {
		const wish = parse(argv);
		if (wish === "help") {
			process.stdout.write(simulateHelp);
			return exitCode.done;
		}
		const stopped = stopSignal();
		const simulator = await startSimulator(wish.options);
		process.stdout.write(welcome(simulator, wish.options.accounts));
		await stopped;
		await simulator.close();
		return exitCode.done;
	} catch (error) {
		if (error instanceof UsageError) {
			process.stderr.write(`wxtokend: ${error.message}; ${error.hint}\n`);
			return exitCode.usage;
		}
		const code = errnoOf(error);
		if (code === undefined) throw error;
		process.stderr.write(
			`wxtokend: could not start the simulator: ${(error as Error).message}; ${
				code === "EADDRINUSE"
					? "another program has this port: choose one with --port N, or --port 0 for any"
					: "choose another port with --port N"
			}\n`,
		);
		return exitCode.noToken;
	}
}

interface Wish {
	readonly options: SimulatorOptions;
}

function parse(argv: readonly string[]): Wish | "help" {
	const values = parseStrictly(argv);
	if (values.help) return "help";
	const port = numberOf(values, "port", 0, 65_535) ?? 8090;
	if (!Number.isInteger(port))
		throw new UsageError(
			`--port ${values.port} is not a whole number`,
			"give a port, or 0 for any free one",
		);
	const lifetime = numberOf(values, "token-lifetime", 1, 86_400);
	const overlap = numberOf(values, "overlap", 0, 86_400);
	const seed = numberOf(values, "seed", 0, 2 ** 32 - 1);
	const { quiet = false } = values;
	return {
		options: {
			port,
			accounts: accountsOf(values.account),
			timeScale: numberOf(values, "time-scale", 0.001, 1e6) ?? 1,
			latencyMs: numberOf(values, "latency", 0, 600_000) ?? 0,
			...(lifetime === undefined ? {} : { tokenLifetimeSeconds: lifetime }),
			...(overlap === undefined ? {} : { overlapSeconds: overlap }),
			...(seed === undefined ? {} : { seed }),
			...(values.hosts ? { hosts: nextPorts(port) } : {}),
			...(quiet
				? {}
				: {
						onRequest: (record) => process.stderr.write(`${lineOf(record)}\n`),
					}),
		},
	};
}

const flags = {
	port: { type: "string" },
	account: { type: "string", multiple: true },
	"token-lifetime": { type: "string" },
	overlap: { type: "string" },
	"time-scale": { type: "string" },
	latency: { type: "string" },
	hosts: { type: "boolean" },
	seed: { type: "string" },
	quiet: { type: "boolean" },
	help: { type: "boolean" },
} as const;

function parseStrictly(argv: readonly string[]) {
	try {
		return parseArgs({ args: [...argv], options: flags, strict: true }).values;
	} catch (error) {
		// Only parseArgs' own complaints are the user's; it names the option.
		if (!errnoOf(error)?.startsWith("ERR_PARSE_ARGS")) throw error;
		throw new UsageError((error as Error).message, seeHelp);
	}
}

const seeHelp = "see wxtokend simulate --help";

function numberOf(
	values: Readonly<Record<string, unknown>>,
	name: string,
	least: number,
	most: number,
): number | undefined {
	const text = values[name];
	if (text === undefined) return undefined;
	const value =
		typeof text === "string" && text !== "" ? Number(text) : Number.NaN;
	if (value >= least && value <= most) return value;
	throw new UsageError(
		`--${name} ${text} is not a number from ${least} to ${most}`,
		seeHelp,
	);
}

function accountsOf(
	pairs: readonly string[] | undefined,
): readonly SimulatedAccount[] {
	if (pairs === undefined)
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
