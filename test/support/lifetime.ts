/** When what a test made goes again: its programs, servers and directories. */
import { AsyncLocalStorage } from "node:async_hooks";
import { onTestFinished } from "vitest";

type End = () => unknown;

/** Of what is being made for several tests. */
const lasting = new AsyncLocalStorage<End[]>();

/** Calls `end` at the end of the test, or of the lifetime that this belongs to. */
export function atEnd(end: End): void {
	const ends = lasting.getStore();
	if (ends === undefined) onTestFinished(async () => void (await end()));
	else ends.push(end);
}

/** What several tests share, and what ends it: for `beforeAll` and `afterAll`. */
export interface Shared<T> {
	readonly shared: T;
	end(): Promise<void>;
}

/** Nothing that `make` makes ends with the test. */
export async function share<T>(make: () => Promise<T>): Promise<Shared<T>> {
	const ends: End[] = [];
	const end = async () => {
		// As vitest does: what was made last ends first.
		for (const one of ends.splice(0).reverse()) await one();
	};
	try {
		return { shared: await lasting.run(ends, make), end };
	} catch (error) {
		await end();
		throw error;
	}
}
