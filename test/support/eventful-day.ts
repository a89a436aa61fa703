/**
 * A day in which much happened, for the status page: configuration, token files and
 * history of a daemon, as they are when it starts again. Nothing of it is chance.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";

type Row = readonly [at: number, kind: string, why: string, until: number];

/** What the scene needs of a simulator. */
export interface DayAccount {
	readonly appid: string;
	/** What the simulator knows; the configuration of one account has another. */
	readonly secret: string;
}

const minute = 60_000;
const hour = 60 * minute;
const life = 2 * hour;

const secretOf = (index: number) => `${index}`.repeat(32);

/** The simulator must know them. */
export const dayAccounts: readonly DayAccount[] = [
	"wx8f2c4b1a90d3e756",
	"wx3d9a71c0be4458f2",
	"wx51e0b7a2c9f64d83",
	"wxa94c6e20d17b5f38",
	"wx07d5f3e8b1a2946c",
	"wxe6b0c8241f9d7a35",
	"wxc28f5d90a7e1b364",
].map((appid, index) => ({ appid, secret: secretOf(index + 1) }));

/** Its server is on no whitelist: the simulator must be told. */
export const unlisted = "wx07d5f3e8b1a2946c";
/** The configuration has a secret that is not its own. */
const mistaken = "wxe6b0c8241f9d7a35";

/** Values one after the other, the last one until `lastsMs` from now. */
function renewals(now: number, lastsMs: number, everyMs = 80 * minute): Row[] {
	const rows: Row[] = [];
	const newest = now + lastsMs - life;
	for (let at = newest; at > now - 24 * hour; at -= everyMs)
		rows.unshift([at, "value", "due", at + life]);
	return rows;
}

/** In the order of time; a value that begins in a span is not there. */
function without(rows: readonly Row[], from: number, to: number): Row[] {
	return rows.filter(([at]) => at < from || at > to);
}

function inOrder(rows: readonly Row[]): readonly Row[] {
	return [...rows].sort(([one], [other]) => one - other);
}

/** By the name of its file. */
function historyAt(now: number): Readonly<Record<string, readonly Row[]>> {
	const back = (hours: number) => now - hours * hour;
	const forced = (hours: number, why = "forced"): Row => [
		back(hours),
		"value",
		why,
		back(hours) + life,
	];
	const night = without(renewals(now, 58 * minute), back(14), back(10.2));
	return {
		wx_access_token_wx8f2c4b1a90d3e756: renewals(now, 102 * minute),
		wx_jsapi_ticket_wx8f2c4b1a90d3e756: renewals(now, 71 * minute, life),
		wx_access_token_wx3d9a71c0be4458f2: renewals(
			now,
			88 * minute,
			116 * minute,
		),
		wx_access_token_wx51e0b7a2c9f64d83: inOrder([
			...without(renewals(now, 110 * minute), back(9.9), back(8.3)),
			[back(9.5), "death", "reported", back(9.5)],
			forced(9.48, "reported"),
			forced(19.2),
			forced(15.1),
			forced(4.4),
			forced(4.1),
		]),
		wx_access_token_wxa94c6e20d17b5f38: renewals(now, 64 * minute),
		wx_jsapi_ticket_wxa94c6e20d17b5f38: renewals(now, 49 * minute, life),
		wx_card_ticket_wxa94c6e20d17b5f38: renewals(now, 96 * minute, life),
		[`wx_access_token_${unlisted}`]: [
			...renewals(now, 31 * minute),
			[now - 9 * minute, "failure", "errcode 40164", now],
		],
		[`wx_access_token_${mistaken}`]: [
			...renewals(now, -3.4 * hour),
			[back(4), "failure", "errcode 40125", now],
		],
		wx_access_token_wxc28f5d90a7e1b364: inOrder([
			...night,
			[back(12.6), "failure", "ETIMEDOUT", back(10.3)],
			forced(10.1, "due"),
		]),
	};
}

/**
 * Writes it all below `place`; the answer is the configuration file. `url`: of the
 * simulator; `http`: the table of the configuration.
 */
export async function writeDay(
	place: string,
	url: string,
	http: Readonly<Record<string, unknown>>,
	now: number,
): Promise<string> {
	const directory = join(place, "tokens");
	mkdirSync(directory, { recursive: true });
	const tickets: Readonly<Record<string, readonly string[]>> = {
		wx8f2c4b1a90d3e756: ["jsapi"],
		wxa94c6e20d17b5f38: ["jsapi", "wx_card"],
	};
	const content = {
		directory,
		schedule: "* * * * * *",
		log_format: "json",
		http,
		wechat: { base_urls: [url] },
		account: dayAccounts.map(({ appid, secret }) => ({
			appid,
			secret: appid === mistaken ? "a".repeat(32) : secret,
			...(appid === "wx3d9a71c0be4458f2" ? { interface: "stable" } : {}),
			...(tickets[appid] && { tickets: tickets[appid] }),
		})),
	};
	const history = historyAt(now);
	const issued = createSource(url);
	for (const [file, rows] of Object.entries(history)) {
		const until = rows.findLast(([, kind]) => kind === "value")?.[3] ?? now;
		const value = await issued(file);
		const expire = Math.floor(until / 1000);
		writeFileSync(
			join(directory, file),
			`${JSON.stringify({ value, expire })}\n`,
			{ mode: 0o640 },
		);
	}
	const lines = Object.entries(history).map(([file, rows]) =>
		JSON.stringify([file, rows]),
	);
	writeFileSync(join(directory, ".wxtokend-history"), `${lines.join("\n")}\n`);
	const config = join(place, "config.toml");
	writeFileSync(config, stringify(content), { mode: 0o600 });
	return config;
}

const ticketTypes: Readonly<Record<string, string>> = {
	jsapi_ticket: "jsapi",
	card_ticket: "wx_card",
};

/** What a simulator gives for a file. */
function createSource(url: string): (file: string) => Promise<string> {
	const tokens = new Map<string, string>();
	const ask = async (path: string) => {
		const answer = await fetch(`${url}/cgi-bin/${path}`);
		return (await answer.json()) as Readonly<Record<string, string>>;
	};
	const tokenOf = async (appid: string) => {
		const { secret } = dayAccounts.find((one) => one.appid === appid) ?? {};
		const query = `grant_type=client_credential&appid=${appid}&secret=${secret}`;
		const token =
			tokens.get(appid) ?? (await ask(`token?${query}`)).access_token ?? "";
		tokens.set(appid, token);
		return token;
	};
	return async (file) => {
		const [, kind = "", appid = ""] = /^wx_(.+)_(wx\w+)$/.exec(file) ?? [];
		const token = await tokenOf(appid);
		const type = ticketTypes[kind];
		if (type === undefined) return token;
		const query = `access_token=${token}&type=${type}`;
		return (await ask(`ticket/getticket?${query}`)).ticket ?? "";
	};
}
