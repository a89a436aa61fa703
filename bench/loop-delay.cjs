// Loaded before the program (`node --require`): tells how long its event loop
// was ever held up. At SIGUSR2 it writes the longest delay since the last time,
// in milliseconds, to the file that BENCH_LOOP_DELAY names. It counts from here,
// as a histogram of Node's would miss what comes before the loop's first turn.
const { renameSync, writeFileSync } = require("node:fs");

const everyMs = 2;
const file = process.env.BENCH_LOOP_DELAY;
let lookedAt = performance.now();
let longestMs = 0;

setInterval(look, everyMs).unref();

function look() {
	const now = performance.now();
	longestMs = Math.max(longestMs, now - lookedAt - everyMs);
	lookedAt = now;
}

process.on("SIGUSR2", () => {
	look();
	writeFileSync(`${file}.tmp`, `${longestMs}\n`);
	longestMs = 0;
	renameSync(`${file}.tmp`, file);
});
