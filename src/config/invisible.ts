/** Characters that nobody sees in a value: they come from Windows line ends, editors and web pages. */

/** Named as an editor can search for it. */
const names: Readonly<Record<string, string>> = {
	"\t": "tab",
	"\n": "line feed",
	"\r": "carriage return",
	" ": "blank",
	"\u00a0": "no-break space",
	"\u200b": "zero width space",
	"\u3000": "full-width blank",
	"\ufeff": "byte order mark",
};

const invisible =
	/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** Nearly every value: an appid, a path, a URL. */
const isPlain = /^[\x21-\x7e]*$/;

/**
 * The first character that cannot be seen, and where: `U+000D (carriage return) at the
 * end`. A plain blank counts at the ends only. Undefined: there is none.
 */
export function invisibleIn(text: string): string | undefined {
	if (isPlain.test(text)) return undefined;
	const characters = [...text];
	const last = characters.length - 1;
	const isEnd = (index: number) => index === 0 || index === last;
	const index = characters.findIndex(
		(character, at) =>
			invisible.test(character) || (character === " " && isEnd(at)),
	);
	const character = characters[index];
	if (character === undefined) return undefined;
	const where =
		index === last
			? "at the end"
			: index === 0
				? "at the beginning"
				: `as its character ${index + 1}`;
	return `${inWords(character)} ${where}`;
}

function inWords(character: string): string {
	const code = character.codePointAt(0) ?? 0;
	const hex = code.toString(16).toUpperCase().padStart(4, "0");
	const name = names[character];
	return name === undefined ? `U+${hex}` : `U+${hex} (${name})`;
}

/** The text with each of them as `\u{200B}`, for messages. */
export function escapeInvisible(text: string): string {
	return [...text]
		.map((character) =>
			invisible.test(character)
				? `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`
				: character,
		)
		.join("");
}

/** What a problem says of such a value, which is not shown: nobody would see it. */
export function messageOf(odd: string): string {
	return `holds ${odd}, which nobody sees; expected the value without it`;
}
