/**
 * System calls that fail: strace makes them fail, from the answer of WeChat on, until it
 * is detached. The token on disk stays whole, one line of the log says what failed and
 * why, and the daemon recovers by itself when the fault ends.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { decodeRecord, recordPathOf } from "../../src/core/record.ts";
import { tokenId } from "../../src/core/token.ts";
import { writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import {
	type LogEvent,
	type Running,
	startProgram,
} from "../support/program.ts";
import { tokenOtherThan } from "../support/token-file.ts";
import { startHeldIssuer } from "./held-issuer.ts";
import { inParallel } from "./in-parallel.ts";
import { attach, noStrace } from "./strace.ts";

const isRoot = process.getuid?.() === 0;

test.skipIf(noStrace !== undefined || !isRoot)(
	"while any step of a publication fails, readers keep the old token, one line is logged, and afterwards the new token is published",
	() => inParallel(failures, 9, whileItFails),
);

const failures = [
	// By then only the directory is still to be opened: the new token is in its place.
	["openat", "EIO", "sync the directory of"],
	["openat", "EMFILE", "sync the directory of"],
	["fsync", "EIO", "sync"],
	["fsync", "ENOSPC", "sync"],
	["fsync", "EDQUOT", "sync"],
	["rename", "EIO", "rename into place"],
	["rename", "ENOSPC", "rename into place"],
	["rename", "EACCES", "rename into place"],
	["rename", "EROFS", "rename into place"],
	["rename", "EBUSY", "rename into place"],
] as const;

async function whileItFails([
	call,
	errno,
	operation,
]: (typeof failures)[number]): Promise<void> {
	const { daemon, issuer, tokenFile, request, old } = await heldRefresh();
	const strace = await attach(daemon.pid, {
		expressions: [`inject=${call}:error=${errno}`],
	});
	request.give();
	const { msg, code, hint } = await daemon.event("store.failed");
	expect(msg).toMatch(
		new RegExp(`^could not ${operation} .*: .* \\(${errno}\\)$`),
	);
	expect(code).toBe(errno);
	expect(hint).toMatch(/(\S+ ){3}/);
	await eventually(() => storeFailures(daemon).length >= 3, {
		what: "more attempts",
	});
	if (call === "openat") await tokenOtherThan(JSON.parse(old).value, tokenFile);
	else expect(readFileSync(tokenFile, "utf8")).toBe(old);
	expect(statSync(tokenFile).mode & 0o7777).toBe(0o640);

	await strace.detach();
	const fresh = await tokenOtherThan(JSON.parse(old).value, tokenFile);
	// The token was fetched during the fault, and is not fetched again after it.
	expect(fresh.value).toBe(issuer.issued.at(-1)?.value);
	expect(issuer.requests.length).toBe(2);
	await nothingLeft(tokenFile);
	expect(
		storeFailures(daemon).filter(({ level }) => level !== "debug").length,
	).toBe(1);
}

test.skipIf(noStrace !== undefined)(
	"while the disk is full the old token stays, and the next tick publishes the new one",
	async () => {
		const { daemon, issuer, tokenFile, request, old } = await heldRefresh();
		const seen = watchChanges(tokenFile);
		await attach(daemon.pid, {
			expressions: ["inject=write:error=ENOSPC:when=1"],
			// Only for this path: the event loop also calls write, to wake itself, and
			// libuv aborts if that fails.
			path: draftOf(tokenFile),
		});
		request.give();
		const { msg } = await daemon.event("store.failed");
		expect(msg).toMatch(/^could not write .*: .* \(ENOSPC\)$/);
		const fresh = await tokenOtherThan(JSON.parse(old).value, tokenFile);
		expect(fresh.value).toBe(issuer.issued.at(-1)?.value);
		expect(issuer.requests.length).toBe(2);
		await nothingLeft(tokenFile);
		expect(seen.stop()).toEqual([old, readFileSync(tokenFile, "utf8")]);
	},
);

test.skipIf(noStrace !== undefined)(
	"a record file to which nothing can be added is written anew, and the token is published",
	async () => {
		const { daemon, tokenFile, request } = await heldRefresh();
		await attach(daemon.pid, {
			expressions: ["inject=write:error=ENOSPC:when=1"],
			path: recordPathOf(tokenFile),
		});
		request.give();
		await refreshed(daemon, 2);
		const text = readFileSync(recordPathOf(tokenFile), "utf8");
		expect(decodeRecord(text).published?.id).toBe(
			tokenId(JSON.parse(readFileSync(tokenFile, "utf8")).value),
		);
		expect(text, "records").not.toContain("\n");
		await nothingLeft(tokenFile);
		expect(storeFailures(daemon)).toEqual([]);
	},
);

const failuresBefore = [
	["mkdir", "EACCES", "lock"],
	["mkdir", "EROFS", "lock"],
	["mkdir", "ENOSPC", "lock"],
	["mkdir", "EIO", "lock"],
	["openat", "ENOSPC", "create a file beside"],
	["openat", "EMFILE", "create a file beside"],
	["fchown", "EPERM", "set the group of"],
	["fchmod", "EIO", "set the mode of"],
	["fchmod", "EACCES", "set the mode of"],
	["fchmod", "EROFS", "set the mode of"],
	["pwrite64", "ENOSPC", "write"],
	["pwrite64", "EDQUOT", "write"],
] as const;

test.skipIf(noStrace !== undefined || !isRoot)(
	"what a publication needs is made before WeChat is asked: while that fails no request is sent, and the refresh follows when the fault ends",
	() =>
		inParallel(failuresBefore, 6, async ([call, errno, operation]) => {
			const { daemon, issuer, tokenFile, request } = await heldRefresh();
			request.give();
			await refreshed(daemon, 2);
			const old = readFileSync(tokenFile, "utf8");
			const strace = await attach(daemon.pid, {
				expressions: [`inject=${call}:error=${errno}`],
			});
			daemon.kill("SIGHUP");
			const { msg } = await daemon.event("store.failed");
			expect(msg).toMatch(
				new RegExp(`^could not ${operation} .*: .* \\(${errno}\\)$`),
			);
			await eventually(() => storeFailures(daemon).length >= 3, {
				what: "more attempts",
			});
			expect(issuer.requests.length).toBe(2);

			await strace.detach();
			(await issuer.next()).give();
			await refreshed(daemon, 3);
			await nothingLeft(tokenFile);
			expect(old).not.toBe(readFileSync(tokenFile, "utf8"));
		}),
);

test.skipIf(noStrace !== undefined)(
	"a lock that cannot be removed does not keep the token from being published, and the next refresh takes the lock again",
	async () => {
		const { daemon, issuer, tokenFile, request } = await heldRefresh();
		const strace = await attach(daemon.pid, {
			expressions: ["inject=rmdir:error=EROFS"],
		});
		request.give();
		await refreshed(daemon, 2);
		await strace.detach();
		daemon.kill("SIGHUP");
		(await issuer.next()).give();
		await refreshed(daemon, 3);
		await nothingLeft(tokenFile);
	},
);

/** A daemon with a token, whose forced refresh waits for its answer. */
async function heldRefresh() {
	const issuer = await startHeldIssuer();
	const { file, tokenFile: pathOf } = writeConfig({
		url: issuer.url,
		top: { socket: "", ...(isRoot ? { group: "12345" } : {}) },
		wechat: { cooldown: 0 },
	});
	const daemon = startProgram(["run", "--config", file], {
		// With this umask the mode must be set by fchmod.
		launcher: ["sh", "-c", 'umask 077; exec "$0" "$@"'],
	});
	(await issuer.next()).give();
	await daemon.event("daemon.ready");
	const tokenFile = pathOf("wx1");
	const old = readFileSync(tokenFile, "utf8");
	daemon.kill("SIGHUP");
	const request = await issuer.next();
	return { daemon, issuer, tokenFile, old, request };
}

/** The temporary file that will be the next token file. */
function draftOf(tokenFile: string): string {
	const directory = dirname(tokenFile);
	const [name, ...others] = readdirSync(directory).filter(
		(one) => one.includes(basename(tokenFile)) && one.endsWith(".tmp"),
	);
	expect(others).toEqual([]);
	return join(directory, name ?? "no draft");
}

function storeFailures(daemon: Running): readonly LogEvent[] {
	return daemon.events().filter(({ event }) => event === "store.failed");
}

/** Waits until the log says that so many tokens were published. */
async function refreshed(daemon: Running, times: number): Promise<void> {
	await eventually(
		() =>
			daemon.events().filter(({ event }) => event === "token.refreshed")
				.length === times,
		{ what: `${times} refreshes` },
	);
}

async function nothingLeft(tokenFile: string): Promise<void> {
	await eventually(() => readdirSync(dirname(tokenFile)).length === 2, {
		what: "a directory with a token and its state, and nothing else",
	});
}

/** Every content that a reader sees, in order. */
function watchChanges(path: string) {
	const seen: string[] = [];
	const timer = setInterval(look, 1);
	onTestFinished(() => clearInterval(timer));
	function look() {
		const text = readFileSync(path, "utf8");
		if (seen.at(-1) !== text) seen.push(text);
	}
	look();
	return {
		stop: () => {
			look();
			clearInterval(timer);
			return seen;
		},
	};
}
