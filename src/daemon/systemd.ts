/**
 * Telling systemd how we are (sd_notify), if it asked to be told.
 *
 * Node.js has no datagram sockets of the Unix kind. So the unit starts the
 * program through systemd/notify-exec, which connects the socket and passes it on
 * as a descriptor: a message is one write of some microseconds, from the main
 * process itself. Without that launcher each message costs a child process
 * (systemd-notify, some 5 ms) and the unit needs NotifyAccess=all.
 */
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { Log } from "./log.ts";

export interface Notifier {
	/** Every account was looked at: what is ordered after us may start. A reload is over. */
	ready(): void;
	/**
	 * A line for `systemctl status`, made only if it will be sent: the same one
	 * again is not, nor one soon after another, unless it is `urgent`.
	 */
	status(describe: () => string, urgent?: "urgent"): void;
	/**
	 * A sign of life for the watchdog; more of them than it needs are not sent.
	 * Until we are ready it asks for more time instead: a thousand accounts of
	 * which none answers take longer than any fixed limit.
	 */
	alive(): void;
	/** How often the watchdog should hear of us; Infinity: there is none. */
	readonly aliveEveryMs: number;
	reloading(): void;
	/** `withinMs`: what is under way may take so long. */
	stopping(withinMs: number): void;
}

/** Looking at ten thousand accounts is not for each tick. */
const statusEveryMs = 10_000;

/** What each sign of life adds to the time for the start; they come every 5 s. */
const startingMs = 30_000;

type Environment = Readonly<Record<string, string | undefined>>;

export function createNotifier(
	env: Environment,
	log: Log,
	monotonic: () => number,
): Notifier {
	const send = senderFrom(env, log);
	const aliveEveryMs = watchdogFrom(env) / 4;
	let aliveAt = 0;
	let statusAt = Number.NEGATIVE_INFINITY;
	let lastStatus = "";
	let isReady = false;
	return {
		aliveEveryMs,
		ready: () => {
			isReady = true;
			send("READY=1");
		},
		status: (describe, urgent) => {
			const now = monotonic();
			if (send === notAsked) return;
			if (urgent === undefined && now - statusAt < statusEveryMs) return;
			statusAt = now;
			const line = describe()
				.replace(/\p{Cc}+/gu, " ")
				.slice(0, 500);
			if (line === lastStatus) return;
			lastStatus = line;
			send(`STATUS=${line}`);
		},
		alive: () => {
			if (!isReady) return send(`EXTEND_TIMEOUT_USEC=${startingMs * 1_000}`);
			const now = monotonic();
			// Not every tick of a short schedule; Infinity is never over.
			if (!(now - aliveAt > aliveEveryMs / 2)) return;
			aliveAt = now;
			send("WATCHDOG=1");
		},
		reloading: () =>
			send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
		stopping: (withinMs) =>
			send(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.ceil(withinMs * 1_000)}`),
	};
}

type Send = (message: string) => void;

const notAsked: Send = () => {};

function senderFrom(env: Environment, log: Log): Send {
	if (!env.NOTIFY_SOCKET) return notAsked;
	const descriptor = Number(env.NOTIFY_FD);
	let isBroken = false;
	const failed = (error: unknown) => {
		if (isBroken) return;
		isBroken = true;
		log.warn(
			{
				event: "systemd.unreachable",
				code: errnoOf(error),
				hint: "start the program through systemd/notify-exec, or install systemd-notify and set NotifyAccess=all",
			},
			"systemd cannot be told how the daemon is",
		);
	};
	if (Number.isInteger(descriptor) && descriptor > 2)
		return (message) => {
			try {
				writeSync(descriptor, message);
			} catch (error) {
				failed(error);
			}
		};
	let turn = Promise.resolve();
	return (message) => {
		// One after the other: "ready" must not overtake "reloading".
		turn = turn.then(() => byChild(message)).catch(failed);
	};
}

function byChild(message: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const child = spawn("systemd-notify", message.split("\n"), {
			stdio: "ignore",
		});
		child.on("error", reject);
		child.on("exit", (code) =>
			code === 0 ? resolve() : reject(new Error(`systemd-notify: ${code}`)),
		);
	});
}

/** Within what time systemd wants a sign of life; Infinity if it does not watch this process. */
function watchdogFrom(env: Environment): number {
	const pid = env.WATCHDOG_PID;
	if (pid && Number(pid) !== process.pid) return Number.POSITIVE_INFINITY;
	const withinMs = Number(env.WATCHDOG_USEC) / 1000;
	return withinMs > 0 ? withinMs : Number.POSITIVE_INFINITY;
}
