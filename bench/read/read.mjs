// Each line "WAY COUNT" on stdin: reads the token so often in that way; answers with microseconds per read.
import assert from "node:assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { openWxtokend } from "../../examples/node/wxtokend.mjs";

const { WXTOKEND_DIRECTORY, BENCH_APPID, BENCH_REDIS, BENCH_SERVER } =
	process.env;
const file = `${WXTOKEND_DIRECTORY}/wx_access_token_${BENCH_APPID}`;

const openings = {
	reader: () => openWxtokend(BENCH_APPID).token,

	bare: () => () => JSON.parse(readFileSync(file, "utf8")).value,

	async redis() {
		const connection = connect(Number(BENCH_REDIS), "127.0.0.1");
		connection.setNoDelay(true);
		await once(connection, "connect");
		let answer = "";
		let answered;
		connection.on("data", (bytes) => {
			answer += bytes;
			if (answer.split("\r\n").length > 2) answered(answer.split("\r\n")[1]);
		});
		return async () => {
			answer = "";
			const got = new Promise((resolve) => {
				answered = resolve;
			});
			connection.write("*2\r\n$3\r\nGET\r\n$5\r\ntoken\r\n");
			return JSON.parse(await got).value;
		};
	},

	server() {
		const agent = new Agent({ keepAlive: true });
		const to = { host: "127.0.0.1", port: BENCH_SERVER, path: "/token", agent };
		return async () => {
			const asked = request(to).end();
			const [answer] = await once(asked, "response");
			return JSON.parse(await text(answer)).value;
		};
	},
};

const ways = new Map();
for await (const line of createInterface({ input: process.stdin })) {
	const [way, count] = line.split(" ");
	if (!ways.has(way)) ways.set(way, await openings[way]());
	const read = ways.get(way);
	const answer = read();
	assert.equal((await answer).length, 136);
	const startedAt = performance.now();
	// An await is a good part of a read: only for those that need one.
	if (answer instanceof Promise)
		for (let i = 0; i < count; i += 1) await read();
	else for (let i = 0; i < count; i += 1) read();
	console.log(((performance.now() - startedAt) * 1000) / count);
}
