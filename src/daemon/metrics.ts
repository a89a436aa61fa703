/**
 * Metrics in Prometheus' text format 0.0.4: counters of what this process did,
 * and instants from the files, which all daemons of the directory share.
 */
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { KeeperEvent } from "../core/ports.ts";
import type { CredentialStatus } from "../core/status.ts";
import { createYielding } from "../keeper/limiter.ts";
import type { ManagedSet } from "./credential-set.ts";
import { type Family, renderFamily, type Sample } from "./metrics-text.ts";

/** What the metrics are made from. */
export interface MetricsParts {
	/** Of wxtokend. */
	readonly version: string;
	/** Of the tokens: it tells daemons apart whose metrics are collected together. */
	readonly directory: () => string;
	readonly clock: Clock;
	/** By appid; a reload changes them. */
	readonly managed: () => ManagedSet;
}

/** The metrics of a daemon. */
export interface Metrics {
	/** Counts an event of a keeper. Cheap: many accounts may be refreshed at once. */
	count(credential: Credential, event: KeeperEvent): void;
	/** How many events were counted: as long as it stays, so do the counters. */
	counted(): number;
	/** All metrics as text. With many accounts it yields to the keepers in between. */
	render(): Promise<string>;
}

/** The counters of one account. Flat, because ten thousand accounts have them. */
interface Counts {
	fetched: number;
	failed: number;
	/** Errcode, or the code of what happened on the way → how often. Most accounts have none. */
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

/**
 * Different codes that are counted for an account. A gateway between us and WeChat
 * may invent a new code for each answer, and every code is a series of its own.
 */
const maxCodes = 40;

/** Rendering yields to the keepers after this time. */
const sliceMs = 5;

/** All counters begin at zero. */
export function createMetrics(parts: MetricsParts): Metrics {
	const { clock, version } = parts;
	const startedAt = clock.now();
	const countsOf = new Map<string, Counts>();
	let counted = 0;

	// The status of every account is read once, before the families: all figures of an
	// account are of the same moment.
	const render = async (): Promise<string> => {
		const directory = parts.directory();
		const lines = [
			renderFamily(buildInfo, [{ labels: { version, directory }, value: 1 }]),
			renderFamily(started, [
				{ labels: { directory }, value: startedAt / 1000 },
			]),
		];
		const accounts: Seen[] = [];
		const yielding = createYielding(sliceMs);
		for (const one of parts.managed().byFile.values()) {
			const status = one.status(clock.now());
			accounts.push({
				status,
				counts: countsOf.get(status.credential) ?? zero,
			});
			await yielding.yieldIfLong();
		}
		for (const { family, samples } of families) {
			const rows: Sample[] = [];
			for (const { status, counts } of accounts) {
				const labels = {
					appid: status.appid,
					credential: status.credential,
				};
				for (const sample of samples(status, counts))
					rows.push({ ...sample, labels: { ...labels, ...sample.labels } });
				await yielding.yieldIfLong();
			}
			lines.push(renderFamily(family, rows));
		}
		return lines.join("");
	};

	return {
		count: ({ id }, event) => {
			counted += 1;
			const counts = countsOf.get(id) ?? { ...zero };
			countsOf.set(id, counts);
			addEvent(counts, event);
		},
		counted: () => counted,
		render,
	};
}

/** Every kind of event is listed, so that a new one cannot be forgotten. */
function addEvent(counts: Counts, event: KeeperEvent): void {
	switch (event.kind) {
		case "asked":
			if (event.outcome === "ok") counts.fetched += 1;
			else {
				counts.failed += 1;
				counts.errors ??= new Map();
				addCode(counts.errors, event.outcome.replace(/^errcode /, ""));
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
		case "expired": // Only the log needs these.
			break;
		default:
			event satisfies never;
	}
}

/** WeChat's codes and Node.js's are few; beyond `maxCodes` they are counted as "other". */
function addCode(errors: Map<string, number>, code: string): void {
	const name = errors.has(code) || errors.size < maxCodes ? code : "other";
	errors.set(name, (errors.get(name) ?? 0) + 1);
}

/** What the samples of one account are made from. */
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

/** What an account adds to a family: none, one, or one for each value of a label. */
type Samples = (status: CredentialStatus, counts: Counts) => readonly Sample[];

/**
 * The families with the label `appid`, in the order of the output. Instants and the
 * budget come from the files, which several daemons may share; counters are those of
 * this process.
 */
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

/** The single sample of a family without labels of its own. */
function one(value: number): readonly Sample[] {
	return [{ labels: {}, value }];
}

/** A sample for each value of the label, also for one that is 0: rates need its start. */
function by(
	label: string,
	counts: Readonly<Record<string, number>>,
): readonly Sample[] {
	return Object.entries(counts).map(([key, value]) => ({
		labels: { [label]: key },
		value,
	}));
}
