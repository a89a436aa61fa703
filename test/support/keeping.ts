/**
 * One account as the daemon keeps it, in virtual time: the real keeper, issuer, HTTP
 * client and token file. The test replaces only the clock and the ticks of the
 * schedule, so that a wait of a day takes no time.
 */
import { readFileSync, statSync } from "node:fs";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Account } from "../../src/config/entry.ts";
import type { IssuerError, StoreError } from "../../src/core/errors.ts";
import { recordPathOf } from "../../src/core/record.ts";
import type { RefreshAnswer } from "../../src/core/request.ts";
import { createHttp } from "../../src/issuer/http.ts";
import { createLinkMonitor } from "../../src/issuer/link-monitor.ts";
import type { Keeper } from "../../src/keeper/keeper.ts";
import type { Outcome } from "../../src/keeper/keeper-parts.ts";
import { newDirectory } from "./directory.ts";
import { leaksIn, newSecret } from "./leaks.ts";
import { type LogLine, logTo } from "./log-to.ts";
import { keepAsOneProcess } from "./managed.ts";

export interface KeepingOptions extends Partial<Account> {
	readonly baseUrls: readonly string[];
	/** Epoch ms; default 10:00 on a Monday in Beijing. */
	readonly startAt?: number;
	/** Called at each step of the clock, to advance that of a simulator. */
	readonly onAdvance?: (seconds: number) => Promise<void>;
	/** For backoffs and jitter; by default the longest there are. */
	readonly random?: () => number;
	readonly env?: Readonly<Record<string, string>>;
	readonly connectTimeoutMs?: number;
}

export type Attempt =
	| {
			readonly kind: "failed";
			readonly error: IssuerError | StoreError;
			readonly at: number;
	  }
	| {
			readonly kind: "refreshed";
			readonly value: string;
			readonly at: number;
	  };

export interface Keeping {
	readonly account: Account;
	/** The keeper of the present configuration. */
	readonly keeper: () => Keeper;
	readonly path: string;
	/** All lines, oldest first, of every level. */
	readonly log: readonly LogLine[];
	now(): number;
	advance(seconds: number): Promise<void>;
	/** A tick: undefined if the keeper had nothing to do. */
	tick(): Promise<Outcome | undefined>;
	/** The answer to a request: time passes to each wake-up that the keeper has asked for. */
	answer(request: Promise<RefreshAnswer>): Promise<RefreshAnswer>;
	/** Ticks until something was attempted, for at most so many virtual seconds. */
	nextAttempt(withinSeconds: number, tickSeconds?: number): Promise<Attempt>;
	/** All that a reader could notice: content, inode, times, mode. */
	file(): string;
	/** The token in the file. */
	value(): string;
	/** The shared record, as it is on disk. */
	state(): string;
	/** Another keeper takes over, as after a reload or a restart. */
	restart(changes?: Partial<Account>): void;
	/** The forms of the secret that stand in the log or on disk. */
	leaks(): readonly string[];
}

/** Closed after the test, which fails if the keeper had a bug. */
export function keepInVirtualTime(options: KeepingOptions): Keeping {
	const { startAt = Date.UTC(2026, 0, 5, 2), env = {}, ...given } = options;
	const { onAdvance, random = () => 0.999, connectTimeoutMs, ...rest } = given;
	const http = createHttp({
		connectTimeoutMs: connectTimeoutMs ?? 5_000,
		env,
	});
	onTestFinished(() => http.close());
	const directory = newDirectory();
	const lines: LogLine[] = [];
	const log = logTo((line) => lines.push(line));
	let now = startAt;
	const bugs: unknown[] = [];
	const wakes: number[] = [];
	onTestFinished(() => {
		if (bugs.length > 0) throw bugs[0];
	});
	const clock = { now: () => now, monotonic: () => performance.now() };
	/** As after a restart: under another name. */
	const keep = (account: Account) =>
		keepAsOneProcess({
			directory,
			http,
			monitor: createLinkMonitor(clock, log),
			clock,
			log,
			random,
			startedAt: now,
			wakeAt: (at) => wakes.push(at),
			onBug: (error) => bugs.push(error),
		}).manage(account);
	let account: Account = {
		appid: "wx1",
		secret: newSecret(),
		file: "wx_access_token_wx1",
		interface: "classic",
		tickets: [],
		formats: [],
		timeoutMs: 10_000,
		refreshBeforeMs: 2_400_000,
		cooldownMs: 10_000,
		budget: 60,
		...rest,
	};
	let managed = keep(account);
	const { path } = managed;
	const read = () => readFileSync(path, "utf8");

	const keeping: Keeping = {
		get account() {
			return account;
		},
		keeper: () => managed.keeper,
		path,
		log: lines,
		now: () => now,
		advance: async (seconds) => {
			now += seconds * 1000;
			await onAdvance?.(seconds);
		},
		tick: async () => {
			const need = managed.keeper.needs();
			if (need?.adopt) managed.keeper.adopt();
			return need?.publish || need?.more
				? managed.keeper.reconcile()
				: undefined;
		},
		answer: async (request) => {
			let answered: RefreshAnswer | undefined;
			void request.then((answer) => {
				answered = answer;
			});
			for (;;) {
				await managed.keeper.whenIdle();
				await turnOfTheLoop();
				if (answered !== undefined) return answered;
				if (managed.keeper.isBusy()) continue;
				const at = wakes.filter((wake) => wake > now).sort()[0];
				if (at === undefined)
					throw new Error("it was not answered, and asked for no wake-up");
				await keeping.advance((at - now) / 1000);
				await keeping.tick();
			}
		},
		nextAttempt: async (withinSeconds, tickSeconds = 5) => {
			const giveUpAt = now + withinSeconds * 1000;
			for (;;) {
				const outcome = await keeping.tick();
				if (outcome?.kind === "failed")
					return { kind: "failed", error: outcome.error, at: now };
				if (outcome?.kind === "refreshed")
					return { kind: "refreshed", value: outcome.token.value, at: now };
				if (now >= giveUpAt)
					throw new Error(`no attempt within ${withinSeconds} virtual seconds`);
				await keeping.advance(tickSeconds);
			}
		},
		file: () => {
			const { ino, mtimeNs, ctimeNs, mode } = statSync(path, { bigint: true });
			return `${ino} ${mtimeNs} ${ctimeNs} ${mode} ${read()}`;
		},
		value: () => JSON.parse(read()).value,
		state: () => readFileSync(recordPathOf(path), "utf8"),
		restart: (changes = {}) => {
			account = { ...account, ...changes };
			managed = keep(account);
		},
		leaks: () => leaksIn(JSON.stringify(lines) + keeping.state(), false),
	};
	return keeping;
}
