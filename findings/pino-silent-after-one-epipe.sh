#!/bin/sh
# pino 10.4.0: after one EPIPE a destination writes nothing any more, though there is a
# reader again.
#
# A program that logs into a named pipe (for svlogd, a collector, a sidecar) loses the lines
# while the reader is restarted; one would guess that it goes on when the reader is back, as
# the file is still open and a write(2) works again. But at the first EPIPE pino replaces
# the `write`, `end` and `flushSync` of that destination by functions that do nothing. There
# is no error, no event and no line, until the program is started anew: the alarm on its
# lines is dead, and the program looks healthy.
#
# Seen: `pino: one; write(2): one, three`, where the reader is away at "two". (In the code:
# filterBrokenPipe in lib/tools.js.)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund pino@10.4.0
mkfifo pipe
cat >look.mjs <<'END'
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { pino } from "pino";
const open = (how) => openSync("pipe", how | constants.O_NONBLOCK);
/** What a reader gets of "one", "two", "three", if it is away at "two". */
const read = (makeLog) => {
	let reader = open(constants.O_RDONLY);
	const writer = open(constants.O_WRONLY);
	const log = makeLog(writer);
	const got = [];
	const take = () => {
		const room = Buffer.alloc(1000);
		try {
			const lines = String(room.subarray(0, readSync(reader, room))).trim().split("\n");
			got.push(...lines.map((line) => JSON.parse(line).msg));
		} catch (error) {
			if (error.code !== "EAGAIN") throw error;
		}
	};
	log("one");
	take();
	closeSync(reader);
	log("two");
	reader = open(constants.O_RDONLY);
	log("three");
	take();
	closeSync(reader);
	closeSync(writer);
	return got.join(", ");
};
const byPino = read((dest) => {
	const logger = pino({ base: null, timestamp: false }, pino.destination({ dest, sync: true }));
	return (text) => logger.info(text);
});
const byWrite = read((file) => (text) => {
	try {
		writeSync(file, `{"msg":"${text}"}\n`);
	} catch (error) {
		if (error.code !== "EPIPE") throw error;
	}
});
console.log(`pino: ${byPino}; write(2): ${byWrite}`);
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "pino: one; write(2): one, three" ]
