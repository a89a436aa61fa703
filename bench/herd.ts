/**
 * Twenty processes that call WeChat at the same moment, when there is no token
 * yet (herd) and when their token was ended from outside (storm): with wxtokend
 * and a reader, and with SDKs that fetch by themselves and share a file cache.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RequestRecord } from "../src/simulator/request-log.ts";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";
import { appidOf, startDaemon, writeConfig } from "./daemon.ts";
import {
	bounded,
	type Measure,
	measure,
	type Row,
	reached,
	type Unit,
} from "./figures.ts";
import { pause, root, type Scale } from "./scene.ts";
import { installSdks, sdks, sdksDirectory } from "./sdks.ts";
import { startTold, type Told } from "./told.ts";

/** What came of it. */
interface Outcome {
	/** Until each process had a call succeed. */
	readonly fetches: number;
	/** First calls that went out with a token that was dead already. */
	readonly deadUses: number;
	/** What is left in the cache is dead, or will be long before its `expire`. */
	readonly deadInCachePercent: number;
	/** First calls that succeeded, after all that the SDK itself does about a failure. */
	readonly succeededPercent: number;
	/** Until each process had a call succeed, the app calling again after each failure. */
	readonly allMs: number;
	readonly isOver: boolean;
}

interface Round {
	readonly herd: Outcome;
	readonly storm: Outcome;
}

/** From here to WeChat and back. */
const latencyMs = 30;
const secret = "0123456789abcdef0123456789abcdef";
const appid = appidOf(0);

export async function benchHerd(scale: Scale): Promise<readonly Row[]> {
	const seen: RequestRecord[] = [];
	const simulator = await startSimulator({
		accounts: [],
		latencyMs,
		onRequest: (record) => seen.push(record),
	});
	const rounds = new Map<string, readonly Round[]>();
	for (const sdk of ["wxtokend", ...available(scale)])
		rounds.set(sdk, await play(scale, { simulator, seen }, sdk));
	await simulator.close();
	return rowsOf(scale, rounds);
}

interface Issuer {
	readonly simulator: Simulator;
	readonly seen: RequestRecord[];
}

/** The SDKs, unless there is no network to get them by. */
function available(scale: Scale): readonly string[] {
	try {
		installSdks();
		return sdks;
	} catch {
		scale.say(`skipped: ${sdks.join(", ")}: npm could not install them`);
		return [];
	}
}

async function play(
	scale: Scale,
	issuer: Issuer,
	sdk: string,
): Promise<readonly Round[]> {
	const env = {
		BENCH_WECHAT: issuer.simulator.url,
		BENCH_SECRET: secret,
		BENCH_SDKS: sdksDirectory,
	};
	const argv = [join(root, "bench/herd/app.mjs"), sdk];
	const apps = Array.from({ length: scale.of(20, 2) }, () =>
		startTold(scale, process.execPath, argv, { env }),
	);
	const rounds: Round[] = [];
	for (let round = 0; round < scale.of(3, 1); round += 1)
		rounds.push({
			herd: await herd(scale, issuer, sdk, apps),
			storm: await storm(scale, issuer, sdk, apps),
		});
	for (const app of apps) app.stop();
	return rounds;
}

/** Nobody has a token. With wxtokend, its start is part of the time. */
async function herd(
	scale: Scale,
	issuer: Issuer,
	sdk: string,
	apps: readonly Told[],
): Promise<Outcome> {
	const directory = emptyCache(scale, issuer, sdk);
	await open(apps, directory);
	issuer.seen.length = 0;
	const startedAt = performance.now();
	const stop = await keep(scale, issuer, sdk, directory);
	const outcome = await callAll(scale, issuer, { apps, directory, startedAt });
	await stop();
	return outcome;
}

/** All had the same good token, and it is ended from outside. */
async function storm(
	scale: Scale,
	issuer: Issuer,
	sdk: string,
	apps: readonly Told[],
): Promise<Outcome> {
	const directory = emptyCache(scale, issuer, sdk);
	const stop = await keep(scale, issuer, sdk, directory);
	// The first fills the cache, in which the others find the token at their start.
	await open(apps.slice(0, 1), directory);
	await tellAll(apps.slice(0, 1), "call");
	await open(apps, directory);
	await tellAll(apps, "call");
	const { platform, now } = issuer.simulator;
	platform.kill(appid, now());
	issuer.seen.length = 0;
	const startedAt = performance.now();
	const outcome = await callAll(scale, issuer, { apps, directory, startedAt });
	await stop();
	return outcome;
}

/** A new directory, and an account that was never asked for a token. */
function emptyCache(scale: Scale, { simulator }: Issuer, sdk: string): string {
	simulator.platform.addAccount({ appid, secret });
	const directory = scale.directory();
	// Their README's own code fails for ever where there is no file. This is what
	// co-wechat-api itself leaves there when it throws a token away.
	if (sdk.endsWith("wechat-api"))
		writeFileSync(join(directory, "access_token.txt"), "null");
	return directory;
}

/** Apps start when wxtokend is ready, as systemd has it. */
async function keep(
	scale: Scale,
	{ simulator }: Issuer,
	sdk: string,
	directory: string,
): Promise<() => Promise<void>> {
	if (sdk !== "wxtokend") return async () => {};
	const daemon = startDaemon(
		scale,
		writeConfig({ directory, url: simulator.url }),
	);
	await daemon.event("daemon.ready");
	return daemon.stop;
}

async function callAll(
	scale: Scale,
	{ simulator, seen }: Issuer,
	{
		apps,
		directory,
		startedAt,
	}: {
		readonly apps: readonly Told[];
		readonly directory: string;
		readonly startedAt: number;
	},
): Promise<Outcome> {
	const results = await Promise.all(apps.map((app) => app.tell("call")));
	const deadUses = seen.filter(isDeadUse).length;
	const newest = simulator.platform.account(appid, simulator.now())?.classic
		.current?.value;
	const holdsNewest = newest !== undefined && holds(directory, newest);
	const limitMs = scale.of(10_000, 500);
	const ends = await Promise.all(
		apps.map((app, index) =>
			results[index] === "ok"
				? true
				: callUntilItWorks(app, startedAt + limitMs),
		),
	);
	const isOver = !ends.includes(false);
	const succeeded = results.filter((result) => result === "ok").length;
	return {
		fetches: seen.filter(isFetch).length,
		deadUses,
		deadInCachePercent: holdsNewest ? 0 : 100,
		succeededPercent: (100 * succeeded) / apps.length,
		allMs: isOver ? performance.now() - startedAt : limitMs,
		isOver,
	};
}

async function callUntilItWorks(app: Told, until: number): Promise<boolean> {
	while (performance.now() < until) {
		await pause(200);
		if ((await app.tell("call")) === "ok") return true;
	}
	return false;
}

function isFetch({ path }: RequestRecord): boolean {
	return /^\/cgi-bin\/(stable_)?token$/.test(path);
}

/** Of an app's; when wxtokend tries a token that was reported, that is no call. */
function isDeadUse({ endpoint, outcome }: RequestRecord): boolean {
	return endpoint !== "get_api_domain_ip" && outcome === "errcode 40001";
}

/** A classic token that is not the newest ends within 300 s, whatever the cache says. */
function holds(directory: string, token: string): boolean {
	return readdirSync(directory, { withFileTypes: true })
		.filter((entry) => entry.isFile())
		.some(({ name }) =>
			readFileSync(join(directory, name), "utf8").includes(token),
		);
}

function open(apps: readonly Told[], directory: string): Promise<void> {
	return tellAll(apps, JSON.stringify({ appid, directory }));
}

async function tellAll(apps: readonly Told[], line: string): Promise<void> {
	const answers = await Promise.all(apps.map((app) => app.tell(line)));
	const bad = answers.find((answer) => answer !== "ok");
	if (bad !== undefined) throw new Error(`an app could not ${line}: ${bad}`);
}

function rowsOf(
	scale: Scale,
	rounds: ReadonlyMap<string, readonly Round[]>,
): readonly Row[] {
	const inEach = (
		scene: keyof Round,
		unit: Unit,
		value: (outcome: Outcome) => number,
		isMeasured: (outcome: Outcome) => boolean = () => true,
	): readonly [Measure, readonly Measure[]] => {
		const [ours, ...others] = [...rounds].map(([sdk, played]) => {
			const outcomes = played.map((round) => round[scene]);
			const measured = outcomes.filter(isMeasured).length;
			return {
				...measure(sdk, unit, outcomes.map(value)),
				...(2 * measured < played.length ? { unfinished: true as const } : {}),
			};
		});
		if (ours === undefined) throw new Error("nothing was measured");
		return [ours, others];
	};
	const fetches = (scene: keyof Round) =>
		inEach(scene, "", (outcome) => outcome.fetches);
	const untilAllWork = (scene: keyof Round): Row => {
		const [ours, others] = inEach(
			scene,
			"s",
			({ allMs }) => allMs / 1000,
			({ isOver }) => isOver,
		);
		return { part: scene, what: "until each had a call succeed", ours, others };
	};
	const crowd = scale.of(20, 2);
	const [coldFetches, coldFetchesOfOthers] = fetches("herd");
	const [dead, deadOfOthers] = inEach("herd", "", ({ deadUses }) => deadUses);
	const [left, leftByOthers] = inEach(
		"herd",
		"%",
		({ deadInCachePercent }) => deadInCachePercent,
	);
	const [works, worksForOthers] = inEach(
		"storm",
		"%",
		({ succeededPercent }) => succeededPercent,
	);
	const [newFetches, newFetchesOfOthers] = fetches("storm");
	return [
		bounded(
			"herd",
			`fetches by ${crowd} processes without a token`,
			coldFetches,
			1,
			coldFetchesOfOthers,
		),
		bounded("herd", "calls with a dead token", dead, 0, deadOfOthers),
		bounded(
			"herd",
			"dead or doomed token left in the cache",
			left,
			0,
			leftByOthers,
		),
		untilAllWork("herd"),
		reached(
			"storm",
			`calls that succeed, of ${crowd} whose token was ended`,
			works,
			100,
			worksForOthers,
		),
		bounded("storm", "fetches", newFetches, 1, newFetchesOfOthers),
		untilAllWork("storm"),
	];
}
