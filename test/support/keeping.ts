/**
 * One account as the daemon keeps it, in virtual time: the real keeper, issuer,
 * HTTP client and token file. Only the clock and the schedule's ticks are the
 * test's, so that a wait of a day takes no time.
 */
import { readFileSync, statSync } from "node:fs";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Account } from "../../src/config/config.ts";
import type { IssuerError, StoreError } from "../../src/core/errors.ts";
import { statePathOf } from "../../src/core/record.ts";
import type { WishAnswer } from "../../src/core/request.ts";
import { createHttp } from "../../src/issuer/http.ts";
import { createLinkWitness } from "../../src/issuer/link-monitor.ts";
import type { Outcome } from "../../src/keeper/keeper.ts";
import { createGate } from "../../src/keeper/limiter.ts";
import { KeptAccount, placeOf } from "../../src/keeper/managed-credential.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectory } from "./directory.ts";
import { leaksIn, newSecret } from "./leaks.ts";
import { type LogLine, logTo } from "./log-to.ts";

export interface KeepingWishes extends Partial<Account> {
	readonly baseUrls: readonly string[];
	/** Epoch ms; default 10:00 on a Monday in Beijing. */
	readonly startAt?: number;
	/** Told of each step, so that a simulator's clock goes along. */
	readonly onAdvance?: (seconds: number) => Promise<void>;
	/** For backoffs and jitter; default: the most there is. */
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
	readonly keeper: () => KeptAccount["keeper"];
	readonly path: string;
	/** All there is, oldest first, of every level. */
	readonly log: readonly LogLine[];
	now(): number;
	advance(seconds: number): Promise<void>;
	/** A tick: undefined if the keeper had nothing to do. */
	tick(): Promise<Outcome | undefined>;
	/** The answer to a request: time passes to each wake-up that the keeper has asked for. */
	answer(request: Promise<WishAnswer>): Promise<WishAnswer>;
	/** Ticks until something was attempted, for at most so many virtual seconds. */
	nextAttempt(withinSeconds: number, tickSeconds?: number): Promise<Attempt>;
	/** All that a reader could notice: content, inode, times, mode. */
	file(): string;
	/** The token in the file. */
	value(): string;
	/** What the keepers remember, as it lies on disk. */
	state(): string;
	/** Another keeper takes over, as after a reload or a restart. */
	restart(changes?: Partial<Account>): void;
	/** The forms of the secret that stand in the log or on disk. */
	leaks(): readonly string[];
}

/** Closed after the test, which fails if the keeper had a bug. */
export function keepInVirtualTime(wishes: KeepingWishes): Keeping {
	const { startAt = Date.UTC(2026, 0, 5, 2), env = {}, ...given } = wishes;
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
	const keep = (account: Account) =>
		new KeptAccount(
			account,
			placeOf({ directory, mode: 0o640, gid: undefined }),
			{
				http,
				witness: createLinkWitness(clock, log),
				clock,
				random,
				self: nameThisProcess(),
				startedAt: now,
				log,
				gate: createGate(48),
				stopping: new AbortController().signal,
				wakeAt: (at) => wakes.push(at),
				count: () => {},
				onBug: (error) => bugs.push(error),
			},
		);
	let account: Account = {
		appid: "wx1",
		secret: newSecret(),
		file: "wx_access_token_wx1",
		interface: "classic",
		timeoutMs: 10_000,
		refreshBeforeMs: 2_400_000,
		cooldownMs: 10_000,
		budget: 60,
		...rest,
	};
	let kept = keep(account);
	const { path } = kept;
	const read = () => readFileSync(path, "utf8");

	const keeping: Keeping = {
		get account() {
			return account;
		},
		keeper: () => kept.keeper,
		path,
		log: lines,
		now: () => now,
		advance: async (seconds) => {
			now += seconds * 1000;
			await onAdvance?.(seconds);
		},
		tick: async () =>
			kept.keeper.needsLook() ? kept.keeper.look() : undefined,
		answer: async (request) => {
			let answered: WishAnswer | undefined;
			void request.then((answer) => {
				answered = answer;
			});
			for (;;) {
				await kept.keeper.idle();
				await turnOfTheLoop();
				if (answered !== undefined) return answered;
				if (kept.keeper.isAtWork()) continue;
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
		state: () => readFileSync(statePathOf(path), "utf8"),
		restart: (changes = {}) => {
			account = { ...account, ...changes };
			kept = keep(account);
		},
		leaks: () => leaksIn(JSON.stringify(lines) + keeping.state(), false),
	};
	return keeping;
}
