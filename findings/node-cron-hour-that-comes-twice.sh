#!/bin/sh
# node-cron 4.6.0: where local time is set back, the next run of "every 5 seconds" is an
# hour away.
#
# `getNextRuns` goes through local times. In the hour that comes twice in autumn it
# steps over the second one: asked at the last slot of the first, it names the first
# slot after both. A program that sleeps until the next run sleeps for 3,605 s instead
# of 5 s. In spring, when the hour is left out, the gap is 5 s as it should be.
#
# Seen in America/New_York, 2026: `autumn: 3605 s, spring: 5 s`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node-cron@4.6.0
cat >look.mjs <<'END'
import { createTask } from "node-cron";
const RealDate = Date;
let now = 0;
globalThis.Date = class extends RealDate {
	constructor(...given) {
		super(...(given.length === 0 ? [now] : given));
	}
	static now() {
		return now;
	}
};
const task = createTask("*/5 * * * * *", () => {});
/** The longest wait for the next run, s, asked each 5 s for two hours around that instant. */
const longest = (change) => {
	let worst = 0;
	const at = RealDate.parse(change);
	for (now = at - 3_600_000; now < at + 3_600_000; now += 5_000)
		worst = Math.max(worst, task.getNextRuns(1)[0].getTime() - now);
	return worst / 1000;
};
console.log(`autumn: ${longest("2026-11-01T06:00:00Z")} s, spring: ${longest("2026-03-08T07:00:00Z")} s`);
END
seen=$(TZ=America/New_York node look.mjs)
echo "$seen"
[ "$seen" = "autumn: 3605 s, spring: 5 s" ]
