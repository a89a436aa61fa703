/** Things that are made again only when what they were made from has changed. */
import { isDeepStrictEqual } from "node:util";

/** Takes something from outside: a file's text, its mode, a group's number. */
export type Input = <T>(take: () => T) => T;

/**
 * `make`, but with its last result if it would take all the same from outside
 * again; so it must take nothing but by `input`. What throws is not remembered.
 */
export function rememberInputs<T>(make: (input: Input) => T): () => T {
	let last:
		| { readonly result: T; readonly inputs: readonly Taken[] }
		| undefined;
	return () => {
		if (last?.inputs.every(isTakenAgain)) return last.result;
		const inputs: Taken[] = [];
		const result = make((take) => {
			const taken = take();
			inputs.push({ take, taken });
			return taken;
		});
		last = { result, inputs };
		return result;
	};
}

interface Taken {
	readonly take: () => unknown;
	readonly taken: unknown;
}

function isTakenAgain({ take, taken }: Taken): boolean {
	try {
		return isDeepStrictEqual(take(), taken);
	} catch {
		// Whoever makes it anew meets the error, and knows what it means.
		return false;
	}
}
