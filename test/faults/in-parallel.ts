/**
 * Runs the same test for many cases, `limit` of them at a time, as each of them mostly
 * waits for ticks. The message of a failure begins with its case.
 */
export async function inParallel<Case>(
	cases: readonly Case[],
	limit: number,
	act: (one: Case) => Promise<void>,
): Promise<void> {
	const left = [...cases];
	const work = async () => {
		for (let one = left.shift(); one !== undefined; one = left.shift())
			try {
				await act(one);
			} catch (error) {
				if (error instanceof Error)
					error.message = `${JSON.stringify(one)}: ${error.message}`;
				throw error;
			}
	};
	await Promise.all(Array.from({ length: limit }, work));
}
