/**
 * Metrics in Prometheus' text format 0.0.4: counters of what this process did,
 * and instants from the files, which all daemons of the directory share.
 */
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { KeeperEvent } from "../core/ports.ts";
import type { StatusFacts } from "../core/status.ts";
import { createYielding, nextTurn } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import type { ManagedSet } from "./credential-set.ts";
import {
	type Family,
	headOf,
	labelsOf,
	labelText,
	sampleOf,
} from "./metrics-text.ts";

/** What the metrics are made from. */
export interface MetricsParts {
	/** Of wxtokend. */
	readonly version: string;
	/** Of the tokens: it tells daemons apart whose metrics are collected together. */
	readonly directory: () => string;
	readonly clock: Clock;
	/** What is kept; a reload changes it. */
	readonly managed: () => ManagedSet;
	/** The families of the fleet; by default none. */
	readonly ofFleet?: () => Promise<string>;
}

/** The metrics of a daemon. */
export interface Metrics {
	/** Counts an event of a keeper. Cheap: many accounts may be refreshed at once. */
	count(credential: Credential, event: KeeperEvent): void;
	/** How many events were counted: as long as it stays, so do the counters. */
	counted(): number;
	/** All metrics as text, in pieces. What is between two of them is for others. */
	render(): AsyncIterable<string>;
	/** How many bytes a rendering holds until its last piece was taken. */
	heldBytes(): number;
}

/** The counters of one credential. Flat, because ten thousand have them. */
interface Counts {
	fetched: number;
	failed: number;
	/** Errcode, or the code of what happened on the way → how often. Most have none. */
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

/** One for all that were only taken over so far, as after a start nearly all were. */
const adoptedOnce: Counts = { ...zero, adopted: 1 };

/**
 * Different codes that are counted for an account. A gateway between us and WeChat
 * may invent a new code for each answer, and every code is a series of its own.
 */
const maxCodes = 40;

/** Reading the status yields to the keepers after this time. */
const sliceMs = 5;

/** A piece has some more characters, and takes less than a millisecond to make. */
const pieceLength = 65_536;

/** All counters begin at zero. */
export function createMetrics(parts: MetricsParts): Metrics {
	const { clock, version } = parts;
	const startedAt = clock.now();
	const countsOf = new Map<string, Counts>();
	let counted = 0;

	// The status of every account is read once, before the families: all figures of an
	// account are of the same moment. Calls that come meanwhile share it.
	let looking: Promise<Look> | undefined;
	const look = (): Promise<Look> => {
		looking ??= lookAtAll([...parts.managed().byFile.values()], clock).finally(
			() => {
				looking = undefined;
			},
		);
		return looking;
	};

	async function* render(): AsyncGenerator<string> {
		const directory = parts.directory();
		const { all, figures } = await look();
		let text =
			headOf(buildInfo) +
			sampleOf(buildInfo.name, labelsOf({ version, directory }), 1) +
			headOf(started) +
			sampleOf(started.name, labelsOf({ directory }), startedAt / 1000);
		for (const [column, { family }] of columns.entries()) {
			let head = headOf(family);
			for (const [row, { credential }] of all.entries()) {
				const value = figures[row * columns.length + column];
				if (value === undefined || Number.isNaN(value)) continue;
				text += head + sampleOf(family.name, namesOf(credential), value);
				head = "";
				if (text.length < pieceLength) continue;
				yield text;
				text = "";
			}
		}
		for (const { family, samples } of counters) {
			// A family without samples is left out: a name alone says nothing.
			let head = headOf(family);
			let names = "";
			const add: Add = (value, more) => {
				const labels = more === undefined ? names : `${names},${more}`;
				text += head + sampleOf(family.name, labels, value);
				head = "";
			};
			for (const { credential } of all) {
				names = namesOf(credential);
				samples(countsOf.get(credential.id) ?? zero, add);
				if (text.length < pieceLength) continue;
				yield text;
				text = "";
			}
		}
		yield text;
		if (parts.ofFleet !== undefined) yield await parts.ofFleet();
	}

	return {
		count: ({ id }, event) => {
			counted += 1;
			const known = countsOf.get(id);
			if (known === undefined && event.kind === "adopted") {
				countsOf.set(id, adoptedOnce);
				return;
			}
			const counts =
				known === undefined || known === adoptedOnce
					? { ...(known ?? zero) }
					: known;
			countsOf.set(id, counts);
			addEvent(counts, event);
		},
		counted: () => counted,
		render,
		heldBytes: () =>
			parts.managed().byFile.size *
			(columns.length + 1) *
			Float64Array.BYTES_PER_ELEMENT,
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

/** The figures of all credentials at one moment, small: a slow reader holds them for long. */
interface Look {
	readonly all: readonly ManagedCredential[];
	/** Of each credential those of all columns; NaN: there is none. */
	readonly figures: Float64Array;
}

async function lookAtAll(
	all: readonly ManagedCredential[],
	clock: Clock,
): Promise<Look> {
	const figures = new Float64Array(all.length * columns.length);
	const yielding = createYielding(sliceMs);
	await nextTurn();
	const now = clock.now();
	let at = 0;
	for (const one of all) {
		const facts = one.facts(now);
		for (const { figure } of columns) {
			figures[at] = figure(facts) ?? Number.NaN;
			at += 1;
		}
		const pause = yielding.yieldIfLong();
		if (pause !== undefined) await pause;
	}
	return { all, figures };
}

/** The labels that every sample of a credential has. */
function namesOf({ appid, file }: Credential): string {
	return `appid="${labelText(appid)}",credential="${labelText(file)}"`;
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

/**
 * The families with the label `appid`, in the order of the output. First instants and
 * the budget, which come from the files that several daemons may share: an account has
 * one sample, or none (null).
 */
const columns: readonly {
	readonly family: Family;
	readonly figure: (facts: StatusFacts) => number | null;
}[] = [
	{
		family: {
			name: "wxtokend_token_expiry_timestamp_seconds",
			type: "gauge",
			help: "When the token on disk ends, as a Unix timestamp; 0 if there is none.",
		},
		figure: ({ expire }) => expire ?? 0,
	},
	{
		family: {
			name: "wxtokend_token_lifetime_seconds",
			type: "gauge",
			help: "How long the token on disk lives in all, as WeChat said; absent if unknown.",
		},
		figure: ({ lifetime }) => lifetime,
	},
	{
		family: {
			name: "wxtokend_last_success_timestamp_seconds",
			type: "gauge",
			help: "When the last successful fetch began, by whichever process, as a Unix timestamp; 0 if there was none.",
		},
		figure: ({ lastRefresh }) => (lastRefresh?.at ?? 0) / 1000,
	},
	{
		family: {
			name: "wxtokend_next_refresh_timestamp_seconds",
			type: "gauge",
			help: "When the next fetch may be made, as a Unix timestamp.",
		},
		figure: ({ nextRefreshAt }) => nextRefreshAt / 1000,
	},
	{
		family: {
			name: "wxtokend_fetch_failures_in_row",
			type: "gauge",
			help: "Failed fetches since the last success.",
		},
		figure: ({ lastError }) => lastError?.attempts ?? 0,
	},
	{
		family: {
			name: "wxtokend_budget_used_calls",
			type: "gauge",
			help: "Calls to WeChat within one token lifetime, probes included.",
		},
		figure: ({ budget }) => budget.used,
	},
	{
		family: {
			name: "wxtokend_budget_limit_calls",
			type: "gauge",
			help: "The most calls to WeChat within one token lifetime.",
		},
		figure: ({ budget }) => budget.of,
	},
	{
		family: {
			name: "wxtokend_foreign_fetcher_suspected",
			type: "gauge",
			help: "1 if tokens die so early and often that somebody else must be fetching with this AppSecret.",
		},
		figure: ({ foreignFetcher }) => (foreignFetcher ? 1 : 0),
	},
];

/** Adds a sample, perhaps with further labels, as `labelsOf` gives them. */
type Add = (value: number, more?: string) => void;

/** Then what this process has counted: an account may have a sample for each value of a label. */
const counters: readonly {
	readonly family: Family;
	readonly samples: (counts: Counts, add: Add) => void;
}[] = [
	{
		family: {
			name: "wxtokend_fetches_total",
			type: "counter",
			help: "Fetches from WeChat by outcome.",
		},
		samples: ({ fetched, failed }, add) => {
			// Also a value that is 0: rates need its start.
			add(fetched, 'outcome="ok"');
			add(failed, 'outcome="failed"');
		},
	},
	{
		family: {
			name: "wxtokend_fetch_errors_total",
			type: "counter",
			help: "Failed fetches by WeChat's errcode, or by what happened on the way.",
		},
		samples: ({ errors }, add) => {
			for (const [code, value] of errors ?? []) add(value, labelsOf({ code }));
		},
	},
	{
		family: {
			name: "wxtokend_probes_total",
			type: "counter",
			help: "Reported tokens that were tried, by verdict.",
		},
		samples: ({ alive, dead, unsure }, add) => {
			add(alive, 'verdict="alive"');
			add(dead, 'verdict="dead"');
			add(unsure, 'verdict="unsure"');
		},
	},
	{
		family: {
			name: "wxtokend_forced_refreshes_total",
			type: "counter",
			help: "Refreshes that SIGHUP or an app asked for.",
		},
		samples: ({ forced }, add) => add(forced),
	},
	{
		family: {
			name: "wxtokend_publications_total",
			type: "counter",
			help: "Token files renamed into place: new tokens, and repaired files.",
		},
		samples: ({ published }, add) => add(published),
	},
	{
		family: {
			name: "wxtokend_adoptions_total",
			type: "counter",
			help: "Tokens taken over that another process had published.",
		},
		samples: ({ adopted }, add) => add(adopted),
	},
	{
		family: {
			name: "wxtokend_lock_waits_total",
			type: "counter",
			help: "Times that another process held the account's lock.",
		},
		samples: ({ lockBusy }, add) => add(lockBusy),
	},
];
