/** The order in which a host goes through what it keeps. */
import { expect, test } from "vitest";
import { atOnce } from "../../src/core/steps.ts";
import type { ManagedCredential } from "../../src/keeper/managed-credential.ts";
import { createRoster } from "../../src/keeper/roster.ts";
import { accessToken } from "../support/account.ts";

function kept(
	id: string,
	turn?: number,
	needs: readonly string[] = [],
): ManagedCredential {
	const credential = {
		...accessToken(turn === undefined ? {} : { turn }),
		...{ id, needs },
	};
	return { credential } as ManagedCredential;
}

const orderOf = (...credentials: readonly ManagedCredential[]) =>
	atOnce(createRoster(credentials)).all.map(({ credential }) => credential.id);

test("each host of a fleet begins with those whose turn it has first", () => {
	expect(orderOf(kept("a", 0.9), kept("b", 0.2), kept("c", 0.5))).toEqual([
		...["b", "c", "a"],
	]);
});

test("but what a credential needs comes before it", () => {
	expect(orderOf(kept("child", 0.1, ["parent"]), kept("parent", 0.9))).toEqual([
		...["parent", "child"],
	]);
});

test("without a fleet the order of the configuration stays", () => {
	expect(orderOf(kept("b"), kept("c"), kept("a"))).toEqual(["b", "c", "a"]);
});
