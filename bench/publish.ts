/**
 * One token: from the start of the program to the first token on disk, and from
 * SIGHUP to the new one, against a script that does just fetch, write, rename.
 */
import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import {
	replaced,
	startDaemon,
	tokenFile,
	watchDirectory,
	writeConfig,
} from "./daemon.ts";
import { compared, measure, type Row, sideBySide } from "./figures.ts";
import {
	type Child,
	type Medium,
	media,
	pause,
	root,
	type Scale,
	startIssuer,
	tokenPath,
} from "./scene.ts";

const script = join(root, "bench/bare/first-token.mjs");

export async function benchStart(scale: Scale): Promise<readonly Row[]> {
	const issuer = await startIssuer(scale);
	const rows: Row[] = [];
	for (const medium of media) {
		const directory = scale.directory(medium);
		const config = writeConfig({ directory, url: issuer.url });
		const file = tokenFile(directory);
		const first = async (start: () => Child) => {
			// Nothing may be left of the one before.
			rmSync(directory, { recursive: true });
			mkdirSync(directory, 0o750);
			const visible = watchDirectory(directory);
			const seenAt = visible.next(basename(file));
			const startedAt = performance.now();
			const child = start();
			const ms = (await seenAt) - startedAt;
			visible.close();
			await end(child);
			return ms;
		};
		const samples = await sideBySide(scale.of(30, 1), {
			ours: () => first(() => startDaemon(scale, config).child),
			bare: () =>
				first(() =>
					scale.start(process.execPath, [script, issuer.url + tokenPath, file]),
				),
		});
		rows.push(
			compared(
				"start",
				`start → first token, ${medium}`,
				[
					measure("wxtokend run", "ms", samples.ours),
					measure("bare script", "ms", samples.bare),
				],
				1.6,
			),
		);
	}
	issuer.stop();
	return rows;
}

export async function benchHup(scale: Scale): Promise<readonly Row[]> {
	const rows: Row[] = [];
	for (const medium of media) {
		rows.push(await hup(scale, medium, 0));
		if (medium === "tmpfs") rows.push(await hup(scale, medium, 50));
	}
	return rows;
}

async function hup(
	scale: Scale,
	medium: Medium,
	latencyMs: number,
): Promise<Row> {
	// WeChat has closed the connection of 40 minutes ago; so has this one.
	const issuer = await startIssuer(scale, [
		...["--idle", "100"],
		...["--latency", String(latencyMs)],
	]);
	const directory = scale.directory(medium);
	const file = tokenFile(directory);
	const bareFile = join(directory, "bare");
	const visible = watchDirectory(directory);
	const bothThere = [visible.next(basename(file)), visible.next("bare")];
	const config = writeConfig({ directory, url: issuer.url });
	const daemon = startDaemon(scale, config);
	const bare = scale.start(process.execPath, [
		script,
		issuer.url + tokenPath,
		bareFile,
	]);
	await Promise.all([...bothThere, daemon.event("daemon.ready")]);
	visible.close();
	const visibleAfterHup = async (child: Child, path: string) => {
		await pause(scale.of(400, 150));
		const seenAt = replaced(path);
		const sentAt = performance.now();
		child.kill("SIGHUP");
		return (await seenAt) - sentAt;
	};
	const samples = await sideBySide(scale.of(40, 2), {
		ours: () => visibleAfterHup(daemon.child, file),
		bare: () => visibleAfterHup(bare, bareFile),
	});
	await end(bare);
	await daemon.stop();
	issuer.stop();
	const far = latencyMs === 0 ? "" : `, ${latencyMs} ms to the issuer`;
	return compared(
		"hup",
		`SIGHUP → new token visible, ${medium}${far}`,
		[
			measure("wxtokend run", "ms", samples.ours),
			measure("bare script", "ms", samples.bare),
		],
		1.25,
	);
}

async function end(child: Child): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const gone = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await gone;
}
