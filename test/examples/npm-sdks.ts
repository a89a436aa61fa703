/** The SDKs that npm has: the real packages, in the versions of `sdks/package-lock.json`. */
import {
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sdksDirectory } from "../../bench/sdks.ts";
import { projectRoot } from "../support/program.ts";
import { examples, type Reader, type Signer } from "./readers.ts";

const here = join(projectRoot, "test/examples");

let place: string | undefined;

/**
 * An app as its owner would have it: the examples copied into it, the SDKs in
 * its node_modules. Gone when the tests end.
 */
export function app(): string {
	if (place !== undefined) return place;
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-sdks-"));
	process.once("exit", () =>
		rmSync(directory, { recursive: true, force: true }),
	);
	const copy = (from: string, to: string) => {
		mkdirSync(to, { recursive: true });
		for (const name of readdirSync(from).filter((n) => n.endsWith(".mjs")))
			copyFileSync(join(from, name), join(to, name));
	};
	copy(join(examples, "node"), directory);
	copy(join(sdksDirectory, "drivers"), join(directory, "drivers"));
	copyFileSync(
		join(here, "drivers/loop.mjs"),
		join(directory, "drivers/loop.mjs"),
	);
	symlinkSync(
		join(sdksDirectory, "node_modules"),
		join(directory, "node_modules"),
	);
	place = directory;
	return directory;
}

function command(driver: string, cards = "no"): Reader["prepare"] {
	return async () => [
		"env",
		`--chdir=${app()}`,
		`CARDS=${cards}`,
		process.execPath,
		join(app(), "drivers", driver),
	];
}

export const npmReaders: readonly Reader[] = [
	{
		name: "co-wechat-api",
		needs: [],
		prepare: command("co-wechat-api.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "wechat-api",
		needs: [],
		prepare: command("wechat-api.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "node-easywechat",
		needs: [],
		prepare: command("node-easywechat.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "nest-wechat",
		needs: [],
		prepare: command("nest-wechat.mjs"),
		callsWhenHopeless: 1,
	},
	{
		name: "wechat-jssdk",
		needs: [],
		prepare: command("wechat-jssdk.mjs"),
		callsWhenHopeless: 1,
	},
	{
		name: "wechat-jssdk, cards",
		needs: [],
		prepare: command("wechat-jssdk.mjs", "yes"),
		callsWhenHopeless: 1,
	},
];

/** The glue for its ticket hooks: see ticket-glue.test.ts. */
export const npmSigner: Signer = {
	name: "wechat-jssdk",
	needs: [],
	prepare: command("wechat-jssdk-tickets.mjs"),
};
