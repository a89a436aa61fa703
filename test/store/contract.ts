/**
 * The laws that every store keeps (see `Slot` in core/ports.ts), as a suite. A store
 * is shown by processes that share one place; each has a store object of its own.
 */
import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Lease, Slot, Store } from "../../src/core/ports.ts";
import {
	emptyRecord,
	type ProcessName,
	type SharedRecord,
} from "../../src/core/record.ts";
import { decodeToken, type Token, tokenId } from "../../src/core/token.ts";
import { accessToken } from "../support/account.ts";

/** The credential of all processes. */
export const contractCredential = accessToken({ timeoutMs: 1_500 });

/** One place, and the processes that work there. */
export interface StorePlace {
	/** Another process, which has not looked yet. */
	start(): StoreProcess | Promise<StoreProcess>;
	/** Nothing can be written any more, until the function that it returns is called. */
	fill(): () => void;
	/** In the instant of the next publication the lease of that process goes to another one. */
	loseInNextPublication(loser: StoreProcess): void;
	/**
	 * What a process wrote that stood still in the midst of it, and lost its lease
	 * before it went on. Absent: the store refuses such a write.
	 */
	readonly landLate?: (record: SharedRecord) => void;
}

export interface StoreProcess {
	readonly name: ProcessName;
	/** Opened for `contractCredential`. */
	readonly slot: Slot;
	/** Absent, if the place has only slots. */
	readonly store?: Store;
	/**
	 * The others can tell that it is gone. What it holds stays as it is; its objects may
	 * go on, as those of a process that only seemed to be gone.
	 */
	die(): void | Promise<void>;
}

/** `hasStore`: its processes have a `store`; `canLandLate`: the place has `landLate`. */
export function describeStore(
	name: string,
	{ hasStore, canLandLate }: { hasStore: boolean; canLandLate: boolean },
	newPlace: () => StorePlace,
): void {
	describe(name, () => {
		test("at first nothing is there, and the record is empty", async () => {
			const { slot } = await newPlace().start();
			expect(slot.read()).toEqual({ kind: "absent" });
			expect(slot.record()).toEqual(emptyRecord);
		});

		test("read and record do not wait, also while another process holds the lease and publishes", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			await lease.publish(numbered(1), recordOf(1));
			const publishing = lease.publish(numbered(2), recordOf(2));
			// Not promises, and not what is only half there.
			expect([1, 2]).toContain(numberOf(other.slot));
			expect([1, 2]).toContain(other.slot.record().generation);
			await publishing;
			expect([numberOf(other.slot), other.slot.record().generation]).toEqual([
				2, 2,
			]);
			await lease.release();
		});

		test("others see each publication complete, and the record knows it from its first instant on", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			await lease.publish(numbered(1), recordOf(1));
			let isOver = false;
			const publishing = (async () => {
				for (let number = 2; number <= 20; number += 1)
					await lease.publish(numbered(number), recordOf(number));
				isOver = true;
			})();
			const seen = new Set<number>();
			while (!isOver) {
				const number = numberOf(other.slot);
				const { published, generation } = other.slot.record();
				expect(published?.id).toBe(tokenId(numbered(generation).value));
				expect(generation).toBeGreaterThanOrEqual(number);
				seen.add(number);
				await new Promise(setImmediate);
			}
			await publishing;
			expect(seen.size).toBeGreaterThan(1);
			expect([numberOf(other.slot), other.slot.record().generation]).toEqual([
				20, 20,
			]);
			await lease.release();
		});

		test("a publication whose record is written already leaves that as it is", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			await lease.write(recordOf(1));
			expect(other.slot.read()).toEqual({ kind: "absent" });
			expect(other.slot.record()).toMatchObject(recordOf(1));
			await lease.publish(numbered(1));
			expect(numberOf(other.slot)).toBe(1);
			expect(other.slot.record()).toMatchObject(recordOf(1));
			await lease.release();
		});

		test("a record that need not survive the machine is seen by others all the same", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			await lease.write(recordOf(1), { durable: false });
			expect(other.slot.record()).toMatchObject(recordOf(1));
			await lease.write(recordOf(2), { durable: true });
			expect(other.slot.record()).toMatchObject(recordOf(2));
			await lease.release();
			const late = await newLookAt(other);
			expect(late.record()).toMatchObject(recordOf(2));
		});

		test("one process at a time has the lease; another one gets it after the release", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			expect(await other.slot.acquire(0)).toBeUndefined();
			// The same process has no second one either.
			expect(await one.slot.acquire(0)).toBeUndefined();
			await lease.release();
			const next = await leaseOf(other);
			expect(await one.slot.acquire(0)).toBeUndefined();
			expect(next.id).not.toBe("");
			await next.release();
		});

		test("a process that waits gets the lease as soon as it is released", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			const waiting = other.slot.acquire(60_000);
			await new Promise(setImmediate);
			await lease.release();
			const next = await waiting;
			expect(next).toBeDefined();
			await next?.release();
		});

		test("of many that want it at once exactly one has it at any time, and each has its turn", async () => {
			const place = newPlace();
			const processes: StoreProcess[] = [];
			for (let count = 0; count < 6; count += 1)
				processes.push(await place.start());
			let holders = 0;
			let turns = 0;
			await Promise.all(
				processes.map(async ({ slot }) => {
					for (let turn = 0; turn < 3; turn += 1) {
						const lease = await slot.acquire(60_000);
						if (lease === undefined) throw new Error("no lease in a minute");
						holders += 1;
						expect(holders).toBe(1);
						// Under the lease the newest record is seen.
						expect(slot.record().generation).toBe(turns);
						turns += 1;
						await lease.write(recordOf(turns), { durable: false });
						expect(holders).toBe(1);
						holders -= 1;
						await lease.release();
					}
				}),
			);
			expect(turns).toBe(18);
		});

		test("the lease of a dead process is taken over, with what it had written", async () => {
			const [one, other] = await two(newPlace());
			const lease = await leaseOf(one);
			await lease.write(intentOf(one, lease));
			expect(await other.slot.acquire(0)).toBeUndefined();
			await one.die();
			const next = await takeOver(other);
			expect(other.slot.record()).toMatchObject(intentOf(one, lease));
			expect(next.id).not.toBe(lease.id);
			await next.release();
		});

		test("a process that lost its lease writes and publishes nothing: it is told so", async () => {
			const { lease, next, third } = await lostLease(newPlace());
			for (const act of [
				() => lease.write(recordOf(7)),
				() => lease.write(recordOf(7), { durable: false }),
				() => lease.publish(numbered(7)),
				() => lease.publish(numbered(7), recordOf(7)),
			])
				await expect(act()).rejects.toMatchObject({
					name: "StoreError",
					kind: "lost",
				});
			expect([numberOf(third.slot), third.slot.record().generation]).toEqual([
				1, 1,
			]);
			await next.publish(numbered(2), recordOf(2));
			expect([numberOf(third.slot), third.slot.record().generation]).toEqual([
				2, 2,
			]);
			await next.release();
		});

		test("the release by a process that lost its lease leaves the new holder's alone", async () => {
			const { lease, next, third } = await lostLease(newPlace());
			await lease.release();
			expect(await third.slot.acquire(0)).toBeUndefined();
			await next.publish(numbered(2), recordOf(2));
			await next.release();
			await (await leaseOf(third)).release();
		});

		test("a lease that is lost in the instant of the publication is told after it, and the next holder's word counts", async () => {
			const place = newPlace();
			const [one, other] = await two(place);
			const third = await place.start();
			const lease = await leaseOf(one);
			await lease.publish(numbered(1), recordOf(1));
			await lease.write(intentOf(one, lease));
			place.loseInNextPublication(one);
			await expect(
				lease.publish(numbered(2), recordOf(2)),
			).rejects.toMatchObject({ kind: "lost" });
			await one.die();
			const next = await takeOver(other);
			await next.publish(numbered(3), recordOf(3));
			for (const { slot } of [one, other, third])
				expect([numberOf(slot), slot.record().generation]).toEqual([3, 3]);
			await next.release();
		});

		if (canLandLate)
			test("a record that comes after its writer lost the lease does not count, however new it claims to be", async () => {
				const place = newPlace();
				const { next, third } = await lostLease(place);
				const lower = third.slot.record().fence;
				await next.publish(numbered(2), recordOf(2));
				const { fence = 0 } = third.slot.record();
				expect(fence).toBeGreaterThan(lower ?? 0);
				place.landLate?.({ ...recordOf(9), fence: fence - 1 });
				const late = await place.start();
				for (const { slot } of [third, late])
					expect(slot.record()).toMatchObject(recordOf(2));
				await next.write(recordOf(3));
				expect(third.slot.record()).toMatchObject(recordOf(3));
				await next.release();
				await (await leaseOf(late)).release();
			});

		test("where nothing can be written both write and publish fail, and readers see what they saw before", async () => {
			const place = newPlace();
			const [one, other] = await two(place);
			const lease = await leaseOf(one);
			await lease.publish(numbered(1), recordOf(1));
			const free = place.fill();
			const error = { name: "StoreError", kind: "io" };
			await expect(lease.write(recordOf(2))).rejects.toMatchObject(error);
			await expect(lease.publish(numbered(2))).rejects.toMatchObject(error);
			free();
			expect([numberOf(other.slot), other.slot.record().generation]).toEqual([
				1, 1,
			]);
			await lease.publish(numbered(2), recordOf(2));
			expect([numberOf(other.slot), other.slot.record().generation]).toEqual([
				2, 2,
			]);
			await lease.release();
		});

		if (hasStore)
			describe("as a store of many", () => {
				test("readers find the value at the path", async () => {
					const [one, other] = await two(newPlace());
					await publishOnce(one, 1);
					const text = readFileSync(pathOf(other), "utf8");
					expect(decodeToken(text)).toEqual(numbered(1));
				});

				test("a snapshot is of the token at the last look, and of no other", async () => {
					const { slot } = await newPlace().start();
					expect(slot.snapshot(numbered(1))).toBeUndefined();
					const lease = await leaseOf({ slot });
					await lease.publish(numbered(1), recordOf(1));
					await lease.release();
					slot.read();
					expect(slot.snapshot(numbered(1))).toBeDefined();
					expect(slot.snapshot(numbered(2))).toBeUndefined();
				});

				test("with a snapshot a later slot knows the token, until another process publishes", async () => {
					const [one, other] = await two(newPlace());
					const store = storeOf(one);
					await publishOnce(one, 1);
					one.slot.read();
					const snapshot = one.slot.snapshot(numbered(1));
					if (snapshot === undefined) throw new Error("no snapshot");
					const again = () =>
						store.open(contractCredential, { snapshot, token: numbered(1) });
					expect(store.isTouched(contractCredential, snapshot)).toBe(false);
					expect(numberOf(again())).toBe(1);
					expect(again().record()).toMatchObject(recordOf(1));

					await publishOnce(other, 2);
					expect(store.isTouched(contractCredential, snapshot)).toBe(true);
					expect(numberOf(again())).toBe(2);
					expect(again().record()).toMatchObject(recordOf(2));
				});

				test("a watch tells the file whose value or record another process has written", async () => {
					const [one, other] = await two(newPlace());
					let tell: (file: string) => void = () => {};
					const told = () =>
						new Promise<string>((resolve) => {
							tell = resolve;
						});
					const watch = storeOf(one).watch((file) => {
						// A lock is no change of the credential; its name may be told as well.
						if (file === contractCredential.file) tell(file);
					});
					onTestFinished(() => watch.stop());
					// It did not listen before: look at everything yourself, once.
					expect(watch.listen()).toBe(false);
					expect(watch.isNotWatching()).toBe(false);
					expect(watch.listen()).toBe(true);
					const value = told();
					await publishOnce(other, 1);
					expect(await value).toBe(contractCredential.file);

					const record = told();
					const lease = await leaseOf(other);
					await lease.write(recordOf(2));
					expect(await record).toBe(contractCredential.file);
					await lease.release();

					watch.stop();
					expect(watch.listen()).toBe(false);
				});
			});
	});
}

async function two(place: StorePlace): Promise<[StoreProcess, StoreProcess]> {
	return [await place.start(), await place.start()];
}

/** A first look at the place of a process, if that has a store. */
async function newLookAt({ store, slot }: StoreProcess): Promise<Slot> {
	return store?.open(contractCredential) ?? slot;
}

async function leaseOf({ slot }: Pick<StoreProcess, "slot">): Promise<Lease> {
	const lease = await slot.acquire(0);
	if (lease === undefined) throw new Error("the lease is not free");
	return lease;
}

async function takeOver({ slot }: StoreProcess): Promise<Lease> {
	const lease = await slot.acquire(60_000);
	if (lease === undefined) throw new Error("it was not taken over");
	return lease;
}

async function publishOnce(one: StoreProcess, number: number): Promise<void> {
	const lease = await takeOver(one);
	await lease.publish(numbered(number), recordOf(number));
	await lease.release();
}

/** A lease whose process seemed to be dead, and the lease of the one that took it over. */
async function lostLease(place: StorePlace) {
	const [one, other] = await two(place);
	const third = await place.start();
	const lease = await leaseOf(one);
	await lease.publish(numbered(1), recordOf(1));
	await lease.write({ ...intentOf(one, lease), ...recordOf(1) });
	await one.die();
	return { lease, next: await takeOver(other), third };
}

function storeOf({ store }: StoreProcess): Store {
	if (store === undefined) throw new Error("the place has only slots");
	return store;
}

function pathOf(one: StoreProcess): string {
	return storeOf(one).pathOf(contractCredential);
}

/** The `number`th token; in whole seconds, as its file has it. */
function numbered(number: number): Token {
	return { value: `token-${number}`, expiresAt: 2_000_000_000_000 };
}

/** The number of the token that is read; anything else is an error. */
function numberOf(slot: Slot): number {
	const reading = slot.read();
	if (reading.kind !== "token") throw new Error(`it reads ${reading.kind}`);
	expect(reading).toEqual({
		...{ kind: "token", exact: true },
		token: numbered(Number(reading.token.value.replace("token-", ""))),
	});
	return Number(reading.token.value.replace("token-", ""));
}

/** The record of that publication. */
function recordOf(number: number): SharedRecord {
	const { value, expiresAt } = numbered(number);
	return {
		...emptyRecord,
		generation: number,
		published: {
			id: tokenId(value),
			expiresAt,
			lifetimeMs: 7_200_000,
			fetchedAt: 1,
			reason: "due",
		},
	};
}

/** The intent of a request, by which others know who holds the lease. */
function intentOf(one: StoreProcess, { id }: Lease): SharedRecord {
	const inFlight = { replaces: "", at: 1, by: one.name, lock: id };
	return { ...emptyRecord, inFlight };
}
