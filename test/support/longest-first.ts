import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The files that take longest, longest first. Begun last, one of them would keep
 * a single core busy while the other has nothing to do.
 */
const longest = [
	"packages/packages",
	"systemd/systemd",
	"examples/renewals",
	"random-histories-1",
	"random-histories-2",
	"week",
	"bench",
	"control",
	"packages/units",
	"faults/kill-sweep",
	"examples/npm-sdks",
	"cooperation-daemons",
	"daemon-signals",
	"platform",
	"control-storm",
	"fleet",
	"secrets",
	"once",
	"status-command",
	"faults/storm",
	"status-page-browser",
	"soak",
	"faults/suspended",
	"daemon",
	"demo",
	"ticket-week",
	"wecom-week",
	"examples/ticket-changes",
	"examples/signers",
	"faults/cut-off",
	"launcher",
	"command-line",
	"fleet-servers",
	"fleet-roles",
].map((name) => `test/${name}.test.ts`);

/** Vitest itself orders files by their size, until it has seen a run. */
export class LongestFirst extends BaseSequencer {
	override async sort(
		files: TestSpecification[],
	): Promise<TestSpecification[]> {
		const rank = ({ moduleId }: TestSpecification) => {
			const index = longest.indexOf(relative(this.ctx.config.root, moduleId));
			return index < 0 ? longest.length : index;
		};
		const gone = longest.filter(
			(name) => !existsSync(join(this.ctx.config.root, name)),
		);
		if (gone.length > 0)
			throw new Error(`longest-first.ts: there is no ${gone.join(", ")}`);
		const bySize = await super.sort(files);
		return bySize.sort((one, other) => rank(one) - rank(other));
	}
}
