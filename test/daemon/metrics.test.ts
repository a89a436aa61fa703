import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import parse from "parse-prometheus-text-format";
import { expect, test } from "vitest";
import { headOf, labelsOf, sampleOf } from "../../src/daemon/metrics-text.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { callSocket, refreshOver } from "../support/socket.ts";
import { startAll } from "../support/start-all.ts";
import { readTokenFile } from "../support/token-file.ts";

const startTwo = (top: Readonly<Record<string, unknown>> = {}) =>
	startAll({ count: 2, top, wechat: { cooldown: 0 } });

test("an independent parser reads the same figures that the simulator's log has", async () => {
	const { wechat, config, socket } = await startTwo();
	const { value } = readTokenFile(config.tokenFile("wx1"));
	await refreshOver(socket, "wx1", value); // A probe: alive.
	await refreshOver(socket, "wx1");
	await wechat.addFault({ mode: "errcode", errcode: 40164, count: 1 });
	await refreshOver(socket, "wx1");
	const { expire } = readTokenFile(config.tokenFile("wx1"));
	const answer = await callSocket(socket, "/metrics");
	expect(answer.headers["content-type"]).toBe(
		"text/plain; version=0.0.4; charset=utf-8",
	);
	const value1 = (
		name: string,
		labels: Readonly<Record<string, string>> = {},
	) => figureIn(answer.text, name, { appid: "wx1", ...labels });
	expect({
		expiry: value1("wxtokend_token_expiry_timestamp_seconds"),
		lifetime: value1("wxtokend_token_lifetime_seconds"),
		ok: value1("wxtokend_fetches_total", { outcome: "ok" }),
		failed: value1("wxtokend_fetches_total", { outcome: "failed" }),
		errors: value1("wxtokend_fetch_errors_total", { code: "40164" }),
		alive: value1("wxtokend_probes_total", { verdict: "alive" }),
		dead: value1("wxtokend_probes_total", { verdict: "dead" }),
		forced: value1("wxtokend_forced_refreshes_total"),
		published: value1("wxtokend_publications_total"),
		waits: value1("wxtokend_lock_waits_total"),
		inRow: value1("wxtokend_fetch_failures_in_row"),
		used: value1("wxtokend_budget_used_calls"),
		limit: value1("wxtokend_budget_limit_calls"),
		foreign: value1("wxtokend_foreign_fetcher_suspected"),
	}).toEqual({
		expiry: expire,
		lifetime: 7200,
		ok: 2,
		failed: 1,
		errors: 1,
		alive: 1,
		dead: 0,
		forced: 2,
		published: 2,
		waits: 0,
		inRow: 1,
		used: 4,
		limit: 60,
		foreign: 0,
	});
	const success = value1("wxtokend_last_success_timestamp_seconds") ?? 0;
	expect(Math.floor(success)).toBe(expire - 7200);
	const { version } = JSON.parse(readFileSync("package.json", "utf8"));
	expect(figureIn(answer.text, "wxtokend_build_info", { version })).toBe(1);
});

test("names, units, types and order follow Prometheus' conventions", async () => {
	const { wechat, socket } = await startTwo();
	await wechat.addFault({ mode: "status", status: 502, count: 1 });
	await refreshOver(socket, "wx1");
	const { text } = await callSocket(socket, "/metrics");
	expect(complaintsAbout(text)).toEqual([]);
	expect(parse(text).length).toBeGreaterThan(10);
	expect(complaintsAbout("# TYPE a counter\na{b=c} 1")).not.toEqual([]);
});

test("the HELP texts are those of the committed list: node_exporter drops a family of which two files tell different ones", () => {
	const source = readFileSync("src/daemon/metrics.ts", "utf8");
	const families = source.matchAll(
		/name: "(wxtokend_[a-z_]+)",\s+type: "([a-z]+)",\s+help: ("(?:[^"\\]|\\.)*")/g,
	);
	const lines = [...families].map(
		([, name, type, help = ""]) => `${name} ${type} ${JSON.parse(help)}\n`,
	);
	expect(lines.join("")).toBe(
		readFileSync("test/daemon/metrics-help.txt", "utf8"),
	);
});

test("what two daemons tell of themselves differs by the directory, so that one collector takes both", async () => {
	const texts: string[] = [];
	for (const { config, socket } of [await startTwo(), await startTwo()]) {
		const { text } = await callSocket(socket, "/metrics");
		const { directory } = config;
		for (const name of ["wxtokend_build_info", "wxtokend_start_time_seconds"]) {
			expect(figureIn(text, name, { directory })).toBeGreaterThan(0);
			texts.push(...(text.match(new RegExp(`^${name}\\{.*\\}`, "m")) ?? []));
		}
	}
	expect(new Set(texts).size).toBe(4);
});

test("no text that WeChat puts into a label can break the format", () => {
	const text =
		headOf({ name: "wxtokend_x_total", type: "counter", help: "a\\b\nc" }) +
		sampleOf("wxtokend_x_total", labelsOf({ code: 'q"\\\n}' }), 1);
	expect(complaintsAbout(text)).toEqual([]);
	expect(parse(text)).toMatchObject([
		{ name: "wxtokend_x_total", metrics: [{ labels: { code: 'q"\\\n}' } }] },
	]);
});

test("the file for node_exporter holds the same metrics, is readable for all, and is written after each refresh", async () => {
	const file = join(newDirectory(), "wxtokend.prom");
	const { config, socket } = await startTwo({ metrics_file: file });
	const holds = (expected: number) => () => {
		const text = statSync(file, { throwIfNoEntry: false })
			? readFileSync(file, "utf8")
			: "";
		const ok = { appid: "wx2", outcome: "ok" };
		return figureIn(text, "wxtokend_fetches_total", ok) === expected
			? text
			: undefined;
	};
	await eventually(holds(1), { what: "the first fetch in the file" });
	await refreshOver(socket, "wx2");
	const text = await eventually(holds(2), { what: "the second fetch" });
	expect(complaintsAbout(text)).toEqual([]);
	expect(
		figureIn(text, "wxtokend_token_expiry_timestamp_seconds", { appid: "wx2" }),
	).toBe(readTokenFile(config.tokenFile("wx2")).expire);
	expect(statSync(file).mode & 0o7777).toBe(0o644);
});

test("a metrics file that cannot be written is one warning, and is written when that is possible again", async () => {
	const place = newDirectory();
	const gone = join(place, "gone");
	const file = join(gone, "wxtokend.prom");
	const { daemon, config } = await startTwo({ metrics_file: file });
	expect(await daemon.event("metrics.unwritten")).toMatchObject({
		level: "warn",
		path: file,
		code: "ENOENT",
	});
	readTokenFile(config.tokenFile("wx1"));
	mkdirSync(gone);
	await eventually(() => statSync(file, { throwIfNoEntry: false }), {
		what: "the metrics file",
	});
	expect(
		daemon.events().filter(({ event }) => event === "metrics.unwritten").length,
	).toBe(1);
	rmSync(gone, { recursive: true });
});

function figureIn(
	text: string,
	name: string,
	labels: Readonly<Record<string, string>>,
): number | undefined {
	const metrics = parse(text).find((family) => family.name === name)?.metrics;
	const found = metrics?.filter((metric) =>
		Object.entries(labels).every(
			([label, value]) => metric.labels?.[label] === value,
		),
	);
	return found?.length === 1 ? Number(found[0]?.value) : undefined;
}

/** What `promtool check metrics` checks, and a little more. */
function complaintsAbout(text: string): readonly string[] {
	const complaints: string[] = [];
	const seen = new Set<string>();
	const finished = new Set<string>();
	let current = { help: "", type: "", name: "" };
	if (!text.endsWith("\n")) complaints.push("no line end at the end");
	for (const line of text.split("\n").slice(0, -1)) {
		const help = /^# HELP ([a-z_]+) (.+)$/.exec(line);
		const type = /^# TYPE ([a-z_]+) (counter|gauge)$/.exec(line);
		const sample =
			/^([a-z_]+)(\{([a-z_]+="(?:[^"\\]|\\["\\n])*",?)+\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$/.exec(
				line,
			);
		if (help !== null) {
			const [, name = "", words = ""] = help;
			finished.add(current.name);
			if (finished.has(name)) complaints.push(`${name} comes in two pieces`);
			if (!words.endsWith(".") && words.length < 3)
				complaints.push(`${name} has no help`);
			current = { help: words, type: "", name };
		} else if (type !== null) {
			const [, name = "", kind = ""] = type;
			if (name !== current.name) complaints.push(`${name} has no HELP`);
			if (/_total$/.test(name) !== (kind === "counter"))
				complaints.push(`${name}: _total belongs to counters`);
			if (!/_(seconds|total|info|calls|row|suspected)$/.test(name))
				complaints.push(`${name} has no unit`);
			if (/_(milliseconds|minutes|hours|count|sum|bucket)$/.test(name))
				complaints.push(`${name}: base units, no reserved names`);
			current = { ...current, type: kind };
		} else if (sample !== null) {
			const [, name = "", labels = "", , value] = sample;
			if (name !== current.name || current.type === "")
				complaints.push(`${name} comes before its TYPE`);
			if (seen.has(name + labels)) complaints.push(`${line} comes twice`);
			if (current.type === "counter" && !(Number(value) >= 0))
				complaints.push(`${line}: a counter below zero`);
			seen.add(name + labels);
		} else {
			complaints.push(`not a line of the format: ${line}`);
		}
	}
	return complaints;
}
