/**
 * The few error classes, named for what the reader must do. Anything else that
 * is thrown is a bug: it is logged with its stack and ends the process with 70.
 */

/** Exit codes of the commands (sysexits.h). */
export const exitCode = {
	done: 0,
	usage: 64,
	noToken: 69,
	bug: 70,
	cannotWrite: 73,
	temporary: 75,
	configuration: 78,
} as const;

/** A wrong command line. `hint` says how to call it. */
export class UsageError extends Error {
	readonly hint: string;
	constructor(message: string, hint: string) {
		super(message);
		this.name = "UsageError";
		this.hint = hint;
	}
}

/** One mistake in the configuration: where, what stands there, what was expected. */
export interface ConfigProblem {
	/** `account[0].appid`, a file's path, or an environment variable. */
	readonly path: string;
	/** A sentence without the path; never holds a secret. */
	readonly message: string;
}

/** All that is wrong with a configuration, found in one run. */
export class ConfigError extends Error {
	readonly source: string;
	readonly problems: readonly ConfigProblem[];
	/** What else is doubtful about it, in sentences. */
	readonly warnings: readonly string[];
	constructor(
		source: string,
		problems: readonly ConfigProblem[],
		warnings: readonly string[] = [],
	) {
		super(
			`could not use the configuration ${source}: ${problems
				.map(({ path, message }) => `${path}: ${message}`)
				.join("; ")}`,
		);
		this.name = "ConfigError";
		this.source = source;
		this.problems = problems;
		this.warnings = warnings;
	}
}

/** What a failed call to WeChat means for the next one; see `errcode.ts`. */
export type IssuerErrorKind =
	/** Network, 5xx, -1: try again soon, and less soon each time. */
	| "transient"
	/** A quota: wait, and never hammer it. */
	| "limited"
	/** Appid, secret or base URL are wrong: the operator must mend them. */
	| "config"
	/** Someone must act in WeChat's console. */
	| "admin"
	/** An answer that is none; may pass by itself. */
	| "garbled"
	/** The value of a parent was refused: that one is to be renewed first. */
	| "parent";

export interface IssuerErrorFields {
	readonly kind: IssuerErrorKind;
	/** Stable: `errcode 40164`, `timeout`, `ECONNREFUSED`, `http 502`… */
	readonly code: string;
	readonly message: string;
	/** What to do next, in the operator's words. */
	readonly hint: string;
	/** The wait before the next attempt; undefined: exponential backoff. */
	readonly waitMs?: number;
	/**
	 * False when WeChat cannot have issued a token for this request: it was
	 * never sent, or WeChat refused it in words.
	 */
	readonly mayHaveIssued: boolean;
	/** False when nothing left this machine: no call in the sense of a quota. */
	readonly sent: boolean;
	/** WeChat's number for this call, to quote to its support. */
	readonly rid?: string;
}

/** WeChat did not give a token. Neither message nor cause ever hold a URL. */
export class IssuerError extends Error implements IssuerErrorFields {
	readonly kind: IssuerErrorKind;
	readonly code: string;
	readonly hint: string;
	readonly waitMs?: number;
	readonly mayHaveIssued: boolean;
	readonly sent: boolean;
	readonly rid?: string;
	constructor(fields: IssuerErrorFields) {
		super(fields.message);
		this.name = "IssuerError";
		this.kind = fields.kind;
		this.code = fields.code;
		this.hint = fields.hint;
		if (fields.waitMs !== undefined) this.waitMs = fields.waitMs;
		this.mayHaveIssued = fields.mayHaveIssued;
		this.sent = fields.sent;
		if (fields.rid !== undefined) this.rid = fields.rid;
	}
}

/**
 * `lost`: the lock went to another process; `io`: a system call failed; `refused`: not
 * safe to write there; `unreachable`: what the hosts share cannot be asked.
 */
const storeErrorKinds = ["lost", "io", "refused", "unreachable"] as const;
export type StoreErrorKind = (typeof storeErrorKinds)[number];

/** Whether a failure of that kind is one of the disk, and none of WeChat. */
export function isStoreErrorKind(kind: string): kind is StoreErrorKind {
	return storeErrorKinds.some((one) => one === kind);
}

/** The directory of token files failed us, or what several hosts share. */
export class StoreError extends Error {
	readonly kind: StoreErrorKind;
	/** `EROFS`, `ENOSPC`, `redis-unreachable`… or the kind. */
	readonly code: string;
	readonly hint: string;
	/** `cause`: a system error, or the code itself. */
	constructor(
		kind: StoreErrorKind,
		message: string,
		hint: string,
		cause?: unknown,
	) {
		super(message, cause === undefined ? undefined : { cause });
		this.name = "StoreError";
		this.kind = kind;
		this.code = errnoOf(cause) ?? (typeof cause === "string" ? cause : kind);
		this.hint = hint;
	}
}

/** Whether what the hosts share cannot be asked. */
export function isUnreachable(error: unknown): boolean {
	return error instanceof StoreError && error.kind === "unreachable";
}

/** For `catch`: undefined for such a failure. Anything else is thrown on. */
export function unlessUnreachable(error: unknown): undefined {
	if (!isUnreachable(error)) throw error;
}

/** For `catch`: undefined for a `StoreError`. Anything else is thrown on. */
export function unlessStoreError(error: unknown): undefined {
	if (!(error instanceof StoreError)) throw error;
}

/** The `code` of a Node.js system error, if it is one. */
export function errnoOf(error: unknown): string | undefined {
	if (error instanceof Error && "code" in error) {
		const { code } = error;
		const unnamed = "errno" in error && unnamedErrors[Number(error.errno)];
		if (unnamed) return unnamed;
		if (typeof code === "string") return code;
	}
	return undefined;
}

/** What Linux reports and Node.js has no name for. */
const unnamedErrors: Readonly<Record<number, string>> = {
	[-116]: "ESTALE",
	[-122]: "EDQUOT",
};

/** The `code` of a system error in words: `no such file or directory (ENOENT)`. */
export function inWords(code: string | undefined): string {
	if (code === undefined) return "for an unknown reason";
	const words = Object.hasOwn(systemErrors, code)
		? systemErrors[code]
		: undefined;
	return words === undefined ? code : `${words} (${code})`;
}

/** As strerror(3) has them; Node.js has a table of its own, for which it loads much. */
const systemErrors: Readonly<Record<string, string>> = {
	EACCES: "permission denied",
	EADDRINUSE: "address already in use",
	EADDRNOTAVAIL: "this machine has no such address",
	EAGAIN: "it is busy",
	EBUSY: "it is in use",
	ECONNREFUSED: "nobody listens there",
	ECONNRESET: "the connection was broken off",
	EDQUOT: "the disk quota is used up",
	EEXIST: "something lies there already",
	EFBIG: "the file would become too large",
	EINVAL: "the system does not take that",
	EIO: "the disk reports an error",
	EISDIR: "it is a directory",
	ELOOP: "too many symbolic links",
	EMFILE: "too many open files",
	ENAMETOOLONG: "the name is too long",
	ENFILE: "too many open files on this machine",
	ENOENT: "no such file or directory",
	ENOSPC: "no space left on the device",
	ENOTDIR: "a part of the path is not a directory",
	ENOTEMPTY: "the directory is not empty",
	ENOTSOCK: "it is not a socket",
	EPERM: "operation not permitted",
	EPIPE: "nobody reads any more",
	EROFS: "the file system is read-only",
	ESTALE: "the network file system has lost it",
	ETIMEDOUT: "no answer in time",
	device: "it is a device, and no file",
	fifo: "it is a pipe, and nobody may write to it",
	large: "it is far too large",
	socket: "it is a socket, and no file",
	timeout: "no answer in time",
};
