// Loaded before the program (`node --require`): tells how long its event loop
// was ever held up. At SIGUSR2 it writes the longest delay since the last time,
// in milliseconds, to the file that BENCH_LOOP_DELAY names. It counts from here,
// as a histogram of Node's would miss what comes before the loop's first turn.
// What it waited for a processor that others had does not count: that says how
// busy the machine is, and not what the program does.
const { openSync, readSync, renameSync, writeFileSync } = require("node:fs");

const everyMs = 2;
const file = process.env.BENCH_LOOP_DELAY;
const schedule = openSync("/proc/thread-self/schedstat", "r");
const text = Buffer.alloc(100);
let lookedAt = performance.now();
let waitedMs = waited();
let longestMs = 0;

setInterval(look, everyMs).unref();

/** Milliseconds that this thread could have run, and did not, since its start. */
function waited() {
	const length = readSync(schedule, text, 0, text.length, 0);
	return Number(text.toString("latin1", 0, length).split(" ")[1]) / 1e6;
}

function look() {
	const now = performance.now();
	const waitedNow = waited();
	const heldMs = now - lookedAt - everyMs - (waitedNow - waitedMs);
	longestMs = Math.max(longestMs, heldMs);
	lookedAt = now;
	waitedMs = waitedNow;
}

process.on("SIGUSR2", () => {
	look();
	writeFileSync(`${file}.tmp`, `${longestMs}\n`);
	longestMs = 0;
	renameSync(`${file}.tmp`, file);
});
