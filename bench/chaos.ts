/**
 * Chaos: two daemons and `once` on one directory, while everything that a bad night has
 * happens to them: kills, signals, deletions, faults of WeChat, steps of the clock.
 * Meanwhile a reader looks at the file every 20 ms, and asks the simulator whether the
 * token in it is alive. An app reports a token that WeChat refuses, once a second, as
 * its calls fail.
 *
 *   npm run chaos [-- --seconds 3600] [-- --interface stable] [-- --seed 1]
 *
 * Tokens live for a minute. It prints for how long a reader had no living token, at the
 * longest, and ends with 1 if the file was ever torn, or held an older token than before.
 * The clock is only stepped if libfaketime is installed.
 */
import { spawn } from "node:child_process";
import {
	existsSync,
	readFileSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Fault } from "../src/simulator/faults.ts";
import { createRandom } from "../src/simulator/random.ts";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";
import { type Child, environment, onScene, program } from "./scene.ts";

const appid = "wx0123456789abcdef";
const secret = "0123456789abcdef0123456789abcdef";
const lifetimeSeconds = 60;
const lookEveryMs = 20;

const { values } = parseArgs({
	options: {
		seconds: { type: "string", default: "60" },
		interface: { type: "string", default: "classic" },
		seed: { type: "string", default: String(Date.now() % 1_000_000) },
	},
});
const random = createRandom(Number(values.seed));
const pick = <T>(list: readonly T[]): T =>
	list[Math.floor(random.next() * list.length)] as T;

const fakers = ["x86_64", "aarch64"]
	.map((arch) => `/usr/lib/${arch}-linux-gnu/faketime/libfaketime.so.1`)
	.filter((path) => existsSync(path));

interface Night {
	readonly wechat: Simulator;
	readonly files: ReturnType<typeof writeFiles>;
	readonly daemons: Child[];
	readonly startDaemon: () => Child;
	readonly seen: Seen;
	readonly env: Readonly<Record<string, string>>;
}

function writeFiles(place: string, url: string) {
	const files = {
		config: join(place, "..", "config.toml"),
		clock: join(place, "..", "clock"),
		token: join(place, `wx_access_token_${appid}`),
	};
	const lines = [
		`directory = "${place}"`,
		'schedule = "* * * * * *"',
		"[wechat]",
		`base_urls = ["${url}"]`,
		`interface = "${values.interface}"`,
		"timeout = 2",
		"cooldown = 1",
		"budget = 10000",
		"[[account]]",
		`appid = "${appid}"`,
		`secret = "${secret}"`,
	];
	writeFileSync(files.config, `${lines.join("\n")}\n`, { mode: 0o600 });
	writeFileSync(files.clock, "+0");
	return files;
}

// --- What happens. ---

type Action = (night: Night) => void | Promise<void>;

const kill: Action = async ({ daemons, startDaemon }) => {
	const index = pick([0, 1]);
	daemons[index]?.kill("SIGKILL");
	await sleep(random.next() * 1_000);
	daemons[index] = startDaemon();
};

const killBoth: Action = ({ daemons, startDaemon }) => {
	for (const [index, daemon] of [...daemons].entries()) {
		daemon.kill("SIGKILL");
		daemons[index] = startDaemon();
	}
};

const hup: Action = ({ daemons }) => {
	pick(daemons).kill("SIGHUP");
};

const hupAndKill: Action = async ({ daemons, startDaemon }) => {
	daemons[0]?.kill("SIGHUP");
	await sleep(random.next() * 30);
	daemons[0]?.kill("SIGKILL");
	daemons[0] = startDaemon();
};

const once: Action = ({ env }) => {
	spawn(process.execPath, [program, "once"], {
		env: environment(env),
		stdio: "ignore",
	});
};

/** No part of a token file, so that a reader knows whose work it is. */
const garbled = "somebody else was here";

const tamper: Action = ({ files }) => {
	const how = pick(["delete", "empty", "garble"]);
	if (how === "delete") rmSync(files.token, { force: true });
	else if (how === "garble") writeFileSync(files.token, garbled);
	else if (existsSync(files.token)) truncateSync(files.token);
};

/** Short enough that no token ends meanwhile. */
const fault: Action = ({ wechat, seen }) => {
	const seconds = 1 + random.next() * 3;
	const faults: readonly Fault[] = [
		{ mode: "status", status: 502 },
		{ mode: "errcode", errcode: -1 },
		{ mode: "hang" },
		{ mode: "reset" },
		{ mode: "reset", processed: true },
		{ mode: "cut" },
	];
	wechat.platform.faults.add(
		{ ...pick(faults), forSeconds: seconds },
		wechat.now(),
	);
	seen.unaskableFor(seconds * 1000);
};

const stepClock: Action = ({ files }) => {
	writeFileSync(files.clock, pick(["+0", "+30", "-30", "+3600", "-3600"]));
};

/** WeChat ends the token early. */
const die: Action = async ({ wechat }) => {
	await fetch(`${wechat.url}/sim/kill`, {
		method: "POST",
		body: JSON.stringify({ appid }),
	});
};

const actions: readonly Action[] = [
	...[kill, kill, killBoth, hup, hup, hup, hupAndKill, once, once],
	...[tamper, tamper, fault, fault, fault, die],
	...(fakers.length > 0 ? [stepClock] : []),
];

// --- What a reader sees. ---

type Seen = ReturnType<typeof watch>;

interface Span {
	readonly ms: number;
	/** How long of it WeChat could be asked. */
	readonly askableMs: number;
	/** What had happened last when it began. */
	readonly after: string;
}

function watch(wechat: Simulator, path: string) {
	const spans: Span[] = [];
	const wrong: string[] = [];
	const issuedAt = new Map<string, number>();
	let looks = 0;
	let unaskableUntil = 0;
	let newest = 0;
	let deadSince: number | undefined;
	let unaskableMs = 0;
	let lastAction = "the start";
	let after = "";
	let lastAt = performance.now();
	let found: () => void = () => {};
	const firstToken = new Promise<void>((resolve) => {
		found = resolve;
	});
	const look = () => {
		const at = performance.now();
		const gapMs = at - lastAt;
		lastAt = at;
		looks += 1;
		const text = readOrNothing(path);
		const value = tokenIn(text);
		if (text !== "" && value === undefined && text !== garbled)
			wrong.push(`the file held ${JSON.stringify(text.slice(0, 40))}`);
		const alive =
			value !== undefined &&
			wechat.platform.isAlive(appid, value, wechat.now());
		if (value !== undefined) {
			found();
			const first = issuedAt.get(value) ?? at;
			issuedAt.set(value, first);
			if (first < newest) wrong.push("an older token came after a newer one");
			newest = Math.max(newest, first);
		}
		if (!alive) {
			if (deadSince === undefined) after = lastAction;
			deadSince ??= at;
			if (at < unaskableUntil) unaskableMs += gapMs;
		} else if (deadSince !== undefined) {
			const ms = at - deadSince;
			spans.push({ ms, askableMs: ms - unaskableMs, after });
			deadSince = undefined;
			unaskableMs = 0;
		}
	};
	const timer = setInterval(look, lookEveryMs);
	return {
		firstToken,
		spans,
		wrong,
		looks: () => looks,
		happened: (name: string) => {
			lastAction = name;
		},
		unaskableFor: (ms: number) => {
			unaskableUntil = Math.max(unaskableUntil, performance.now() + ms);
		},
		stop: () => clearInterval(timer),
	};
}

/** An app whose calls fail: it reports the token that WeChat refuses, until there is a new one. */
function startApp(wechat: Simulator, place: string, path: string) {
	const timer = setInterval(() => {
		const stale = tokenIn(readOrNothing(path));
		if (
			stale === undefined ||
			wechat.platform.isAlive(appid, stale, wechat.now())
		)
			return;
		const call = request({
			socketPath: join(place, "control.sock"),
			path: `/v1/accounts/${appid}/refresh`,
			method: "POST",
			headers: { "Content-Type": "application/json" },
		});
		// No daemon is there at the moment, or it is killed before it answers.
		call.on("error", () => {});
		call.on("response", (response) => response.resume());
		call.end(JSON.stringify({ stale }));
	}, 1_000);
	return { stop: () => clearInterval(timer) };
}

function readOrNothing(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}

function tokenIn(text: string): string | undefined {
	return /^\{"value":"([^"]+)","expire":\d+\}\n$/.exec(text)?.[1];
}

function report(
	{ spans, wrong, looks }: Seen,
	done: ReadonlyMap<string, number>,
	fetches: number,
): void {
	// The first one is the start.
	const later = spans.slice(1);
	const worst = (of: (span: Span) => number) => {
		const [first] = later.toSorted((one, other) => of(other) - of(one));
		return first && { ms: Math.round(of(first)), after: first.after };
	};
	const sum = later.reduce((all, { ms }) => all + ms, 0);
	console.log(
		JSON.stringify(
			{
				seconds: Number(values.seconds),
				interface: values.interface,
				seed: Number(values.seed),
				looks: looks(),
				fetches,
				actions: Object.fromEntries(done),
				deadSpans: later.length,
				deadMs: Math.round(sum),
				worstDead: worst(({ ms }) => ms),
				worstDeadWhileWeChatCouldBeAsked: worst(({ askableMs }) => askableMs),
				wrong: wrong.slice(0, 10),
			},
			undefined,
			"\t",
		),
	);
	if (wrong.length > 0) process.exitCode = 1;
}

await onScene(false, async (scale) => {
	const wechat = await startSimulator({
		accounts: [{ appid, secret }],
		knobs: { tokenLifetimeSeconds: lifetimeSeconds },
	});
	const place = scale.directory("disk");
	const files = writeFiles(place, wechat.url);
	const env = {
		WXTOKEND_CONFIG: files.config,
		...(fakers[0] && {
			LD_PRELOAD: fakers[0],
			FAKETIME_TIMESTAMP_FILE: files.clock,
			FAKETIME_NO_CACHE: "1",
			FAKETIME_DONT_FAKE_MONOTONIC: "1",
		}),
	};
	const startDaemon = () =>
		scale.start(process.execPath, [program, "run"], { env });
	const daemons = [startDaemon(), startDaemon()];
	const seen = watch(wechat, files.token);
	const app = startApp(wechat, place, files.token);
	const done = new Map<string, number>();
	const endAt = performance.now() + Number(values.seconds) * 1000;
	await seen.firstToken;
	while (performance.now() < endAt) {
		await sleep(300 + random.next() * 2_700);
		const action = pick(actions);
		done.set(action.name, (done.get(action.name) ?? 0) + 1);
		seen.happened(action.name);
		await action({ wechat, files, daemons, startDaemon, seen, env });
	}
	const fetches = wechat.requests.filter(
		({ endpoint }) => endpoint === "token" || endpoint === "stable_token",
	).length;
	for (const daemon of daemons) daemon.kill("SIGTERM");
	seen.stop();
	app.stop();
	await wechat.close();
	report(seen, done, fetches);
});
