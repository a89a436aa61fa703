/**
 * A loss of power at any instant, by proof: all system calls of a daemon are traced from
 * its start on, and a model of the disk tells what is on the medium for certain after each
 * of them. From the answer `success` on it holds what was answered, whatever else of it
 * has come to the medium.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { noteSecret } from "../support/leaks.ts";
import {
	newPlatform,
	type PlatformScene,
	type PlatformSceneOptions,
} from "../support/platform.ts";
import { startDaemon } from "../support/program.ts";
import {
	callsIn,
	createDiskModel,
	type Remains,
	textIn,
} from "./disk-model.ts";
import { noStrace } from "./strace.ts";

/** All that changes a disk, and what may carry an answer. */
const traced =
	"open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,unlink,unlinkat,rmdir,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,sendto,sendmsg,copy_file_range,fsync,fdatasync";

/** A daemon under strace; what it did to the disk since its start. */
async function tracedScene(options: PlatformSceneOptions = {}) {
	const scene = await newPlatform({
		...options,
		top: { schedule: "0 0 0 1 1 *", log_level: "info" },
	});
	await scene.wechat.addFault({ mode: "refuse" });
	const trace = join(scene.place, "trace");
	return {
		scene,
		run: async (push: () => Promise<void>) => {
			const daemon = await startDaemon(scene.config, {
				launcher: [
					// -D: the child is the program, and not strace.
					...["strace", "-D", "-f", "-y", "-s", "1000000", "-o", trace],
					...["-e", "signal=kill", "-e", `trace=${traced}`],
				],
			});
			await push();
			// Without an end in order: nothing is made safe by it.
			daemon.kill("SIGKILL");
			await daemon.exited;
			// strace writes pids of fewer than five digits with blanks behind them.
			const isAtEnd = new RegExp(`^${daemon.pid} +\\+\\+\\+ killed`, "m");
			const text = await eventually(
				() => {
					const found = readFileSync(trace, "utf8");
					return isAtEnd.test(found) ? found : undefined;
				},
				{ what: "the end of the trace" },
			);
			return callsIn(text);
		},
	};
}

/** Looks at what may be left after each call; how many answers there were. */
function provedBy(
	calls: ReturnType<typeof callsIn>,
	scene: PlatformScene,
	before: Readonly<Record<string, string>>,
	look: (left: Remains, answered: number) => void,
): number {
	const disk = createDiskModel(scene.state, before);
	let answered = 0;
	for (const call of calls) {
		const isToSocket = /^\d+<(socket|TCP|UNIX)/.test(call.args);
		if (!isToSocket) disk.take(call);
		else if (/^(write|sendto)$/.test(call.name)) {
			if (/^HTTP\/1\.1 200 .*\r\n\r\nsuccess$/s.test(textIn(call.args)))
				answered += 1;
		} else if (/success/.test(call.args)) answered += 1;
		for (const left of disk.remains()) look(left, answered);
	}
	return answered;
}

function factsOf(text: string | undefined): readonly Record<string, unknown>[] {
	return (text ?? "")
		.split("\n")
		.slice(0, -1)
		.map((line) => JSON.parse(line));
}

describe.skipIf(noStrace !== undefined)(
	"power is lost at any instant: what was answered with success is on the disk",
	() => {
		test("from the very first start on, when the state directory was made", async () => {
			const { scene, run } = await tracedScene();
			const tickets: string[] = [];
			const codes: string[] = [];
			const calls = await run(async () => {
				for (let nth = 0; nth < 3; nth += 1) {
					const { outcome, ticket } = await scene.push();
					expect(outcome).toBe("success");
					tickets.push(ticket);
				}
				for (let nth = 0; nth < 3; nth += 1)
					codes.push(noteSecret(await scene.consent(`wxa${nth}`)));
			});
			const files = {
				tickets: scene.stateFile("verify-ticket"),
				codes: scene.stateFile("authorizers"),
			};
			const answered = provedBy(calls, scene, {}, (left, count) => {
				const kept = {
					tickets: factsOf(left.read(files.tickets)).map((one) => one.ticket),
					codes: factsOf(left.read(files.codes)).map((one) => one.auth_code),
				};
				for (const ticket of tickets.slice(0, count))
					expect(kept.tickets).toContain(ticket);
				for (const code of codes.slice(0, Math.max(0, count - 3)))
					expect(kept.codes).toContain(code);
			});
			expect(answered).toBe(6);
		});

		test("also while a file is written anew", async () => {
			const { scene, run } = await tracedScene();
			const file = scene.stateFile("verify-ticket");
			mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
			const old = { ticket: "x".repeat(1_000), create_time: 1, arrived_at: 1 };
			const text = `${JSON.stringify(old)}\n`.repeat(70);
			writeFileSync(file, text, { mode: 0o600 });
			const tickets: string[] = [];
			const calls = await run(async () => {
				for (let nth = 0; nth < 2; nth += 1) {
					const { outcome, ticket } = await scene.push();
					expect(outcome).toBe("success");
					tickets.push(ticket);
				}
			});
			expect(calls.map(({ name }) => name)).toContain("rename");
			const before = { [file]: text };
			const answered = provedBy(calls, scene, before, (left, count) => {
				const kept = factsOf(left.read(file)).map((one) => one.ticket);
				expect(kept.length).toBeGreaterThan(0);
				expect(kept.at(-1)).toBeOneOf([
					...(count === 0 ? [old.ticket] : []),
					...tickets.slice(Math.max(0, count - 1)),
				]);
			});
			expect(answered).toBe(2);
		});
	},
);
