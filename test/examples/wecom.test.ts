/**
 * The readers for an app of 企业微信, as they are: its entry has the `file` that they look
 * for. Against the daemon itself and the simulator.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { installSdks } from "../../bench/sdks.ts";
import { wecomHost } from "../../src/simulator/hosts.ts";
import type { RequestRecord } from "../../src/simulator/request-log.ts";
import { startSimulator } from "../../src/simulator/server.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";
import { startDaemon } from "../support/program.ts";
import { startDriver } from "./driver.ts";
import { app as appDirectory } from "./npm-sdks.ts";
import {
	environmentOf,
	missingFor,
	type Place,
	plainReaders,
	type Reader,
} from "./readers.ts";

const corpid = "ww0123456789abcdef";
/** What readers take for an appid. */
const name = `${corpid}_1000002`;

// What is missing here is told by readers.test.ts, one skipped suite for each.
const present = plainReaders.filter(
	(reader) => missingFor(reader).length === 0,
);

/** An app with a ticket, kept by a daemon. Ends with the test. */
async function keepApp() {
	const secret = newSecret();
	const fetches: RequestRecord[] = [];
	const simulator = await startSimulator({
		accounts: [],
		wecom: [{ corpid, secret }],
		hosts: { [wecomHost]: 0 },
		knobs: { wecomPlainHttp: "served" },
		onRequest: (record) => {
			if (record.endpoint === "gettoken") fetches.push(record);
		},
	});
	onTestFinished(() => simulator.close());
	const url = simulator.hosts[wecomHost]?.url ?? "";
	const place = newDirectory();
	const directory = join(place, "tokens");
	const config = join(place, "config.toml");
	writeFileSync(
		config,
		`directory = "${directory}"
schedule = "* * * * * *"
[[wecom]]
corpid    = "${corpid}"
name      = "1000002"
secret    = ${JSON.stringify(secret)}
file      = "wx_access_token_${name}"
base_urls = ["${url}"]
cooldown  = 0
`,
		{ mode: 0o600 },
	);
	const daemon = await startDaemon(config);
	await daemon.event("control.opened");
	const [app] = simulator.platform.state.wecom.apps;
	return {
		place: { appid: name, url, directory, secret } satisfies Place,
		fetches,
		/** As 企业微信 does for reasons of its own: the token is refused with 40014. */
		invalidate: () => {
			if (app?.current !== undefined) app.current.isInvalid = true;
		},
	};
}

async function callsThroughDeath(readers: readonly Reader[]) {
	const kept = await keepApp();
	const env = environmentOf(kept.place);
	const drivers = await Promise.all(
		readers.map(async (reader) => {
			const command = await reader.prepare();
			const driver = startDriver({
				...{ command, env },
				path: "/cgi-bin/department/list",
			});
			onTestFinished(() => driver.stop());
			return driver;
		}),
	);
	const all = () => Promise.all(drivers.map((driver) => driver.call()));
	const works = readers.map(() => ({ errcode: 0 }));
	expect(await all()).toEqual(works);
	kept.invalidate();
	expect(await all()).toEqual(works);
	// The first token, and one for all that reported it dead.
	expect(kept.fetches.map(({ outcome }) => outcome)).toEqual([
		"issued",
		"issued",
	]);
	const agents = kept.fetches.map(({ headers }) => headers["user-agent"]);
	expect(new Set(agents)).toEqual(new Set(["wxtokend"]));
}

test.skipIf(present.length === 0)(
	"every reader reads the token of an app, and reports it dead",
	() => callsThroughDeath(present),
);

test("node-easywechat's Work calls with it, and never fetches", async () => {
	installSdks();
	await callsThroughDeath([
		{
			name: "node-easywechat, Work",
			needs: [],
			prepare: async () => [
				"env",
				`--chdir=${appDirectory()}`,
				process.execPath,
				join(appDirectory(), "drivers", "node-easywechat-work.mjs"),
			],
			callsWhenHopeless: 1,
		},
	]);
});
