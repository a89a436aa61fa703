/**
 * What the status page shows: which credentials come first, which of them are on a
 * page, and what happened to those. With ten thousand of them it looks only at those
 * that are busy or shown, and gives way to the keepers.
 */
import type { Clock } from "../../core/clock.ts";
import { traitsOf, usualLifetimeMs } from "../../core/credential.ts";
import { dayOf, withCurrent } from "../../core/day.ts";
import {
	type CredentialStatus,
	type Glimpse,
	type StatusFacts,
	statusFrom,
} from "../../core/status.ts";
import { createYielding } from "../../keeper/limiter.ts";
import type { ManagedCredential } from "../../keeper/managed-credential.ts";
import { inChinese, stateInChinese } from "../alert-words.ts";
import type { ControlAnswer, ControlRequest } from "../control-http.ts";
import type { ManagedSet } from "../credential-set.ts";
import type { History } from "../history.ts";
import {
	type PageView,
	pageHeaders,
	type Rank,
	renderPage,
	type TroubleWords,
} from "./page.ts";
import type { Frame } from "./picture.ts";
import { type Language, preferredLanguage } from "./words.ts";

/** What the page is made from. */
export interface StatusPageParts {
	readonly managed: () => ManagedSet;
	readonly history: Pick<History, "of">;
	readonly clock: Clock;
	readonly version: string;
	/** Of the tokens. */
	readonly directory: () => string;
}

/** Rows of a page. */
const pageSize = 100;
const sliceMs = 5;
/** A look at all credentials answers further requests for so long. */
const surveyMs = 1_000;
const dayMs = 86_400_000;
/** Of a page. If it would be larger, its pictures show less. */
const maxBytes = 61_440;
/** Bars and marks of a picture, in one try after the other. */
const maxParts = [128, 24, 12, 4] as const;
/** The picture goes on into the future for this share of the past. */
const aheadShare = 12;

/** A credential, and how bad its state is. */
interface Ranked {
	readonly one: ManagedCredential;
	readonly rank: Rank;
}

/** All credentials in the order of the page. */
interface Survey {
	readonly at: number;
	readonly ordered: readonly Ranked[];
	readonly failing: number;
	readonly dead: number;
	readonly firstEnd: number;
}

/** Answers a request for the page. */
export function createStatusPage(
	parts: StatusPageParts,
): (request: ControlRequest) => Promise<ControlAnswer> {
	const { clock } = parts;
	let last: Promise<Survey> | undefined;
	let lastAt = Number.NEGATIVE_INFINITY;
	const survey = () => {
		if (last === undefined || clock.monotonic() - lastAt >= surveyMs) {
			lastAt = clock.monotonic();
			last = surveyOf(parts);
			last.catch(() => {
				last = undefined;
			});
		}
		return last;
	};
	return async (request) => {
		const asked = Object.fromEntries(new URLSearchParams(request.query));
		const language = languageOf(asked.lang, request);
		const all = await survey();
		const view = await viewOf(asked, language, all, parts);
		const content = await smallPage(view);
		return { status: 200, content, headers: pageHeaders };
	};
}

async function smallPage(view: PageView): Promise<string> {
	const yielding = createYielding(sliceMs);
	let html = "";
	for (const parts of maxParts) {
		html = renderPage(view, parts);
		if (Buffer.byteLength(html) <= maxBytes) break;
		await yielding.yieldIfLong();
	}
	return html;
}

function languageOf(
	asked: string | undefined,
	{ headers }: ControlRequest,
): Language {
	if (asked === "zh" || asked === "en") return asked;
	return preferredLanguage(headers["accept-language"]);
}

/** The worst first; children stay below their parent, the worst of them first. */
async function surveyOf({ managed, clock }: StatusPageParts): Promise<Survey> {
	const yielding = createYielding(sliceMs);
	const now = clock.now();
	const families = new Map<string, Ranked[]>();
	let failing = 0;
	let dead = 0;
	let firstEnd = Number.POSITIVE_INFINITY;
	for (const one of managed().byFile.values()) {
		const seen = now < one.idleUntil ? undefined : one.glimpse(now);
		const rank = seen === undefined ? "ok" : rankAt(now, seen);
		if (rank === "bad") dead += 1;
		if (rank === "warn") {
			failing += 1;
			firstEnd = Math.min(firstEnd, seen?.expiresAt ?? now);
		}
		const [parent = one.credential.id] = one.credential.needs;
		const family = families.get(parent);
		if (family === undefined) families.set(parent, [{ one, rank }]);
		else family.push({ one, rank });
		await yielding.yieldIfLong();
	}
	const ordered: Ranked[] = [];
	for (const wanted of ["bad", "warn", "ok"] as const)
		for (const [parent, ...children] of families.values()) {
			if (parent === undefined) continue;
			const worst = worstOf([parent, ...children]);
			if (worst !== wanted) continue;
			ordered.push(parent, ...children.sort(byRank));
			await yielding.yieldIfLong();
		}
	return { at: now, ordered, failing, dead, firstEnd };
}

const ranks: readonly Rank[] = ["bad", "warn", "ok"];

function byRank(one: Ranked, other: Ranked): number {
	return ranks.indexOf(one.rank) - ranks.indexOf(other.rank);
}

function worstOf(family: readonly Ranked[]): Rank {
	return ranks.find((rank) => family.some((one) => one.rank === rank)) ?? "ok";
}

function rankOf({ valid, lastError }: CredentialStatus): Rank {
	if (!valid) return "bad";
	return lastError === null ? "ok" : "warn";
}

function rankAt(now: number, { expiresAt, isFailing }: Glimpse): Rank {
	if (expiresAt <= now) return "bad";
	return isFailing ? "warn" : "ok";
}

async function viewOf(
	asked: Readonly<Record<string, string>>,
	language: Language,
	all: Survey,
	parts: StatusPageParts,
): Promise<PageView> {
	const { clock, history } = parts;
	const search = (asked.q ?? "").trim().slice(0, 64);
	const found =
		search === ""
			? all.ordered
			: all.ordered.filter(({ one: { credential } }) =>
					`${credential.file} ${credential.appid}`.includes(search),
				);
	const pages = Math.max(1, Math.ceil(found.length / pageSize));
	const page = Math.min(
		pages,
		Math.max(1, Math.floor(Number(asked.page) || 1)),
	);
	const now = clock.now();
	const yielding = createYielding(sliceMs);
	const shown: { ranked: Ranked; facts: StatusFacts }[] = [];
	for (const ranked of found.slice((page - 1) * pageSize, page * pageSize)) {
		shown.push({ ranked, facts: ranked.one.facts(now) });
		await yielding.yieldIfLong();
	}
	const spanMs = spanOf(shown.map(({ facts }) => facts));
	const frame: Frame = {
		from: now - spanMs,
		now,
		to: now + spanMs / aheadShare,
	};
	const rows = [];
	for (const { ranked, facts } of shown) {
		const { credential } = ranked.one;
		const status = statusFrom(facts);
		const events = withCurrent(history.of(credential.id, now), facts);
		const day = dayOf(events, traitsOf(credential).replacedLivesMs, now);
		rows.push({
			status,
			rank: rankOf(status),
			isChild: credential.needs.length > 0,
			day,
		});
		await yielding.yieldIfLong();
	}
	return {
		...{ language, rows, page, pageSize, search, frame, now },
		total: all.ordered.length,
		failing: all.failing,
		dead: all.dead,
		firstEnd: all.firstEnd,
		found: found.length,
		version: parts.version,
		directory: parts.directory(),
		troubleOf: (status) => troubleOf(status, language),
	};
}

/** A day; less where values live much shorter, as in a simulation. */
function spanOf(statuses: readonly Pick<StatusFacts, "lifetime">[]): number {
	const longestMs = Math.max(
		...statuses.map(({ lifetime }) => (lifetime ?? 0) * 1000),
		0,
	);
	const share = longestMs === 0 ? usualLifetimeMs : longestMs;
	const wantedMs = Math.min(dayMs, share * aheadShare);
	return neatSpansMs.find((span) => span >= wantedMs) ?? dayMs;
}

/** Those of which the half is short in words, too: 23 h 59 min would not fit above the pictures. */
const neatSpansMs = [
	...[10, 20, 40].map((seconds) => seconds * 1_000),
	...[2, 4, 10, 20, 40].map((minutes) => minutes * 60_000),
	...[2, 4, 6, 8, 12, 16].map((hours) => hours * 3_600_000),
];

function troubleOf(
	status: CredentialStatus,
	language: Language,
): TroubleWords | undefined {
	const { lastError, hint, kind } = status;
	if (language === "zh" && (lastError !== null || hint !== null)) {
		const words =
			lastError === null
				? stateInChinese(status)
				: inChinese({ ...lastError, of: kind });
		return { message: words.meaning, hint: words.hint };
	}
	if (lastError !== null) return lastError;
	return hint === null ? undefined : { message: hint, hint: "" };
}
