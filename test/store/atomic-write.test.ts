import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { StoreError } from "../../src/core/errors.ts";
import { draftFile, publishFile } from "../../src/store/atomic-write.ts";
import { refuseUnsafeDirectory } from "../../src/store/output-directory.ts";
import { failOnce, insteadOf, watchSyncs } from "../faults/spy.ts";
import { newDirectory } from "../support/directory.ts";

const attributes = { mode: 0o640, gid: undefined };

function modeOf(path: string): string {
	return (fs.lstatSync(path).mode & 0o7777).toString(8);
}

test("a published file has its mode in spite of the umask, and nothing is left beside it", async () => {
	const directory = newDirectory();
	const path = join(directory, "token");
	const umask = process.umask(0o077);
	onTestFinished(() => {
		process.umask(umask);
	});
	await publishFile(path, "one\n", attributes);
	await publishFile(path, "two\n", { mode: 0o604, gid: undefined });

	expect(fs.readFileSync(path, "utf8")).toBe("two\n");
	expect(modeOf(path)).toBe("604");
	expect(fs.readdirSync(directory)).toEqual(["token"]);
});

test("a reader that has the old file open reads the old content to its end", async () => {
	const path = join(newDirectory(), "token");
	await publishFile(path, "old\n", attributes);
	const reader = fs.openSync(path, "r");
	await publishFile(path, "new\n", attributes);

	expect(fs.readFileSync(reader, "utf8")).toBe("old\n");
	fs.closeSync(reader);
	expect(fs.readFileSync(path, "utf8")).toBe("new\n");
});

test("a link is replaced, and its target is not written", async () => {
	const directory = newDirectory();
	const target = join(newDirectory(), "precious");
	fs.writeFileSync(target, "mine");
	for (const to of [target, join(directory, "nowhere")]) {
		const path = join(directory, "token");
		fs.rmSync(path, { force: true });
		fs.symlinkSync(to, path);
		await publishFile(path, "new\n", attributes);
		expect(fs.lstatSync(path).isFile()).toBe(true);
	}
	expect(fs.readFileSync(target, "utf8")).toBe("mine");
	expect(modeOf(target)).not.toBe("640");
});

test("a folder in the file's place is moved aside with its content", async () => {
	const directory = newDirectory();
	const path = join(directory, "token");
	fs.mkdirSync(path);
	fs.writeFileSync(join(path, "precious"), "mine");
	await publishFile(path, "new\n", attributes);

	expect(fs.readFileSync(path, "utf8")).toBe("new\n");
	const aside = fs.readdirSync(directory).find((name) => name !== "token");
	expect(aside).toMatch(/^token\.set-aside-/);
	expect(
		fs.readFileSync(join(directory, aside ?? "", "precious"), "utf8"),
	).toBe("mine");
});

test("content that another program wrote into the draft is not published", async () => {
	const directory = newDirectory();
	const path = join(directory, "token");
	const draft = await draftFile(path, attributes);
	await draft.reserve();
	for (const name of fs.readdirSync(directory))
		fs.writeFileSync(join(directory, name), "x".repeat(700));
	await draft.publish("new\n");
	expect(fs.readFileSync(path, "utf8")).toBe("new\n");
});

test("nothing is renamed into place after the lock was lost", async () => {
	const directory = newDirectory();
	const path = join(directory, "token");
	await publishFile(path, "theirs\n", attributes);
	const lost = new StoreError("lost", "lost", "");

	await expect(
		publishFile(path, "ours\n", attributes, () => {
			throw lost;
		}),
	).rejects.toBe(lost);
	expect(fs.readFileSync(path, "utf8")).toBe("theirs\n");
	expect(fs.readdirSync(directory)).toEqual(["token"]);
});

test("the look at the lock comes last: no system call lies between it and the rename", async () => {
	const path = join(newDirectory(), "token");
	const order: string[] = [];
	const rename = fs.renameSync;
	insteadOf("renameSync", (from, to) => {
		order.push("rename");
		rename(from, to);
	});
	await publishFile(path, "ours\n", attributes, () => {
		order.push("look");
		queueMicrotask(() => order.push("something else"));
	});
	expect(order.slice(0, 2)).toEqual(["look", "rename"]);
});

test.each([
	["fchmodSync", "set the mode of"],
	["writeFileSync", "write"],
	["fsync", "sync"],
	["closeSync", "close"],
] as const)(
	"an error of %s removes the temporary file and is thrown as a StoreError",
	async (name, verb) => {
		const directory = newDirectory();
		const path = join(directory, "token");
		const umask = process.umask(0o077);
		onTestFinished(() => {
			process.umask(umask);
		});
		await publishFile(path, "old\n", attributes);
		failOnce(name, "EIO");
		await expect(publishFile(path, "new\n", attributes)).rejects.toMatchObject({
			kind: "io",
			code: "EIO",
			message: `could not ${verb} ${path}: the disk reports an error (EIO)`,
		});
		expect(fs.readFileSync(path, "utf8")).toBe("old\n");
		expect(fs.readdirSync(directory)).toEqual(["token"]);
	},
);

test("an error before the temporary file is open leaves neither file nor descriptor", async () => {
	const directory = newDirectory();
	const open = fs.readdirSync("/proc/self/fd").length;
	failOnce("statfsSync", "EIO");
	await expect(
		publishFile(join(directory, "token"), "new\n", attributes),
	).rejects.toMatchObject({ code: "EIO" });
	expect(fs.readdirSync(directory)).toEqual([]);
	expect(fs.readdirSync("/proc/self/fd").length).toBe(open);
});

test("a failed sync is thrown, and not the close that fails after it", async () => {
	const path = join(newDirectory(), "token");
	failOnce("fsync", "EIO");
	failOnce("closeSync", "ENOSPC");
	await expect(publishFile(path, "new\n", attributes)).rejects.toMatchObject({
		code: "EIO",
	});
});

test.each(["/dev/shm", tmpdir()].filter((medium) => fs.existsSync(medium)))(
	"under %s the file is synced before it is renamed, and the directory after it",
	async (medium) => {
		const directory = fs.mkdtempSync(join(medium, "wxtokend-test-"));
		onTestFinished(() => fs.rmSync(directory, { recursive: true }));
		const order: string[] = [];
		watchSyncs((file) => {
			order.push(fs.fstatSync(file).isDirectory() ? "directory" : "file");
			return undefined;
		});
		const rename = fs.renameSync;
		insteadOf("renameSync", (from, to) => {
			order.push("rename");
			rename(from, to);
		});
		await publishFile(join(directory, "token"), "new\n", attributes);
		expect(order).toEqual(["file", "rename", "directory"]);
	},
);

test("a file system that cannot sync directories is no error, but a disk error is", async () => {
	const directory = newDirectory();
	const path = join(directory, "token");
	let code = "EINVAL";
	watchSyncs((file) => (fs.fstatSync(file).isDirectory() ? code : undefined));
	await publishFile(path, "new\n", attributes);
	code = "EIO";
	await expect(publishFile(path, "newer\n", attributes)).rejects.toMatchObject({
		message: `could not sync the directory of ${path}: the disk reports an error (EIO)`,
	});
	expect(fs.readFileSync(path, "utf8")).toBe("newer\n");
});

test("under --permission of Node.js, which forbids fsync, the remedy is told", async () => {
	const path = join(newDirectory(), "token");
	watchSyncs(() => "ERR_ACCESS_DENIED");
	await expect(publishFile(path, "new\n", attributes)).rejects.toMatchObject({
		message: expect.stringContaining(path),
		hint: expect.stringContaining("without --permission"),
	});
});

test("a missing directory is reported with a hint", async () => {
	const path = join(newDirectory(), "gone", "token");
	await expect(publishFile(path, "new\n", attributes)).rejects.toMatchObject({
		code: "ENOENT",
		hint: expect.stringContaining("directory"),
	});
});

test("a directory in which every user may write is refused, unless it is sticky", async () => {
	const directory = newDirectory();
	fs.chmodSync(directory, 0o777);
	expect(() => refuseUnsafeDirectory(directory)).toThrow(
		expect.objectContaining({
			kind: "refused",
			message: expect.stringContaining("everybody may write there"),
			hint: expect.stringContaining("chmod o-w"),
		}),
	);
	fs.chmodSync(directory, 0o1777);
	refuseUnsafeDirectory(directory);
	const file = join(directory, "file");
	fs.writeFileSync(file, "");
	expect(() => refuseUnsafeDirectory(file)).toThrow(
		expect.objectContaining({
			kind: "refused",
		}),
	);
});
