/** The keeper of an account as `daemon/wiring.ts` makes it, with the network and the clock of a test. */
import type { Account } from "../../src/config/entry.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { Credential } from "../../src/core/credential.ts";
import type { KeeperEvent, Log, Store } from "../../src/core/ports.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { createAccessTokenIssuer } from "../../src/issuer/access-token.ts";
import type { Http } from "../../src/issuer/http.ts";
import type { LinkMonitor } from "../../src/issuer/link-monitor.ts";
import type { Parents } from "../../src/keeper/keeper-parts.ts";
import { createLimiter, type Limiter } from "../../src/keeper/limiter.ts";
import {
	ManagedCredential,
	type SharedParts,
} from "../../src/keeper/managed-credential.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { livenessOf, nameThisProcess } from "../../src/store/process-name.ts";

/** What the test decides; the rest is as in the daemon. */
export interface ManagedParts {
	readonly directory: string;
	readonly http: Pick<Http, "send">;
	readonly monitor?: LinkMonitor;
	readonly clock: Clock;
	readonly log: Log;
	readonly random?: () => number;
	readonly startedAt?: number;
	readonly limiter?: Limiter;
	readonly wakeAt?: (at: number) => void;
	readonly emit?: (credential: Credential, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
	/** In place of the access token that `daemon/credential-of.ts` makes of an account. */
	readonly credentialOf?: (account: Account) => Credential;
	/** As in `SharedParts`. */
	readonly hearing?: SharedParts["hearing"];
	/** As in `SharedParts`. */
	readonly parentsOf?: (credential: Credential) => Parents;
	/** In place of the directory store, or around it. */
	readonly storeOf?: (store: Store) => Store;
}

/** Keeps accounts as one process does: with one store, one name and one log for all of them. */
export function keepAsOneProcess(parts: ManagedParts): {
	readonly store: Store;
	readonly manage: (account: Account) => ManagedCredential;
} {
	const { directory, http, clock, log, random = () => 0.5 } = parts;
	const { monitor = { serverTime: () => {}, answered: () => {} } } = parts;
	const self = nameThisProcess();
	const stopping = new AbortController().signal;
	const logEvent = createEventLog(log, clock);
	const shared: SharedParts = {
		clock,
		random,
		self,
		startedAt: parts.startedAt ?? 0,
		isDead: (name) => livenessOf(name, self) === "dead",
		limiter: parts.limiter ?? createLimiter(48),
		wakeAt: parts.wakeAt ?? (() => {}),
		emit: (credential, event) => {
			logEvent(credential, event);
			parts.emit?.(credential, event);
		},
		onBug: parts.onBug,
		...(parts.parentsOf && { parentsOf: parts.parentsOf }),
		...(parts.hearing && { hearing: parts.hearing }),
	};
	const credentialFor = parts.credentialOf ?? credentialOf;
	const { storeOf = (store: Store) => store } = parts;
	const directoryStore = createDirectoryStore({
		directory: createOutputDirectory(directory),
		mode: 0o640,
		gid: undefined,
		self,
		clock,
		random,
		stopping,
	});
	const store = storeOf(directoryStore);
	return {
		store,
		manage: (account) =>
			new ManagedCredential(
				credentialFor(account),
				{
					issuerOf: () =>
						createAccessTokenIssuer({
							...account,
							http,
							clock,
							monitor,
							stopping,
						}),
				},
				store,
				shared,
			),
	};
}
