/** Errors of the disk, with what an operator can do about them. */
import { errnoOf, inWords, StoreError } from "../core/errors.ts";

/**
 * A `StoreError` (io) that says what failed on which path and why, with a hint for the
 * operator. `operation` completes "could not …"; `cause`: what the system call threw;
 * `key`: of the configuration, for the place of that path.
 */
export function storeError(
	operation: string,
	path: string,
	cause: unknown,
	key: "directory" | "state_directory" = "directory",
): StoreError {
	const errno = errnoOf(cause) ?? String(cause);
	return new StoreError(
		"io",
		`could not ${operation} ${path}: ${inWords(errno)}`,
		hints[errno]?.replace("`directory`", `\`${key}\``) ??
			"see errno(3) for the meaning of this error",
		cause,
	);
}

/** The same of a file below `state_directory`. */
export function stateError(
	operation: string,
	path: string,
	cause: unknown,
): StoreError {
	return storeError(operation, path, cause, "state_directory");
}

const hints: Readonly<Record<string, string>> = {
	EACCES:
		"give the daemon's user the right to write in that directory (owner or group, mode 0750)",
	EPERM:
		"the daemon's user must own the file, and be a member of the configured group (`group`; under systemd set Group= of the unit instead)",
	EROFS: "remount it, or set another `directory`",
	ENOSPC: "free some space, or inodes (df, df -i)",
	EDQUOT: "free some space, or raise the quota",
	ENOENT: "create the directory, or set another `directory`",
	ENOTDIR: "set `directory` to a directory",
	EEXIST: "set another `directory`: another file has that path",
	EFBIG: "raise the limit on file sizes (LimitFSIZE=)",
	EIO: "look at the kernel log (dmesg): the disk may be failing",
	EBUSY:
		"something is mounted on the file itself: mount the directory instead, a mounted file cannot be replaced",
	ERR_ACCESS_DENIED:
		"start Node.js without --permission, which forbids fsync and fchmod altogether; confine the daemon by its systemd unit",
	EMFILE: "raise the limit (LimitNOFILE=)",
	ENFILE: "raise fs.file-max, or stop the program that has so many files open",
};
