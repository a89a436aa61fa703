import type { Wish } from "./decide.ts";
import type { Token } from "./token.ts";

/** A wish, and those who wait for it. */
export interface Waiting extends Wish {
	readonly answer: (answer: WishAnswer) => void;
	readonly answered: Promise<WishAnswer>;
}

/** The answer to somebody who wants another token. */
export type WishAnswer =
	| {
			readonly outcome: "refreshed" | "already-fresh" | "alive";
			readonly token: Token;
	  }
	| { readonly outcome: "failed"; readonly error: WishError };

export interface WishError {
	readonly code: string;
	readonly message: string;
	readonly hint: string;
}

/** A wish that nobody has tried to grant yet. */
export function waiting(wanted: Omit<Wish, "tried">): Waiting {
	let answer: (answer: WishAnswer) => void = () => {};
	const answered = new Promise<WishAnswer>((resolve) => {
		answer = resolve;
	});
	return { ...wanted, tried: false, answer, answered };
}

/** `one`, whose answer is also that of `other`; forced if one of them is. */
export function joined(one: Waiting, other: Waiting): Waiting {
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

/** The answer that it failed, and why. */
export function failedBy({ code, message, hint }: WishError): WishAnswer {
	return { outcome: "failed", error: { code, message, hint } };
}

/** The answer of a keeper that does not begin anything any more. */
export const stopping: WishError = {
	code: "stopping",
	message: "could not refresh: wxtokend is stopping",
	hint: "ask again when it is back",
};
