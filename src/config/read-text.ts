import {
	closeSync,
	constants,
	fstatSync,
	openSync,
	readSync,
	type Stats,
	statSync,
} from "node:fs";

export interface FoundText {
	readonly text: string;
	readonly mode: number;
}

/** Far more than ten thousand accounts need. */
const maxConfigBytes = 16 * 1_048_576;

/**
 * Throws what Node.js throws, and errors of the codes `fifo` (a named pipe, which would
 * hold up everything until somebody writes), `device`, `socket` and `large`. What a
 * shell hands over (`--config <(…)`) has an end, and is read.
 */
export function findText(path: string, maxBytes = maxConfigBytes): FoundText {
	const found = statSync(path);
	const isHandedOver = found.isFIFO() && /^\/(dev|proc)\//.test(path);
	if (!isHandedOver) refuse(found, maxBytes);
	// Something else may be in its place by now, and a pipe would be waited for.
	const flags = isHandedOver ? 0 : constants.O_NONBLOCK;
	const file = openSync(path, constants.O_RDONLY | flags);
	try {
		if (!isHandedOver) refuse(fstatSync(file), maxBytes);
		return { text: readBounded(file, maxBytes), mode: found.mode };
	} finally {
		closeSync(file);
	}
}

export function readText(path: string): string {
	return findText(path).text;
}

function refuse(found: Stats, maxBytes: number): void {
	if (found.isFIFO()) throw refused("fifo");
	if (found.isSocket()) throw refused("socket");
	if (found.isCharacterDevice() || found.isBlockDevice())
		throw refused("device");
	if (found.size > maxBytes) throw refused("large");
	// To read a directory is an error that says so.
}

function refused(code: string): Error {
	return Object.assign(new Error(code), { code });
}

/** What says that it is empty may be endless. */
function readBounded(file: number, maxBytes: number): string {
	const parts: Buffer[] = [];
	let bytes = 0;
	for (;;) {
		const part = Buffer.alloc(65_536);
		const read = readSync(file, part);
		if (read === 0) return Buffer.concat(parts).toString("utf8");
		bytes += read;
		if (bytes > maxBytes) throw refused("large");
		parts.push(part.subarray(0, read));
	}
}
