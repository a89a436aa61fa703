/**
 * The simulations, compiled into one script. In vitest a module reaches what it imports
 * through an object, at each use. Most tests do not feel it; these compute for minutes,
 * and take a third less so.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const modules = [
	"machine",
	"week",
	"ticket-week",
	"wecom-week",
	"week-network",
] as const;

type Simulations = typeof import("./machine.ts") &
	typeof import("./week.ts") &
	typeof import("./ticket-week.ts") &
	typeof import("./wecom-week.ts") &
	typeof import("./week-network.ts");

export const { play, live, liveWithTicket, liveWithWecom, brokenLinks } =
	await compile();

async function compile(): Promise<Simulations> {
	const place = mkdtempSync(join(tmpdir(), "wxtokend-simulation-"));
	const outfile = join(place, "simulations.cjs");
	try {
		await build({
			stdin: {
				contents: modules
					.map((name) => `export * from "./${name}.ts";`)
					.join(""),
				resolveDir: import.meta.dirname,
			},
			outfile,
			bundle: true,
			platform: "node",
			target: "node20.18",
			format: "cjs",
			// For the stack of a bug that a history finds.
			sourcemap: "inline",
			logLevel: "warning",
		});
		return createRequire(import.meta.url)(outfile);
	} finally {
		rmSync(place, { recursive: true });
	}
}
