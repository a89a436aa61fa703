/**
 * What a configuration was made from: files, modes and groups, so that an unchanged one
 * is not made again.
 */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Steps } from "./steps.ts";

/** Takes something from outside: a file's text, its mode, a group's number. Throws what `take` throws. */
export type Input = <T>(take: () => T) => T;

/**
 * `make`, but it returns its last result while everything that it took from outside
 * is the same. So `make` must take things only by `input`. If it throws, nothing is
 * remembered, and it runs again at the next call.
 */
export function rememberInputs<T>(
	make: (input: Input) => Steps<T>,
): () => Steps<T> {
	let last:
		| { readonly result: T; readonly inputs: readonly Taken[] }
		| undefined;
	return function* () {
		if (last !== undefined && (yield* areTakenAgain(last.inputs)))
			return last.result;
		const inputs: Taken[] = [];
		const result = yield* make((take) => {
			const taken = take();
			inputs.push({ take, taken: withoutTexts(taken) });
			return taken;
		});
		last = { result, inputs };
		return result;
	};
}

/** What was taken, and how to take it again. */
interface Taken {
	readonly take: () => unknown;
	readonly taken: unknown;
}

function* areTakenAgain(inputs: readonly Taken[]): Steps<boolean> {
	for (const one of inputs) {
		if (!isTakenAgain(one)) return false;
		yield;
	}
	return true;
}

function isTakenAgain({ take, taken }: Taken): boolean {
	try {
		return isDeepStrictEqual(withoutTexts(take()), taken);
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
