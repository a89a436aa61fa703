/** A process that does what it is told: a line on its stdin, a line on its stdout in return. */
import { createInterface } from "node:readline";
import type { Scale, StartOptions } from "./scene.ts";

export interface Told {
	/** Rejects if the process ends without an answer. */
	tell(line: string): Promise<string>;
	stop(): void;
}

export function startTold(
	scale: Scale,
	command: string,
	argv: readonly string[],
	options: StartOptions,
): Told {
	const child = scale.start(command, argv, options);
	const answers: string[] = [];
	let wake: (() => void) | undefined;
	let errors = "";
	child.stderr.on("data", (text) => {
		errors += text;
	});
	createInterface({ input: child.stdout }).on("line", (line) => {
		answers.push(line);
		wake?.();
	});
	let isGone = false;
	child.on("close", () => {
		isGone = true;
		wake?.();
	});
	return {
		async tell(line) {
			child.stdin.write(`${line}\n`);
			if (answers.length === 0 && !isGone)
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			const answer = answers.shift();
			if (answer === undefined)
				throw new Error(
					`${[command, ...argv].join(" ")} ended at "${line}": ${errors.trim()}`,
				);
			return answer;
		},
		stop: () => child.kill("SIGKILL"),
	};
}
