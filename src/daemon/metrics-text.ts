/** Prometheus' text format 0.0.4. */

/** A metric, with the samples of all its labels. */
export interface Family {
	/** With the unit at its end, as Prometheus wants it. */
	readonly name: string;
	readonly type: "counter" | "gauge";
	/** One sentence for a person. */
	readonly help: string;
}

/** One value of a family. */
export interface Sample {
	/** Label → value, of any text; the labels of a sample must be its own. */
	readonly labels: Readonly<Record<string, string>>;
	readonly value: number;
}

/** HELP, TYPE and one line for each sample. Empty without samples: a name alone says nothing. */
export function renderFamily(
	{ name, type, help }: Family,
	samples: readonly Sample[],
): string {
	if (samples.length === 0) return "";
	const head = `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
	return head + samples.map((sample) => lineOf(name, sample)).join("");
}

function lineOf(name: string, { labels, value }: Sample): string {
	// In a label a quote would end the value; in a help text it means nothing.
	const pairs = Object.entries(labels).map(
		([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`,
	);
	const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
	return `${name}${set} ${value}\n`;
}

function escaped(text: string): string {
	return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
