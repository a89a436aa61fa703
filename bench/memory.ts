/**
 * Memory as users have it: after renewals, and not right after a start. On each Node.js
 * that BENCH_NODES names (paths with a colon in between), against a process of the same
 * Node.js that does nothing.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { startDaemon, tokenFile, usageOf, writeConfig } from "./daemon.ts";
import { compared, type Row, single } from "./figures.ts";
import { pause, root, type Scale, startIssuer, until } from "./scene.ts";

const mib = 1024 * 1024;

export async function benchMemory(scale: Scale): Promise<readonly Row[]> {
	const others = process.env.BENCH_NODES?.split(":") ?? [];
	const rows: Row[] = [];
	for (const node of [process.execPath, ...others])
		rows.push(await afterHups(scale, node));
	return rows;
}

async function afterHups(scale: Scale, node: string): Promise<Row> {
	const version = execFileSync(node, ["--version"], { encoding: "utf8" });
	const major = Number(/\d+/.exec(version)?.[0]);
	const issuer = await startIssuer(scale);
	const directory = scale.directory();
	const config = writeConfig({ directory, url: issuer.url });
	const bare = scale.start(node, [`${root}/bench/bare/idle.mjs`]);
	const daemon = startDaemon(scale, config, { node });
	await daemon.event("daemon.ready");
	const file = tokenFile(directory);
	for (let hup = 0; hup < 3; hup += 1) {
		const before = readFileSync(file, "utf8");
		daemon.child.kill("SIGHUP");
		await until("another token", () =>
			readFileSync(file, "utf8") === before ? undefined : true,
		);
	}
	// What the refreshes took is given back a few ticks later, by V8 in its own time.
	await pause(scale.of(30_000, 100));
	const row = compared(
		"memory",
		`memory with 1 account after three SIGHUPs, Node.js ${major}`,
		[
			single("wxtokend", "MiB", usageOf(daemon.pid).residentBytes / mib),
			single("idle node", "MiB", usageOf(bare.pid ?? 0).residentBytes / mib),
		],
		major < 24 ? 1.35 : 1.45,
	);
	await daemon.stop();
	bare.kill("SIGKILL");
	issuer.stop();
	return row;
}
