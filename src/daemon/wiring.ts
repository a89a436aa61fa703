/** From a configuration to the keepers of its credentials: for the daemon, and for commands without one. */
import {
	type Account,
	type Config,
	longestTimeoutMs,
} from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { KeeperEvent, Log, Store } from "../core/ports.ts";
import { createAccessTokenIssuer } from "../issuer/access-token.ts";
import { createHttp } from "../issuer/http.ts";
import { createLinkMonitor } from "../issuer/link-monitor.ts";
import { createLimiter, maxRefreshing } from "../keeper/limiter.ts";
import {
	ManagedCredential,
	type SharedParts,
} from "../keeper/managed-credential.ts";
import type { Contested } from "../store/contest.ts";
import { createDirectoryStore } from "../store/directory-store.ts";
import type { Location } from "../store/prepare-directory.ts";
import { livenessOf, nameThisProcess } from "../store/process-name.ts";
import { credentialOf } from "./credential-of.ts";
import { keepWasmSmall } from "./heap.ts";

export interface WiringParts {
	/** For the timeout of a connection only: accounts come with `manage`. */
	readonly config: Config;
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly clock: Clock;
	readonly log: Log;
	/** Once aborted, nothing waits for a lock, and no further base URL is tried. */
	readonly stopping: AbortSignal;
	/** As in `SharedParts`. */
	readonly wakeAt: (at: number) => void;
	readonly emit: (credential: Credential, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
	readonly keepPausesFor?: readonly string[];
}

export interface Wiring extends SharedParts {
	/** The store of a directory. */
	storeAt(location: Location): Store;
	/** The keeper of an account's access token. */
	manage(account: Account, store: Store): ManagedCredential;
	/** Closes the connections. */
	close(): Promise<void>;
}

/** Throws `ConfigError` if the environment names a proxy that is none. */
export function createWiring(parts: WiringParts): Wiring {
	const { config, env, clock, log, stopping } = parts;
	keepWasmSmall();
	const http = createHttp({
		connectTimeoutMs: longestTimeoutMs(config) / 2,
		env,
	});
	const monitor = createLinkMonitor(clock, log);
	const self = nameThisProcess();
	const shared: SharedParts = {
		clock,
		random: Math.random,
		self,
		startedAt: clock.now(),
		isDead: (name) => livenessOf(name, self) === "dead",
		limiter: createLimiter(maxRefreshing),
		wakeAt: parts.wakeAt,
		emit: parts.emit,
		onBug: parts.onBug,
		...(parts.keepPausesFor && { keepPausesFor: parts.keepPausesFor }),
	};
	return {
		...shared,
		storeAt: (location) =>
			createDirectoryStore({
				...location,
				self,
				clock,
				random: shared.random,
				stopping,
				onContested: (contested) => tellContested(log, contested),
			}),
		manage: (account, store) =>
			new ManagedCredential(
				credentialOf(account),
				() =>
					createAccessTokenIssuer({
						...account,
						http,
						clock,
						monitor,
						stopping,
					}),
				store,
				shared,
			),
		close: () => http.close(),
	};
}

/** Two keepers that would repair each other's files for ever; told once. */
function tellContested(
	log: Log,
	{ path, ours, theirs, isYielded }: Contested,
): void {
	const octal = (mode: number) => mode.toString(8).padStart(4, "0");
	log.warn(
		{
			event: "file.contested",
			path,
			mode: octal(ours.mode),
			gid: ours.gid,
			otherMode: octal(theirs.mode),
			otherGid: theirs.gid,
			otherUid: theirs.uid,
			hint: "give all keepers of this directory the same `mode` and `group`, then restart them",
		},
		`another keeper publishes ${path} with mode ${octal(theirs.mode)} and group ${theirs.gid}, where this one has mode ${octal(ours.mode)}${ours.gid === undefined ? "" : ` and group ${ours.gid}`}: ${isYielded ? "its wider ones stay" : "this one's are wider, and stay"}`,
	);
}
