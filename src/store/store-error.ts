import { errnoOf, inWords, StoreError } from "../core/errors.ts";

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
	EROFS: "remount it, or set another `directory`",
	ENOSPC: "free some space, or inodes (df, df -i)",
	EDQUOT: "free some space, or raise the quota",
	ENOENT: "create the directory, or set another `directory`",
	ENOTDIR: "set `directory` to a directory",
	EEXIST: "set another `directory`: something else lies there",
	EFBIG: "raise the limit on file sizes (LimitFSIZE=)",
	EIO: "look at the kernel log (dmesg), and mind the disk",
	EBUSY:
		"something is mounted on the file itself: mount the directory instead, a mounted file cannot be replaced",
	EMFILE: "raise the limit (LimitNOFILE=)",
	ENFILE: "raise fs.file-max, or end what holds so many open",
};
