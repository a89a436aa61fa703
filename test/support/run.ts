/** Other programs, awaited: a long synchronous call would make the test runner take us for dead. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

/** What it wrote to stdout, once it has ended with 0. Else an error with what it wrote to stderr. */
export async function run(
	command: string,
	words: readonly string[],
): Promise<string> {
	const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
	const ended = new Promise<number | null>((resolve) => {
		child.once("close", resolve);
	});
	const [out, error] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
	]);
	const code = await ended;
	if (code !== 0) throw new Error(`${command} ended with ${code}: ${error}`);
	return out;
}
