/**
 * Keepers of one directory that run as other users, or with another `mode`: nobody
 * publishes over what it cannot read, and nobody fights for ever.
 */
import { chmodSync, chownSync, readFileSync, rmSync, statSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { recordPathOf } from "../src/core/record.ts";
import {
	newAccounts,
	type TestConfig,
	writeConfig,
} from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { startIssuer } from "./support/issuer.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { hasFile, readTokenFile } from "./support/token-file.ts";

const isRoot = process.getuid?.() === 0;
const group = 4_000;
const one = { uid: 4_001, gid: group };
const other = { uid: 4_002, gid: group };

beforeAll(() => {
	if (!isRoot) console.warn("only root can be several users: skipped");
});

/** Two configurations of one directory, in which both users may write. */
async function startTwo(modeOfOther: string) {
	const issuer = await startIssuer();
	const directory = newDirectory();
	chownSync(directory, 0, group);
	chmodSync(directory, 0o770);
	const wishes = { ...issuer, directory, accounts: newAccounts() };
	const config = writeConfig({ ...wishes, top: { mode: "0640" } });
	const second = writeConfig({
		...wishes,
		top: { mode: modeOfOther, socket: "" },
	});
	chownSync(config.file, one.uid, group);
	chownSync(second.file, other.uid, group);
	return { issuer, directory, config, second, path: config.tokenFile("wx1") };
}

function run(command: readonly string[], { file }: TestConfig, user = other) {
	return runProgram([...command, "--config", file], user);
}

test.skipIf(!isRoot)(
	"once that may not read the token of another user asks WeChat for nothing, leaves it, and says with 73 which file, whose, and what to do",
	async () => {
		const { issuer, config, second, path } = await startTwo("0600");
		expect((await run(["once"], second)).code).toBe(0);
		const before = statSync(path).ino;
		for (let runs = 0; runs < 3; runs += 1) {
			const { code, stderr } = await run(["once"], config, one);
			expect(code).toBe(73);
			expect(stderr).toContain(
				`could not read ${path}: permission denied (EACCES): it belongs to uid ${other.uid} (mode 0600), and this process runs as uid ${one.uid}`,
			);
			expect(stderr).toContain("run all keepers of this directory as one user");
		}
		expect(issuer.requests).toHaveLength(1);
		expect(statSync(path).ino).toBe(before);
	},
);

test.skipIf(!isRoot)(
	"once that may not read only the record fetches nothing without the budget in it",
	async () => {
		const { issuer, config, second, path } = await startTwo("0600");
		expect((await run(["once"], second)).code).toBe(0);
		rmSync(path);
		const { code, stderr } = await run(["once"], config, one);
		expect(code).toBe(73);
		expect(stderr).toContain(`could not read ${recordPathOf(path)}`);
		expect(issuer.requests).toHaveLength(1);
	},
);

test.skipIf(!isRoot)(
	"a daemon publishes nothing over a newer token that it may not read, tells it once, is ill meanwhile, and takes the token over as soon as it may",
	async () => {
		const { issuer, directory, config, second, path } = await startTwo("0600");
		const daemon = await startDaemon(config.file, one);
		expect((await run(["check", "--online"], second)).code).toBe(0);
		const value = issuer.issued[1]?.value;
		expect(await daemon.event("store.failed")).toMatchObject({
			level: "error",
			code: "EACCES",
		});
		const socket = socketIn(directory);
		const health = await callSocket(socket, "/healthz");
		expect(health.status).toBe(503);
		expect(health.json()).toMatchObject({
			reasons: [{ state: "unusable", error: { code: "EACCES" } }],
		});
		const { stdout } = await run(["status"], config, one);
		expect(stdout).toMatch(/^wx1 +unusable /m);
		expect(stdout).toContain("run all keepers of this directory as one user");
		expect(stdout).not.toContain("the daemon puts a good one in its place");
		// A report would be a reason to fetch.
		await callSocket(socket, "/v1/accounts/wx1/refresh", { method: "POST" });
		expect(readTokenFile(path).value).toBe(value);

		for (const file of [path, recordPathOf(path)]) chmodSync(file, 0o640);
		await eventually(
			async () => (await callSocket(socket, "/healthz")).status === 200,
			{ what: "a daemon that is well again" },
		);
		expect(readTokenFile(path).value).toBe(value);
		expect(issuer.requests).toHaveLength(2);
		const told = daemon
			.events()
			.filter(
				({ event, level }) => event === "store.failed" && level !== "debug",
			);
		// The second one answers the person who asked for a refresh.
		expect(told.map(({ code }) => code)).toEqual(["EACCES", "EACCES"]);
	},
);

test("of two keepers with another mode the wider one stays, the narrower one tells of it once, and readers keep access", async () => {
	const issuer = await startIssuer();
	const accounts = newAccounts(2);
	const wide = writeConfig({ ...issuer, accounts, top: { mode: "0640" } });
	const narrow = writeConfig({
		...issuer,
		accounts,
		directory: wide.directory,
		top: { mode: "0600", socket: "narrow.sock" },
	});
	const daemons = [
		await startDaemon(wide.file),
		await startDaemon(narrow.file),
	];
	const told = await daemons[1]?.event("file.contested");
	expect(told).toMatchObject({
		level: "warn",
		mode: "0600",
		otherMode: "0640",
	});
	expect(told?.msg).toContain("its wider ones stay");
	const path = wide.tokenFile("wx1");
	const modeOf = () => statSync(path).mode & 0o777;
	await eventually(() => modeOf() === 0o640, { what: "the wider mode" });

	// Whatever is published from now on, by whichever of the two, is for the group.
	const { ino } = statSync(path);
	const socket = `${wide.directory}/narrow.sock`;
	await callSocket(socket, "/v1/accounts/wx1/refresh", { method: "POST" });
	expect(readFileSync(path, "utf8")).toContain(issuer.issued.at(-1)?.value);
	expect(statSync(path).ino).not.toBe(ino);
	expect(modeOf()).toBe(0o640);
	const repairs = () =>
		daemons
			.flatMap((daemon) => daemon.events())
			.filter(({ event }) => event === "file.repaired").length;
	for (let rounds = 0; rounds < 4; rounds += 1) {
		rmSync(path);
		await eventually(() => hasFile(path), { what: "the file again" });
		expect(modeOf()).toBe(0o640);
	}
	// Of two accounts one is enough; and to the other keeper nobody did it twice.
	const contests = daemons
		.flatMap((daemon) => daemon.events())
		.filter(({ event }) => event === "file.contested");
	expect(contests).toHaveLength(1);
	// Some for each of the two files until they agreed, and one for each deletion.
	expect(repairs()).toBeLessThan(2 * 6 + 4 + 1);
});
