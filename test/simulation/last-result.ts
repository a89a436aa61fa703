/** `convert` of the input, made anew only if that has changed: most looks find what the last one found. */
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
