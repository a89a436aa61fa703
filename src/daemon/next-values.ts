/** Those who wait for the next value of a credential: hosts that follow this one. */
import type { CredentialId, KnownToken } from "../core/credential.ts";
import type { KeeperEvent } from "../core/ports.ts";

/** What is waited for, by any number of clients up to a limit. */
export interface NextValues {
	/**
	 * The first value with a higher generation that is published from now on; undefined
	 * after `waitMs`, or when the client has gone. "full": too many wait already.
	 */
	after(
		id: CredentialId,
		generation: number,
		waitMs: number,
		onGone: (listener: () => void) => void,
	): Promise<KnownToken | undefined | "full">;
	/** Tells those who wait of an event of a keeper. Cheap if nobody waits. */
	note(id: CredentialId, event: KeeperEvent): void;
	/** Nobody waits any longer. */
	end(): void;
}

interface Waiter {
	readonly newerThan: number;
	readonly answer: (next: KnownToken | undefined) => void;
}

/** `maxWaiting`: clients that may wait at a time. */
export function createNextValues(maxWaiting: number): NextValues {
	const waitersOf = new Map<CredentialId, Set<Waiter>>();
	let waiting = 0;

	const after: NextValues["after"] = (id, newerThan, waitMs, onGone) => {
		if (waitMs <= 0) return Promise.resolve(undefined);
		if (waiting >= maxWaiting) return Promise.resolve("full");
		const waiters = waitersOf.get(id) ?? new Set<Waiter>();
		waitersOf.set(id, waiters);
		waiting += 1;
		return new Promise((resolve) => {
			const waiter: Waiter = {
				newerThan,
				answer: (next) => {
					if (!waiters.delete(waiter)) return;
					clearTimeout(timer);
					waiting -= 1;
					if (waiters.size === 0 && waitersOf.get(id) === waiters)
						waitersOf.delete(id);
					resolve(next);
				},
			};
			const timer = setTimeout(waiter.answer, waitMs, undefined);
			waiters.add(waiter);
			onGone(() => waiter.answer(undefined));
		});
	};

	return {
		after,
		note: (id, event) => {
			const waiters = waitersOf.get(id);
			if (waiters === undefined) return;
			switch (event.kind) {
				case "refreshed":
				case "adopted":
				case "repaired":
				case "shared":
					for (const one of [...waiters])
						if (event.current.generation > one.newerThan)
							one.answer(event.current);
			}
		},
		end: () => {
			for (const waiters of [...waitersOf.values()])
				for (const one of [...waiters]) one.answer(undefined);
		},
	};
}
