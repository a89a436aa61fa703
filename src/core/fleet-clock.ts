/**
 * The time of a fleet: that of the server which its hosts share. The clocks of hosts may
 * be off by an hour; the keepers of all of them must agree on when a token is due.
 */
import type { Clock } from "./clock.ts";

/** A clock that follows another one. */
export interface FleetClock extends Clock {
	/** The server said that time (epoch ms), `roundTripMs` after it was asked. */
	sync(serverNow: number, roundTripMs: number): void;
	/** The server cannot be asked any more: from now on the host's own clock goes on. */
	unsync(): void;
	/** How far the fleet's time is ahead of the host's wall clock, in ms; 0 before the first sync. */
	offsetMs(): number;
	/**
	 * By how much to convert: an instant of the fleet less this is one by the host's
	 * clock, for those who read files on this host. Whole seconds in ms, and 0 as long as
	 * the clocks are 5 s apart at most. It changes only by 5 s or more.
	 */
	shiftMs(): number;
}

/** Answers that took longer tell the time too badly. */
const maxRoundTripMs = 500;

/** Smaller changes are those of the way. */
const minChangeMs = 300;

/** Host clocks that differ less need no conversion. */
const minShiftMs = 5_000;

/** Until the first sync it is the host's clock. */
export function createFleetClock(host: Clock): FleetClock {
	let sync: { readonly at: number; readonly serverNow: number } | undefined;
	let offset = 0;
	let shift = 0;
	let hasSynced = false;
	/** Before the first sync nobody knew the time: it is no clock that was set. */
	let monotonicShift = 0;

	// While the server is asked each second, a step of the host's clock does not matter.
	const now = () =>
		sync === undefined
			? host.now() + offset
			: Math.floor(sync.serverNow + host.monotonic() - sync.at);

	const noteOffset = (measured: number) => {
		offset = measured;
		if (Math.abs(measured - shift) < minShiftMs) return;
		const isNear = Math.abs(measured) < minShiftMs;
		shift = isNear ? 0 : Math.round(measured / 1_000) * 1_000;
	};

	return {
		now,
		monotonic: () => host.monotonic() + monotonicShift,
		sync: (serverNow, roundTripMs) => {
			if (roundTripMs > maxRoundTripMs && hasSynced) return;
			const at = host.monotonic();
			const midway = serverNow + roundTripMs / 2;
			const before = now();
			const isSmall = Math.abs(midway - before) < minChangeMs;
			if (!hasSynced) monotonicShift = isSmall ? 0 : midway - before;
			hasSynced = true;
			if (sync === undefined || !isSmall) {
				const serverTime = isSmall ? before : midway;
				sync = { at, serverNow: serverTime };
			}
			noteOffset(now() - host.now());
		},
		unsync: () => {
			if (sync !== undefined) noteOffset(now() - host.now());
			sync = undefined;
		},
		offsetMs: () => (Math.abs(offset) < 500 ? 0 : Math.round(offset)),
		shiftMs: () => shift,
	};
}
