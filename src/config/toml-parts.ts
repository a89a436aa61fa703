/** TOML of thousands of tables, parsed some of them at a time. */
import { parse } from "smol-toml";
import type { Steps } from "../core/steps.ts";

type Content = Readonly<Record<string, unknown>>;

/** Characters that are parsed at a time, at least. */
const partLength = 16_384;

/** As `parse`, and with the same errors. */
export function* tomlInSteps(text: string): Steps<Content> {
	return (yield* joinedParts(text)) ?? parse(text);
}

/**
 * What the parts of the text say together. Undefined at any doubt whether they say the
 * same as the whole: most of all if one of them is wrong, as its error would name a wrong line.
 */
function* joinedParts(text: string): Steps<Content | undefined> {
	// Text in three quotes may have lines that look like tables.
	if (text.length < 2 * partLength || /"""|'''/.test(text)) return undefined;
	const joined: Record<string, unknown> = Object.create(null);
	const lists = new Map<string, unknown[]>();
	for (const { name, part } of partsOf(text)) {
		const content = parsed(part);
		if (content === undefined) return undefined;
		for (const [key, value] of Object.entries(content)) {
			const list = key === name ? lists.get(key) : undefined;
			if (list !== undefined)
				for (const one of value as unknown[]) list.push(one);
			else if (key in joined) return undefined;
			else {
				joined[key] = value;
				// Only what a header began may be continued by another one.
				if (key === name) lists.set(key, value as unknown[]);
			}
		}
		yield;
	}
	return joined;
}

/** `name`: of the table at the beginning, of which there may be several. */
function* partsOf(
	text: string,
): Generator<{ readonly name: string | undefined; readonly part: string }> {
	let begin = 0;
	let current: string | undefined;
	for (const { index, 1: name } of text.matchAll(
		/^\[\[(\w+)\]\][ \t]*\r?$/gm,
	)) {
		if (name === current && index - begin < partLength) continue;
		yield { name: current, part: text.slice(begin, index) };
		begin = index;
		current = name;
	}
	yield { name: current, part: text.slice(begin) };
}

function parsed(text: string): Content | undefined {
	try {
		return parse(text);
	} catch {
		return undefined;
	}
}
