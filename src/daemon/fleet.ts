/**
 * The place of this host in its fleet: none without `[fleet]`, and then nothing of it is
 * loaded. A reload may give it another one.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { isDeepStrictEqual } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import type { Config } from "../config/config.ts";
import type { FleetConfig } from "../config/fleet.ts";
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { StoreError } from "../core/errors.ts";
import type { Wish } from "../core/fleet-record.ts";
import type { Fleet, Log } from "../core/ports.ts";
import { tokenId } from "../core/token.ts";
import type { Keeper } from "../keeper/keeper.ts";

export interface FleetSeat {
	/** The fleet's time; that of the host, if there is no fleet. */
	readonly clock: Clock;
	readonly hostClock: Clock;
	current(): Fleet | undefined;
	/**
	 * Opens the fleet of that configuration, to be used or dismissed: until then this host
	 * stays in the present one. Resolves when its time is known, or after 2.5 s: then it
	 * goes on trying.
	 */
	prepare(
		config: Pick<Config, "fleet" | "isSimulated">,
	): Promise<PreparedFleet>;
	/** How far the time of the fleet is ahead of what the files of this host say, ms. */
	shiftMs(): number;
	close(): Promise<void>;
}

/** The fleet of another configuration, perhaps the present one. */
export interface PreparedFleet {
	/** Undefined: it has none. */
	readonly fleet: Fleet | undefined;
	/** From now on, in place of the present one, which is closed. */
	use(): void;
	/** Closes it, unless it is used. */
	dismiss(): Promise<void>;
}

export interface FleetSeatParts {
	readonly hostClock: Clock;
	readonly log: Log;
	readonly stopping: AbortSignal;
	/** The file of this credential holds another value now. */
	readonly onFollowed: (of: Credential) => void;
	/** Who keeps that credential; undefined: nobody any more. */
	readonly keeperOf: (of: Credential) => Keeper | undefined;
	readonly onBug: (error: unknown) => void;
}

/** How long the start of a process waits for a fleet that does not answer. */
const connectTimeoutMs = 2_500;

/** How long it waits to take over what the others hold. */
export const agreementMs = 2_500;

/** A clock that is off by so much troubles other programs, too. */
const doubtfulOffsetMs = 60_000;

/** Alone, until a fleet is used. */
export function createFleetSeat(parts: FleetSeatParts): FleetSeat {
	const { hostClock, onBug } = parts;
	let fleet: Fleet | undefined;
	let settings: FleetConfig | undefined;
	/** The end of the former ones. */
	let closing: Promise<unknown> = Promise.resolve();
	const clock = () => fleet?.clock ?? hostClock;
	return {
		clock: {
			now: () => clock().now(),
			monotonic: () => clock().monotonic(),
		},
		hostClock,
		current: () => fleet,
		prepare: async ({ isSimulated, fleet: configured }) => {
			// Simulated tokens are worth nothing to others.
			const wanted = isSimulated ? undefined : configured;
			if (isDeepStrictEqual(wanted, settings))
				return { fleet, use: () => {}, dismiss: async () => {} };
			const next = wanted && (await openFleet(wanted, parts));
			await next?.connected(connectTimeoutMs);
			return {
				fleet: next,
				use: () => {
					const former = fleet;
					fleet = next;
					settings = wanted;
					closing = Promise.all([closing, former?.close()]).catch(onBug);
				},
				dismiss: async () => {
					if (fleet !== next) await next?.close();
				},
			};
		},
		shiftMs: () => fleet?.clock.shiftMs() ?? 0,
		close: async () => {
			await closing;
			await fleet?.close();
		},
	};
}

async function openFleet(
	settings: FleetConfig,
	{ hostClock, log, stopping, onFollowed, keeperOf, onBug }: FleetSeatParts,
): Promise<Fleet> {
	const { server, ...rest } = settings;
	const instance = randomBytes(8).toString("hex");
	const told = createTold(log);
	const basic = {
		host: `${hostname()}-${instance.slice(0, 6)}`,
		random: Math.random,
		...{ hostClock, stopping, onFollowed, onBug },
		onTrouble: (of: Credential, { message, code, hint }: StoreError) =>
			log.warn(
				{ event: "fleet.stuck", credential: of.file, code, hint },
				`what another host published could not be taken over: ${message}`,
			),
		onUp: told.up,
		onDown: told.down,
	};
	if (server.kind === "https") {
		const { openCentralFleet } = await import("../store/central-store.ts");
		return openCentralFleet({ ...basic, target: server });
	}
	const { openRedisFleet } = await import("../store/redis-store.ts");
	return openRedisFleet({
		...rest,
		...basic,
		target: server,
		instance,
		version: manifest.version,
		onPlatformTrouble: (platform, { code, hint, message }) =>
			log.error(
				{ event: "state.failed", platform, code, hint },
				`what another host was told could not be kept: ${message}`,
			),
		onWish: (of, wish) => void grantWish(keeperOf(of), wish).catch(onBug),
	});
}

/** One line when the fleet is reached, and one when it is lost. */
function createTold(log: Log) {
	let last = "";
	return {
		up: (server: string, offsetMs: number) => {
			if (last !== "up")
				log.info(
					{ event: "fleet.connected", server, clockOffsetMs: offsetMs },
					"this host is in the fleet",
				);
			last = "up";
			if (Math.abs(offsetMs) < doubtfulOffsetMs) return;
			const seconds = Math.round(offsetMs / 1_000);
			log.warn(
				{
					event: "fleet.skewed",
					clockOffsetMs: offsetMs,
					hint: "set the clock of this host: timedatectl, chronyc sources",
				},
				`the clock of this host is ${Math.abs(seconds)} s ${seconds > 0 ? "behind" : "ahead of"} that of the fleet, which is used instead`,
			);
		},
		down: ({ message, hint }: { message: string; hint: string }) => {
			if (last === message) return;
			last = message;
			log.warn(
				{ event: "fleet.unreachable", hint },
				`${message}; the token files stay as they are`,
			);
		},
	};
}

/** What another host asks for, which does not fetch. */
async function grantWish(
	keeper: Keeper | undefined,
	wish: Wish,
): Promise<void> {
	if (keeper === undefined) return;
	if (wish.stale === undefined) {
		await keeper.force(wish.at, { forAnother: true });
		return;
	}
	const current = keeper.current();
	// Another one has come since.
	if (current === undefined || tokenId(current.value) !== wish.stale) return;
	await keeper.report(current.value, { forAnother: true });
}
