/**
 * Reads the XML of WeChat's pushes: one element `xml` with flat children, whose values
 * are plain text or CDATA.
 *
 * A scanner of its own, because the language is so small. A parser for all of XML brings
 * document types, entities and namespaces along; each of them has been a hole in somebody's
 * receiver, and none occurs in a push. This one goes forward only, keeps nothing but what
 * it returns, and decodes no entity.
 */

/** The children by name. Of two with the same name the first one counts. */
export type PushFields = ReadonlyMap<string, string>;

/** More children than that has no push that is known: the largest has some twenty. */
const maxFields = 200;

const name = /[A-Za-z_][A-Za-z0-9_.-]*/y;
const blanks = /[ \t\r\n]*/y;
const cdata = "<![CDATA[";

/**
 * The values without blanks around them. A child that has children of its own, as events
 * for other programs have, is given as its text. Undefined: that is no such XML. Never throws.
 */
export function readPushXml(text: string): PushFields | undefined {
	const fields = new Map<string, string>();
	let at = afterBlanks(text, text.startsWith("\uFEFF") ? 1 : 0);
	if (text.startsWith("<?xml", at)) {
		const end = text.indexOf("?>", at);
		if (end < 0) return undefined;
		at = afterBlanks(text, end + 2);
	}
	if (!text.startsWith("<xml>", at)) return undefined;
	at = afterBlanks(text, at + "<xml>".length);
	while (fields.size < maxFields) {
		// An official example is closed by `<xml>`.
		if (text.startsWith("</xml>", at) || text.startsWith("<xml>", at))
			return fields;
		const child = childAt(text, at);
		if (child === undefined) return undefined;
		if (!fields.has(child.name)) fields.set(child.name, child.value);
		at = afterBlanks(text, child.end);
	}
	return undefined;
}

interface Child {
	readonly name: string;
	readonly value: string;
	/** The index behind it. */
	readonly end: number;
}

function childAt(text: string, at: number): Child | undefined {
	if (text[at] !== "<") return undefined;
	name.lastIndex = at + 1;
	const [tag] = name.exec(text) ?? [];
	if (tag === undefined || text[at + 1 + tag.length] !== ">") return undefined;
	const start = afterBlanks(text, at + tag.length + 2);
	const closing = `</${tag}>`;
	if (text.startsWith(cdata, start)) {
		const end = text.indexOf("]]>", start);
		if (end < 0) return undefined;
		const behind = afterBlanks(text, end + "]]>".length);
		if (!text.startsWith(closing, behind)) return undefined;
		const value = text.slice(start + cdata.length, end).trim();
		return { name: tag, value, end: behind + closing.length };
	}
	const end = text.indexOf(closing, start);
	if (end < 0) return undefined;
	const value = text.slice(start, end).trim();
	return { name: tag, value, end: end + closing.length };
}

function afterBlanks(text: string, at: number): number {
	blanks.lastIndex = at;
	blanks.test(text);
	return blanks.lastIndex;
}
