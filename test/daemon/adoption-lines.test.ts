/** A line for each token that is taken over, unless there are many at once. */
import { expect, test } from "vitest";
import { knownFrom } from "../../src/core/credential.ts";
import { createAdoptionLines } from "../../src/daemon/adoption-lines.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { anAccount } from "../support/account.ts";
import { type LogLine, logTo } from "../support/log-to.ts";

function accountOf(index: number) {
	const appid = `wx${index}`;
	return anAccount({ appid, file: `wx_access_token_${appid}` });
}

function newScene() {
	const lines: LogLine[] = [];
	const logged: string[] = [];
	const adoptions = createAdoptionLines(
		({ appid }, { kind }) => logged.push(`${appid} ${kind}`),
		logTo((line) => lines.push(line)),
	);
	const current = knownFrom({ value: "t", expiresAt: 1 }, 1, undefined);
	return {
		lines,
		logged,
		flush: adoptions.flush,
		adopt: (count: number) => {
			for (let index = 0; index < count; index += 1)
				adoptions.logEvent(credentialOf(accountOf(index)), {
					kind: "adopted",
					current,
				});
		},
		loseLock: () =>
			adoptions.logEvent(credentialOf(accountOf(1)), {
				kind: "lock-busy",
			}),
	};
}

test("a few tokens have a line each, and nothing is added to them", () => {
	const { adopt, flush, logged, lines } = newScene();
	adopt(10);
	flush();
	expect(logged).toHaveLength(10);
	expect(lines).toEqual([]);
});

test("of ten thousand the first ten have a line, and one tells how many followed", () => {
	const { adopt, flush, loseLock, logged, lines } = newScene();
	adopt(10_000);
	loseLock();
	flush();
	flush();
	expect(logged).toHaveLength(11);
	expect(logged.at(-1)).toBe("wx1 lock-busy");
	expect(lines).toMatchObject([
		{ event: "token.adopted", count: 9_990, level: "info" },
	]);
	// The next one is news again.
	adopt(1);
	expect(logged).toHaveLength(12);
});
