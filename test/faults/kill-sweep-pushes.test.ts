/**
 * SIGKILL at each system call of the receiver, from a push that arrives to the answer and
 * what follows it. What was answered with `success` is there at the next start, which is
 * also the recovery from the kill before it.
 *
 * KILL_SWEEP=3 kills three times at each call (npm run test:kill).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { noteSecret } from "../support/leaks.ts";
import {
	factsIn,
	liveToken,
	newPlatform,
	type PlatformScene,
} from "../support/platform.ts";
import { type Running, startDaemon } from "../support/program.ts";
import { attach, inconstantCalls, noStrace } from "./strace.ts";

const runs = Number(process.env.KILL_SWEEP ?? 1);

/** What is pushed, and what must come of it. */
interface PushKind {
	/** The file of the state directory that keeps it. */
	readonly file: string;
	/** The key of it there. */
	readonly key: string;
	/** Before each start. */
	readonly before?: (scene: PlatformScene) => void;
	/** Pushes the next one. */
	readonly push: (
		scene: PlatformScene,
		nth: number,
	) => Promise<{ readonly outcome: string; readonly what: string }>;
	/** Whether a daemon that reaches WeChat has made use of it. */
	readonly isUsed: (scene: PlatformScene, what: string) => boolean;
}

const kinds: Readonly<Record<string, PushKind>> = {
	// It is appended first, as any ticket is.
	"a ticket for which the file is written anew": {
		...{ file: "verify-ticket", key: "ticket" },
		before: fillTicketFile,
		push: async (scene) => {
			const { outcome, ticket: what } = await scene.push();
			return { outcome, what };
		},
		isUsed: ({ wechat }, what) =>
			wechat.requests.some(
				({ endpoint, body }) =>
					endpoint === "api_component_token" && body.includes(what),
			),
	},
	"an auth code": {
		...{ file: "authorizers", key: "auth_code" },
		push: async (scene, nth) => {
			const what = noteSecret(await scene.consent(`wxa${nth}`));
			const outcome = scene.wechat.pushes.records.at(-1)?.outcome ?? "";
			return { outcome, what };
		},
		isUsed: ({ component }, what) => component.codes.get(what)?.isUsed === true,
	},
};

test.skipIf(noStrace !== undefined).each(Object.entries(kinds))(
	"after a kill at any system call that %s causes, what was answered with success is there",
	{ timeout: 1_800_000 },
	async (what, kind) => {
		const chain = await startChain(kind);
		const calls = await callsOf(chain);
		const before = calls.filter(({ isBeforeAnswer }) => isBeforeAnswer);
		const missed: string[] = [];
		for (const point of repeated(calls, runs))
			if (!(await killAt(chain, point)) && point.isBeforeAnswer)
				missed.push(point.call);
		await allIsUsed(chain);
		console.log(
			`${what}: ${calls.length} calls, ${before.length} up to the answer, of which not reached: ${missed.join(" ")}`,
		);
		const names = before.map(({ call }) => call);
		expect(names).toContain("fdatasync");
		if (kind.before !== undefined) expect(names).toContain("rename");
		const steady = missed.filter((call) => !inconstantCalls.has(call));
		expect(steady.length, `missed: ${missed}`).toBeLessThan(
			0.2 * runs * before.length,
		);
	},
);

interface Point {
	readonly call: string;
	/** Counts the calls of that name since the push, from 1. */
	readonly nth: number;
	/** The answer itself included. */
	readonly isBeforeAnswer: boolean;
}

/** One state directory, with which the program is started again and again. */
interface Chain {
	readonly scene: PlatformScene;
	readonly kind: PushKind;
	/** All that was pushed, in order, and whether it was answered with success. */
	readonly pushed: { readonly what: string; readonly isSafe: boolean }[];
}

async function startChain(kind: PushKind): Promise<Chain> {
	// No tick comes between, and WeChat gives nothing for which there would be more work.
	const scene = await newPlatform({
		top: { schedule: "0 0 0 1 1 *", log_level: "info" },
		// Only a program that is dead gives no answer.
		knobs: { pushTimeoutSeconds: 60 },
	});
	await scene.wechat.addFault({ mode: "refuse" });
	return { scene, kind, pushed: [] };
}

function start({ scene, kind }: Chain): Promise<Running> {
	kind.before?.(scene);
	return startDaemon(scene.config);
}

/** The calls of the main thread, which does all of it. */
async function callsOf(chain: Chain): Promise<readonly Point[]> {
	const daemon = await start(chain);
	const strace = await attach(daemon.pid, {
		expressions: ["signal=none"],
		thread: daemon.pid,
		stringBytes: 4_096,
	});
	expect(await push(chain)).toBe("success");
	const traced = await strace.detach();
	daemon.kill("SIGKILL");
	await daemon.exited;
	const counts = new Map<string, number>();
	const points: Point[] = [];
	let isBeforeAnswer = true;
	for (const line of traced.split("\n")) {
		const [, call = "restart_syscall"] = /^(\w+)\(/.exec(line) ?? [];
		if (call === "restart_syscall") continue;
		const nth = (counts.get(call) ?? 0) + 1;
		counts.set(call, nth);
		points.push({ call, nth, isBeforeAnswer });
		if (/^(write|writev|sendto)\(.*success/.test(line)) isBeforeAnswer = false;
	}
	return points;
}

/** Starts the program, pushes, and kills it at that point. False: the point was not reached. */
async function killAt(chain: Chain, { call, nth }: Point): Promise<boolean> {
	const daemon = await start(chain);
	const strace = await attach(daemon.pid, {
		expressions: ["signal=none", `inject=${call}:signal=KILL:when=${nth}`],
		thread: daemon.pid,
	});
	const outcome = await push(chain);
	// A kill behind the answer is a moment away, or there is none.
	if (outcome !== "success")
		await eventually(() => daemon.child.signalCode !== null, {
			what: "the end of the program",
		});
	const killed = daemon.child.signalCode !== null;
	daemon.kill("SIGKILL");
	await daemon.exited;
	await strace.ended;
	checkState(chain, `killed at ${call} ${nth}`);
	return killed;
}

async function push({ scene, kind, pushed }: Chain): Promise<string> {
	const { outcome, what } = await kind.push(scene, pushed.length);
	pushed.push({ what, isSafe: outcome === "success" });
	return outcome;
}

/** What was answered with success is in the file: of tickets the last one, or a later one. */
function checkState(chain: Chain, at: string): void {
	const kept = keptIn(chain);
	const { pushed, kind } = chain;
	const safe = pushed.filter(({ isSafe }) => isSafe).map(({ what }) => what);
	if (kind.key === "auth_code") {
		expect([...kept], at).toEqual(expect.arrayContaining(safe));
		return;
	}
	const orderOf = (one: string | undefined) =>
		pushed.findIndex(({ what }) => what === one);
	expect(orderOf(kept.at(-1)), at).toBeGreaterThanOrEqual(orderOf(safe.at(-1)));
}

function keptIn({ scene, kind }: Chain): readonly string[] {
	return factsIn(scene.stateFile(kind.file)).map((fact) =>
		String(fact[kind.key]),
	);
}

/** A daemon that reaches WeChat makes use of all that must be there. */
async function allIsUsed(chain: Chain): Promise<void> {
	const { scene, kind, pushed } = chain;
	const [last] = keptIn(chain).slice(-1);
	await scene.wechat.clearFaults();
	scene.write({}, { schedule: "* * * * * *" });
	const daemon = await startDaemon(scene.config);
	const wanted =
		kind.key === "auth_code"
			? pushed.filter(({ isSafe }) => isSafe).map(({ what }) => what)
			: [last ?? ""];
	// Codes are exchanged with a component token, which needs a ticket.
	if (kind.key === "auth_code") await scene.push();
	await liveToken(scene, scene.componentFile);
	await eventually(() => wanted.every((one) => kind.isUsed(scene, one)), {
		what: "the use of all that was answered with success",
	});
	await daemon.stop();
}

/** So long that the next ticket makes it too long. */
function fillTicketFile({ stateFile }: PlatformScene): void {
	const path = stateFile("verify-ticket");
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const old = { ticket: "x".repeat(1_000), create_time: 1, arrived_at: 1 };
	const kept = existsSync(path) ? readFileSync(path, "utf8") : "";
	const own = kept.split("\n").filter((line) => !/"create_time":1,/.test(line));
	const text = `${JSON.stringify(old)}\n`.repeat(70) + own.join("\n");
	writeFileSync(path, text, { mode: 0o600 });
}

function repeated<T>(items: readonly T[], times: number): readonly T[] {
	return Array.from({ length: times }, () => items).flat();
}
