/**
 * `convert` of the input, which is called again only if the input has changed: most reads
 * find what the last one found.
 */
export function lastResult<T>(
	input: () => string | undefined,
	convert: (text: string | undefined) => T,
): () => T {
	let seen: string | undefined;
	let result = convert(undefined);
	return () => {
		const text = input();
		if (text !== seen) {
			seen = text;
			result = convert(text);
		}
		return result;
	};
}
