import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The files that take longest, longest first. Begun last, one of them would keep
 * a single core busy while the other has nothing to do.
 */
const longest = [
	"systemd/systemd",
	"examples/renewals",
	"random-histories-1",
	"random-histories-2",
	"week",
	"cooperation-daemons",
	"control",
	"faults/suspended",
	"faults/storm",
	"bench",
	"config/config",
	"soak",
	"examples/npm-sdks",
	"packages/units",
	"daemon",
	"http-hostile",
	"control-hostile",
	"control-storm",
	"daemon-signals",
	"demo",
	"readers",
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
