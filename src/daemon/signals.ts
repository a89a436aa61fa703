/**
 * Signals, caught from the first moment: without a handler Node.js dies of SIGHUP,
 * and systemd takes that for a clean exit. A signal that arrives while the program
 * still loads is kept for its listener.
 */

/** Signals that came, or will come. */
export interface SignalInbox {
	/** SIGHUP. Many that came before the listener count as one. */
	onReload(listener: () => void): void;
	/** SIGUSR1 and SIGUSR2, which mean nothing here: the first time that each comes. */
	onIgnored(listener: (signal: string) => void): void;
	/** The first SIGTERM or SIGINT. A second one ends the process at once, with 0. */
	onStop(listener: (signal: string) => void): void;
}

/**
 * Takes from some signals what they would do by themselves. To SIGUSR1 Node.js opens
 * its debugger on the loopback interface, where any user of the machine can read the
 * AppSecret. SIGUSR2 ends the process. Some logrotate scripts send them to every
 * daemon. SIGXFSZ ends it as well; caught, it lets the write fail with EFBIG, which is
 * reported like any other.
 */
export function ignoreSignals(
	onIgnored: (signal: string) => void = () => {},
): void {
	process.on("SIGUSR1", onIgnored);
	process.on("SIGUSR2", onIgnored);
	process.on("SIGXFSZ", () => {});
}

/** Installs the handlers. Call it once, before anything is loaded. */
export function catchSignals(): SignalInbox {
	const reload = createMailbox<undefined>();
	const stop = createMailbox<string>();
	const ignored = new Map([
		["SIGUSR1", createMailbox<string>()],
		["SIGUSR2", createMailbox<string>()],
	]);
	const told = new Set<string>();
	let isStopping = false;

	ignoreSignals((signal) => {
		if (told.has(signal)) return;
		told.add(signal);
		ignored.get(signal)?.put(signal);
	});
	process.on("SIGHUP", () => reload.put(undefined));
	const onStopSignal = (signal: string) => {
		if (isStopping) process.exit(0);
		isStopping = true;
		stop.put(signal);
	};
	process.on("SIGTERM", onStopSignal);
	process.on("SIGINT", onStopSignal);

	return {
		onReload: (listener) => reload.listen(() => listener()),
		onIgnored: (listener) => {
			for (const mailbox of ignored.values()) mailbox.listen(listener);
		},
		onStop: (listener) => stop.listen(listener),
	};
}

/** Passes values to a listener; until there is one, it keeps the last value. */
function createMailbox<T>() {
	let listener: ((value: T) => void) | undefined;
	let pending: { readonly value: T } | undefined;
	return {
		put: (value: T) => {
			if (listener === undefined) pending = { value };
			else listener(value);
		},
		listen: (wanted: (value: T) => void) => {
			listener = wanted;
			if (pending !== undefined) wanted(pending.value);
			pending = undefined;
		},
	};
}

/**
 * Ends the process by SIGTERM, which systemd takes for a clean end. `process.exit` would
 * wait for each worker thread, also for one whose disk does not answer.
 */
export function endWithoutThreads(): void {
	process.emit("exit", 0);
	process.removeAllListeners("SIGTERM");
	process.kill(process.pid, "SIGTERM");
}
