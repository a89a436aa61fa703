import { errnoOf, inWords, StoreError } from "./errors.ts";

/** A `StoreError` that names operation, path and errno, with what to do. */
export function storeError(
	operation: string,
	path: string,
	cause: unknown,
): StoreError {
	const errno = errnoOf(cause) ?? String(cause);
	return new StoreError(
		"io",
		`could not ${operation} ${path}: ${inWords(errno)}`,
		hints[errno] ?? "see errno(3) for what the system says",
		cause,
	);
}

const hints: Readonly<Record<string, string>> = {
	EACCES:
		"give the daemon's user the right to write in that directory (owner or group, mode 0750)",
	EPERM:
		"the daemon's user must own the file, and be a member of the configured group (`group`; under systemd set Group= of the unit instead)",
	EROFS: "the file system is read-only: remount it, or set another `directory`",
	ENOSPC: "the file system is full: free some space",
	EDQUOT: "the disk quota is used up: free some space",
	ENOENT: "the directory is missing: create it, or set another `directory`",
	ENOTDIR: "a part of the path is not a directory",
	EEXIST: "set another `directory`: something else lies there",
	EFBIG: "raise the limit on file sizes (LimitFSIZE=)",
	EIO: "the disk reports an error: look at the kernel log",
	EBUSY:
		"something is mounted on the file itself: mount the directory instead, a mounted file cannot be replaced",
	EMFILE: "too many open files: raise the limit (LimitNOFILE=)",
	ENFILE: "too many open files on this machine",
};
