/**
 * The control socket as a file: how it gets to its path, and is removed.
 *
 * Promised: a socket at the path has its final mode and group from its first
 * instant there, and answers from then on. The socket of a dead process is replaced.
 * That of a living process never is, also when several daemons start at the same
 * moment, because all of this happens under a lock. A file that is no socket is left
 * alone.
 */
import fs from "node:fs";
import type { Server } from "node:net";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { errnoOf, StoreError } from "../core/errors.ts";
import type { ProcessName } from "../core/record.ts";
import { whyNotBelieved } from "../store/found-entry.ts";
import { createLock, type HeldLock } from "../store/lock.ts";
import {
	createOutputDirectory,
	refuseUnsafeDirectory,
} from "../store/output-directory.ts";
import { storeError } from "../store/store-error.ts";
import type { EntryIdentity } from "./disk-question.ts";
import { type DiskQuestions, SilentDisk } from "./disk-questions.ts";

/** Where a control socket is wanted. */
export interface SocketLocation {
	/** Absolute. */
	readonly path: string;
	/** Undefined leaves the group to the directory, as with token files. */
	readonly gid: number | undefined;
	/** Permission bits; by default 0660. */
	readonly mode?: number;
}

/** A socket that this process has opened. Another file at its path is not ours. */
export interface OpenSocket extends EntryIdentity {
	readonly path: string;
}

/** For the lock under which a socket is opened. */
export interface SocketParts {
	readonly self: ProcessName;
	readonly clock: Clock;
}

/** `sockaddr_un` has 108 bytes, one of them for the NUL at the end. */
const maxSocketPathBytes = 107;

/** Clients that may wait to be accepted; the kernel caps it at `net.core.somaxconn`. */
const backlog = 2048;

/**
 * Makes `server` listen at the location. "taken": a living process has its socket
 * there. Throws `StoreError`; then the server does not listen.
 */
export async function openSocket(
	server: Server,
	location: SocketLocation,
	parts: SocketParts,
): Promise<OpenSocket | "taken"> {
	refuseUnfitFolder(location.path);
	const lock = await lockSocket(location.path, parts);
	if (lock === undefined) return "taken";
	try {
		if (await isTaken(location.path)) return "taken";
		await sweepPrivateDirectories(dirname(location.path), parts.clock.now());
		return await listenPrivately(server, location, () => {
			if (!lock.isHeld()) throw lost(location.path);
		});
	} finally {
		await lock.release();
	}
}

/** For `wxtokend check`: throws `StoreError` if no socket could be opened at the path. */
export function probeSocketPath(path: string): void {
	refuseUnfitFolder(path);
	isSocket(path);
	const hidden = makePrivateDirectory(path);
	try {
		refuseLongPath(join(hidden, "s"));
	} finally {
		removePrivateDirectory(hidden);
	}
}

/**
 * Looks for the file of an open socket. "silent": its disk has not answered in time, or
 * still owes an earlier answer. Throws `StoreError`.
 */
export async function lookForSocket(
	{ path, device, inode }: OpenSocket,
	questions: Pick<DiskQuestions, "ask">,
): Promise<"here" | "gone" | "silent"> {
	try {
		const [answer] = await questions.ask([
			{ kind: "entry", path, maxBytes: 0 },
		]);
		if (answer?.status !== "fulfilled") throw answer?.reason;
		const found = Object(answer.value);
		return found.device === device && found.inode === inode ? "here" : "gone";
	} catch (error) {
		if (error instanceof SilentDisk) return "silent";
		throw storeError("look at the control socket", path, error);
	}
}

/**
 * Removes the socket's file, which was just found to be ours. Call it while the server
 * still listens: no other daemon replaces a socket that answers, so between the look and
 * the removal the file stays ours. Throws `StoreError`.
 */
export function removeSocket({ path }: OpenSocket): void {
	try {
		fs.unlinkSync(path);
	} catch (error) {
		if (errnoOf(error) !== "ENOENT")
			throw storeError("remove the control socket", path, error);
	}
}

/** The holder of this lock is opening a socket, which takes milliseconds. */
const lockTimeoutMs = 2_000;
const lockStaleMs = 5_000;

async function lockSocket(
	path: string,
	{ self, clock }: SocketParts,
): Promise<HeldLock | undefined> {
	const tryLock = createLock({
		path: `${path}.lock`,
		staleMs: lockStaleMs,
		self,
		clock,
		lastIntent: () => undefined,
		trusts: createOutputDirectory(dirname(path)).trusts,
	});
	const giveUpAt = clock.monotonic() + lockTimeoutMs;
	for (;;) {
		const lock = await tryLock();
		if (lock !== undefined || clock.monotonic() >= giveUpAt) return lock;
		await sleep(20);
	}
}

function refuseUnfitFolder(path: string): void {
	try {
		refuseUnsafeDirectory(dirname(path));
	} catch (error) {
		if (!(error instanceof StoreError) || error.code !== "ENOENT") throw error;
		throw new StoreError(
			error.kind,
			`could not open the control socket ${path}: its directory is not there`,
			"create that directory, or set another `socket`",
			error.cause,
		);
	}
}

async function isTaken(path: string): Promise<boolean> {
	return isSocket(path) && answers(path);
}

/** False if nothing is there. Throws `StoreError` if it is not a socket of a keeper. */
function isSocket(path: string): boolean {
	const found = lstat(path);
	if (found === undefined) return false;
	const directory = createOutputDirectory(dirname(path));
	const why = whyNotBelieved(found, "socket", directory);
	if (why === undefined) return true;
	throw new StoreError(
		"refused",
		`could not open the control socket ${path}: something else lies there (${why})`,
		"move it away, or set another `socket`",
	);
}

/** Whether a process listens there. Only a refused connection shows that none does. */
function answers(path: string): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const connection = connect(path);
		connection.once("connect", () => {
			connection.destroy();
			resolve(true);
		});
		connection.once("error", (error) => {
			const errno = errnoOf(error);
			if (errno === "ECONNREFUSED" || errno === "ENOENT") resolve(false);
			// Too many clients wait to be accepted, so there is a process that accepts.
			else if (errno === "EAGAIN") resolve(true);
			else reject(storeError("look at the control socket", path, error));
		});
	});
}

/**
 * Binding creates the file with a mode and group that must be changed afterwards.
 * Until then no other user may connect. So it happens in a directory that only this
 * user can enter, and the file is renamed to its path when it is ready.
 */
async function listenPrivately(
	server: Server,
	{ path, gid, mode = 0o660 }: SocketLocation,
	mustBeHeld: () => void,
): Promise<OpenSocket> {
	let hidden: string | undefined;
	try {
		hidden = makePrivateDirectory(path);
		const draft = join(hidden, "s");
		refuseLongPath(draft);
		await listen(server, draft);
		if (gid !== undefined && fs.lstatSync(draft).gid !== gid)
			fs.chownSync(draft, -1, gid);
		fs.chmodSync(draft, mode);
		const { dev: device, ino: inode } = fs.lstatSync(draft);
		mustBeHeld();
		fs.renameSync(draft, path);
		return { path, device, inode };
	} catch (error) {
		server.close();
		throw error instanceof StoreError
			? error
			: storeError("open the control socket", path, error);
	} finally {
		if (hidden !== undefined) removePrivateDirectory(hidden);
	}
}

function lost(path: string): StoreError {
	return new StoreError(
		"lost",
		`could not open the control socket ${path}: this process was suspended for so long that another one may have taken over`,
		"nothing to do: the daemon tries again",
	);
}

/** The whole name is shorter than `control.sock`, because a socket's path is limited. */
const privatePrefix = ".cs";

function refuseLongPath(path: string): void {
	if (Buffer.byteLength(path) <= maxSocketPathBytes) return;
	throw new StoreError(
		"refused",
		`could not open the control socket: it is prepared at ${path}, and the path of a Unix socket may have ${maxSocketPathBytes} bytes at most`,
		"set `directory` or `socket` to a shorter path",
	);
}

function listen(server: Server, path: string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen({ path, backlog }, () => {
			server.off("error", reject);
			resolve();
		});
	});
}

/** An older private directory was left by a process that was killed in the middle. */
const abandonedAfterMs = 60_000;

async function sweepPrivateDirectories(
	directory: string,
	now: number,
): Promise<void> {
	const believing = createOutputDirectory(directory);
	// In pieces: beside the socket there may be a hundred thousand tokens.
	const entries = await fs.promises.opendir(directory, { bufferSize: 1_024 });
	for await (const { name } of entries) {
		if (!/^\.cs[A-Za-z0-9]{6}$/.test(name)) continue;
		const hidden = join(directory, name);
		const found = lstat(hidden);
		if (found === undefined || now - found.mtimeMs <= abandonedAfterMs)
			continue;
		// Through a link in its place a socket `s` elsewhere would be removed.
		if (whyNotBelieved(found, "directory", believing) === undefined)
			removePrivateDirectory(hidden);
	}
}

function makePrivateDirectory(path: string): string {
	try {
		return fs.mkdtempSync(join(dirname(path), privatePrefix));
	} catch (error) {
		throw storeError("open the control socket", path, error);
	}
}

function removePrivateDirectory(hidden: string): void {
	try {
		fs.rmSync(join(hidden, "s"), { force: true });
		fs.rmdirSync(hidden);
	} catch {
		// It holds nothing that matters and hinders nothing. It is swept when a socket
		// is opened the next time.
	}
}

function lstat(path: string): fs.Stats | undefined {
	try {
		return fs.lstatSync(path, { throwIfNoEntry: false });
	} catch (error) {
		throw storeError("look at the control socket", path, error);
	}
}
