/** The contract of stores, kept by the store of a fleet over one directory, with a real Redis. */
import { describe, onTestFinished } from "vitest";
import { newFleetOf } from "../support/fleet.ts";
import { noRedis, type Redis, startRedis } from "../support/redis.ts";
import { contractCredential, describeStore } from "./contract.ts";
import { newDirectoryPlace } from "./directory-place.ts";

describe.skipIf(noRedis !== undefined)("with a real Redis", () => {
	describeStore(
		"the store of a fleet",
		{ hasStore: true, canLandLate: true },
		() => {
			let redis: Promise<Redis> | undefined;
			return newDirectoryPlace(async (local, name, hostClock) => {
				redis ??= startRedis();
				const { port } = await redis;
				const fleet = newFleetOf(port, {
					hostClock,
					instance: name.instance,
					host: name.instance,
					leaseMs: 3_000,
				});
				onTestFinished(() => fleet.close());
				await fleet.connected(10_000);
				fleet.keep(local, [contractCredential]);
				await fleet.agreed(10_000);
				return { store: fleet.storeOver(local), die: () => fleet.close() };
			});
		},
	);
});
