/**
 * The store of one account: its token file, and beside it what the keepers of
 * all processes share (`.<file>.state`) and lock (`<file>.lock`).
 *
 * The contract, which another store (for a fleet without a shared disk) must
 * keep just the same:
 * - `read` and `recall` take no lock, never wait, and tell what readers see now.
 * - Whoever holds the lock is the only writer. After a suspend or a clock step
 *   that may be no longer true: then `remember` and `publish` throw `lost`
 *   instead of writing. If the lock is lost in the very instant of the write,
 *   they throw `lost` after it: the caller must look again, and may not take
 *   what it wrote for the newest.
 * - `publish` is atomic and durable; when it throws anything but a late `lost`,
 *   readers still see what they saw before.
 * - `remember` comes before `publish`, so that a published token is vouched for
 *   from its first instant.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	type AccountState,
	decodeState,
	emptyState,
	encodeState,
	type ProcessName,
	statePathOf,
} from "./account-state.ts";
import {
	type FileAttributes,
	publishFile,
	refuseUnsafeDirectory,
	storeError,
} from "./atomic-write.ts";
import type { Clock } from "./clock.ts";
import { errnoOf, StoreError } from "./errors.ts";
import { createLock, type HeldLock } from "./lock.ts";
import type { Reading } from "./policy.ts";
import { decodeToken, encodeToken, type Token } from "./token.ts";

export interface TokenStore {
	read(): Reading;
	recall(): AccountState;
	/** Waits up to `patienceMs` for the lock (0: one try); undefined: another process has it. */
	acquire(patienceMs: number): Promise<LockedStore | undefined>;
}

export interface LockedStore {
	/** Names this hold of the lock, for the mark of a request. */
	readonly lock: string;
	isHeld(): boolean;
	remember(state: AccountState): Promise<void>;
	publish(token: Token): Promise<void>;
	release(): Promise<void>;
}

export interface TokenFileOptions extends FileAttributes {
	/** The token file. */
	readonly path: string;
	readonly staleMs: number;
	readonly self: ProcessName;
	readonly clock: Clock;
	readonly random: () => number;
	/** Once aborted, nobody waits for a lock any more. */
	readonly stopping: AbortSignal;
}

export function createTokenFile(options: TokenFileOptions): TokenStore {
	const { path, random } = options;
	const readToken = cachedRead(path, (file) => readingOf(file, options));
	const readState = cachedRead(statePathOf(path), ({ text }) =>
		text === undefined ? emptyState : decodeState(text),
	);
	const recall = () => readState();
	const tryLock = createLock({
		...options,
		path: lockPathOf(path),
		lastMark: () => recall().inFlight,
	});

	return {
		read: () => readToken(),
		recall,
		acquire: async (patienceMs) => {
			const { clock } = options;
			const giveUpAt = clock.monotonic() + patienceMs;
			for (;;) {
				const lock = await inDirectory(options, tryLock);
				if (lock !== undefined) return lockedStore(lock, options);
				const leftMs = giveUpAt - clock.monotonic();
				if (leftMs <= 0 || options.stopping.aborted) return undefined;
				await sleep(Math.min(leftMs, 20 + 60 * random()));
			}
		},
	};
}

export function lockPathOf(path: string): string {
	return `${path}.lock`;
}

/**
 * Whether a name in the directory is something that a dead writer of the token
 * file `file` may have left: a temporary file, a lock, the right to break one.
 */
export function isLeftover(name: string, file: string): boolean {
	return (
		name.startsWith(`${file}.lock`) ||
		((name.startsWith(`.${file}.`) || name.startsWith(`..${file}.state.`)) &&
			name.endsWith(".tmp"))
	);
}

/**
 * Removes the temporary files among `names`, which lie beside the token file.
 * Call it under the lock: then nobody alive is writing them.
 */
export function sweep(path: string, names: readonly string[]): void {
	for (const name of names) {
		if (!name.endsWith(".tmp")) continue;
		const leftover = join(dirname(path), name);
		try {
			fs.unlinkSync(leftover);
		} catch (error) {
			if (errnoOf(error) !== "ENOENT")
				throw storeError("remove the leftover", leftover, error);
		}
	}
}

function lockedStore(
	lock: HeldLock,
	{ path, mode, gid }: TokenFileOptions,
): LockedStore {
	const mustBeHeld = () => {
		if (!lock.isHeld()) throw lost(path);
	};
	const write = async (target: string, content: string) => {
		await refuseUnsafeDirectory(dirname(path));
		await publishFile(target, content, { mode, gid }, mustBeHeld);
		mustBeHeld();
	};
	return {
		lock: lock.instance,
		isHeld: lock.isHeld,
		remember: (state) => write(statePathOf(path), encodeState(state)),
		publish: (token) => write(path, encodeToken(token)),
		release: lock.release,
	};
}

function lost(path: string): StoreError {
	return new StoreError(
		"lost",
		`could not keep the lock of ${path}: another process took it over while this one stood still`,
		"nothing to do: the refresh starts over",
	);
}

/** Makes the directory if it is gone, with rights like those of the unit's RuntimeDirectory=. */
async function inDirectory<T>(
	{ path, gid }: TokenFileOptions,
	call: () => Promise<T>,
): Promise<T> {
	try {
		return await call();
	} catch (error) {
		if (!(error instanceof StoreError) || error.code !== "ENOENT") throw error;
		makeDirectory(dirname(path), gid);
		return call();
	}
}

/** Creates the directory of token files (mode 0750) unless it is there. */
export function makeDirectory(
	directory: string,
	gid: number | undefined,
): void {
	try {
		const made = fs.mkdirSync(directory, { recursive: true, mode: 0o750 });
		if (made !== undefined && gid !== undefined)
			fs.chownSync(directory, -1, gid);
	} catch (error) {
		throw storeError("create the directory", directory, error);
	}
}

interface FileRead {
	readonly stat: fs.BigIntStats | undefined;
	readonly text: string | undefined;
	readonly problem: string | undefined;
}

const absent: FileRead = {
	stat: undefined,
	text: undefined,
	problem: undefined,
};

/** A token file is some 200 bytes, a state some 2 KiB; a giant is not read. */
const maxBytes = 65_536;

/** Reads a file again only when its inode, times, size, mode or group changed. */
function cachedRead<T>(
	path: string,
	interpret: (file: FileRead) => T,
): () => T {
	let seen = "";
	let result: T | undefined;
	return () => {
		const stat = lstat(path);
		const { ino, ctimeNs, mtimeNs, size, mode, gid } = stat ?? {};
		const signature = `${ino} ${ctimeNs} ${mtimeNs} ${size} ${mode} ${gid}`;
		if (result === undefined || signature !== seen) {
			seen = signature;
			result = interpret(stat === undefined ? absent : readFile(path));
		}
		return result;
	};
}

function lstat(path: string): fs.BigIntStats | undefined {
	try {
		return fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
	} catch {
		return undefined; // What is wrong is said by the attempt to write.
	}
}

function readFile(path: string): FileRead {
	let descriptor: number;
	try {
		const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
		// Non-blocking, because a fifo would hold up the whole daemon.
		descriptor = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	} catch (error) {
		const errno = errnoOf(error);
		if (errno === "ENOENT") return absent;
		const problem =
			errno === "ELOOP" ? "a symbolic link" : `unreadable (${errno})`;
		return { stat: undefined, text: undefined, problem };
	}
	try {
		const stat = fs.fstatSync(descriptor, { bigint: true });
		if (!stat.isFile())
			return { stat, text: undefined, problem: "not a plain file" };
		if (stat.size > maxBytes)
			return { stat, text: undefined, problem: `${stat.size} bytes long` };
		const text = fs.readFileSync(descriptor, "utf8");
		return { stat, text, problem: undefined };
	} catch (error) {
		const problem = `unreadable (${errnoOf(error)})`;
		return { stat: undefined, text: undefined, problem };
	} finally {
		fs.closeSync(descriptor);
	}
}

function readingOf(
	{ stat, text, problem }: FileRead,
	{ mode, gid }: FileAttributes,
): Reading {
	if (problem !== undefined) return { kind: "unusable", problem };
	if (stat === undefined || text === undefined) return { kind: "absent" };
	const token = decodeToken(text);
	if (token === undefined) {
		const found = text === "" ? "empty" : "not a token file";
		return { kind: "unusable", problem: found };
	}
	const exact =
		text === encodeToken(token) &&
		(Number(stat.mode) & 0o7777) === mode &&
		(gid === undefined || Number(stat.gid) === gid);
	return { kind: "token", token, exact };
}
