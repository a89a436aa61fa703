/**
 * Tells systemd how the daemon is (sd_notify), if systemd wants to be told.
 *
 * Node.js has no datagram sockets of the Unix kind. So the unit starts the program
 * through systemd/notify-exec, which connects the socket and passes it on as a
 * descriptor: then a message is one write of some microseconds, from the main
 * process itself. Without that launcher each message costs a child process
 * (systemd-notify, some 5 ms), and the unit needs NotifyAccess=all.
 */
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";

/** Messages to systemd. Without systemd they do nothing; none of them throws. */
export interface Notifier {
	/** The first look is over, or a reload: units that are ordered after us may start. */
	ready(): void;
	/**
	 * The line for `systemctl status`. `describe` is called only if the line is sent:
	 * it is left out soon after another one, unless it is `urgent`.
	 */
	status(describe: () => string, urgent?: "urgent"): void;
	/** In how many ms another line would be sent; Infinity: never. */
	statusInMs(): number;
	/**
	 * A sign of life for the watchdog. It may be called often: what the watchdog does
	 * not need is not sent. Before `ready` it asks for more time to start instead,
	 * because a thousand accounts that get no answer take longer than any fixed limit.
	 */
	alive(): void;
	/** How often `alive` should be called, ms; Infinity: there is no watchdog. */
	readonly aliveEveryMs: number;
	/** A reload has begun; `ready` ends it. */
	reloading(): void;
	/** The stop has begun. `withinMs`: how long what is under way may take. */
	stopping(withinMs: number): void;
}

/** The line for `systemctl status` needs a look at every account: not at each tick. */
const statusEveryMs = 10_000;

/** How much time each sign of life adds to the start; they come every 5 s. */
const startingMs = 30_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** What systemd wants is in $NOTIFY_SOCKET, $NOTIFY_FD, $WATCHDOG_USEC and $WATCHDOG_PID. */
export function createNotifier(
	env: Environment,
	log: Log,
	monotonic: () => number,
): Notifier {
	const send = senderFrom(env, log);
	const aliveEveryMs = watchdogFrom(env) / 4;
	let aliveAt = 0;
	const line = createStatusLine(send, monotonic);
	let isReady = false;
	return {
		aliveEveryMs,
		ready: () => {
			isReady = true;
			send("READY=1");
		},
		...line,
		alive: () => {
			if (!isReady) return send(`EXTEND_TIMEOUT_USEC=${startingMs * 1_000}`);
			const now = monotonic();
			// A short schedule would send at each tick. The comparison is written so that
			// without a watchdog, where the limit is Infinity, nothing is sent at all.
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

function createStatusLine(
	send: Send,
	monotonic: () => number,
): Pick<Notifier, "status" | "statusInMs"> {
	if (send === sendNothing)
		return { status: () => {}, statusInMs: () => Number.POSITIVE_INFINITY };
	let sentAt = Number.NEGATIVE_INFINITY;
	let lastLine = "";
	const status: Notifier["status"] = (describe, urgent) => {
		const now = monotonic();
		if (urgent === undefined && now - sentAt < statusEveryMs) return;
		sentAt = now;
		// A line feed would begin another message to systemd.
		const line = describe()
			.replace(/\p{Cc}+/gu, " ")
			.slice(0, 500);
		if (line === lastLine) return;
		lastLine = line;
		send(`STATUS=${line}`);
	};
	return {
		status,
		statusInMs: () => Math.max(0, sentAt + statusEveryMs - monotonic()),
	};
}

type Send = (message: string) => void;

const sendNothing: Send = () => {};

function senderFrom(env: Environment, log: Log): Send {
	if (!env.NOTIFY_SOCKET) return sendNothing;
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
		return senderTo(descriptor, failed);
	let turn = Promise.resolve();
	let waiting = 0;
	return (message) => {
		if (waiting >= maxWaiting) return;
		waiting += 1;
		// One after the other: "ready" must not overtake "reloading".
		turn = turn
			.then(() => sendByChild(message))
			.catch(failed)
			.finally(() => {
				waiting -= 1;
			});
	};
}

/** Messages that are kept while systemd takes none. */
const maxWaiting = 32;

/** How often a systemd that takes none is tried again, ms. */
const retryMs = 100;

/**
 * notify-exec has set the descriptor to a mode in which no write waits: systemd may stand
 * still, and its socket holds few messages.
 */
function senderTo(descriptor: number, failed: (error: unknown) => void): Send {
	const waiting: string[] = [];
	let timer: NodeJS.Timeout | undefined;
	const sendAll = () => {
		timer = undefined;
		for (; waiting[0] !== undefined; waiting.shift())
			try {
				writeSync(descriptor, waiting[0]);
			} catch (error) {
				if (errnoOf(error) === "EAGAIN") {
					timer = setTimeout(sendAll, retryMs).unref();
					return;
				}
				failed(error);
			}
	};
	return (message) => {
		waiting.push(message);
		if (waiting.length > maxWaiting) dropOne(waiting);
		if (timer === undefined) sendAll();
	};
}

/** That a start or a reload is over must not be lost. */
function dropOne(waiting: string[]): void {
	const index = waiting.findIndex((one) =>
		/^(STATUS|WATCHDOG|EXTEND)/.test(one),
	);
	waiting.splice(Math.max(index, 0), 1);
}

function sendByChild(message: string): Promise<void> {
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

/** The time in which systemd wants a sign of life, ms; Infinity if it does not watch this process. */
function watchdogFrom(env: Environment): number {
	const pid = env.WATCHDOG_PID;
	if (pid && Number(pid) !== process.pid) return Number.POSITIVE_INFINITY;
	const withinMs = Number(env.WATCHDOG_USEC) / 1000;
	return withinMs > 0 ? withinMs : Number.POSITIVE_INFINITY;
}
