/** How often an attempt tries for a lease that another process has. */
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Purpose, Store } from "../../src/core/ports.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";

test("a renewal tries once, and says what it is for: in a fleet each try is a question to Redis", async () => {
	const purposes: (Purpose | undefined)[] = [];
	const { manage } = keepAsOneProcess({
		directory: newDirectory(),
		clock: systemClock,
		log: logTo(() => {}),
		http: {
			send: async () => {
				throw new Error("nothing is asked without the lease");
			},
		},
		onBug: (error) => {
			throw error;
		},
		storeOf: (store: Store) => ({
			...store,
			open: (of, remembered) => ({
				...store.open(of, remembered),
				acquire: async (_timeoutMs, purpose) => {
					purposes.push(purpose);
					return undefined;
				},
			}),
		}),
	});
	const { keeper } = manage(anAccount({ appid: "wx1", file: "token" }));
	expect(await keeper.reconcile(0, true)).toEqual({ kind: "locked" });
	expect(purposes).toEqual([
		expect.objectContaining({
			kind: "refresh",
			isWanted: expect.any(Function),
		}),
	]);
	const [purpose] = purposes;
	expect(purpose?.kind === "refresh" && purpose.isWanted?.()).toBe(true);
});
