// What a start with many valid files cannot do without, and nothing beyond: the names
// from the configuration, and of each file a look for a record beside it, then the file
// itself, opened without following a link, checked, read and held; and the directory is
// watched.
//
//   node bench/bare/takeover.mjs CONFIG
import { hash } from "node:crypto";
import fs from "node:fs";
import { parse } from "smol-toml";

const { directory, account } = parse(fs.readFileSync(process.argv[2], "utf8"));
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
const held = new Map();
const touched = new Set();
fs.watch(directory, (_event, name) => touched.add(name));

for (const { appid } of account) takeOver(`wx_access_token_${appid}`);
process.stderr.write(`{"event":"daemon.ready","held":${held.size}}\n`);

function takeOver(name) {
	const record = fs.lstatSync(`${directory}/.${name}.state`, {
		throwIfNoEntry: false,
	});
	const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
	const file = fs.openSync(`${directory}/${name}`, flags);
	const seen = fs.fstatSync(file);
	const text = fs.readFileSync(file, "utf8");
	fs.closeSync(file);
	const { value, expire } = JSON.parse(text);
	if (record !== undefined || !seen.isFile() || seen.uid !== process.getuid())
		throw new Error(`${name} is not as it was written`);
	const id = hash("sha256", value).slice(0, 16);
	held.set(name, { value, id, expiresAt: expire * 1000, seen });
}
