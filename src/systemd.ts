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
import { errnoOf } from "./errors.ts";
import type { Log } from "./log.ts";

export interface Notifier {
	/** Every account was looked at: what is ordered after us may start. */
	ready(): void;
	/** A line for `systemctl status`; the same one again is not sent. */
	status(text: string): void;
	/** A sign of life for the watchdog; more of them than it needs are not sent. */
	alive(): void;
	/** How often the watchdog should hear of us; Infinity: there is none. */
	readonly aliveEveryMs: number;
	reloading(): void;
	stopping(): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function createNotifier(
	env: Environment,
	log: Log,
	monotonic: () => number,
): Notifier {
	const send = senderFrom(env, log);
	const aliveEveryMs = watchdogFrom(env) / 4;
	let aliveAt = 0;
	let lastStatus = "";
	return {
		aliveEveryMs,
		ready: () => send("READY=1"),
		status: (text) => {
			const line = text.replace(/\p{Cc}+/gu, " ").slice(0, 500);
			if (line === lastStatus) return;
			lastStatus = line;
			send(`STATUS=${line}`);
		},
		alive: () => {
			const now = monotonic();
			// Not every tick of a short schedule; Infinity is never over.
			if (!(now - aliveAt > aliveEveryMs / 2)) return;
			aliveAt = now;
			send("WATCHDOG=1");
		},
		reloading: () =>
			send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
		stopping: () => send("STOPPING=1"),
	};
}

function senderFrom(env: Environment, log: Log): (message: string) => void {
	if (!env.NOTIFY_SOCKET) return () => {};
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
	return (message) => {
		const child = spawn("systemd-notify", message.split("\n"), {
			stdio: "ignore",
		});
		child.on("error", failed);
	};
}

/** Within what time systemd wants a sign of life; Infinity if it does not watch this process. */
function watchdogFrom(env: Environment): number {
	const pid = env.WATCHDOG_PID;
	if (pid && Number(pid) !== process.pid) return Number.POSITIVE_INFINITY;
	const withinMs = Number(env.WATCHDOG_USEC) / 1000;
	return withinMs > 0 ? withinMs : Number.POSITIVE_INFINITY;
}
