/** What a keeper is made of: all that it touches is handed in. */
import type { Clock } from "../core/clock.ts";
import type {
	Credential,
	CredentialId,
	KnownToken,
} from "../core/credential.ts";
import type { IssuerError, StoreError } from "../core/errors.ts";
import type { Issuer, KeeperEvent, Slot } from "../core/ports.ts";
import type { ProcessName, Usage } from "../core/record.ts";
import type { Reason } from "../core/request.ts";
import type { Token } from "../core/token.ts";

/** The living values of a credential's parents; undefined if one of them has none. */
export type Parents = ReadonlyMap<CredentialId, string> | undefined;

export interface KeeperParts {
	readonly credential: Credential;
	readonly slot: Slot;
	readonly issuer: Issuer;
	readonly parents: () => Parents;
	/** WeChat refused these values. Each is renewed, once for all children. */
	readonly reportParents?: ((refused: Parents) => void) | undefined;
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	readonly self: ProcessName;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** Whether that process is gone; false if it cannot be told. */
	readonly isDead: (name: ProcessName) => boolean;
	/** How long a request waits for a lock that another process holds. */
	readonly lockTimeoutMs: number;
	/** Asked to reconcile again at that instant (epoch ms): a request waits for its cooldown. */
	readonly wakeAt: (at: number) => void;
	/** Each fact once, as it happens. */
	readonly emit: (event: KeeperEvent) => void;
	/** An error that no class of errors.ts stands for. */
	readonly onBug: (error: unknown) => void;
	/** Kinds of failures whose pauses the first look keeps, too; by default none. */
	readonly keepPausesFor?: readonly string[] | undefined;
	/** What the last keeper of the credential knew as it was evicted; undefined: this is the first one. */
	readonly known?: KnownToken | undefined;
	/** … and what was used by then. */
	readonly used?: Usage | undefined;
}

/** What an attempt led to. */
export type Outcome =
	| {
			readonly kind: "idle" | "repaired";
			readonly token: Token;
	  }
	| {
			readonly kind: "refreshed";
			readonly token: Token;
			readonly reason: Reason;
	  }
	/** Another process holds the lock, and works on it. */
	| { readonly kind: "locked" }
	/** Something should be fetched, but not before `until`. */
	| { readonly kind: "deferred"; readonly until: number }
	| { readonly kind: "failed"; readonly error: IssuerError | StoreError };
