#!/bin/sh
# node-cron 4.6.0: of day of month and day of week both must fit, in crontab one of them.
#
# `0 0 13 * 5` means in crontab(5): on each 13th, and on each Friday. node-cron runs it on
# a Friday the 13th only, once or twice a year. A line that is copied from a crontab then
# runs hardly ever, for example a job that renews a credential or rotates a key.
#
# Seen: `2027-08-13, 2028-10-13, 2029-04-13` after 2026-11-29; by crontab(5) the next ones
# were 2026-12-04, 2026-12-11, 2026-12-13.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node-cron@4.6.0
cat >look.mjs <<'END'
import { createTask } from "node-cron";
const RealDate = Date;
const now = RealDate.parse("2026-11-29T12:00:00Z");
globalThis.Date = class extends RealDate {
	constructor(...given) {
		super(...(given.length === 0 ? [now] : given));
	}
	static now() {
		return now;
	}
};
const task = createTask("0 0 13 * 5", () => {}, { timezone: "UTC" });
console.log(task.getNextRuns(3).map((at) => at.toISOString().slice(0, 10)).join(", "));
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "2027-08-13, 2028-10-13, 2029-04-13" ]
