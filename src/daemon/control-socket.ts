/**
 * The control socket as a file: how it comes into its place, and leaves it.
 *
 * Promised: a socket at the path has its final mode and group from its first
 * instant there, and answers from then on. One that a dead process left is
 * replaced; a living one never is, also when several daemons start at the same
 * moment, because all of this happens under a lock. Anything that is no socket
 * is left alone.
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

export interface SocketPlace {
	/** Absolute. */
	readonly path: string;
	/** Undefined leaves the group to the directory, as with token files. */
	readonly gid: number | undefined;
}

/** A socket that is ours, as long as this file lies at its path. */
export interface PlacedSocket {
	readonly path: string;
	readonly device: number;
	readonly inode: number;
}

export interface PlacingParts {
	readonly self: ProcessName;
	readonly clock: Clock;
}

/** `sockaddr_un` has 108 bytes, one of them for the NUL at the end. */
const maxSocketPathBytes = 107;

/** How many may wait to be accepted; the kernel caps it at `net.core.somaxconn`. */
const backlog = 2048;

/**
 * Makes `server` listen at the place. "taken": a living process has its socket
 * there. Throws `StoreError`; then the server does not listen.
 */
export async function placeSocket(
	server: Server,
	place: SocketPlace,
	parts: PlacingParts,
): Promise<PlacedSocket | "taken"> {
	refuseUnfitFolder(place.path);
	const lock = await lockPlace(place.path, parts);
	if (lock === undefined) return "taken";
	try {
		if (await isTaken(place.path)) return "taken";
		sweepPrivateDirectories(dirname(place.path), parts.clock.now());
		return await listenPrivately(server, place, () => {
			if (!lock.isHeld()) throw lost(place.path);
		});
	} finally {
		await lock.release();
	}
}

/** Throws `StoreError` if a socket could not be placed there. */
export function probePlace(path: string): void {
	refuseUnfitFolder(path);
	isSocket(path);
	const hidden = makePrivateDirectory(path);
	try {
		refuseLongPath(join(hidden, "s"));
	} finally {
		removePrivateDirectory(hidden);
	}
}

/** Whether the socket's file is still the one that we put there. */
export function isOurs({ path, device, inode }: PlacedSocket): boolean {
	const found = lstat(path);
	return found?.dev === device && found.ino === inode;
}

/**
 * Takes the socket's file away if it is ours. Call it while the server still
 * listens: nobody replaces a socket that answers, so it cannot be another's.
 */
export function removeSocket(socket: PlacedSocket): void {
	if (!isOurs(socket)) return;
	try {
		fs.unlinkSync(socket.path);
	} catch (error) {
		if (errnoOf(error) !== "ENOENT")
			throw storeError("remove the control socket", socket.path, error);
	}
}

/** Who holds this lock opens a socket right now: a matter of milliseconds. */
const lockPatienceMs = 2_000;
const lockStaleMs = 5_000;

async function lockPlace(
	path: string,
	{ self, clock }: PlacingParts,
): Promise<HeldLock | undefined> {
	const tryLock = createLock({
		path: `${path}.lock`,
		staleMs: lockStaleMs,
		self,
		clock,
		lastIntent: () => undefined,
		trusts: createOutputDirectory(dirname(path)).trusts,
	});
	const giveUpAt = clock.monotonic() + lockPatienceMs;
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

/** False if nothing is there. Throws `StoreError` if it is none of a keeper's. */
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

/** Only a refused connection says that nobody listens any more. */
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
			// So many wait to be accepted that no more fit: it lives.
			else if (errno === "EAGAIN") resolve(true);
			else reject(storeError("look at the control socket", path, error));
		});
	});
}

/**
 * Binding creates the file with rights that only chmod and chown set right. So
 * it happens in a directory that nobody else can enter.
 */
async function listenPrivately(
	server: Server,
	{ path, gid }: SocketPlace,
	mustBeHeld: () => void,
): Promise<PlacedSocket> {
	let hidden: string | undefined;
	try {
		hidden = makePrivateDirectory(path);
		const draft = join(hidden, "s");
		refuseLongPath(draft);
		await listen(server, draft);
		if (gid !== undefined && fs.lstatSync(draft).gid !== gid)
			fs.chownSync(draft, -1, gid);
		fs.chmodSync(draft, 0o660);
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
		`could not open the control socket ${path}: this process stood still for so long that another one took over`,
		"nothing to do: it is tried again",
	);
}

/** Not longer than the default name of the socket, as paths are limited. */
const privatePrefix = ".cs";

function refuseLongPath(path: string): void {
	if (Buffer.byteLength(path) <= maxSocketPathBytes) return;
	throw new StoreError(
		"refused",
		`could not open the control socket: ${path}, where it is made ready, is longer than the ${maxSocketPathBytes} bytes that a Unix socket's path may have`,
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

/** Older ones were left by processes that were killed while they opened a socket. */
const abandonedAfterMs = 60_000;

function sweepPrivateDirectories(directory: string, now: number): void {
	const believing = createOutputDirectory(directory);
	for (const name of fs.readdirSync(directory)) {
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
		// It holds nothing of worth, and does not stand in the way: it is tried
		// again the next time that a socket is opened.
	}
}

function lstat(path: string): fs.Stats | undefined {
	try {
		return fs.lstatSync(path, { throwIfNoEntry: false });
	} catch (error) {
		throw storeError("look at the control socket", path, error);
	}
}
