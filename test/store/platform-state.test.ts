import fs from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { StoreError } from "../../src/core/errors.ts";
import { atOnce } from "../../src/core/steps.ts";
import {
	codeKey,
	componentNames,
	openPlatformState,
	suiteNames,
} from "../../src/store/platform-state.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import {
	lookAtStateDirectory,
	openStateDirectory,
} from "../../src/store/state-directory.ts";
import { newDirectory } from "../support/directory.ts";

const ticket = { ticket: "ticket@@@1", createdAt: 1000, arrivedAt: 1_000_500 };

function opened(directory = newDirectory(), names = componentNames) {
	const state = atOnce(openPlatformState(directory, names));
	onTestFinished(() => state.close());
	return { directory, state };
}

function authorizers(directory: string): string {
	return join(directory, "authorizers");
}

describe("the state of a platform", () => {
	test("takes a code that was exchanged never again, also after a restart; a thousand are remembered", async () => {
		const { directory, state } = opened();
		await state.putCode({ code: "c0", arrivedAt: 1 });
		await state.noteAsked("c0", 2);
		expect(state.codes()).toEqual([{ code: "c0", arrivedAt: 1, askedAt: 2 }]);
		// Pushed again before it was exchanged, it is the same one.
		await state.putCode({ code: "c0", arrivedAt: 3 });
		expect(opened(directory).state.codes()).toEqual(state.codes());
		await state.authorize([["wx0", "refreshtoken@@@0"]], "c0");
		const { secret } = opened(directory).state.authorization("wx0") ?? {};
		expect(secret).toBe("refreshtoken@@@0");
		for (const one of [state, opened(directory).state]) {
			await one.putCode({ code: "c0", arrivedAt: 4 });
			expect(one.codes()).toEqual([]);
		}
		for (let count = 1; count <= 1_000; count += 1)
			await state.dropCode(`c${count}`);
		await state.putCode({ code: "c1", arrivedAt: 5 });
		expect(state.codes()).toEqual([]);
		await state.putCode({ code: "c0", arrivedAt: 6 });
		expect(state.codes()).toHaveLength(1);
	});

	test("is written anew at a start only if that makes the file half as long", () => {
		const directory = newDirectory();
		const path = authorizers(directory);
		const lines = Array.from({ length: 12_000 }, (_, n) =>
			JSON.stringify({
				appid: `wx${n}`,
				refresh_token: `refreshtoken@@@${n}${"x".repeat(40)}`,
			}),
		);
		const start = (times: number) => {
			const text = `${Array(times).fill(lines).flat().join("\n")}\n`;
			fs.writeFileSync(path, text, { mode: 0o600 });
			const { ino } = fs.statSync(path);
			const { state } = opened(directory);
			expect([...state.authorizations()]).toHaveLength(lines.length);
			const found = fs.statSync(path);
			return { isAnew: found.ino !== ino, ratio: found.size / text.length };
		};
		expect(start(1)).toEqual({ isAnew: false, ratio: 1 });
		const wasteful = start(4);
		expect(wasteful.isAnew).toBe(true);
		expect(wasteful.ratio).toBeLessThan(0.5);
	});

	test("tells other hosts of the codes that it knows, and of no others", async () => {
		const { directory, state } = opened();
		await state.putCode({ code: "waits", arrivedAt: 1 });
		await state.noteAsked("unknown", 2);
		for (let count = 0; count <= 1_000; count += 1)
			await state.dropCode(`c${count}`);
		for (const { facts } of [state, opened(directory).state]) {
			expect([...facts.keys()]).toHaveLength(1_001);
			const told = (code: string) => facts.factOf(codeKey(code))?.fact;
			expect(told("waits")).toEqual({ auth_code: "waits", arrived_at: 1 });
			expect(told("c1")).toEqual({ auth_code: "c1", dropped: true });
			for (const code of ["c0", "unknown"]) expect(told(code)).toBeUndefined();
		}
	});

	test("is there again after a restart, all of it", async () => {
		const { directory, state } = opened();
		await state.putTicket(ticket);
		await state.authorize([
			["wx1", "refreshtoken@@@1"],
			["wx2", "refreshtoken@@@2"],
			["wx3", "refreshtoken@@@3"],
		]);
		await state.retire("wx2", 77);
		await state.forget("wx3");
		await state.putCode({ code: "c1", id: "wx4", arrivedAt: 5 });
		await state.putCode({ code: "c2", arrivedAt: 6 });
		await state.dropCode("c1");
		await state.putListedAt(99);
		const { state: again } = opened(directory);
		for (const one of [state, again]) {
			expect(one.ticket()).toEqual(ticket);
			expect([...one.authorizations()]).toEqual([
				["wx1", { secret: "refreshtoken@@@1" }],
				["wx2", { secret: "refreshtoken@@@2", retiredAt: 77 }],
			]);
			expect(one.codes()).toEqual([{ code: "c2", arrivedAt: 6 }]);
			expect(one.listedAt()).toBe(99);
		}
	});

	test("an account that authorises again is no longer withdrawn", async () => {
		const { directory, state } = opened();
		await state.authorize([["wx1", "a"]]);
		await state.retire("wx1", 1);
		await state.authorize([["wx1", "b"]]);
		expect(state.authorization("wx1")).toEqual({ secret: "b" });
		expect(opened(directory).state.authorization("wx1")).toEqual({
			secret: "b",
		});
	});

	test("an older ticket that arrives late does not replace a newer one", async () => {
		const { directory, state } = opened();
		const older = { ...ticket, ticket: "older", createdAt: 999 };
		const same = { ...ticket, ticket: "same second" };
		expect(await state.putTicket(ticket)).toBe(true);
		expect(await state.putTicket(older)).toBe(false);
		expect(state.ticket()).toEqual(ticket);
		expect(await state.putTicket(same)).toBe(true);
		expect(opened(directory).state.ticket()).toEqual(same);
	});

	test("a ticket that says to be from a later time does not outrank those that come by then", async () => {
		const { directory, state } = opened();
		const later = { ...ticket, ticket: "from the future", createdAt: 44_200 };
		const next = { ...ticket, createdAt: 1600, arrivedAt: 1_600_500 };
		expect(await state.putTicket(later)).toBe(true);
		expect(state.ticket()?.createdAt).toBe(1060);
		expect(await state.putTicket(next)).toBe(true);
		expect(opened(directory).state.ticket()).toEqual(next);
		// So it stands in a file of an earlier version, or of another hand.
		const lines = [later, next].map((one) =>
			JSON.stringify({
				ticket: one.ticket,
				create_time: one.createdAt,
				arrived_at: one.arrivedAt,
			}),
		);
		const other = newDirectory();
		fs.writeFileSync(join(other, "verify-ticket"), `${lines.join("\n")}\n`);
		expect(opened(other).state.ticket()).toEqual(next);
	});

	test("of a suite has files and keys of its own", async () => {
		const { directory, state } = opened(newDirectory(), suiteNames);
		await state.authorize([["ww1", "code"]]);
		expect(fs.readFileSync(join(directory, "corps"), "utf8")).toBe(
			'{"corpid":"ww1","permanent_code":"code"}\n',
		);
	});

	test("is on the disk before it is told, and several changes share one sync", async () => {
		const { state } = opened();
		const syncs = vi.spyOn(fs, "fdatasyncSync");
		onTestFinished(() => syncs.mockRestore());
		let isTold = false;
		const told = state.authorize([["wx1", "a"]]).then(() => {
			isTold = true;
		});
		syncs.mockImplementationOnce(() => expect(isTold).toBe(false));
		await Promise.all([told, state.authorize([["wx2", "b"]])]);
		expect(syncs).toHaveBeenCalledTimes(1);
	});

	test("a change that could not be written is told, and leaves no half line", async () => {
		const { directory, state } = opened();
		await state.authorize([["wx1", "a"]]);
		const sync = vi.spyOn(fs, "fdatasyncSync").mockImplementationOnce(() => {
			throw Object.assign(new Error("full"), { code: "ENOSPC" });
		});
		onTestFinished(() => sync.mockRestore());
		await expect(state.authorize([["wx2", "b"]])).rejects.toThrow(StoreError);
		expect(state.authorization("wx2")).toBeUndefined();
		await state.authorize([["wx3", "c"]]);
		expect([...opened(directory).state.authorizations()]).toEqual([
			["wx1", { secret: "a" }],
			["wx3", { secret: "c" }],
		]);
	});

	test("half a line that a crash left is cut off, at whatever byte", async () => {
		const { directory, state } = opened();
		await state.authorize([["wx1", "长"]]);
		const first = fs.readFileSync(authorizers(directory));
		await state.authorize([["wx2", "长"]]);
		const whole = fs.readFileSync(authorizers(directory));
		for (let size = first.length; size < whole.length; size += 1) {
			fs.writeFileSync(authorizers(directory), whole.subarray(0, size));
			const torn = atOnce(openPlatformState(directory, componentNames));
			expect([...torn.authorizations()]).toEqual([["wx1", { secret: "长" }]]);
			await torn.authorize([["wx3", "c"]]);
			torn.close();
			const again = atOnce(openPlatformState(directory, componentNames));
			expect([...again.authorizations()].map(([id]) => id)).toEqual([
				"wx1",
				"wx3",
			]);
			expect(again.unreadable.size).toBe(0);
			again.close();
		}
	});

	test("lines that are none are counted, and the others count", async () => {
		const directory = newDirectory();
		fs.writeFileSync(
			authorizers(directory),
			'{"appid":"wx1","refresh_token":"a"}\n\0\0\0\n[]\n{"appid":1}\n{"appid":"wx2","refresh_token":"b"}\n',
		);
		const { state } = opened(directory);
		expect([...state.authorizations()].map(([id]) => id)).toEqual([
			"wx1",
			"wx2",
		]);
		expect([...state.unreadable]).toEqual([[authorizers(directory), 2]]);
	});

	test("does not grow for ever, and loses nothing when it is written anew", async () => {
		const { directory, state } = opened();
		await state.authorize([["wx1", "first"]]);
		await state.putCode({ code: "c1", arrivedAt: 1 });
		const many = Array.from(
			{ length: 2000 },
			(_, at): readonly [string, string] => [
				`wx${at % 10}0`,
				`secret ${at} ${"x".repeat(100)}`,
			],
		);
		for (let round = 0; round < 20; round += 1) await state.authorize(many);
		expect(fs.statSync(authorizers(directory)).size).toBeLessThan(2_000_000);
		const { state: again } = opened(directory);
		expect([...again.authorizations()]).toHaveLength(11);
		expect(again.authorization("wx1")).toEqual({ secret: "first" });
		expect(again.codes()).toHaveLength(1);
		await Promise.all(
			Array.from({ length: 1000 }, (_, at) =>
				state.putTicket({ ...ticket, createdAt: 1 + at }),
			),
		);
		expect(fs.statSync(join(directory, "verify-ticket")).size).toBeLessThan(
			100_000,
		);
		expect(opened(directory).state.ticket()?.createdAt).toBe(1000);
	});

	test("loses nothing that was written in the turn in which the file is written anew", async () => {
		const { directory, state } = opened();
		const text = "x".repeat(600_000);
		await state.authorize([["wx0", text]]);
		await Promise.all(
			["wx0", "wx1", "wx2"].map((id) => state.authorize([[id, text]])),
		);
		await Promise.all(
			["wx0", "wx3", "wx4"].map((id) => state.authorize([[id, "short"]])),
		);
		const { state: again } = opened(directory);
		expect([...again.authorizations()]).toEqual([...state.authorizations()]);
		expect([...again.authorizations()]).toHaveLength(5);
	});

	test("nobody else may read its files, whatever they were", () => {
		const directory = newDirectory();
		fs.writeFileSync(authorizers(directory), "", { mode: 0o644 });
		opened(directory);
		for (const file of fs.readdirSync(directory))
			expect(fs.statSync(join(directory, file)).mode & 0o777).toBe(0o600);
	});
});

describe("the state directory", () => {
	const self = nameThisProcess();
	const lookAt = (path: string) =>
		lookAtStateDirectory(path, [["component", "wx1"]], self, (error) => {
			throw error;
		});

	test("is made with all above it, and closed to others", () => {
		const path = join(newDirectory(), "a", "b");
		const state = openStateDirectory(path, self);
		const folder = state.folder("component", "wx1");
		for (const one of [path, join(path, "component"), folder])
			expect(fs.statSync(one).mode & 0o777).toBe(0o700);
	});

	test("of ours that others may enter is closed", () => {
		const path = newDirectory();
		openStateDirectory(path, self);
		expect(fs.statSync(path).mode & 0o777).toBe(0o700);
	});

	test("is refused while another living process has it, and taken from a dead one", () => {
		const path = newDirectory();
		const other = { ...self, instance: "other", pid: process.ppid };
		const stat = fs.readFileSync(`/proc/${process.ppid}/stat`, "utf8");
		const [, startTicks = ""] = /\) (?:\S+ ){19}(\S+)/.exec(stat) ?? [];
		const owner = join(path, "owner");
		fs.writeFileSync(owner, JSON.stringify({ ...other, startTicks }));
		expect(() => openStateDirectory(path, self)).toThrow(
			`the wxtokend with pid ${process.ppid} has it`,
		);
		expect(() => lookAt(path)).toThrow("has it");
		fs.writeFileSync(owner, JSON.stringify({ ...other, startTicks: "1" }));
		lookAt(path);
		openStateDirectory(path, self).release();
		expect(fs.existsSync(owner)).toBe(false);
	});

	test("is refused if it is a file or a link", () => {
		const path = newDirectory();
		fs.writeFileSync(join(path, "file"), "");
		fs.symlinkSync(path, join(path, "link"));
		for (const name of ["file", "link"]) {
			expect(() => openStateDirectory(join(path, name), self)).toThrow(
				StoreError,
			);
			expect(() => lookAt(join(path, name))).toThrow(StoreError);
		}
		lookAt(join(path, "not", "yet"));
		lookAt(path);
		expect(fs.readdirSync(path).sort()).toEqual(["file", "link"]);
	});
});
