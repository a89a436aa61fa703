/**
 * Answers requests for the status page: which credentials are on it, and what happened to
 * those. One page is made at a time, in slices, and for all who asked for it by then: so
 * neither many clients nor ten thousand credentials hold up the keepers.
 */
import type { Clock } from "../../core/clock.ts";
import { traitsOf, usualLifetimeMs } from "../../core/credential.ts";
import { dayOf, withCurrent } from "../../core/day.ts";
import { type CredentialStatus, statusFrom } from "../../core/status.ts";
import { inSlices } from "../../keeper/limiter.ts";
import { inChinese, stateInChinese } from "../alert-words.ts";
import type { ControlAnswer, ControlRequest } from "../control-http.ts";
import type { ManagedSet } from "../credential-set.ts";
import type { History } from "../history.ts";
import {
	type PageView,
	pageHeaders,
	pageSteps,
	type Row,
	type SharedTrouble,
	type TroubleWords,
} from "./page.ts";
import type { Frame } from "./picture.ts";
import {
	causeKey,
	countSteps,
	type Ranked,
	rankOf,
	type Survey,
	searchSteps,
	surveySteps,
} from "./survey.ts";
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
/** The picture goes on into the future for this share of the past. */
const aheadShare = 12;
/** So many with the same trouble share one text. */
const enoughToShare = 3;
/** Texts of such troubles on a page. */
const maxShared = 6;

/** What a request asks for. */
interface Asked {
	readonly language: Language;
	/** "" for all. */
	readonly search: string;
	readonly page: number;
}

/** A page that waits for its turn, and how many clients wait for it. */
interface Awaited {
	html: Promise<string>;
	clients: number;
}

/** Answers a request for the page. */
export function createStatusPage(
	parts: StatusPageParts,
): (request: ControlRequest) => Promise<ControlAnswer> {
	const survey = createSurvey(parts);
	/** By what is asked for. */
	const awaited = new Map<string, Awaited>();
	let last: Promise<unknown> = Promise.resolve();

	const htmlFor = async (asked: Asked): Promise<string> => {
		const all = await survey();
		return inSlices(steps(asked, all, parts), sliceMs, () => {});
	};

	/** In its turn; no longer wanted by then, it is not made. */
	const begin = (key: string, asked: Asked): Awaited => {
		const begun: Awaited = { html: Promise.resolve(""), clients: 0 };
		begun.html = last.then(() => {
			awaited.delete(key);
			return begun.clients > 0 ? htmlFor(asked) : "";
		});
		awaited.set(key, begun);
		last = begun.html.catch(() => {}); // Those who wait are told.
		return begun;
	};

	return async (request) => {
		const asked = askedIn(request);
		const key = JSON.stringify(asked);
		const page = awaited.get(key) ?? begin(key, asked);
		page.clients += 1;
		request.onEnd(() => {
			page.clients -= 1;
		});
		return { status: 200, content: await page.html, headers: pageHeaders };
	};
}

/** Looks at all credentials, at most once in `surveyMs`. */
function createSurvey({ managed, clock }: StatusPageParts) {
	let last: Promise<Survey> | undefined;
	let lastAt = Number.NEGATIVE_INFINITY;
	return (): Promise<Survey> => {
		if (last !== undefined && clock.monotonic() - lastAt < surveyMs)
			return last;
		lastAt = clock.monotonic();
		const all = surveySteps(managed().byFile.values(), clock.now());
		last = inSlices(all, sliceMs, () => {});
		last.catch(() => {
			last = undefined;
		});
		return last;
	};
}

function askedIn({ query, headers }: ControlRequest): Asked {
	const { lang, q = "", page } = Object.fromEntries(new URLSearchParams(query));
	return {
		language:
			lang === "zh" || lang === "en"
				? lang
				: preferredLanguage(headers["accept-language"]),
		search: q.trim().slice(0, 64),
		page: Math.max(1, Math.floor(Number(page) || 1)),
	};
}

function* steps(
	asked: Asked,
	all: Survey,
	parts: StatusPageParts,
): Generator<undefined, string> {
	return yield* pageSteps(yield* viewSteps(asked, all, parts), maxBytes);
}

function* viewSteps(
	{ language, search, page: wanted }: Asked,
	all: Survey,
	parts: StatusPageParts,
): Generator<undefined, PageView> {
	const found =
		search === "" ? all.ordered : yield* searchSteps(all.ordered, search);
	const pages = Math.max(1, Math.ceil(found.length / pageSize));
	const page = Math.min(pages, wanted);
	const now = parts.clock.now();
	const shown = found.slice((page - 1) * pageSize, page * pageSize);
	const { rows, frame } = yield* rowSteps(shown, now, parts);
	const { shared, others } = yield* sharedSteps(found, language, now);
	return {
		...{ language, rows, page, pageSize, search, frame, now },
		...{ shared, others },
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

function* rowSteps(
	shown: readonly Ranked[],
	now: number,
	{ history }: StatusPageParts,
): Generator<
	undefined,
	{ readonly rows: readonly Row[]; readonly frame: Frame }
> {
	const rows: Row[] = [];
	for (const { one } of shown) {
		const { credential } = one;
		const facts = one.facts(now);
		const status = statusFrom(facts);
		const events = withCurrent(history.of(credential.id, now), facts);
		rows.push({
			status,
			rank: rankOf(status),
			isChild: credential.needs.length > 0,
			day: dayOf(events, traitsOf(credential).replacedLivesMs, now),
		});
		yield;
	}
	const spanMs = spanOf(rows.map(({ status }) => status));
	const to = now + spanMs / aheadShare;
	return { rows, frame: { from: now - spanMs, now, to } };
}

/** The troubles that most of them have, and how many of them have which other one. */
function* sharedSteps(
	found: readonly Ranked[],
	language: Language,
	now: number,
): Generator<undefined, Pick<PageView, "shared" | "others">> {
	const shared: SharedTrouble[] = [];
	const others = { causes: 0, count: 0 };
	const having = [...(yield* countSteps(found))];
	having.sort(([, some], [, fewer]) => fewer.length - some.length);
	for (const [{ key, code }, all] of having) {
		const count = all.length;
		const isTold = shared.length < maxShared && count >= enoughToShare;
		const first = isTold ? all[0]?.one.status(now) : undefined;
		// It may be fine by now.
		const isSame = first !== undefined && causeKey(first) === key;
		const words = isSame ? troubleOf(first, language) : undefined;
		if (words !== undefined) {
			const rank = all.some((one) => one.rank === "bad") ? "bad" : "warn";
			shared.push({ key, code, rank, count, words });
		} else {
			others.causes += 1;
			others.count += count;
		}
		yield;
	}
	return { shared, others };
}

/** A day; less where values live much shorter, as in a simulation. */
function spanOf(statuses: readonly CredentialStatus[]): number {
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
