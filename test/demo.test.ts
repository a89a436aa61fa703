import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { projectRoot, runProgram } from "./support/program.ts";

describe("the demo", () => {
	test("shows a scheduled and a forced refresh, after which the old token lives on, and no call fails", async () => {
		const demo = startDemo("--seconds", "10");
		expect(await demo.exitCode).toBe(0);
		const said = demo.output();
		expect(said).toMatch(/wxdemo-shop: scheduled refresh/);
		expect(said).toMatch(/the demo itself sent kill -HUP \d+/);
		expect(said).toMatch(/wxdemo-club: forced refresh: SIGHUP/);
		expect(said).toMatch(/the old token lives on/);
		expect(said).toMatch(
			/\n20 calls ok, 0 failed; [1-9]\d* scheduled and [1-9]\d* forced/,
		);
		expect(said).toMatch(
			/\n\$ wxtokend status --config \/.*\nAPPID .*\nwxdemo-shop +valid .*\n\W*jsapi_ticket +valid /,
		);
		expect(said).toMatch(
			/A daemon of your own.*\n\$ wxtokend run --config \/\S+yours\.toml\n {2}directory = .*\n[\s\S]*base_urls = \["http:\/\/127\.0\.0\.1:\d+"\]\n[\s\S]*appid = "wxdemo-yours"/,
		);
		expect(said).toMatch(
			/Try next.*\n {2}wxtokend status --watch --config \/.*\n {2}cat \/.*\n {2}cat \/.*_ticket_.*\n {2}kill -HUP \d+/,
		);
		expect(said).toMatch(/in a browser: http:\/\/127\.0\.0\.1:\d+\/\n/);
		await nothingIsLeft(demo);
	});

	test("a daemon of one's own runs with the configuration that it prints, and the demo goes on", async () => {
		const demo = startDemo("--seconds", "10");
		await eventually(() => demo.output().includes("kill -HUP"), {
			what: "the demo",
		});
		const [, file = ""] =
			/wxtokend run --config (\S+)/.exec(demo.output()) ?? [];
		const once = await runProgram(["once", "--config", file]);
		expect(once).toMatchObject({
			code: 0,
			stdout: expect.stringMatching(/^wxdemo-yours: a new token/),
		});
		expect(await demo.exitCode).toBe(0);
	});

	test.each([
		["SIGINT", 0],
		["SIGTERM", 143],
		["SIGKILL", null],
	] as const)(
		"ended by %s leaves neither a process nor a file behind",
		async (signal, code) => {
			const demo = startDemo();
			await eventually(() => demo.output().includes("kill -HUP"), {
				what: "the demo",
			});
			expect(demo.processes()).toHaveLength(2);
			demo.child.kill(signal);
			expect(await demo.exitCode).toBe(code);
			await nothingIsLeft(demo);
		},
	);

	test("a refused call makes it end with 1, as does an unknown option with 64", async () => {
		const demo = startDemo("--seconds", "10");
		await eventually(() => demo.output().includes("calls ok"), {
			what: "the first call",
		});
		// A foreign program writes a token that was never issued; the daemon repairs it.
		const [file = ""] = /\/\S+wx_access_token_\S+/.exec(demo.output()) ?? [];
		await eventually(
			() => {
				writeFileSync(file, '{"value":"foreign","expire":9999999999}\n');
				return demo.output().includes("FAILED: errcode 40001");
			},
			{ what: "a refused call", everyMs: 50 },
		);
		expect(await demo.exitCode).toBe(1);
		expect(demo.output()).toMatch(/NOT as it should be: calls failed/);
		expect(await startDemo("--fast").exitCode).toBe(64);
	});
});

interface Demo {
	readonly child: ChildProcess;
	/** Its temporary files; empty after it. */
	readonly place: string;
	readonly exitCode: Promise<number | null>;
	output(): string;
	/** Command lines of what it started, as long as they live. */
	processes(): readonly string[];
}

function startDemo(...args: readonly string[]): Demo {
	const place = newDirectory();
	const script = join(projectRoot, "examples/demo.mjs");
	const { PATH } = process.env;
	const child = spawn(process.execPath, [script, ...args], {
		env: { PATH, TMPDIR: place },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (text) => {
			output += text;
		});
	onTestFinished(() => {
		child.kill("SIGTERM");
	});
	return {
		child,
		place,
		exitCode: new Promise((resolve) => child.on("close", resolve)),
		output: () => output,
		processes: () => processesWith("TMPDIR", place),
	};
}

async function nothingIsLeft(demo: Demo): Promise<void> {
	// After SIGKILL its guard does this, which takes a second.
	await eventually(
		() => demo.processes().length === 0 && readdirSync(demo.place).length === 0,
		{ what: "the end of all that the demo started" },
	);
}

/** The program's processes with that variable; a child inherits it from the demo. */
function processesWith(name: string, value: string): readonly string[] {
	return readdirSync("/proc")
		.filter((pid) => /^\d+$/.test(pid))
		.flatMap((pid) => {
			try {
				const read = (file: string) =>
					readFileSync(`/proc/${pid}/${file}`, "utf8").split("\0");
				const command = read("cmdline").join(" ");
				return command.includes("wxtokend.cjs") &&
					read("environ").includes(`${name}=${value}`)
					? [command]
					: [];
			} catch {
				return []; // It has ended meanwhile.
			}
		});
}
