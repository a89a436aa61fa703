/**
 * Signals, caught from the first moment: without a handler Node.js dies of
 * SIGHUP, and systemd counts that as a clean exit. What arrives before anybody
 * listens is kept.
 */
export interface SignalInbox {
	/** SIGHUP. Many that came before the first listener count as one. */
	onReload(listener: () => void): void;
	/** The first SIGTERM or SIGINT. A second one ends the process at once, with 0. */
	onStop(listener: (signal: string) => void): void;
}

export function catchSignals(): SignalInbox {
	let reload: (() => void) | undefined;
	let stop: ((signal: string) => void) | undefined;
	let reloadPending = false;
	let stopPending: string | undefined;

	process.on("SIGHUP", () => {
		if (reload === undefined) reloadPending = true;
		else reload();
	});
	const onStopSignal = (signal: string) => {
		if (stopPending !== undefined) process.exit(0);
		stopPending = signal;
		stop?.(signal);
	};
	process.on("SIGTERM", onStopSignal);
	process.on("SIGINT", onStopSignal);

	return {
		onReload: (listener) => {
			reload = listener;
			if (reloadPending) listener();
			reloadPending = false;
		},
		onStop: (listener) => {
			stop = listener;
			if (stopPending !== undefined) listener(stopPending);
		},
	};
}
