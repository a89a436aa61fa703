// The bare loop again, with what keeps a token safe: a lock for each file, an intent that
// is on the disk before WeChat is asked, a connection of its own for each request, a draft
// that is reserved before, a record of the publication, and both looks at the lock. It
// decides nothing, logs nothing, and knows nothing of limits, failures or other processes.
//
//   node bench/bare/safe-renewals.mjs URL DIRECTORY COUNT CONCURRENCY
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { renewAll } from "./loop.mjs";

const [url, directory, count, concurrency] = process.argv.slice(2);
const { hostname, port, pathname, search, host } = new URL(url);
const fsync = promisify(fs.fsync);
// What lies in memory needs no sync.
const isInMemory = fs.statfsSync(directory).type === 0x01021994;
const sync = async (file) => {
	if (!isInMemory) await fsync(file);
};
const folder = fs.openSync(directory, "r");
/** One sync of the directory for all that wait for one. */
let syncing;

await renewAll(Number(count), Number(concurrency), renew);

async function renew(index) {
	const name = `wx_access_token_${index}`;
	const path = `${directory}/${name}`;
	const recordPath = `${directory}/.${name}.state`;
	const lock = `${path}.lock`;
	fs.mkdirSync(lock);
	const made = fs.lstatSync(lock, { bigint: true });
	const former = read(path);
	const record = fs.openSync(recordPath, "a+", 0o600);
	const { size } = fs.fstatSync(record);
	const text = size > 0 ? fs.readFileSync(record, "utf8") : "";
	const calls = (text === "" ? [] : JSON.parse(text.split("\n").at(-1)).calls)
		.concat(Date.now())
		.slice(-60);
	if (size > 2_048) fs.ftruncateSync(record);
	const write = (fields) =>
		fs.writeSync(record, `\n${JSON.stringify({ calls, ...fields })}`);

	const temporary = `${directory}/.${name}.${randomUUID().slice(24)}.tmp`;
	const draft = fs.openSync(temporary, "wx", 0o600);
	fs.fstatSync(draft);
	fs.writeSync(draft, "\n", 0);
	write({ by: process.pid, lock: String(made.ino), at: Date.now() });
	// Without a former token a lost intent does no harm.
	if (former !== undefined) await sync(record);

	const requestedAt = Date.now();
	const { access_token: value, expires_in: lifetime } = JSON.parse(await ask());
	const expire = Math.floor(requestedAt / 1000) + lifetime;
	mustBe(lock, made);
	write({ published: { value: value.slice(0, 16), expire }, at: Date.now() });
	fs.closeSync(record);
	fs.writeSync(draft, `${JSON.stringify({ value, expire })}\n`, 0);
	fs.fstatSync(draft);
	await sync(draft);
	fs.closeSync(draft);
	mustBe(lock, made);
	fs.renameSync(temporary, path);
	await syncNames();
	fs.rmdirSync(lock);
}

function read(path) {
	if (fs.lstatSync(path, { throwIfNoEntry: false }) === undefined)
		return undefined;
	return JSON.parse(fs.readFileSync(path, "utf8"));
}

function mustBe(lock, made) {
	const found = fs.lstatSync(lock, { bigint: true });
	if (found.ino !== made.ino) throw new Error(`${lock} is another's`);
}

function syncNames() {
	if (isInMemory) return undefined;
	syncing ??= nextTurn().then(() => {
		syncing = undefined;
		return fsync(folder);
	});
	return syncing;
}

async function ask() {
	const socket = connect({ host: hostname, port: Number(port) });
	await new Promise((resolve, reject) => {
		socket.once("connect", resolve);
		socket.once("error", reject);
	});
	// What a server says before it is asked belongs to another request.
	await nextTurn();
	await nextTurn();
	if (socket.readableLength > 0) throw new Error("unasked");
	return new Promise((resolve, reject) => {
		const asked = request({
			path: pathname + search,
			headers: { host, connection: "close" },
			createConnection: () => socket,
		});
		asked.once("error", reject);
		asked.once("response", (response) => {
			let text = "";
			response.setEncoding("utf8");
			response.on("data", (chunk) => {
				text += chunk;
			});
			response.once("end", () => {
				socket.destroy();
				resolve(text);
			});
		});
		asked.end();
	});
}
