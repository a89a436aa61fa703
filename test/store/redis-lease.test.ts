/** A holder of the fleet's lease that is stopped, or whose way to Redis breaks for a while. */
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Lease, Store } from "../../src/core/ports.ts";
import { emptyRecord } from "../../src/core/record.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { newFleetOf } from "../support/fleet.ts";
import { newToken } from "../support/issuer.ts";
import { logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import { startRelay } from "../support/relay.ts";

const withRedis = test.skipIf(noRedis !== undefined);

const account = anAccount({ appid: "wx1", file: "token", cooldownMs: 0 });
const credential = credentialOf(account);
const leaseKey = "wxtokend:{wx1}:lease";

/** A host of this process. `aheadMs`: by how much it was stopped so far. */
async function newHost(
	port: number,
	{
		leaseMs = 10_000,
		aheadMs = () => 0,
		ask = async () => newToken(),
		around = (lease: Lease) => lease,
	}: {
		readonly leaseMs?: number;
		readonly aheadMs?: () => number;
		readonly ask?: () => Promise<string>;
		readonly around?: (lease: Lease) => Lease;
	} = {},
) {
	const clock = {
		now: systemClock.now,
		monotonic: () => systemClock.monotonic() + aheadMs(),
	};
	const fleet = newFleetOf(port, { hostClock: clock, leaseMs });
	onTestFinished(() => fleet.close());
	await fleet.connected(10_000);
	const { store, manage } = keepAsOneProcess({
		directory: newDirectory(),
		clock: systemClock,
		log: logTo(() => {}),
		onBug: (error) => {
			throw error;
		},
		storeOf: (local: Store) => {
			fleet.keep(local, [credential]);
			const shared = fleet.storeOver(local);
			return {
				...shared,
				open: (of, remembered) => {
					const slot = shared.open(of, remembered);
					return {
						...slot,
						acquire: async (timeoutMs, purpose) => {
							const lease = await slot.acquire(timeoutMs, purpose);
							return lease && around(lease);
						},
					};
				},
			};
		},
		http: {
			send: async () => ({
				status: 200,
				text: `{"access_token":"${await ask()}","expires_in":7200}`,
				serverTime: undefined,
			}),
		},
	});
	return { fleet, store, keeper: manage(account).keeper };
}

withRedis(
	"a holder that is stopped between its mark and its request, for longer than its lease, asks for nothing and takes over what another host fetched",
	async () => {
		const redis = await startRedis();
		let stoppedMs = 0;
		let asked = 0;
		const other = await newHost(redis.port);
		const holder = await newHost(redis.port, {
			aheadMs: () => stoppedMs,
			ask: async () => {
				asked += 1;
				return newToken();
			},
			around: (lease) => ({
				...lease,
				write: async (record, options) => {
					await lease.write(record, options);
					if (record.inFlight === undefined || stoppedMs > 0) return;
					// What a stop looks like: its clock is ahead, and Redis has ended the lease.
					stoppedMs = 11_000;
					await redis.cli("DEL", leaseKey);
					await other.keeper.force();
				},
			}),
		});
		const answer = await holder.keeper.force();
		expect(asked).toBe(0);
		const fetched = other.keeper.current();
		expect(fetched).toBeDefined();
		expect(answer).toEqual({ outcome: "refreshed", token: fetched });
	},
);

withRedis(
	"a lease is kept through a break of the connection that is shorter than what is left of it",
	async () => {
		const redis = await startRedis();
		const relay = await startRelay(redis.port);
		const { store } = await newHost(relay.port, { leaseMs: 30_000 });
		const lease = await store.open(credential).acquire(10_000);
		const leftMs = async () => Number(await redis.cli("PTTL", leaseKey));
		relay.cut();
		await eventually(async () => (await leftMs()) < 9_800, {
			what: "the last third of the lease",
		});
		relay.mend();
		await eventually(
			async () => {
				const left = await leftMs();
				if (left < 0) throw new Error("the lease has run out");
				return left > 14_000;
			},
			{ what: "a renewal" },
		);
		await lease?.write(emptyRecord);
		await lease?.release();
		expect(await leftMs()).toBe(-2);
	},
);

withRedis(
	"what was published while Redis was away is known to it before the lease is given up, and the others are told",
	async () => {
		const redis = await startRedis();
		const relay = await startRelay(redis.port);
		const other = await newHost(redis.port);
		let isCut = false;
		const holder = await newHost(relay.port, {
			ask: async () => {
				if (!isCut) relay.cut();
				isCut = true;
				return newToken();
			},
			around: (lease) => ({
				...lease,
				release: async () => {
					const released = lease.release();
					// Longer than a few tries, and within the lease.
					await eventually(
						async () => Number(await redis.cli("PTTL", leaseKey)) < 6_000,
						{ what: "a while without Redis" },
					);
					relay.mend();
					await released;
				},
			}),
		});
		const answer = await holder.keeper.force();
		expect(answer.outcome).toBe("refreshed");
		await holder.keeper.whenIdle();
		const value = holder.keeper.current()?.value;
		expect(await redis.cli("HGET", "wxtokend:{wx1}", "value")).toBe(value);
		expect(await redis.cli("EXISTS", leaseKey)).toBe("0");
		await eventually(
			() => {
				const seen = other.store.open(credential).read();
				return seen.kind === "token" && seen.token.value === value;
			},
			{ what: "the token at the other host" },
		);
	},
);
