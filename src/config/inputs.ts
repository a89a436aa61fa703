/**
 * What a configuration was made from: files, modes and groups, so that an unchanged one
 * is not made again.
 */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Steps } from "../core/steps.ts";
import { disk, type Files, NotReadYet } from "./files.ts";

/** Takes something from outside: a file's text, its mode, a group's number. */
export interface Input {
	/** Throws what `take` throws. */
	<T>(take: (files: Files) => T): T;
	/** As that of `Files`. */
	lacksSome(): boolean;
}

/** Remembers nothing. */
export function inputFrom(files: Files): Input {
	return Object.assign(<T>(take: (files: Files) => T) => take(files), {
		lacksSome: files.lacksSome,
	});
}

/**
 * `make`, but it returns its last result while everything that it took from outside
 * is the same. So `make` must take things only by `input`. If it throws, nothing is
 * remembered, and it runs again at the next call. Throws `NotReadYet` if `files` lacks
 * something; then it has been asked for as much as was known to be needed.
 */
export function rememberInputs<T>(
	make: (input: Input) => Steps<T>,
): (files?: Files) => Steps<T> {
	let last:
		| { readonly result: T; readonly inputs: readonly Taken[] }
		| undefined;
	return function* (files = disk) {
		if (last !== undefined && (yield* areTakenAgain(last.inputs, files)))
			return last.result;
		refuseIfLacking(files);
		const inputs: Taken[] = [];
		const input = <T>(take: (files: Files) => T) => {
			const taken = take(files);
			inputs.push({ take, taken: withoutTexts(taken) });
			return taken;
		};
		const { lacksSome } = files;
		const result = yield* make(Object.assign(input, { lacksSome }));
		refuseIfLacking(files);
		last = { result, inputs };
		return result;
	};
}

/** Throws `NotReadYet`. */
export function refuseIfLacking(files: Pick<Files, "lacksSome">): void {
	if (files.lacksSome()) throw new NotReadYet();
}

/** What was taken, and how to take it again. */
interface Taken {
	readonly take: (files: Files) => unknown;
	readonly taken: unknown;
}

function* areTakenAgain(
	inputs: readonly Taken[],
	files: Files,
): Steps<boolean> {
	for (const one of inputs) {
		const isSame = isTakenAgain(one, files);
		// What is lacking is asked for in one go.
		if (!isSame && !files.lacksSome()) return false;
		yield;
	}
	return !files.lacksSome();
}

function isTakenAgain({ take, taken }: Taken, files: Files): boolean {
	try {
		return isDeepStrictEqual(withoutTexts(take(files)), taken);
	} catch {
		// `make` runs again, meets the same error and reports it.
		return false;
	}
}

/** Of a file of ten megabytes only the digest is kept. */
function withoutTexts(taken: unknown): unknown {
	if (typeof taken !== "object" || taken === null || !("text" in taken))
		return taken;
	const digest = createHash("sha256").update(String(taken.text)).digest("hex");
	return { ...taken, text: digest };
}
