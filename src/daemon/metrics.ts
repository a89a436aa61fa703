/**
 * Metrics in Prometheus' text format 0.0.4: counters of what this process did,
 * and instants from the files, which all daemons of the directory share.
 */

import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import type { KeeperEvent, Log } from "../core/ports.ts";
import type { CredentialStatus } from "../core/status.ts";
import { createYielding } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { publishFile } from "../store/atomic-write.ts";
import { type Family, renderFamily, type Sample } from "./metrics-text.ts";

export interface MetricsParts {
	readonly version: string;
	/** Of the tokens: it tells daemons apart whose metrics are collected together. */
	readonly directory: () => string;
	readonly clock: Clock;
	readonly log: Log;
	readonly managed: () => ReadonlyMap<string, ManagedCredential>;
}

export interface Metrics {
	/** Cheap: many accounts may be refreshed at once. */
	count(credential: Credential, event: KeeperEvent): void;
	/** The exposition, made in slices between which keepers get their turn. */
	render(): Promise<string>;
	/**
	 * Writes the file for node_exporter's textfile collector, if anything changed
	 * since the last time; less often than it is called if it takes long.
	 */
	write(path: string | undefined): Promise<void>;
}

/** An account's counters; flat, because ten thousand accounts have them. */
interface Counts {
	fetched: number;
	failed: number;
	/** By errcode, or what happened on the way; most accounts have none. */
	errors?: Map<string, number>;
	alive: number;
	dead: number;
	unsure: number;
	forced: number;
	published: number;
	adopted: number;
	lockBusy: number;
}

const zero: Counts = {
	fetched: 0,
	failed: 0,
	alive: 0,
	dead: 0,
	unsure: 0,
	forced: 0,
	published: 0,
	adopted: 0,
	lockBusy: 0,
};

/** What a gateway makes up as a code must not become series without end. */
const maxCodes = 40;

const sliceMs = 5;

/** Writing the file may take a fiftieth of the time. */
const restFactor = 50;

export function createMetrics(parts: MetricsParts): Metrics {
	const { clock, log } = parts;
	const startedAt = clock.now();
	const counted = new Map<string, Counts>();
	let changed = true;
	let writtenTo: string | undefined;
	let lastProblem = "";
	let writing: Promise<void> | undefined;
	let restsUntil = 0;

	const count = ({ appid }: Credential, event: KeeperEvent): void => {
		changed = true;
		const counts = counted.get(appid) ?? { ...zero };
		counted.set(appid, counts);
		switch (event.kind) {
			case "asked":
				if (event.outcome === "ok") counts.fetched += 1;
				else {
					counts.failed += 1;
					counts.errors ??= new Map();
					add(counts.errors, event.outcome.replace(/^errcode /, ""));
				}
				break;
			case "probed":
				counts[event.result] += 1;
				break;
			case "forced":
				counts.forced += 1;
				break;
			case "refreshed":
			case "repaired":
				counts.published += 1;
				break;
			case "adopted":
				counts.adopted += 1;
				break;
			case "lock-busy":
				counts.lockBusy += 1;
				break;
			case "shared":
			case "failed":
			case "lock-lost":
			case "budget-exceeded":
			case "overwritten":
			case "expired": // Of interest to the log only.
				break;
			default:
				event satisfies never;
		}
	};

	const render = async (): Promise<string> => {
		const { version } = parts;
		const directory = parts.directory();
		const lines = [
			renderFamily(buildInfo, [{ labels: { version, directory }, value: 1 }]),
			renderFamily(started, [
				{ labels: { directory }, value: startedAt / 1000 },
			]),
		];
		const accounts: Seen[] = [];
		const yielding = createYielding(sliceMs);
		for (const one of parts.managed().values()) {
			const status = one.status(clock.now());
			accounts.push({ status, counts: counted.get(status.appid) ?? zero });
			await yielding.yieldIfLong();
		}
		for (const { family, samples } of families) {
			const rows: Sample[] = [];
			for (const { status, counts } of accounts) {
				const labels = { appid: status.appid };
				for (const sample of samples(status, counts))
					rows.push({ ...sample, labels: { ...labels, ...sample.labels } });
				await yielding.yieldIfLong();
			}
			lines.push(renderFamily(family, rows));
		}
		return lines.join("");
	};

	const write = async (path: string): Promise<void> => {
		changed = false;
		writtenTo = path;
		try {
			const content = await render();
			await publishFile(path, content, { mode: 0o644, gid: undefined });
			lastProblem = "";
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			// Tried again at the next tick, as if something had changed.
			changed = true;
			const { message, code, hint } = error;
			if (lastProblem !== code)
				log.warn({ event: "metrics.unwritten", path, code, hint }, message);
			lastProblem = code;
		}
	};

	return {
		count,
		render,
		write: async (path) => {
			if (path === undefined || (!changed && path === writtenTo)) return;
			const beganAt = clock.monotonic();
			if (beganAt < restsUntil) return;
			writing ??= write(path).finally(() => {
				writing = undefined;
				// With ten thousand accounts something changes at each tick.
				restsUntil = beganAt + restFactor * (clock.monotonic() - beganAt);
			});
			await writing;
		},
	};
}

function add(counter: Map<string, number>, key: string): void {
	const name = counter.has(key) || counter.size < maxCodes ? key : "other";
	counter.set(name, (counter.get(name) ?? 0) + 1);
}

interface Seen {
	readonly status: CredentialStatus;
	readonly counts: Counts;
}

const buildInfo: Family = {
	name: "wxtokend_build_info",
	type: "gauge",
	help: "Always 1; the labels tell which wxtokend this is.",
};

const started: Family = {
	name: "wxtokend_start_time_seconds",
	type: "gauge",
	help: "When this daemon started, as a Unix timestamp. The counters begin there.",
};

type Samples = (status: CredentialStatus, counts: Counts) => readonly Sample[];

/** Every family below has the label `appid`. */
const families: readonly {
	readonly family: Family;
	readonly samples: Samples;
}[] = [
	{
		family: {
			name: "wxtokend_token_expiry_timestamp_seconds",
			type: "gauge",
			help: "When the token on disk ends, as a Unix timestamp; 0 if there is none.",
		},
		samples: ({ expire }) => one(expire ?? 0),
	},
	{
		family: {
			name: "wxtokend_token_lifetime_seconds",
			type: "gauge",
			help: "How long the token on disk lives in all, as WeChat said; absent if unknown.",
		},
		samples: ({ lifetime }) => (lifetime === null ? [] : one(lifetime)),
	},
	{
		family: {
			name: "wxtokend_last_success_timestamp_seconds",
			type: "gauge",
			help: "When the last successful fetch began, by whichever process, as a Unix timestamp; 0 if there was none.",
		},
		samples: ({ lastRefresh }) =>
			one(lastRefresh === null ? 0 : Date.parse(lastRefresh.at) / 1000),
	},
	{
		family: {
			name: "wxtokend_next_refresh_timestamp_seconds",
			type: "gauge",
			help: "When the next fetch may be made, as a Unix timestamp.",
		},
		samples: ({ nextRefreshAt }) =>
			nextRefreshAt === null ? [] : one(Date.parse(nextRefreshAt) / 1000),
	},
	{
		family: {
			name: "wxtokend_fetch_failures_in_row",
			type: "gauge",
			help: "Failed fetches since the last success.",
		},
		samples: ({ lastError }) => one(lastError?.attempts ?? 0),
	},
	{
		family: {
			name: "wxtokend_budget_used_calls",
			type: "gauge",
			help: "Calls to WeChat within one token lifetime, probes included.",
		},
		samples: ({ budget }) => one(budget.used),
	},
	{
		family: {
			name: "wxtokend_budget_limit_calls",
			type: "gauge",
			help: "The most calls to WeChat within one token lifetime.",
		},
		samples: ({ budget }) => one(budget.of),
	},
	{
		family: {
			name: "wxtokend_foreign_fetcher_suspected",
			type: "gauge",
			help: "1 if tokens die so early and often that somebody else must be fetching with this AppSecret.",
		},
		samples: ({ foreignFetcher }) => one(foreignFetcher ? 1 : 0),
	},
	{
		family: {
			name: "wxtokend_fetches_total",
			type: "counter",
			help: "Fetches from WeChat by outcome.",
		},
		samples: (_status, { fetched, failed }) =>
			by("outcome", { ok: fetched, failed }),
	},
	{
		family: {
			name: "wxtokend_fetch_errors_total",
			type: "counter",
			help: "Failed fetches by WeChat's errcode, or by what happened on the way.",
		},
		samples: (_status, { errors }) =>
			by("code", Object.fromEntries(errors ?? [])),
	},
	{
		family: {
			name: "wxtokend_probes_total",
			type: "counter",
			help: "Reported tokens that were tried, by verdict.",
		},
		samples: (_status, { alive, dead, unsure }) =>
			by("verdict", { alive, dead, unsure }),
	},
	{
		family: {
			name: "wxtokend_forced_refreshes_total",
			type: "counter",
			help: "Refreshes that SIGHUP or an app asked for.",
		},
		samples: (_status, { forced }) => one(forced),
	},
	{
		family: {
			name: "wxtokend_publications_total",
			type: "counter",
			help: "Token files renamed into place: new tokens, and repaired files.",
		},
		samples: (_status, { published }) => one(published),
	},
	{
		family: {
			name: "wxtokend_adoptions_total",
			type: "counter",
			help: "Tokens taken over that another process had published.",
		},
		samples: (_status, { adopted }) => one(adopted),
	},
	{
		family: {
			name: "wxtokend_lock_waits_total",
			type: "counter",
			help: "Times that another process held the account's lock.",
		},
		samples: (_status, { lockBusy }) => one(lockBusy),
	},
];

function one(value: number): readonly Sample[] {
	return [{ labels: {}, value }];
}

/** A sample for each value of the label. */
function by(
	label: string,
	counts: Readonly<Record<string, number>>,
): readonly Sample[] {
	return Object.entries(counts).map(([key, value]) => ({
		labels: { [label]: key },
		value,
	}));
}
