/** What each tick does: looks at the credentials, and at what the daemon has around them. */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/ports.ts";
import type { Location } from "../store/atomic-write.ts";
import type { Control } from "./control.ts";
import type { CredentialSet } from "./credential-set.ts";
import type { HttpFace } from "./http-face.ts";
import type { PlatformDoors } from "./platform-doors.ts";
import { type Schedule, startSchedule } from "./schedule.ts";
import type { Notifier } from "./systemd.ts";

/** The ticks of a daemon. */
export interface Ticker {
	/** Ticks by the schedule of the current configuration from now on. */
	start(): void;
	/** Ticks also at that instant, epoch ms. */
	wakeAt(at: number): void;
	/** Starts no more ticks; resolves when the last one has ended. */
	stop(): Promise<void>;
}

/** What a tick looks after. */
export interface TickerParts {
	readonly credentials: () => CredentialSet;
	readonly control: Pick<Control, "keepOpen">;
	readonly http: Pick<HttpFace, "keepOpen">;
	readonly doors: Pick<PlatformDoors, "keepOpen">;
	readonly systemd: Notifier;
	/** Called every few seconds, whatever the schedule is. Returns at once. */
	readonly onBeat: () => void;
	/** Writes the files that are due; called once for each tick. */
	readonly writeFiles: () => Promise<void>;
	/** Called when a tick has begun all that it found to do. */
	readonly onTicked: () => void;
	/** As in `DaemonOptions`. */
	readonly retryGroup: () => void;
	readonly clock: Clock;
	readonly log: Log;
	readonly onBug: (error: unknown) => never;
}

/** Two ticks never run at the same time: one that comes too early is left out. */
export function createTicker(parts: TickerParts): Ticker {
	const { credentials, control, http, doors, systemd, clock, onBug } = parts;
	const warnIfOpenToAll = createOpenDirectoryWarning(parts.log);
	let schedule: Schedule | undefined;
	let ticking: Promise<void> | undefined;

	const tick = () => {
		warnIfOpenToAll(credentials().location());
		parts.retryGroup();
		void parts.writeFiles().catch(onBug);
		ticking ??= credentials()
			.tick()
			.finally(() => {
				ticking = undefined;
				parts.onTicked();
				// The socket comes after the tick: the tick may have made the directory
				// again in which the socket belongs.
				control.keepOpen();
				http.keepOpen();
				doors.keepOpen();
				systemd.alive();
				systemd.status(credentials().summary);
			});
	};

	// A long schedule leaves minutes between two ticks, in which the watchdog needs a
	// sign of life. A tick that hangs must not send one: then systemd restarts us.
	const beat = () => {
		parts.onBeat();
		if (ticking === undefined) systemd.alive();
	};

	return {
		start: () => {
			const wakes = schedule?.stop() ?? [];
			schedule = startSchedule(credentials().config().schedule, tick, clock, {
				beat,
				everyMs: systemd.aliveEveryMs,
			});
			// A keeper that stays has asked for them once, and does not ask again.
			for (const at of wakes) schedule.wakeAt(at);
		},
		wakeAt: (at) => schedule?.wakeAt(at),
		stop: async () => {
			schedule?.stop();
			await ticking;
		},
	};
}

/**
 * Logs once when a directory becomes writable for every user. A daemon that starts
 * refuses such a directory; one that runs goes on, because stopping would end the
 * tokens of its apps.
 */
function createOpenDirectoryWarning(log: Log): (location: Location) => void {
	let wasOpen = false;
	return ({ directory }) => {
		const { path } = directory;
		const isOpen = directory.isOpenToAll();
		if (isOpen && !wasOpen)
			log.error(
				{ event: "directory.unsafe", hint: `chmod o-w ${path}` },
				`everybody may write in ${path}, and so delete or replace the token files; they are renewed all the same`,
			);
		wasOpen = isOpen;
	};
}
