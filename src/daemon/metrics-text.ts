/** Prometheus' text format 0.0.4. */

/** A metric, with the samples of all its labels. */
export interface Family {
	/** With the unit at its end, as Prometheus wants it. */
	readonly name: string;
	readonly type: "counter" | "gauge";
	/** One sentence for a person. */
	readonly help: string;
}

/** HELP and TYPE, which come before the first sample. */
export function headOf({ name, type, help }: Family): string {
	return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
}

/** `label="text",…` of any texts; the labels of a sample must be its own. */
export function labelsOf(labels: Readonly<Record<string, string>>): string {
	return Object.entries(labels)
		.map(([label, text]) => `${label}="${labelText(text)}"`)
		.join(",");
}

/** Any text as the value of a label, without the quotes around it. */
export function labelText(text: string): string {
	// A quote would end it; in a help text that means nothing.
	return /["\\\n]/.test(text) ? escaped(text).replaceAll('"', '\\"') : text;
}

/** `labels`: as `labelsOf` gives them. */
export function sampleOf(name: string, labels: string, value: number): string {
	return `${name}{${labels}} ${value}\n`;
}

function escaped(text: string): string {
	return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
