/**
 * wxtokend without a process of its own: the same command line, command and explanation,
 * without the quarter of a second of CPU time that a start takes. For tests with many
 * cases; those about the process itself (user, umask, pipes, time zone) start it.
 */

import { expect } from "vitest";
import { explain } from "../../src/cli/explain.ts";
import { dispatch } from "../../src/cli/main.ts";
import { leaksIn } from "./leaks.ts";
import { type Finished, programEnvironment } from "./program.ts";

/** `wxtokend check WORDS…`, as by `wxtokendHere`. */
export function checkHere(
	words: readonly string[] = [],
	env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
	return wxtokendHere(["check", ...words], env);
}

/**
 * What it said, and the code that it would end with. One at a time: it takes over
 * `process.env`, stdout and stderr. Neither `run` nor what reads stdin.
 */
export async function wxtokendHere(
	argv: readonly string[],
	env: Readonly<Record<string, string>> = {},
): Promise<Finished> {
	const stdout = takeOver(process.stdout);
	const stderr = takeOver(process.stderr);
	const before = process.env;
	process.env = programEnvironment(env);
	let code: number;
	try {
		code = await dispatch(argv);
	} catch (error) {
		code = explain(error);
	} finally {
		process.env = before;
		stdout.giveBack();
		stderr.giveBack();
	}
	const said = { stdout: stdout.text(), stderr: stderr.text() };
	expect(leaksIn(said.stdout + said.stderr, true), "leaks").toEqual([]);
	return { code, signal: null, ...said };
}

function takeOver(stream: NodeJS.WriteStream) {
	const { write } = stream;
	let text = "";
	stream.write = (chunk: unknown) => {
		text += String(chunk);
		return true;
	};
	return {
		text: () => text,
		giveBack: () => {
			stream.write = write;
		},
	};
}
