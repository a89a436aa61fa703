import { expect, onTestFinished, test } from "vitest";
import type { FleetConfig } from "../../src/config/fleet.ts";
import { systemClock } from "../../src/core/clock.ts";
import { createFleetSeat } from "../../src/daemon/fleet.ts";
import { eventually } from "../support/eventually.ts";
import { logTo } from "../support/log-to.ts";
import { noRedis, startRedis } from "../support/redis.ts";

test.skipIf(noRedis !== undefined)(
	"a fleet that was prepared and dismissed is left again, and the present one goes on",
	async () => {
		const [redis, other] = await Promise.all([startRedis(), startRedis()]);
		const seat = createFleetSeat({
			...{ hostClock: systemClock, log: logTo(() => {}) },
			stopping: new AbortController().signal,
			...{ keeperOf: () => undefined, onFollowed: () => {} },
			onBug: (error) => {
				throw error;
			},
		});
		onTestFinished(seat.close);
		(await seat.prepare({ fleet: settingsOf(redis.port) })).use();
		const present = seat.current();
		const prepared = await seat.prepare({ fleet: settingsOf(other.port) });
		await eventually(async () => (await other.cli("KEYS", "*")) !== "", {
			what: "this host in the other fleet",
		});
		await prepared.dismiss();
		expect(await other.cli("KEYS", "*")).toBe("");
		expect(seat.current()).toBe(present);
		expect(await present?.status()).toMatchObject({ connected: true });
	},
);

function settingsOf(port: number): FleetConfig {
	return {
		server: {
			...{ kind: "redis", nodes: [{ host: "127.0.0.1", port }], database: 0 },
			...{ sentinelName: undefined, username: undefined, password: undefined },
			...{ sentinelPassword: undefined, isTls: false, ca: undefined },
		},
		...{ prefix: "wxtokend:", role: "keeper", withoutRedis: "auto" },
		...{ replicas: 0, leaseMs: 10_000, publishAs: [] },
	};
}
