import { readFileSync, statSync } from "node:fs";

export interface FoundText {
	readonly text: string;
	readonly mode: number;
}

/**
 * Throws what Node.js throws, and an error of the code `fifo` for a named pipe: it
 * would hold up everything until somebody writes. What a shell hands over
 * (`--config <(…)`) has an end, and is read.
 */
export function findText(path: string): FoundText {
	const found = statSync(path);
	if (found.isFIFO() && !/^\/(dev|proc)\//.test(path))
		throw Object.assign(new Error("fifo"), { code: "fifo" });
	return { text: readFileSync(path, "utf8"), mode: found.mode };
}

export function readText(path: string): string {
	return findText(path).text;
}
