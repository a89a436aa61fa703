/**
 * What is wrong with a text that is not TOML, in the words of who wrote it, and the line
 * of each key. No value is ever quoted: it may be a secret.
 */

/** What an input method for Chinese writes in place of TOML's own characters. */
const meant: Readonly<Record<string, string>> = {
	"“": '"',
	"”": '"',
	"„": '"',
	"‘": "'",
	"’": "'",
	"【": "[",
	"】": "]",
	"、": ",",
	"。": ".",
	"—": "-",
};

/** A full-width form is so far behind its ASCII character. */
const fullWidthOffset = 0xfee0;

/**
 * The cause, if it is the encoding or a character of another keyboard; `line`: where the
 * parser stopped, from 1. Undefined: the parser's own words must do.
 */
export function causeIn(text: string, line: number): string | undefined {
	const encoding = encodingProblem(text);
	if (encoding !== undefined) return encoding;
	const lines = text.split("\n");
	// A quote that is never closed is noticed in a later line.
	for (let at = line; at > 0; at -= 1) {
		const cause = strangerIn(lines[at - 1] ?? "");
		if (cause !== undefined) return at === line ? cause : `line ${at} ${cause}`;
	}
	return undefined;
}

/** What to write instead of a line that is almost TOML; "" if nothing is known. */
export function remedyFor(line: string): string {
	if (/^\s*\[\[[\w.-]+\]?\s*$/.test(line))
		return "; expected two brackets at each end: [[account]]";
	if (/^\s*mode\s*=/.test(line)) return '; modes are strings: mode = "0640"';
	if (/^\s*[\w-]+\s*:/.test(line)) return '; expected key = "value"';
	return /=\s*(?!(?:true|false|inf|nan)\b)[A-Za-z/_]/.test(line)
		? '; text stands in quotes: key = "value"'
		: "";
}

/** If it cannot be UTF-8. */
export function encodingProblem(text: string): string | undefined {
	if (
		text.startsWith("\ufffd\ufffd") ||
		/^(\0[^\0]|[^\0]\0)[^\0]?\0/.test(text)
	)
		return 'the file is UTF-16 ("Unicode" in editors of Windows); expected UTF-8: save it again with this encoding';
	return text.includes("\ufffd")
		? "the file is not UTF-8 (perhaps GBK); expected UTF-8: save it again with this encoding"
		: undefined;
}

/** The first character outside quotes and comments that only looks like TOML's. */
function strangerIn(line: string): string | undefined {
	const bare = line.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, '""').split("#")[0];
	for (const character of bare ?? "") {
		const code = character.codePointAt(0) ?? 0;
		const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
		const isForm = code > 0xff00 && code < 0xff5f;
		const ascii = isForm
			? String.fromCharCode(code - fullWidthOffset)
			: meant[character];
		if (ascii !== undefined)
			return `holds ${character} (${name}), a full-width character or quote; expected ${ascii} (switch the input method to English)`;
		if (/[\u00a0\u2000-\u200f\u3000\ufeff]/.test(character))
			return `holds an invisible character (${name}); expected a plain blank, or none`;
	}
	return undefined;
}

/** The line of a key, from 1, by its path such as `account[0].appid`; of its table, if it has none. */
export function lineFinder(text: string): (path: string) => number | undefined {
	const lines = new Map<string, number>();
	const counts = new Map<string, number>();
	let table = "";
	for (const [index, line] of text.split("\n").entries()) {
		const [, many] = /^\s*\[\[\s*([\w-]+)\s*\]\]/.exec(line) ?? [];
		const [, one] = /^\s*\[\s*([\w.-]+)\s*\]/.exec(line) ?? [];
		const [, key] = /^\s*["']?([\w.-]+)["']?\s*=/.exec(line) ?? [];
		if (many !== undefined) {
			const count = counts.get(many) ?? 0;
			counts.set(many, count + 1);
			table = `${many}[${count}]`;
			lines.set(table, index + 1);
		} else if (one !== undefined) {
			table = one;
			lines.set(table, index + 1);
		} else if (key !== undefined) {
			const path = table === "" ? key : `${table}.${key}`;
			if (!lines.has(path)) lines.set(path, index + 1);
		}
	}
	return (path) => {
		for (let part = path; part !== ""; part = parentOf(part)) {
			const line = lines.get(part);
			if (line !== undefined) return line;
		}
		return undefined;
	};
}

/** Shorter each time, whatever stands in a quoted key. */
function parentOf(path: string): string {
	return path.slice(
		0,
		Math.max(0, path.lastIndexOf("."), path.lastIndexOf("[")),
	);
}

/** The known name that was probably meant by a wrong one. */
export function nearestName(
	wrong: string,
	known: readonly string[],
): string | undefined {
	const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z]/g, "");
	const distances = known.map((name) => ({
		name,
		distance: distanceOf(plain(wrong), plain(name)),
	}));
	const [best] = distances.sort((one, other) => one.distance - other.distance);
	const limit = wrong.length > 5 ? 2 : 1;
	return best !== undefined && best.distance <= limit ? best.name : undefined;
}

/** How many letters must be changed, added, left out, or swapped with their neighbour. */
function distanceOf(one: string, other: string): number {
	if (Math.abs(one.length - other.length) > 2) return 3;
	let [beforeLast, last]: (readonly number[])[] = [
		[],
		Array.from({ length: other.length + 1 }, (_, index) => index),
	];
	for (let row = 1; row <= one.length; row += 1) {
		const present = [row];
		for (let column = 1; column <= other.length; column += 1) {
			const isSame = one[row - 1] === other[column - 1];
			const isSwap =
				one[row - 1] === other[column - 2] &&
				one[row - 2] === other[column - 1];
			present[column] = Math.min(
				(present[column - 1] ?? 0) + 1,
				(last?.[column] ?? 0) + 1,
				(last?.[column - 1] ?? 0) + (isSame ? 0 : 1),
				isSwap ? (beforeLast?.[column - 2] ?? 9) + 1 : 9,
			);
		}
		[beforeLast, last] = [last ?? [], present];
	}
	return last?.[other.length] ?? 0;
}
