/**
 * Plays a history: a text of what happens to one credential, line by line, and what
 * follows from it by the pure functions of src/core/. There is no disk, no network
 * and no timer here. `histories/README.md` explains the format.
 */
import {
	type Credential,
	type KindName,
	type KnownToken,
	kinds,
	type Reading,
	traitsOf,
} from "../../src/core/credential.ts";
import { decide, type Plan, type Situation } from "../../src/core/decide.ts";
import { IssuerError } from "../../src/core/errors.ts";
import { mayForce, refreshAt } from "../../src/core/limits.ts";
import { emptyRecord, type SharedRecord } from "../../src/core/record.ts";
import {
	isForced,
	type Reason,
	type RefreshRequest,
} from "../../src/core/request.ts";
import { isOverdue } from "../../src/core/sighting.ts";
import { tokenId } from "../../src/core/token.ts";
import {
	afterGrant,
	afterRefusal,
	beginFetch,
	beginForce,
	withPublication,
} from "../../src/core/transition.ts";
import { meaningOf } from "../../src/issuer/errcode.ts";
import { type LinkErrorKind, linkErrors } from "../../src/issuer/link-error.ts";
import type { Meaning } from "../../src/issuer/meaning.ts";

/** One daemon of the history: what its keeper knows. */
interface Process {
	readonly name: string;
	readonly startedAt: number;
	memory: KnownToken | undefined;
	ignorePauses: boolean;
	doubtedSince: number | undefined;
	request: RefreshRequest | undefined;
	served: RefreshRequest | undefined;
	/** The request to WeChat that is under way. */
	asking: Asking | undefined;
}

interface Asking {
	readonly reason: Reason;
	readonly current: KnownToken | undefined;
	readonly before: SharedRecord;
	written: SharedRecord;
	readonly startedAt: number;
	isForce: boolean;
}

/** All that the processes share. */
interface World {
	readonly credential: Credential;
	now: number;
	disk: Reading;
	record: SharedRecord;
	parents: Situation["parents"];
	readonly processes: Map<string, Process>;
	/** Of the newest publication. */
	generation: number;
}

/** The text again, each event with what followed from it. Throws if a line says nothing known. */
export function play(text: string): string {
	const lines = text.split("\n");
	const settings = new Map(
		lines.flatMap((line) => {
			const [, key, value] = /^(\w+): (\S+)$/.exec(line) ?? [];
			return key === undefined || value === undefined ? [] : [[key, value]];
		}),
	);
	const world = newWorld(settings);
	return lines
		.map((line) => {
			if (line === "" || line.startsWith("#") || /^\w+: \S+$/.test(line))
				return line;
			const [said = ""] = line.split(/ +-> /);
			const found = /^((?:\w{3} )?\d\d:\d\d:\d\d) {2}(?:(\w+): )?(.+)$/.exec(
				said,
			);
			const [, time = "", name = "daemon", event = ""] = found ?? [];
			if (found === null) throw new Error(`not a line of a history: ${line}`);
			const now = instantOf(time);
			if (now < world.now && !/clock/.test(event))
				throw new Error(`earlier than the line before: ${line}`);
			world.now = now;
			const result = happen(world, name, event.trim());
			return result === "" ? said : `${said.padEnd(48)} -> ${result}`;
		})
		.join("\n");
}

function newWorld(settings: ReadonlyMap<string, string>): World {
	const kind = settings.get("kind") ?? "access_token";
	if (!isKind(kind)) throw new Error(`not a kind: ${kind}`);
	return {
		credential: {
			id: "token",
			kind,
			appid: "wx1",
			file: "token",
			formats: [],
			source: "wx1 from WeChat",
			needs: [],
			limits: {
				refreshBeforeMs: 2_400_000,
				cooldownMs: 10_000,
				budget: Number(settings.get("budget") ?? 60),
				timeoutMs: 10_000,
			},
		},
		now: 0,
		disk: { kind: "absent" },
		record: emptyRecord,
		parents: "alive",
		processes: new Map(),
		generation: 0,
	};
}

function isKind(name: string): name is KindName {
	return Object.hasOwn(kinds, name);
}

/** What each event is spelled like, and does. Returns what followed. */
const events: readonly (readonly [
	spelling: RegExp,
	play: (world: World, who: Process, words: readonly string[]) => string,
])[] = [
	[/^tick$/, (world, who) => look(world, who)],
	[
		/^ticks until (.+?)(?:, each answered: (.+))?$/,
		(world, who, [until = "", answer]) =>
			tickUntil(world, who, instantOf(until), answer),
	],
	[
		/^HUP$/,
		(world, who) => {
			request(world, who, { reason: "forced" });
			return look(world, who);
		},
	],
	[
		/^an app reports (\w+)(, WeChat calls it dead)?$/,
		(world, who, [letter = "", isProved]) => {
			request(world, who, {
				reason: "reported",
				stale: tokenId(tokenNamed(letter)),
				isProved: isProved !== undefined,
			});
			return look(world, who);
		},
	],
	[
		/^(?:token|ticket) (\w+), (\d+) s(, but the lock was lost)?$/,
		(world, who, [letter = "", seconds, isLost]) =>
			granted(world, who, letter, Number(seconds), isLost !== undefined),
	],
	[
		/^(errcode -?\d+|no answer|no connection)$/,
		(world, who, [what = ""]) => refused(world, who, what),
	],
	[
		/^the file is deleted$/,
		(world) => {
			world.disk = { kind: "absent" };
			return "";
		},
	],
	[/^the clock is set back$/, () => ""],
	[
		/^the parent (dies|is published)$/,
		(world, _who, [what]) => {
			world.parents = what === "dies" ? "missing" : "alive";
			return "";
		},
	],
];

function happen(world: World, name: string, event: string): string {
	if (event === "starts") {
		world.processes.set(name, {
			name,
			startedAt: world.now,
			memory: undefined,
			ignorePauses: true,
			doubtedSince: undefined,
			request: undefined,
			served: undefined,
			asking: undefined,
		});
		return "";
	}
	const who = world.processes.get(name);
	if (who === undefined) throw new Error(`${name} does not run: ${event}`);
	if (event === "is killed") {
		world.processes.delete(name);
		return "";
	}
	for (const [spelling, act] of events) {
		const [found, ...words] = spelling.exec(event) ?? [];
		if (found !== undefined) return act(world, who, words);
	}
	throw new Error(`not an event of a history: ${event}`);
}

function request(
	{ now }: World,
	who: Process,
	wanted: Pick<RefreshRequest, "reason" | "stale" | "isProved">,
): void {
	if (who.request === undefined || who.request.tried)
		who.request = { ...wanted, requestedAt: now, tried: false };
}

function planOf(world: World, who: Process): Plan {
	const { now, credential, parents, disk, record } = world;
	const { startedAt, memory, doubtedSince, ignorePauses } = who;
	return decide({
		now,
		clockOffset: 0,
		instance: who.name,
		startedAt,
		credential,
		parents,
		memory,
		disk,
		record,
		request: who.request,
		doubtedSince,
		ignorePauses,
		isForcerDead: false,
	});
}

/** One look of a process, and what it begins. */
function look(world: World, who: Process): string {
	if (who.asking !== undefined) return "a request is under way";
	const plan = planOf(world, who);
	const { current, publish, fetch, deferred, satisfied } = plan;
	const said: string[] = [];
	if (current !== undefined && current.id !== who.memory?.id)
		said.push(`adopt ${letterOf(current)}`);
	who.memory = current;
	who.ignorePauses = false;
	if (satisfied) {
		said.push(`answer the request: ${letterOf(current)}`);
		who.request = undefined;
	}
	if (publish && current !== undefined) {
		said.push(`publish ${letterOf(current)} again, without a call`);
		if (world.record.published?.id !== current.id)
			world.record = withPublication(current, world.record);
		world.disk = { kind: "token", token: current.token, exact: true };
	}
	if (fetch !== undefined) said.push(begin(world, who, fetch, current));
	if (deferred !== undefined) {
		const { by, until, reason } = deferred;
		const end = by === "parent" ? "" : ` until ${timeOf(until)}`;
		said.push(`no fetch (${reason})${end}: ${by}`);
		said.push(...defer(world, who, by));
	}
	return said.length === 0 ? "nothing" : said.join("; ");
}

/** A request that meets an obstacle fails at once, and stays; only a cooldown is waited for. */
function defer({ record }: World, who: Process, by: string): readonly string[] {
	if (who.request === undefined || who.request.tried) return [];
	if (by === "cooldown") return [];
	if (by === "pause" && record.pause?.failure === undefined) return [];
	who.request = { ...who.request, tried: true };
	return ["answer the request: failed"];
}

function begin(
	world: World,
	who: Process,
	reason: Reason,
	current: KnownToken | undefined,
): string {
	const { now, record } = world;
	if (isForced(reason) || reason === who.request?.reason) {
		who.served = who.request;
		who.request = undefined;
	}
	const written = beginFetch(
		{
			record,
			current,
			reason,
			by: { instance: who.name, pid: 1, startTicks: "", realm: "" },
			lock: who.name,
			diedEarly: who.served?.isProved === true,
		},
		now,
	);
	world.record = written;
	who.asking = {
		...{ reason, current, before: record, written, startedAt: now },
		isForce: false,
	};
	const replaces = current === undefined ? "nothing" : letterOf(current);
	return `fetch (${reason}); write: may replace ${replaces}, call ${written.calls.length}`;
}

function asked({ asking, name }: Process): Asking {
	if (asking === undefined) throw new Error(`${name} has asked for nothing`);
	return asking;
}

function granted(
	world: World,
	who: Process,
	letter: string,
	seconds: number,
	isLost: boolean,
): string {
	const asking = asked(who);
	const { now, credential } = world;
	const { current, reason, written } = asking;
	const value = tokenNamed(letter);
	const isUnwanted = reason === "forced" || who.served?.isProved === true;
	if (tokenId(value) === current?.id && isUnwanted && !asking.isForce) {
		if (traitsOf(credential).force !== undefined)
			return force(world, asking, current);
	}
	const requestedAt = asking.startedAt;
	const grant = { value, lifetimeMs: seconds * 1_000, requestedAt };
	const { known, record, isSame } = afterGrant(
		written,
		grant,
		{
			traits: traitsOf(credential),
			reason,
			before: current,
			clockOffset: 0,
		},
		now,
	);
	who.asking = undefined;
	if (isLost) return losing(world, who);
	if (known.generation <= world.generation)
		throw new Error(`${letter} is not newer than the one before`);
	world.generation = known.generation;
	world.record = record;
	world.disk = { kind: "token", token: known.token, exact: true };
	who.memory = known;
	who.doubtedSince = undefined;
	const said = [`publish ${letter} until ${timeOf(known.token.expiresAt)}`];
	if (known.sighting !== undefined) {
		if (isSame) said.push("it is the same one");
		if (known.sighting.isGuessed) said.push("its end is a guess");
		if (isOverdue(known.sighting)) said.push("it is overdue");
		said.push(`ask at ${timeOf(refreshAt(known, credential))}`);
	} else if (isSame)
		said.push(`it is the same one, wait until ${timeOf(endOfPause(record))}`);
	if (who.served !== undefined) {
		const isAlive = isSame && reason === "reported";
		said.push(`answer the request: ${isAlive ? "alive" : letter}`);
	}
	who.served = undefined;
	return [...said, ...next(world, who)].join("; ");
}

/** A request that came meanwhile is looked at without a tick. */
function next(world: World, who: Process): readonly string[] {
	if (who.request === undefined || who.request.tried) return [];
	return [look(world, who)];
}

/** The platform gave the token that is not wanted: another one is forced. */
function force(world: World, asking: Asking, current: KnownToken): string {
	if (!mayForce(world.credential, asking.written, world.now))
		throw new Error("no further call with force is allowed");
	asking.written = beginForce(asking.written, current, world.now);
	asking.isForce = true;
	world.record = asking.written;
	const { calls, forceCalls } = asking.written;
	return `ask with force; write: call ${calls.length}, with force ${forceCalls.length}`;
}

/** The answer came after another process had taken the lock over. */
function losing(world: World, who: Process): string {
	const { published } = world.record;
	who.memory = undefined;
	who.request = who.served ?? who.request;
	who.served = undefined;
	const said = ["publish nothing"];
	if (published === undefined || published.fetchedAt <= world.now) {
		who.doubtedSince = world.now;
		said.push("doubt which token lives");
	}
	// The next attempt begins at once.
	return [...said, look(world, who)].join("; ");
}

function refused(world: World, who: Process, what: string): string {
	const asking = asked(who);
	const { before, written, startedAt } = asking;
	who.asking = undefined;
	const { record, pause } = afterRefusal(
		{
			error: errorOf(world, what),
			before,
			written,
			startedAt,
			uncounted: 0,
			self: { instance: who.name, pid: 1, startTicks: "", realm: "host" },
		},
		world.now,
		() => 0,
	);
	world.record = record;
	const { current } = asking;
	const isOpen = record.inFlight?.replaces === (current?.id ?? "");
	const intent = isOpen
		? `WeChat may have replaced ${letterOf(current)}`
		: `${letterOf(current)} lives on`;
	const said = [
		`failure ${pause.failure?.attempts}, wait until ${timeOf(pause.at + pause.waitMs)}`,
		`write: ${intent}, ${record.calls.length} calls`,
	];
	if (who.served !== undefined) {
		said.push("answer the request: failed");
		who.request ??= { ...who.served, tried: true };
	}
	who.served = undefined;
	return [...said, ...next(world, who)].join("; ");
}

/** As the issuer makes it of what came back, or did not. */
function errorOf({ credential, now }: World, what: string): IssuerError {
	const links: Readonly<Record<string, LinkErrorKind>> = {
		"no answer": "timeout",
		"no connection": "unreachable",
	};
	const link = links[what];
	const meaning: Meaning =
		link === undefined
			? meaningOf(Number(what.split(" ")[1]), {
					interface:
						credential.kind === "stable_access_token" ? "stable" : "classic",
					force: false,
					at: now,
				})
			: linkErrors[link];
	const { kind, hint, waitMs, meaning: message } = meaning;
	return new IssuerError({
		...{ kind, code: what, message, hint },
		...(waitMs === undefined ? {} : { waitMs }),
		mayHaveIssued: link === "timeout",
		sent: link !== "unreachable",
	});
}

/**
 * A tick every five seconds, to the first one that does something; with `answer` to
 * the end, and each request has that answer after a second.
 */
function tickUntil(
	world: World,
	who: Process,
	until: number,
	answer: string | undefined,
): string {
	const fetches: number[] = [];
	for (; world.now < until; world.now += 5_000) {
		const { fetch, publish, satisfied } = planOf(world, who);
		if (answer === undefined) {
			if (fetch === undefined && !publish && !satisfied) continue;
			return `${timeOf(world.now)} ${look(world, who)}`;
		}
		look(world, who);
		if (fetch === undefined) continue;
		fetches.push(world.now);
		world.now += 1_000;
		refused(world, who, answer);
		world.now -= 1_000;
	}
	if (answer === undefined) return look(world, who);
	const first = fetches.slice(0, 8).map(timeOf).join(" ");
	const calls = world.record.calls.length;
	return `${fetches.length} fetches, ${calls} calls in this lifetime: ${first} …`;
}

function endOfPause({ pause }: SharedRecord): number {
	return pause === undefined ? 0 : pause.at + pause.waitMs;
}

// --- Names and times. ---

function tokenNamed(letter: string): string {
	return `token-${letter}`;
}

function letterOf(known: KnownToken | undefined): string {
	return known?.token.value.replace("token-", "") ?? "nothing";
}

const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/** Midnight in Beijing, at the beginning of a Monday. */
const monday = Date.UTC(2026, 0, 4, 16);
const second = 1_000;

/** `Tue 07:05:09`, in Beijing; Monday if no day is named. */
function instantOf(time: string): number {
	const found = /^(?:(\w{3}) )?(\d\d):(\d\d):(\d\d)$/.exec(time);
	const [, day = "Mon", hours, minutes, seconds] = found ?? [];
	if (found === null || !days.includes(day))
		throw new Error(`not a time: ${time}`);
	const hour = days.indexOf(day) * 24 + Number(hours);
	return (
		monday + ((hour * 60 + Number(minutes)) * 60 + Number(seconds)) * second
	);
}

function timeOf(at: number): string {
	const since = at - monday;
	const day = days[Math.floor(since / 86_400_000)] ?? "?";
	const text = new Date(since).toISOString();
	const ms = since % second === 0 ? "" : text.slice(19, 23);
	return `${day === "Mon" ? "" : `${day} `}${text.slice(11, 19)}${ms}`;
}
