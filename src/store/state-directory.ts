/**
 * The directory of what must outlive a reboot, and what nobody else may read: tickets
 * that WeChat only pushes, refresh tokens, permanent codes. One daemon has it at a time.
 */
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, StoreError } from "../core/errors.ts";
import type { ProcessName } from "../core/record.ts";
import { syncDirectory } from "./durable-log.ts";
import { ownUid } from "./output-directory.ts";
import { livenessOf } from "./process-name.ts";
import { stateError } from "./store-error.ts";

const mode = 0o700;

/** The name of the file that says which daemon has the directory. */
const ownerFile = "owner";

export interface StateDirectory {
	readonly path: string;
	/** A directory in it, made if it is missing; its path. Throws `StoreError`. */
	folder(...names: readonly string[]): string;
	/** Gives it back, for the next daemon. Never throws. */
	release(): void;
}

/**
 * Takes the directory, and makes it if it is missing. A directory of ours that others may
 * enter is closed to them. Throws `StoreError` if it belongs to another user, or if
 * another daemon has it.
 */
export function openStateDirectory(
	path: string,
	self: ProcessName,
): StateDirectory {
	const folder = (...names: readonly string[]) => {
		let made = path;
		for (const name of names) {
			made = join(made, name);
			makeClosed(made);
		}
		return made;
	};
	makeClosed(path);
	own(path, self);
	return {
		path,
		folder,
		release: () => {
			const file = join(path, ownerFile);
			if (ownerIn(file)?.instance === self.instance)
				fs.rmSync(file, { force: true });
		},
	};
}

/**
 * Throws what `openStateDirectory` would, and what its `folder` of these names would, but
 * changes nothing: a directory that is missing is one that could be made. `onOwned` is
 * called if another daemon has it.
 */
export function lookAtStateDirectory(
	path: string,
	folders: readonly (readonly string[])[],
	self: ProcessName,
	onOwned: (error: StoreError) => void,
): void {
	if (!couldMake(path)) return;
	const file = join(path, ownerFile);
	const owner = ownerIn(file);
	if (owner !== undefined && isAnothers(owner, self))
		onOwned(ownedBy(path, owner));
	else if (owner?.instance !== self.instance) tryToWrite(path, file);
	for (const names of folders) {
		let made = path;
		for (const name of names) {
			made = join(made, name);
			if (!couldMake(made)) break;
		}
	}
}

/** Whether it is there already. Throws what `makeClosed` would. */
function couldMake(path: string): boolean {
	try {
		const found = fs.lstatSync(path, { throwIfNoEntry: false });
		if (found !== undefined) {
			refuseStrange(path, found);
			return true;
		}
		let existing = dirname(path);
		while (!fs.existsSync(existing)) existing = dirname(existing);
		const { W_OK, X_OK } = fs.constants;
		// mkdir says that a file is in the way; the right to write into it does not.
		if (!fs.statSync(existing).isDirectory()) fs.mkdirSync(path);
		fs.accessSync(existing, W_OK | X_OK);
		return false;
	} catch (error) {
		throw asStoreError("make the directory", path, error);
	}
}

/** By a real write: rights alone do not show a full disk. */
function tryToWrite(path: string, ownerPath: string): void {
	const probe = join(path, `.check-${randomUUID()}`);
	try {
		fs.writeFileSync(probe, "check\n", { flag: "wx", mode: 0o600 });
	} catch (error) {
		throw stateError("write", ownerPath, error);
	} finally {
		fs.rmSync(probe, { force: true });
	}
}

function makeClosed(path: string): void {
	try {
		const made = fs.mkdirSync(path, { mode, recursive: true });
		const found = fs.lstatSync(path);
		refuseStrange(path, found);
		if (made !== undefined) syncNames(made, path);
		if ((found.mode & 0o777) !== mode) fs.chmodSync(path, mode);
	} catch (error) {
		throw asStoreError("make the directory", path, error);
	}
}

/** Also what is made in it must outlive a crash of the machine. `made`: the uppermost one. */
function syncNames(made: string, path: string): void {
	for (let at = path; ; at = dirname(at)) {
		syncDirectory(dirname(at));
		if (at === made || at === dirname(at)) return;
	}
}

function refuseStrange(path: string, found: fs.Stats): void {
	if (!found.isDirectory())
		throw new StoreError(
			"refused",
			`could not use ${path}: it is not a directory`,
			"set `state_directory` to a directory, and not to a link",
		);
	if (ownUid !== undefined && found.uid !== ownUid)
		throw new StoreError(
			"refused",
			`could not use ${path}: it belongs to user ${found.uid}, who could read and change what is kept there`,
			`give it to the daemon's user: chown -R ${ownUid} ${path}`,
		);
}

/** Two daemons that both write would each miss what the other one is told. */
function own(path: string, self: ProcessName): void {
	const file = join(path, ownerFile);
	for (;;) {
		try {
			fs.writeFileSync(file, JSON.stringify(self), { flag: "wx", mode: 0o600 });
			return;
		} catch (error) {
			if (errnoOf(error) !== "EEXIST") throw stateError("write", file, error);
		}
		const owner = ownerIn(file);
		if (owner?.instance === self.instance) return;
		if (owner !== undefined && isAnothers(owner, self))
			throw ownedBy(path, owner);
		// It is gone, or was on another machine or in another container, as far as can be told.
		fs.rmSync(file, { force: true });
	}
}

function isAnothers(owner: ProcessName, self: ProcessName): boolean {
	return (
		owner.instance !== self.instance && livenessOf(owner, self) === "alive"
	);
}

function ownedBy(path: string, { pid }: ProcessName): StoreError {
	return new StoreError(
		"refused",
		`could not use ${path}: the wxtokend with pid ${pid} has it`,
		"stop that one, or give this one another `state_directory`",
	);
}

function ownerIn(file: string): ProcessName | undefined {
	try {
		const found: unknown = JSON.parse(fs.readFileSync(file, "utf8"));
		const { pid, instance } = found as Partial<ProcessName>;
		const isName = typeof pid === "number" && typeof instance === "string";
		return isName ? (found as ProcessName) : undefined;
	} catch {
		return undefined;
	}
}

function asStoreError(verb: string, path: string, error: unknown): StoreError {
	return error instanceof StoreError ? error : stateError(verb, path, error);
}
