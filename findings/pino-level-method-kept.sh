#!/bin/sh
# pino 10.4.0: a level's method that was taken while the level was off stays off.
#
# `const { debug } = logger` or `logger.debug.bind(logger)` looks harmless, and works for
# `info`. But pino replaces the methods below the level by one that does nothing, and
# puts the real ones there when `level` is set. What was taken before goes on doing
# nothing, without a word, while `isLevelEnabled("debug")` says true.
#
# Seen: `taken: 0 lines, looked up: 1 line, enabled: true`. The remedy is to look the
# method up at each call.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund pino@10.4.0
cat >look.mjs <<'END'
import { pino } from "pino";
let lines = 0;
const logger = pino({ level: "info" }, { write: () => { lines += 1; } });
const taken = logger.debug.bind(logger);
logger.level = "debug";
taken("one");
const byTaken = lines;
logger.debug("two");
console.log(`taken: ${byTaken} lines, looked up: ${lines - byTaken} line, enabled: ${logger.isLevelEnabled("debug")}`);
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "taken: 0 lines, looked up: 1 line, enabled: true" ]
