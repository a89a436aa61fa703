import type { Fault, FaultScript } from "./faults.ts";
import type { Listener } from "./listener.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Closes and opens the listeners as the scripted `refuse` faults say. */
export interface Outages {
	/** Brings the listeners to where the script is now. */
	settle(): Promise<void>;
	stop(): void;
}

export function createOutages(
	listeners: readonly Listener[],
	faults: FaultScript,
	clock: VirtualClock,
): Outages {
	let timer: NodeJS.Timeout | undefined;
	let settling = Promise.resolve();

	async function look(): Promise<void> {
		clearTimeout(timer);
		const refusals = faults.pending(clock.now()).filter(isOutage);
		const ends = refusals.flatMap(({ forSeconds }) => forSeconds ?? []);
		if (ends.length > 0)
			timer = setTimeout(() => void settle(), clock.realMs(Math.min(...ends)));
		for (const listener of listeners)
			await listener.setListening(
				!refusals.some(
					({ host }) => host === undefined || host === listener.host,
				),
			);
	}

	function settle(): Promise<void> {
		settling = settling.then(look);
		return settling;
	}

	return { settle, stop: () => clearTimeout(timer) };
}

/** Only a whole host can be refused: what is asked for comes after connecting. */
export function isOutage({ mode, endpoint, appid, count }: Fault): boolean {
	return (
		mode === "refuse" &&
		endpoint === undefined &&
		appid === undefined &&
		count === undefined
	);
}
