#!/bin/sh
# proper-lockfile 4.1.2: two that find the same stale lock may both get it.
#
# A lock whose holder died is taken over after `stale` ms, and one would guess that of two
# who want it one gets it and the other waits: mkdir is atomic. But taking over is "remove,
# then make". Who saw that the lock is stale and removes it a moment later does not look
# again: it removes the new lock of the one who was faster, and makes its own. Neither gets
# an error, and both work until one of them touches its lock, by default 5 s later, and hears
# ECOMPROMISED. After a crash of a host or a restart of all workers this is just the
# moment when many find the same dead lock; two keepers then fetch a token each, and one of
# the two is dead.
#
# Seen: `got it: first, second; compromised 5 s later: one of them`. To show it each time,
# the `rmdir` of both wait for each other here, by the option `fs`; a busy machine does it too.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund proper-lockfile@4.1.2
cat >look.mjs <<'END'
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import lockfile from "proper-lockfile";
fs.writeFileSync("token", "");
// The lock of a holder that died a minute ago.
fs.mkdirSync("token.lock");
const then = new Date(Date.now() - 60_000);
fs.utimesSync("token.lock", then, then);
const got = [];
const compromised = [];
const take = async (name, rmdir) => {
	const onCompromised = ({ code }) => compromised.push(code);
	await lockfile.lock("token", { stale: 10_000, onCompromised, fs: { ...fs, rmdir } });
	got.push(name);
};
// Both have found the stale lock before one of them removes it.
let bothFound;
const found = new Promise((resolve) => {
	bothFound = resolve;
});
const first = take("first", (path, done) => found.then(() => fs.rmdir(path, done)));
await take("second", (path, done) => {
	bothFound();
	first.then(() => fs.rmdir(path, done));
});
for (let turns = 0; turns < 300 && compromised.length === 0; turns += 1) await sleep(100);
await sleep(1000);
const who = String(compromised) === "ECOMPROMISED" ? "one of them" : compromised.join();
console.log(`got it: ${got.join(", ")}; compromised 5 s later: ${who}`);
process.exit();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "got it: first, second; compromised 5 s later: one of them" ]
