/** Hosts that want to know at the same time what WeChat thinks of a value, and one Redis. */
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { ProbeResult } from "../../src/core/ports.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { newFleetOf } from "../support/fleet.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import { storeIn } from "../support/slot.ts";

const withRedis = test.skipIf(noRedis !== undefined);

const credential = credentialOf(anAccount({ appid: "wx1", file: "token" }));
const [id, another] = ["0123456789abcdef", "fedcba9876543210"] as const;

/** Hosts that share one credential, and a WeChat that answers when it is told to. */
async function newHosts(count: number) {
	const redis = await startRedis();
	const asked: ((answer: ProbeResult) => void)[] = [];
	const ask = () =>
		new Promise<ProbeResult>((resolve) => {
			asked.push(resolve);
		});
	const judges = await Promise.all(
		Array.from({ length: count }, async () => {
			const fleet = newFleetOf(redis.port);
			onTestFinished(() => fleet.close());
			await fleet.connected(10_000);
			const local = storeIn(newDirectory());
			fleet.keep(local, [credential]);
			const { judge } = fleet.storeOver(local).open(credential);
			if (judge === undefined) throw new Error("a host that is alone");
			return (value: string) => judge(value, ask);
		}),
	);
	const untilAsked = (times: number) =>
		eventually(() => asked.length === times, { what: `question ${times}` });
	return { redis, judges, asked, untilAsked };
}

withRedis.each(["dead", "alive"] as const)(
	"one host asks for all, and all believe that a value is %s",
	async (verdict) => {
		const { judges, asked, untilAsked } = await newHosts(4);
		const answers = Promise.all(judges.map((judge) => judge(id)));
		await untilAsked(1);
		asked[0]?.(verdict);
		expect(await answers).toEqual(Array(4).fill(verdict));
		expect(asked).toHaveLength(1);
		// Another value is another question.
		const other = judges[1]?.(another);
		await untilAsked(2);
		asked[1]?.("alive");
		expect(await other).toBe("alive");
	},
);

withRedis(
	"where one host got no answer that tells, each other one asks by itself; and so it does if the one that asked is gone, or Redis is",
	async () => {
		const { redis, judges, asked, untilAsked } = await newHosts(2);
		const [one, other] = judges;
		const first = one?.(id);
		await untilAsked(1);
		const second = other?.(id);
		asked[0]?.("unsure");
		expect(await first).toBe("unsure");
		await untilAsked(2);
		asked[1]?.("dead");
		expect(await second).toBe("dead");

		void one?.(another);
		await untilAsked(3);
		const waiting = other?.(another);
		await turnOfTheLoop();
		// As it runs out once its host is gone.
		await redis.cli("DEL", "wxtokend:{wx1}:verdict");
		await untilAsked(4);
		asked[3]?.("dead");
		expect(await waiting).toBe("dead");

		await redis.kill();
		const alone = one?.(id);
		await untilAsked(5);
		asked[4]?.("alive");
		expect(await alone).toBe("alive");
	},
);
