/** What a program wrote to a terminal, as SVG. */

const cell = { width: 8.4, height: 19 };
const margin = 18;

/** The colours of a terminal, by their numbers in SGR sequences. */
const colours: Readonly<Record<string, string>> = {
	"31": "#ff8f87",
	"32": "#6fdba6",
	"33": "#f2c068",
	"34": "#86b4ff",
	"36": "#7fd4e0",
	"90": "#8b9a91",
};

/** Text with SGR sequences; others are left out. */
export function terminalPicture(text: string): string {
	const lines = text.replaceAll("\r", "").trimEnd().split("\n");
	const longest = Math.max(...lines.map((line) => widthOf(plain(line))));
	const width = Math.ceil(longest * cell.width + 2 * margin);
	const height = Math.ceil(lines.length * cell.height + 2 * margin);
	const rows = lines.map((line, index) => {
		const y = margin + (index + 0.75) * cell.height;
		return `<text y="${y.toFixed(1)}">${spansOf(line).join("")}</text>`;
	});
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="wxtokend status on a terminal">
<rect width="100%" height="100%" rx="10" fill="#121815"/>
<g fill="#dfe8e2" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace" font-size="14" xml:space="preserve">
${rows.join("\n")}
</g>
</svg>
`;
}

function plain(line: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one.
	return line.replace(/\x1b\[[\d;]*[A-Za-z]/g, "");
}

/** Each run of one colour at its column, so that fonts of another width do no harm. */
function spansOf(line: string): readonly string[] {
	const spans: string[] = [];
	let style = "";
	let column = 0;
	// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one.
	for (const part of line.split(/(\x1b\[[\d;]*[A-Za-z])/)) {
		if (part.startsWith("\x1b[")) {
			if (part.endsWith("m")) style = styleOf(part.slice(2, -1), style);
			continue;
		}
		if (part.trim() !== "") {
			const lead = part.length - part.trimStart().length;
			const x = margin + (column + lead) * cell.width;
			const shown = part.trim();
			const length = widthOf(shown) * cell.width;
			spans.push(
				`<tspan x="${x.toFixed(1)}" textLength="${length.toFixed(1)}"${style}>${escaped(shown)}</tspan>`,
			);
		}
		column += widthOf(part);
	}
	return spans;
}

function styleOf(codes: string, before: string): string {
	return codes.split(";").reduce((style, code) => {
		if (code === "" || code === "0") return "";
		if (code === "1") return `${style} font-weight="700"`;
		if (code === "2") return `${style} opacity=".65"`;
		const fill = colours[code];
		return fill === undefined ? style : `${style} fill="${fill}"`;
	}, before);
}

/** In columns: a Chinese character takes two. */
function widthOf(text: string): number {
	return [...text].reduce(
		(sum, one) =>
			sum +
			(/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/.test(
				one,
			)
				? 2
				: 1),
		0,
	);
}

function escaped(text: string): string {
	return (
		text
			.replaceAll("&", "&amp;")
			.replaceAll("<", "&lt;")
			.replaceAll(">", "&gt;")
			// SVG makes one blank of many.
			.replaceAll(" ", "\u00a0")
	);
}
