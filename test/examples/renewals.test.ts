/** The readers against the daemon itself and the simulator. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Driver, type Result, startDriver } from "./driver.ts";
import { type Kept, keep } from "./kept-account.ts";
import {
	environmentOf,
	missingFor,
	plainReaders,
	type Reader,
} from "./readers.ts";

/** A reader at work, with an account of its own. */
interface Station {
	readonly reader: Reader;
	readonly appid: string;
	readonly driver: Driver;
	begin(): Driver;
}

const works: Result = { errcode: 0 };

// What is missing here is told by readers.test.ts, one skipped suite for each.
const present = plainReaders.filter(
	(reader) => missingFor(reader).length === 0,
);

/** `isRemote`: over HTTP, as on a host without the directory. */
async function open(isRemote = false): Promise<{
	kept: Kept;
	stations: readonly Station[];
}> {
	const kept = await keep(present.length);
	const drivers: Driver[] = [];
	onTestFinished(async () => {
		await Promise.all(drivers.map((driver) => driver.stop()));
	});
	const stations: Station[] = [];
	for (const [index, reader] of present.entries()) {
		const place = kept.places[index];
		if (place === undefined) throw new Error("an account is missing");
		const command = await reader.prepare();
		const begin = () => {
			const env = {
				...environmentOf(place),
				...(isRemote ? kept.remote : {}),
			};
			const driver = startDriver({ command, env, path: "/sim/use" });
			drivers.push(driver);
			return driver;
		};
		stations.push({ reader, appid: place.appid, driver: begin(), begin });
	}
	return { kept, stations };
}

/** What came of it for each reader, by name. */
async function each<T>(
	stations: readonly Station[],
	act: (station: Station) => T | Promise<T>,
): Promise<Record<string, T>> {
	const entries = stations.map(
		async (station) => [station.reader.name, await act(station)] as const,
	);
	return Object.fromEntries(await Promise.all(entries));
}

function forAll<T>(value: T): Record<string, T> {
	return Object.fromEntries(present.map(({ name }) => [name, value]));
}

test(
	"across 50 renewals no call fails, none is refused, and every new token is used",
	() => acrossRenewals(false),
	240_000,
);

test(
	"over HTTP, too, no call fails across 50 renewals",
	() => acrossRenewals(true),
	240_000,
);

async function acrossRenewals(isRemote: boolean): Promise<void> {
	const renewals = 50;
	const { kept, stations } = await open(isRemote);
	const calls = await each(stations, async ({ appid, driver }) => {
		const results: Result[] = [];
		let isOver = false;
		const work = async () => {
			while (!isOver) {
				results.push(await driver.call());
				// Or the fastest would leave nothing of the machine to the others.
				await pause(20);
			}
		};
		const working = work();
		const used = () => new Set(kept.uses(appid).map(({ token }) => token)).size;
		for (let renewed = 0; renewed <= renewals; renewed += 1) {
			if (renewed > 0) await kept.renew(appid);
			await eventually(() => used() > renewed, {
				what: `token ${renewed} of ${appid} to be used`,
				everyMs: 5,
			});
		}
		isOver = true;
		await working;
		return results;
	});

	for (const [name, results] of Object.entries(calls)) {
		expect(results.length, `calls of ${name}`).toBeGreaterThan(renewals);
		expect(
			results.filter(
				(result) => !("errcode" in result && result.errcode === 0),
			),
			`failed calls of ${name}`,
		).toEqual([]);
	}
	expect(
		await each(stations, ({ appid }) =>
			kept.uses(appid).filter(({ outcome }) => outcome !== "ok"),
		),
		"a torn or outdated token would be refused",
	).toEqual(forAll([]));
	expect(await each(stations, ({ appid }) => kept.fetches(appid))).toEqual(
		forAll(1 + renewals),
	);
	expect(kept.fetchers()).toEqual(["wxtokend"]);
}

test("over HTTP, too, a dead token is reported once and the call goes out once more", async () => {
	const { kept, stations } = await open(true);
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll(works),
	);
	for (const { appid } of stations)
		kept.simulator.platform.kill(appid, kept.simulator.now());
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll(works),
	);
	expect(await each(stations, ({ appid }) => kept.fetches(appid))).toEqual(
		forAll(2),
	);
}, 120_000);

test.each([40001, 42001, 40014] as const)(
	"a token that dies outside with %i costs one retry and one fetch",
	async (code) => {
		const { kept, stations } = await open();
		const { platform } = kept.simulator;
		expect(await each(stations, ({ driver }) => driver.call())).toEqual(
			forAll(works),
		);
		if (code === 40014) platform.turn({ agedOutCode: 40014 });
		for (const { appid } of stations) {
			if (code === 40001) platform.kill(appid, kept.simulator.now());
			else platform.expire(appid, kept.simulator.now());
		}
		expect(await each(stations, ({ driver }) => driver.call())).toEqual(
			forAll(works),
		);
		expect(
			await each(stations, ({ appid }) =>
				kept.uses(appid).map(({ outcome }) => outcome),
			),
		).toEqual(forAll(["ok", `errcode ${code}`, "ok"]));
		expect(await each(stations, ({ appid }) => kept.fetches(appid))).toEqual(
			forAll(2),
		);
		expect(kept.fetchers()).toEqual(["wxtokend"]);
	},
);

test("20 calls at once with a token that was killed outside: all succeed, for one fetch", async () => {
	const crowd = 20;
	const { kept, stations } = await open();
	for (const { reader, appid, driver, begin } of stations) {
		const drivers = reader.oneCallAtATime
			? [driver, ...Array.from({ length: crowd - 1 }, begin)]
			: Array<Driver>(crowd).fill(driver);
		kept.simulator.platform.kill(appid, kept.simulator.now());
		const results = await Promise.all(drivers.map((one) => one.call()));
		expect(results, reader.name).toEqual(Array(crowd).fill(works));
		expect(kept.uses(appid).length, reader.name).toBeLessThanOrEqual(2 * crowd);
		expect(kept.fetches(appid), reader.name).toBe(2);
	}
	expect(kept.fetchers()).toEqual(["wxtokend"]);
});

test("a refusal that has nothing to do with the token costs one call and no fetch", async () => {
	const { kept, stations } = await open();
	kept.simulator.platform.turn({ flappingShare: 1 });
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll({ errcode: 40001 }),
	);
	kept.simulator.platform.turn({ flappingShare: 0 });
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll(works),
	);
	expect(await each(stations, ({ appid }) => kept.uses(appid).length)).toEqual(
		forAll(2),
	);
	expect(await each(stations, ({ appid }) => kept.fetches(appid))).toEqual(
		forAll(1),
	);
});

test("without the daemon the token works on, and WeChat's own refusal comes back", async () => {
	const { kept, stations } = await open();
	await kept.daemon.stop();
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll(works),
	);
	for (const { appid } of stations)
		kept.simulator.platform.kill(appid, kept.simulator.now());
	expect(await each(stations, ({ driver }) => driver.call())).toEqual(
		forAll({ errcode: 40001 }),
	);
	expect(await each(stations, ({ appid }) => kept.uses(appid).length)).toEqual(
		forAll(2),
	);
	expect(kept.fetchers()).toEqual(["wxtokend"]);
});
