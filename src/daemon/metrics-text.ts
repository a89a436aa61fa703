/** Prometheus' text format 0.0.4. */
export interface Family {
	readonly name: string;
	readonly type: "counter" | "gauge";
	readonly help: string;
}

export interface Sample {
	readonly labels: Readonly<Record<string, string>>;
	readonly value: number;
}

/** Empty if there are no samples: a family without any says nothing. */
export function renderFamily(
	{ name, type, help }: Family,
	samples: readonly Sample[],
): string {
	if (samples.length === 0) return "";
	const head = `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
	return head + samples.map((sample) => lineOf(name, sample)).join("");
}

function lineOf(name: string, { labels, value }: Sample): string {
	const pairs = Object.entries(labels).map(
		([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`,
	);
	const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
	return `${name}${set} ${value}\n`;
}

function escaped(text: string): string {
	return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
