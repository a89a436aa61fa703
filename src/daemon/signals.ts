/**
 * Signals, caught from the first moment: without a handler Node.js dies of SIGHUP,
 * and systemd takes that for a clean exit. A signal that arrives while the program
 * still loads is kept for its listener.
 */

/** Signals that came, or will come. */
export interface SignalInbox {
	/** SIGHUP. Many that came before the listener count as one. */
	onReload(listener: () => void): void;
	/** The first SIGTERM or SIGINT. A second one ends the process at once, with 0. */
	onStop(listener: (signal: string) => void): void;
}

/** Installs the handlers. Call it once, before anything is loaded. */
export function catchSignals(): SignalInbox {
	const reload = createMailbox<undefined>();
	const stop = createMailbox<string>();
	let isStopping = false;

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
