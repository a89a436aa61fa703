// The issuer of the bench: answers GET /cgi-bin/token as fast as Node.js can, on
// a bare socket, so that it is never what is measured. A process of its own.
//
//   node bench/issuer.mjs [--latency MS] [--idle MS] [--lifetime S]
//
// prints its port. `GET /bench/seen` tells how many tokens were asked for, and
// when the first and the last one (ms on the system's monotonic clock);
// `/bench/forget` starts to count anew. Any other path is a token server that an
// app might ask instead of a file.
import { createServer } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({
	options: {
		latency: { type: "string", default: "0" },
		idle: { type: "string", default: "60000" },
		lifetime: { type: "string", default: "7200" },
	},
});
const latencyMs = Number(values.latency);
const lifetime = Number(values.lifetime);
let seen = { count: 0, firstAt: 0, lastAt: 0, most: 0 };
let under = 0;

const server = createServer((socket) => {
	socket.setNoDelay(true);
	socket.setTimeout(Number(values.idle), () => socket.destroy());
	socket.on("error", () => {});
	let text = "";
	socket.on("data", (bytes) => {
		text += bytes.toString("latin1");
		for (let end = text.indexOf("\r\n\r\n"); end >= 0; ) {
			answer(socket, text.slice(0, text.indexOf("\r\n")));
			text = text.slice(end + 4);
			end = text.indexOf("\r\n\r\n");
		}
	});
});

server.listen(0, "127.0.0.1", () => {
	process.stdout.write(`${server.address().port}\n`);
});
process.on("disconnect", () => process.exit());

function answer(socket, line) {
	if (line.startsWith("GET /cgi-bin/token?")) {
		seen.count += 1;
		seen.lastAt = Number(process.hrtime.bigint()) / 1e6;
		seen.firstAt ||= seen.lastAt;
		under += 1;
		seen.most = Math.max(seen.most, under);
		const give = () => {
			under -= 1;
			send(socket, tokenBody());
		};
		if (latencyMs > 0) setTimeout(give, latencyMs);
		else give();
	} else if (line.startsWith("GET /bench/seen")) {
		send(socket, JSON.stringify(seen));
	} else if (line.startsWith("GET /bench/forget")) {
		send(socket, "{}");
		seen = { count: 0, firstAt: 0, lastAt: 0, most: 0 };
	} else {
		send(socket, kept);
	}
}

function tokenBody() {
	return `{"access_token":"${newToken()}","expires_in":${lifetime}}`;
}

/** As long as WeChat's, 136 characters, and each one new. */
function newToken() {
	let text = `${process.pid}_${seen.count}_`;
	while (text.length < 136) text += Math.random().toString(36).slice(2);
	return text.slice(0, 136);
}

const kept = `{"value":"${newToken()}","expire":${Math.floor(Date.now() / 1000) + lifetime}}`;

function send(socket, body) {
	if (socket.destroyed) return;
	const date = new Date().toUTCString();
	socket.write(
		`HTTP/1.1 200 OK\r\nDate: ${date}\r\nContent-Type: application/json\r\nConnection: keep-alive\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
	);
}
