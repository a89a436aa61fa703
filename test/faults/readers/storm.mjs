// Reads token files as fast as it can, until told to stop; tells what it found.
import { existsSync, readFileSync } from "node:fs";

const [, , stop, ...paths] = process.argv;
const found = { reads: 0, missing: 0, empty: 0, torn: 0, back: 0, changes: 0 };
const last = new Map();

function read(path) {
	found.reads += 1;
	let text;
	try {
		text = readFileSync(path, "utf8");
	} catch {
		found.missing += 1;
		return;
	}
	if (text === "") {
		found.empty += 1;
		return;
	}
	let token;
	try {
		token = JSON.parse(text);
	} catch {}
	const whole =
		token !== undefined &&
		text.endsWith("}\n") &&
		Object.keys(token).join() === "value,expire" &&
		token.value.length === 136 &&
		Number.isInteger(token.expire);
	if (!whole) {
		found.torn += 1;
		return;
	}
	const before = last.get(path);
	if (before !== undefined && before.value !== token.value) {
		found.changes += 1;
		if (token.expire < before.expire) found.back += 1;
	}
	last.set(path, token);
}

for (let round = 1; ; round++) {
	for (const path of paths) read(path);
	if (round % 100 !== 0) continue;
	const end = existsSync(stop);
	process.stdout.write(`${JSON.stringify({ ...found, end })}\n`);
	if (end) break;
}
