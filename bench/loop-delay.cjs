// Loaded before the program (`node --require`): tells how long its event loop
// was ever held up. At SIGUSR2 it writes the longest delay since the last time,
// in milliseconds, to the file that BENCH_LOOP_DELAY names.
const { renameSync, writeFileSync } = require("node:fs");
const { monitorEventLoopDelay } = require("node:perf_hooks");

const resolutionMs = 5;
const file = process.env.BENCH_LOOP_DELAY;
const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
histogram.enable();

process.on("SIGUSR2", () => {
	// A sample is the time from one timer to the next.
	const longestMs = Math.max(0, histogram.max / 1e6 - resolutionMs);
	histogram.reset();
	writeFileSync(`${file}.tmp`, `${longestMs}\n`);
	renameSync(`${file}.tmp`, file);
});
