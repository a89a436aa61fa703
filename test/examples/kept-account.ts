/** The real thing: a simulator, the built daemon over it, and what they were asked. */
import { request } from "node:http";
import { join } from "node:path";
import type { RequestRecord } from "../../src/simulator/request-log.ts";
import { type Simulator, startSimulator } from "../../src/simulator/server.ts";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { httpOf, newBearer } from "../support/http.ts";
import { atEnd } from "../support/lifetime.ts";
import { type Running, startDaemon } from "../support/program.ts";
import type { Place } from "./readers.ts";

export interface Kept {
	readonly simulator: Simulator;
	readonly daemon: Running;
	/** One for each account. */
	readonly places: readonly Place[];
	/** What a reader on a host without the directory is told by its environment. */
	readonly remote: Readonly<Record<string, string>>;
	/** Has the daemon fetch another token for that account, now. */
	renew(appid: string): Promise<void>;
	/** Calls of the token endpoints, whoever made them. */
	fetches(appid: string): number;
	/** Who made them, by their own words. */
	fetchers(): readonly string[];
	/** Uses of that account's tokens by its reader, in order. */
	uses(appid: string): readonly Use[];
}

export interface Use {
	readonly token: string;
	/** "ok", or "errcode 40001". */
	readonly outcome: string;
}

/** Ends with the test, or with what shares it. */
export async function keep(accounts = 1): Promise<Kept> {
	const known = newAccounts(accounts);
	// The simulator's own log is cut at some length.
	const fetches: RequestRecord[] = [];
	const uses = new Map<string, Use[]>(
		known.map(({ appid }) => [appid, [] as Use[]]),
	);
	const simulator = await startSimulator({
		accounts: known,
		onRequest: (record) => {
			const { path, query, outcome } = record;
			if (/^\/cgi-bin\/(token|stable_token)$/.test(path)) fetches.push(record);
			uses
				.get(query.reader ?? "")
				?.push({ token: query.access_token ?? "", outcome });
		},
	});
	atEnd(() => simulator.close());
	const { file: bearerFile } = newBearer();
	const { file, directory } = writeConfig({
		url: simulator.url,
		accounts: known,
		top: { http: { listen: "127.0.0.1:0", bearer_file: bearerFile } },
		wechat: { cooldown: 0, budget: 1000 },
	});
	const daemon = await startDaemon(file);
	await daemon.event("control.opened");
	const remote = {
		WXTOKEND_DIRECTORY: "/nowhere",
		WXTOKEND_URL: await httpOf(daemon),
		WXTOKEND_BEARER_FILE: bearerFile,
	};
	const { url } = simulator;
	return {
		simulator,
		daemon,
		remote,
		places: known.map((account) => ({ ...account, url, directory })),
		renew: (appid) => forceRefresh(join(directory, "control.sock"), appid),
		fetches: (appid) =>
			fetches.filter(({ query }) => query.appid === appid).length,
		fetchers: () => [
			...new Set(fetches.map(({ headers }) => `${headers["user-agent"]}`)),
		],
		uses: (appid) => uses.get(appid) ?? [],
	};
}

function forceRefresh(socketPath: string, appid: string): Promise<void> {
	const path = `/v1/accounts/${appid}/refresh`;
	return new Promise((resolve, reject) => {
		request({ socketPath, path, method: "POST" })
			.on("response", (answer) => {
				answer.resume().on("end", () => {
					if (answer.statusCode === 200) resolve();
					else reject(new Error(`the refresh failed: ${answer.statusCode}`));
				});
			})
			.on("error", reject)
			.end();
	});
}
