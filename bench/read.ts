/**
 * What an app pays for the token before each call: the documented reader of its
 * language, against the same language's bare open + read + close + parse, and
 * against what it would ask instead, on a connection that stays open. The bare
 * one is what anybody would write first: the language's plain idiom to read a
 * whole file and take its value, and no look at `expire`.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { freePort } from "../test/support/free-port.ts";
import { appidOf, tokenFile } from "./daemon.ts";
import { compared, measure, type Row, sideBySide } from "./figures.ts";
import { type Scale, startIssuer, until } from "./scene.ts";
import { startTold, type Told } from "./told.ts";

interface Language {
	readonly name: string;
	readonly command: readonly [string, ...string[]];
	/** The ways of its program that are the documented reader and the bare read. */
	readonly ways: readonly [reader: string, bare: string];
	/** Programs that it cannot do without, beside its own. */
	readonly needs?: readonly string[];
}

const languages: readonly Language[] = [
	{
		name: "Python",
		command: ["python3", "bench/read/read.py"],
		ways: ["reader", "bare"],
	},
	{
		name: "PHP",
		command: ["php", "bench/read/read.php"],
		ways: ["reader", "bare"],
	},
	{
		name: "Node.js",
		command: [process.execPath, "bench/read/read.mjs"],
		ways: ["reader", "bare"],
	},
	{
		name: "shell with jq",
		command: ["bash", "bench/read/read.bash"],
		ways: ["jq_reader", "jq_bare"],
		needs: ["jq", "curl"],
	},
	{
		name: "shell without jq",
		command: ["bash", "bench/read/read.bash"],
		ways: ["plain_reader", "plain_bare"],
		needs: ["curl"],
	},
];

export async function benchRead(scale: Scale): Promise<readonly Row[]> {
	const value = "t".repeat(136);
	const expire = Math.floor(Date.now() / 1000) + 7200;
	const content = JSON.stringify({ value, expire });
	const directory = scale.directory();
	writeFileSync(tokenFile(directory), `${content}\n`);
	const server = await startIssuer(scale);
	const redisPort = await startRedis(scale, content);
	const env = {
		WXTOKEND_DIRECTORY: directory,
		BENCH_APPID: appidOf(0),
		BENCH_SERVER: new URL(server.url).port,
		...(redisPort === undefined ? {} : { BENCH_REDIS: String(redisPort) }),
	};
	const rows: Row[] = [];
	for (const language of languages) {
		const [command, ...argv] = language.command;
		const missing = [command, ...(language.needs ?? [])].filter(
			(program) => !isThere(program),
		);
		if (missing.length > 0) {
			scale.say(`skipped: read, ${language.name}: no ${missing.join(", ")}`);
			continue;
		}
		const told = startTold(scale, command, argv, { env });
		rows.push(await row(scale, language, told, redisPort !== undefined));
		told.stop();
	}
	server.stop();
	return rows;
}

async function row(
	scale: Scale,
	{ name, ways: [reader, bare] }: Language,
	told: Told,
	withRedis: boolean,
): Promise<Row> {
	const names: Readonly<Record<string, string>> = {
		[reader]: "the reader",
		[bare]: "bare read and parse",
		...(withRedis ? { redis: "Redis GET" } : {}),
		server: "HTTP GET",
	};
	const readings: Record<string, () => Promise<number>> = {};
	for (const way of Object.keys(names))
		readings[way] = await reading(scale, told, way);
	const samples = await sideBySide(scale.of(100, 1), readings);
	const [ours, first, ...rest] = Object.entries(names).map(([way, text]) =>
		measure(text, "µs", samples[way] ?? []),
	);
	if (ours === undefined || first === undefined)
		throw new Error("nothing was measured");
	return compared(
		"read",
		`${name}: read the token`,
		[ours, first, ...rest],
		1.05,
	);
}

/** One sample: microseconds per read, over so many reads that it takes about 20 ms. */
async function reading(
	scale: Scale,
	told: Told,
	way: string,
): Promise<() => Promise<number>> {
	const sample = async (count: number) => {
		const answer = await told.tell(`${way} ${count}`);
		if (!(Number(answer) > 0)) throw new Error(`${way}: ${answer}`);
		return Number(answer);
	};
	const few = scale.of(5, 1);
	// The second time the program is warm.
	await sample(few);
	const sampleUs = scale.of(20_000, 500);
	const count = Math.max(1, Math.round(sampleUs / (await sample(few))));
	return () => sample(count);
}

function isThere(program: string): boolean {
	return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Its port; undefined if there is no Redis here. */
async function startRedis(
	scale: Scale,
	content: string,
): Promise<number | undefined> {
	if (!isThere("redis-server")) {
		scale.say("skipped: read, Redis GET: no redis-server");
		return undefined;
	}
	const port = await freePort();
	const argv = ["--bind", "127.0.0.1", "--port", String(port)];
	const forgetful = ["--save", "", "--appendonly", "no"];
	const child = scale.start("redis-server", [...argv, ...forgetful]);
	let said = "";
	child.stdout.on("data", (text) => {
		said += text;
	});
	await until("Redis", () =>
		said.includes("Ready to accept connections") ? true : undefined,
	);
	const connection = connect(port, "127.0.0.1");
	connection.write(
		`*3\r\n$3\r\nSET\r\n$5\r\ntoken\r\n$${content.length}\r\n${content}\r\n`,
	);
	await once(connection, "data");
	connection.destroy();
	return port;
}
