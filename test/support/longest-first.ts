import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The files that take longest, longest first. Begun last, one of them would keep
 * a single core busy while the other has nothing to do.
 */
const longest = [
	"suite",
	"systemd/systemd",
	"fleet-faults",
	"packages/packages",
	"control",
	"field",
	"fleet",
	"status-command",
	"daemon-signals",
	"start-reasons",
	"daemon/platforms",
	"platform",
	"faults/suspended",
	"cooperation-daemons",
	"fleet-roles",
	"examples/renewals",
	"faults/hung-mount",
	"faults/kill-sweep-pushes",
	"faults/storm",
	"demo",
	"soak",
	"random-histories-1",
	"random-histories-2",
	"control-storm",
	"http-hostile",
	"daemon",
	"fleet-servers",
	"packages/arm64",
	"week",
	"secrets",
	"store/redis-store.contract",
	"store/redis-lease",
	"once",
	"examples/npm-sdks",
	"status-page-browser",
	"config/group",
	"bench",
	"platform-crowd",
	"issuer/errcode",
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
