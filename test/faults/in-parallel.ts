/**
 * The same test of many cases, a few at a time: most of it is waiting for ticks.
 * A failure names its case.
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
