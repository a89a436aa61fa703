/** The requests for another token that one keeper has: the one that waits, and the one that is served. */
import {
	failedBy,
	isForced,
	type RefreshAnswer,
	type RefreshFailure,
	type RefreshRequest,
	stopping,
} from "../core/request.ts";

/** A request, and the promise of those who wait for its answer. */
interface Waiting extends RefreshRequest {
	readonly answer: (answer: RefreshAnswer) => void;
	readonly answered: Promise<RefreshAnswer>;
}

export interface Requests {
	/** The one that no attempt has taken yet; the same object for as long as nothing changes. */
	pending(): RefreshRequest | undefined;
	/** The one that the attempt under way is for. */
	served(): RefreshRequest | undefined;
	/** Joins the one that is pending, or takes its place. Resolves with the answer. */
	add(wanted: Omit<RefreshRequest, "tried">): Promise<RefreshAnswer>;
	/** The pending one becomes that of the attempt under way. */
	take(): void;
	/** The pending one has its answer. */
	satisfy(answer: RefreshAnswer): void;
	/** The served one has its answer. */
	succeed(answer: RefreshAnswer): void;
	/**
	 * Tells those who wait for the pending one that it failed. It stays pending as one
	 * that was tried: the next token still counts for it.
	 */
	defer(failure: RefreshFailure): void;
	/** The same of the served one; with `isOver` nothing more is done for it. */
	fail(failure: RefreshFailure, options: { readonly isOver: boolean }): void;
	/** The served one is pending again, and was not tried. */
	restart(): void;
	/** Nothing is begun any more: tells those who wait so. */
	close(): void;
	isEmpty(): boolean;
}

export function createRequests(): Requests {
	let pending: Waiting | undefined;
	let serving: Waiting | undefined;
	return {
		pending: () => pending,
		served: () => serving,
		add: (wanted) => {
			if (pending === undefined || pending.tried || !isForced(pending.reason))
				pending = waiting(wanted);
			else if (wanted.reason === "forced")
				// The stronger request carries those along who reported a dead token.
				pending = { ...pending, reason: "forced", stale: undefined };
			else if (wanted.isProved) pending = { ...pending, isProved: true };
			if (wanted.alone === true) pending = { ...pending, alone: true };
			if (wanted.forAnother !== true && pending.forAnother === true)
				pending = { ...pending, forAnother: false };
			return pending.answered;
		},
		take: () => {
			serving = pending;
			pending = undefined;
		},
		satisfy: (answer) => {
			pending?.answer(answer);
			pending = undefined;
		},
		succeed: (answer) => {
			serving?.answer(answer);
			serving = undefined;
		},
		defer: (failure) => {
			if (pending === undefined || pending.tried) return;
			pending.answer(failedBy(failure));
			pending = { ...pending, tried: true };
		},
		fail: (failure, { isOver }) => {
			if (serving === undefined) return;
			serving.answer(failedBy(failure));
			if (!isOver) pending ??= { ...serving, tried: true };
			serving = undefined;
		},
		restart: () => {
			if (serving !== undefined)
				pending = pending === undefined ? serving : joined(serving, pending);
			serving = undefined;
		},
		close: () => pending?.answer(failedBy(stopping)),
		isEmpty: () => pending === undefined && serving === undefined,
	};
}

function waiting(wanted: Omit<RefreshRequest, "tried">): Waiting {
	let answer: (answer: RefreshAnswer) => void = () => {};
	const answered = new Promise<RefreshAnswer>((resolve) => {
		answer = resolve;
	});
	return { ...wanted, tried: false, answer, answered };
}

/** `one`, whose answer is also that of `other`; forced if one of them is. */
function joined(one: Waiting, other: Waiting): Waiting {
	const forced = [one, other].find(({ reason }) => reason === "forced");
	return {
		...(forced ?? one),
		requestedAt: Math.max(one.requestedAt, other.requestedAt),
		tried: one.tried && other.tried,
		answer: (answer) => {
			one.answer(answer);
			other.answer(answer);
		},
	};
}
