// A WeChat that is only simulated, the daemon, and an app beside them that reads
// the token files and calls the API once a second. Tokens live for 20 seconds,
// so that within half a minute one sees them renewed, and not one call fails.
//
//   npm run demo                    until Ctrl-C
//   npm run demo -- --seconds 30    with a summary and an exit code
import { execFile, spawn } from "node:child_process";
import {
	existsSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const usage = `Usage: npm run demo -- [--seconds N]

  --seconds N   end after N seconds (10 or more) with a summary; the exit code is
                not 0 if a call failed, or if there was no refresh to see
`;

const program = fileURLToPath(new URL("../dist/wxtokend.cjs", import.meta.url));
const run = promisify(execFile);
const interactive = process.stdout.isTTY === true;

/** Why a token was refreshed. */
const words = {
	first: "first token",
	scheduled: "scheduled refresh: a third of its life was left",
	forced: "forced refresh: SIGHUP",
};

class Interrupted extends Error {
	constructor(signal) {
		super(`ended by ${signal}`);
		this.signal = signal;
	}
}

// The app would go on calling: it ends here, when all else is cleaned up.
process.exit(await main());

async function main() {
	const seconds = secondsWanted();
	if (typeof seconds === "string") {
		process.stderr.write(seconds);
		return seconds === usage ? 0 : 64;
	}
	const scene = newScene(seconds);
	const stopped = stopSignal();
	try {
		await start(scene);
		const screen = openScreen(scene);
		const ended = await Promise.race([
			stopped,
			play(scene),
			crashOf("the simulator", scene.simulator),
			crashOf("the daemon", scene.daemon),
		]);
		screen.close();
		if (ended instanceof Error) throw ended;
		const wrong = summarize(scene, ended === "done");
		if (ended === "done") return wrong ? 1 : 0;
		// Whoever ends it by hand has seen enough; a failed call still counts.
		return scene.failed > 0 ? 1 : endOf(ended, seconds);
	} catch (error) {
		if (error instanceof Interrupted) return endOf(error.signal, seconds);
		process.stderr.write(`demo: ${error.message}\n`);
		return 1;
	} finally {
		await clean(scene);
	}

	function start(scene) {
		// Also while the processes start, Ctrl-C ends the demo at once.
		return Promise.race([
			startAll(scene),
			stopped.then((signal) => {
				throw new Interrupted(signal);
			}),
		]);
	}
}

function newScene(seconds) {
	const place = mkdtempSync(join(tmpdir(), "wxtokend-demo-"));
	const directory = join(place, "tokens");
	// A short demo gets tokens that live shorter still, so that there is one to renew.
	const lifetime = Math.max(6, Math.min(20, Math.round((seconds * 2) / 3)));
	const newSecret = () =>
		Array.from({ length: 32 }, () =>
			Math.floor(Math.random() * 16).toString(16),
		).join("");
	const accounts = ["wxdemo-shop", "wxdemo-club"].map((appid) => ({
		appid,
		secret: newSecret(),
		file: join(directory, `wx_access_token_${appid}`),
		// One of them signs pages, too.
		tickets: appid === "wxdemo-shop" ? ["jsapi"] : [],
		token: undefined,
		former: undefined,
		ok: 0,
	}));
	const yours = { appid: "wxdemo-yours", secret: newSecret(), tickets: [] };
	return {
		seconds,
		place,
		config: join(place, "config.toml"),
		yours: {
			...yours,
			accounts: [yours],
			config: join(place, "yours.toml"),
			directory: join(place, "yours"),
		},
		directory,
		lifetime,
		accounts,
		refreshes: { first: 0, scheduled: 0, forced: 0 },
		last: undefined,
		failed: 0,
		failures: [],
		livedOn: 0,
		startedAt: Date.now(),
	};
}

// --- The three actors ---

async function startAll(scene) {
	if (!existsSync(program))
		throw new Error(`there is no ${program}: run npm ci (or npm run build)`);
	say("starting the simulator of WeChat …");
	scene.simulator = launch([
		"simulate",
		"--port=0",
		"--quiet",
		`--token-lifetime=${scene.lifetime}`,
		...[...scene.accounts, scene.yours].map(
			({ appid, secret }) => `--account=${appid}:${secret}`,
		),
	]);
	scene.guard = guard(scene);
	const [, url] = await waitForLine(
		scene.simulator.stdout,
		/(http:\/\/[\d.:]+)/,
		scene.simulator,
		"the simulator",
	);
	scene.url = url;
	const { config } = scene;
	// Any free port: the log says which.
	const http = '\n[http]\nlisten = "127.0.0.1:0"\n';
	writeFileSync(config, configFor(scene) + http, { mode: 0o600 });
	// Not an account of the demo: two daemons with other directories would fetch in turn.
	writeFileSync(scene.yours.config, configFor(scene.yours, url), {
		mode: 0o600,
	});
	say("starting the daemon: wxtokend run …");
	scene.daemon = launch(["run", "--config", config]);
	scene.guard = guard(scene, scene.guard);
	const log = createInterface({ input: scene.daemon.stderr });
	log.on("line", (line) => noteEvent(scene, line));
	await waitForFiles(scene);
	process.stdout.write(await introduction(scene));
	scene.startedAt = Date.now();
}

/** In a process group of its own: Ctrl-C is for the demo, which ends the others. */
function launch(args) {
	const child = spawn(process.execPath, [program, ...args], {
		detached: true,
		stdio: ["ignore", "pipe", "pipe"],
	});
	child.lastWords = "";
	child.stderr.setEncoding("utf8").on("data", (text) => {
		child.lastWords = (child.lastWords + text).slice(-2000);
	});
	child.ended = new Promise((resolve) => {
		child.on("error", resolve);
		child.on("exit", resolve);
	});
	return child;
}

/** What `status` shows, and how to try a daemon of one's own with the same WeChat. */
async function introduction({ config, yours }) {
	const args = [program, "status", "--config", config];
	const { stdout } = await run(process.execPath, args);
	const text = readFileSync(yours.config, "utf8").trim();
	return `
$ wxtokend status --config ${config}
${stdout}
A daemon of your own with the same WeChat, while the demo runs:
$ wxtokend run --config ${yours.config}
${text.replace(/^(?=.)/gm, "  ")}

`;
}

function configFor({ directory, accounts, url: known }, url = known) {
	const tables = accounts.map(
		({ appid, secret, tickets }) =>
			`\n[[account]]\nappid = "${appid}"\nsecret = "${secret}"\n${tickets.length === 0 ? "" : `tickets = ${JSON.stringify(tickets)}\n`}`,
	);
	return `directory = "${directory}"
schedule = "* * * * * *"  # looks every second; what is due is refreshed
log_format = "json"

[wechat]
base_urls = ["${url}"]
${tables.join("")}`;
}

async function crashOf(name, child) {
	await child.ended;
	return new Error(`${name} ended:\n${child.lastWords}`);
}

async function waitForLine(stream, pattern, child, name) {
	const crash = crashOf(name, child).then((error) => {
		throw error;
	});
	const found = new Promise((resolve) => {
		createInterface({ input: stream }).on("line", (line) => {
			const match = pattern.exec(line);
			if (match !== null) resolve(match);
		});
	});
	return Promise.race([found, crash]);
}

async function waitForFiles({ accounts, directory, daemon }) {
	const files = accounts.flatMap(({ appid, file, tickets }) => [
		file,
		...tickets.map((name) => join(directory, `wx_${name}_ticket_${appid}`)),
	]);
	let crashed = false;
	daemon.ended.then(() => {
		crashed = true;
	});
	for (let tries = 0; tries < 300; tries++) {
		if (files.every((file) => existsSync(file))) return;
		if (crashed) break;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`the daemon wrote no token:\n${daemon.lastWords}`);
}

/** The daemon says in its log what it did, and why. */
function noteEvent(scene, line) {
	if (!line.startsWith("{")) return;
	const { event, appid, reason, url, credential } = JSON.parse(line);
	if (event === "http.opened") scene.page = url;
	// Only tickets are named by their file.
	if (event !== "token.refreshed" || credential !== undefined) return;
	const why = { first: "first", due: "scheduled", forced: "forced" }[reason];
	if (why === undefined) return;
	scene.refreshes[why] += 1;
	scene.last = { at: Date.now(), appid, why };
	say(`${clock(scene)}  ${appid}: ${words[why]}`);
}

// --- The app ---

async function play(scene) {
	const hangUpAfter = Math.min(scene.seconds, 30) * 0.6;
	for (let second = 0; second < scene.seconds; second++) {
		if (second === Math.round(hangUpAfter)) {
			scene.said = `the demo itself sent kill -HUP ${scene.daemon.pid}`;
			say(`${clock(scene)}  ${scene.said}`);
			scene.daemon.kill("SIGHUP");
		}
		await Promise.all(scene.accounts.map((account) => call(scene, account)));
		if (second % 5 === 0) say(`${clock(scene)}  ${calls(scene)}`);
		await until(scene.startedAt + (second + 1) * 1000);
	}
	return "done";
}

/** All that an app does: read the file, use the token. */
async function call(scene, account) {
	try {
		const { value, expire } = JSON.parse(readFileSync(account.file, "utf8"));
		if (account.token !== undefined && account.token.value !== value) {
			account.former = { ...account.token, replacedAt: Date.now() };
		}
		account.token = { value, expire };
		const refusal = await use(scene.url, value);
		if (refusal !== undefined) throw new Error(refusal);
		account.ok += 1;
	} catch (error) {
		scene.failed += 1;
		scene.failures.push(`${clock(scene)}  ${account.appid}: ${error.message}`);
		say(`${clock(scene)}  ${account.appid}: FAILED: ${error.message}`);
	}
	await tryFormer(scene, account);
}

/** Not part of an app: it only shows that the old token lives on for a while. */
async function tryFormer(scene, account) {
	const { former } = account;
	if (former === undefined || former.dead) return;
	const refusal = await use(scene.url, former.value).catch(() => "no answer");
	former.dead = refusal !== undefined;
	const since = (Date.now() - former.replacedAt) / 1000;
	if (!former.dead) {
		scene.livedOn = Math.max(scene.livedOn, since);
		if (!former.said)
			say(
				`${clock(scene)}  ${account.appid}: the old token lives on: WeChat still accepts it`,
			);
		former.said = true;
	} else
		say(
			`${clock(scene)}  ${account.appid}: the old token is dead now, ${since.toFixed(0)} s after it was replaced; nobody uses it any more`,
		);
}

/** undefined: accepted. */
async function use(url, token) {
	const answer = await fetch(
		`${url}/sim/use?access_token=${encodeURIComponent(token)}`,
		{ signal: AbortSignal.timeout(5_000) },
	);
	const { errcode, errmsg } = await answer.json();
	return errcode === 0 ? undefined : `errcode ${errcode}: ${errmsg}`;
}

function until(at) {
	return new Promise((resolve) => setTimeout(resolve, at - Date.now()));
}

// --- What one sees ---

/** Plain lines, for a pipe; on a terminal the picture says it all. */
function say(line) {
	if (!interactive) process.stdout.write(`${line}\n`);
}

function openScreen(scene) {
	if (!interactive) {
		process.stdout.write(`${tryNext(scene)}\n`);
		return { close: () => {} };
	}
	let height = 0;
	const draw = () => {
		const width = process.stdout.columns || 80;
		const lines = picture(scene).map((line) => line.slice(0, width - 1));
		const up = height === 0 ? "" : `\x1b[${height}A`;
		process.stdout.write(`${up}\r\x1b[J${lines.join("\n")}\n`);
		height = lines.length;
	};
	process.stdout.write("\x1b[?25l"); // No cursor while it moves about.
	draw();
	const timer = setInterval(draw, 200);
	return {
		close: () => {
			clearInterval(timer);
			draw();
			process.stdout.write("\x1b[?25h");
		},
	};
}

function picture(scene) {
	const { last } = scene;
	const bars = scene.accounts.flatMap(({ appid, token, former, ok }) => [
		`  ${appid.padEnd(12)} ${bar(token, scene.lifetime)}  ${beginning(token)}  ${ok} calls ok`,
		`  ${"old token".padStart(12)} ${former?.dead === false ? `still accepted  ${beginning(former)}` : former === undefined ? "–" : "dead, and nobody uses it"}`,
	]);
	const when = last && Math.round((Date.now() - last.at) / 1000);
	return [
		`wxtokend demo: tokens live for ${scene.lifetime} s                          ${clock(scene)}`,
		"",
		...bars,
		"",
		`  calls         ${calls(scene)}`,
		`  last refresh  ${last ? `${when} s ago, ${last.appid}: ${words[last.why]}` : "–"}`,
		`  so far        ${counts(scene)}${scene.said ? ` (${scene.said})` : ""}`,
		"",
		...tryNext(scene).split("\n"),
	];
}

function bar(token, lifetime) {
	const left = token === undefined ? 0 : token.expire - Date.now() / 1000;
	const width = 24;
	const full = Math.round((Math.max(0, left) / lifetime) * width);
	const cells = "█".repeat(Math.min(width, full)).padEnd(width, "░");
	return `▕${cells}▏${left.toFixed(0).padStart(3)} s left`;
}

/** Never a whole token, not even of a simulator. */
function beginning(token) {
	return token === undefined ? "" : `${token.value.slice(0, 8)}…`;
}

function tryNext({ accounts, daemon, config, page }) {
	return `See each token's life in a browser: ${page}
Try next, in another terminal:
  wxtokend status --watch --config ${config}
  cat ${accounts[0].file}
  cat ${accounts[0].file.replace("access_token", "jsapi_ticket")}
  kill -HUP ${daemon.pid}
Ctrl-C ends everything and leaves nothing behind.`;
}

function calls({ accounts, failed }) {
	const ok = accounts.reduce((sum, account) => sum + account.ok, 0);
	return `${ok} calls ok, ${failed} failed`;
}

function counts({ refreshes: { scheduled, forced } }) {
	return `${scheduled} scheduled and ${forced} forced refreshes`;
}

function clock({ startedAt }) {
	const seconds = Math.max(0, Math.floor((Date.now() - startedAt) / 1000));
	const pad = (number) => String(number).padStart(2, "0");
	return `${pad(Math.floor(seconds / 60))}:${pad(seconds % 60)}`;
}

/** Returns whether something is wrong. */
function summarize(scene, complete) {
	const { scheduled, forced } = scene.refreshes;
	const { failed, failures, livedOn, accounts } = scene;
	const wrong = [
		...(accounts.some(({ ok }) => ok === 0) ? ["an account had no call"] : []),
		...(failed > 0 ? ["calls failed"] : []),
		...(scheduled === 0 ? ["there was no scheduled refresh"] : []),
		...(forced === 0 ? ["there was no forced refresh"] : []),
	];
	process.stdout.write(`
${calls(scene)}; ${counts(scene)} of ${accounts.length} accounts
an old token was still accepted ${livedOn.toFixed(0)} s after it was replaced
${failures.map((line) => `${line}\n`).join("")}`);
	if (complete && wrong.length > 0)
		process.stdout.write(`NOT as it should be: ${wrong.join(", ")}\n`);
	return wrong.length > 0;
}

// --- The end ---

function stopSignal() {
	return new Promise((resolve) => {
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
			process.on(signal, () => resolve(signal));
		// Whoever reads along has gone (`npm run demo | head`).
		process.stdout.on("error", () => resolve("SIGPIPE"));
	});
}

/** Ctrl-C is how a demo without an end ends well. */
function endOf(signal, seconds) {
	if (signal === "SIGINT") return Number.isFinite(seconds) ? 130 : 0;
	return { SIGTERM: 143, SIGHUP: 129, SIGPIPE: 141 }[signal];
}

async function clean({ simulator, daemon, guard, place }) {
	const children = [daemon, simulator].filter(Boolean);
	for (const child of children) {
		child.kill("SIGTERM");
		const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
		await child.ended;
		clearTimeout(late);
	}
	rmSync(place, { recursive: true, force: true });
	if (guard === undefined) return;
	guard.stdin.end("all is clean\n");
	await guard.ended;
}

/**
 * Does the same if the demo itself is killed: a shell that reads a line, and
 * gets none when the demo's end of the pipe just closes.
 */
function guard({ simulator, daemon, place }, before) {
	const pids = [daemon, simulator].filter(Boolean).map(({ pid }) => `${pid}`);
	const script = `read -r word || {
	place=$1; shift
	kill -TERM "$@"; sleep 1; kill -KILL "$@"
	rm -rf -- "$place"
}`;
	const shell = spawn("/bin/sh", ["-c", script, "demo-guard", place, ...pids], {
		detached: true,
		stdio: ["pipe", "ignore", "ignore"],
	});
	shell.ended = new Promise((resolve) => {
		shell.on("error", resolve); // Without a shell only `kill -9` leaves traces.
		shell.on("exit", resolve);
	});
	shell.stdin.on("error", () => {});
	before?.stdin.end("another one is on guard\n");
	return shell;
}

function secondsWanted() {
	let values;
	try {
		({ values } = parseArgs({
			options: { seconds: { type: "string" }, help: { type: "boolean" } },
		}));
	} catch (error) {
		return `demo: ${error.message.split(". ")[0]}\n${usage}`;
	}
	if (values.help) return usage;
	if (values.seconds === undefined) return Number.POSITIVE_INFINITY;
	const seconds = Number(values.seconds);
	if (values.seconds.trim() !== "" && seconds >= 10 && seconds <= 86_400)
		return Math.ceil(seconds);
	return `demo: --seconds ${values.seconds} is not a number from 10 on\n${usage}`;
}
