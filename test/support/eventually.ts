import { setTimeout as pause } from "node:timers/promises";

export interface WaitOptions {
	/** What is waited for, in words: it stands in the error. */
	readonly what: string;
	/** When to give up. Long by default, for a busy machine. */
	readonly withinMs?: number;
	readonly everyMs?: number;
}

/**
 * Calls `look` again and again until it returns something else than undefined, null
 * or false. An error that it throws ends the wait.
 *
 * @throws an error that names `what` when the bound is reached
 */
export async function eventually<T>(
	look: () => T | Promise<T>,
	{ what, withinMs = 120_000, everyMs = 20 }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
	const giveUpAt = performance.now() + withinMs;
	for (;;) {
		const found = await look();
		if (found !== undefined && found !== null && found !== false)
			return found as Exclude<T, undefined | null | false>;
		if (performance.now() > giveUpAt)
			throw new Error(`waited ${withinMs} ms for ${what}, which did not come`);
		await pause(everyMs);
	}
}
