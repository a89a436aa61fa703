import { setTimeout as pause } from "node:timers/promises";

export interface Patience {
	/** What is waited for, in words: it stands in the error. */
	readonly what: string;
	/** When to give up; a loaded machine needs patience. */
	readonly withinMs?: number;
	readonly everyMs?: number;
}

/**
 * Looks again and again until `look` finds something: anything but undefined,
 * null or false. What it throws ends the wait.
 *
 * @throws an error that names `what` when the bound is reached
 */
export async function eventually<T>(
	look: () => T | Promise<T>,
	{ what, withinMs = 120_000, everyMs = 20 }: Patience,
): Promise<Exclude<T, undefined | null | false>> {
	const giveUpAt = performance.now() + withinMs;
	for (;;) {
		const found = await look();
		if (found !== undefined && found !== null && found !== false)
			return found as Exclude<T, undefined | null | false>;
		if (performance.now() > giveUpAt)
			throw new Error(`waited ${withinMs} ms in vain for ${what}`);
		await pause(everyMs);
	}
}
