import { readFileSync, statSync } from "node:fs";

/**
 * Throws what Node.js throws, and an error of the code `fifo` for a named pipe: it
 * would hold up everything until somebody writes. What a shell hands over
 * (`--config <(…)`) has an end, and is read.
 */
export function readText(path: string): string {
	const isHandedOver = /^\/(dev|proc)\//.test(path);
	if (!isHandedOver && statSync(path).isFIFO())
		throw Object.assign(new Error("fifo"), { code: "fifo" });
	return readFileSync(path, "utf8");
}
