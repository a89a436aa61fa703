/**
 * The status page as HTML: one document without anything from elsewhere. What it says
 * comes from the states; nothing of it is a token or a secret.
 */
import { createHash } from "node:crypto";
import type { Day } from "../../core/day.ts";
import type { CredentialStatus } from "../../core/status.ts";
import { type Frame, pictureOf } from "./picture.ts";
import { script, style } from "./style.ts";
import { causeKey, type Rank } from "./survey.ts";
import { duration, type Language, type PageWords, wordsOf } from "./words.ts";

/** A row of the page. */
export interface Row {
	readonly status: CredentialStatus;
	readonly rank: Rank;
	/** It stands below the one that it needs. */
	readonly isChild: boolean;
	/** For its picture. */
	readonly day: Day;
}

/** What went wrong, in the words of the page's language. */
export interface TroubleWords {
	readonly message: string;
	readonly hint: string;
}

/** A trouble that many credentials have, told once. */
export interface SharedTrouble {
	/** As of `causeKey`. */
	readonly key: string;
	readonly code: string;
	readonly rank: Rank;
	/** Of the credentials that have it, also on other pages. */
	readonly count: number;
	/** Of one of them. */
	readonly words: TroubleWords;
}

/** All that a page shows. */
export interface PageView {
	readonly language: Language;
	readonly rows: readonly Row[];
	/** How many credentials there are, and how many of them are failing or dead. */
	readonly total: number;
	readonly failing: number;
	readonly dead: number;
	/** When the first of those that fail ends, epoch ms. */
	readonly firstEnd: number;
	/** Of those that match `search`. */
	readonly found: number;
	/** From 1 on. */
	readonly page: number;
	readonly pageSize: number;
	/** "" for all. */
	readonly search: string;
	/** Of all pictures. */
	readonly frame: Frame;
	readonly now: number;
	readonly version: string;
	readonly directory: string;
	readonly troubleOf: (status: CredentialStatus) => TroubleWords | undefined;
	/** Of those that match `search`, the most frequent ones. */
	readonly shared: readonly SharedTrouble[];
	/** Troubles that are told in the rows alone, and how many credentials have one. */
	readonly others: { readonly causes: number; readonly count: number };
}

function sourceHash(text: string): string {
	return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** Nothing but what stands in the page, and the page itself again. */
export const pageHeaders: Readonly<Record<string, string>> = {
	"Content-Type": "text/html; charset=utf-8",
	"Content-Security-Policy": [
		"default-src 'none'",
		`style-src ${sourceHash(style)}`,
		`script-src ${sourceHash(script)}`,
		"img-src data:",
		"connect-src 'self'",
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
	].join("; "),
	"Referrer-Policy": "no-referrer",
	Vary: "Accept-Language",
};

/** For text and for attributes in quotes. */
function escaped(text: string): string {
	return text.replace(/[&<>"']/g, (found) => `&#${found.codePointAt(0)};`);
}

/** Bars and marks of a picture, in one try after the other. */
const maxParts = [128, 24, 12, 4] as const;

/**
 * The steps of making the whole document, between which others may have their turn. If it
 * would have more than `maxBytes`, its pictures show less.
 */
export function* pageSteps(
	view: PageView,
	maxBytes: number,
): Generator<undefined, string> {
	const words = wordsOf(view.language);
	const told = new Set(view.shared.map(({ key }) => key));
	const rows: RowParts[] = [];
	for (const row of view.rows) {
		rows.push(rowOf(row, view, words, told));
		yield;
	}
	const [before, after] = around(view, words);
	const room = maxBytes - Buffer.byteLength(before + after);
	let list = "";
	for (const most of maxParts) {
		list = yield* listSteps(rows, view, words, most);
		if (Buffer.byteLength(list) <= room) break;
	}
	return before + list + after;
}

/** A row, but for its picture, which stands between the two. */
type RowParts = readonly [before: string, day: Day, after: string];

function* listSteps(
	rows: readonly RowParts[],
	view: PageView,
	words: PageWords,
	most: number,
): Generator<undefined, string> {
	if (rows.length === 0) return `<p>${words.none}</p>`;
	const items: string[] = [];
	for (const [before, day, after] of rows) {
		items.push(before + pictureOf(day, view.frame, words, most) + after);
		yield;
	}
	return `<ol>${items.join("\n")}</ol>`;
}

/** What stands before the list, and behind it. */
function around(
	view: PageView,
	words: PageWords,
): readonly [before: string, after: string] {
	const [rank, sentence] = headline(view, words);
	const bad = view.failing + view.dead;
	const title = `${bad === 0 ? "" : `(${bad}) `}wxtokend: ${words.title}`;
	const lang = view.language === "zh" ? "zh-CN" : "en";
	const otherLang = view.language === "zh" ? "en" : "zh";
	const before = `<!doctype html><html lang=${lang}><meta charset=utf-8><title>${title}</title><meta name=viewport content="width=device-width,initial-scale=1"><link rel=icon href="${icon(rank)}"><noscript><meta http-equiv=refresh content=15></noscript><style>${style}</style>
<header><strong>wxtokend<span>${words.title}</span></strong>${search(view, words)}<button type=button id=hold aria-pressed=false hidden>${words.pause}</button><a id=lang lang=${otherLang} hreflang=${otherLang} href="${address(view, { lang: otherLang })}">${words.other}</a></header>
<p id=old role=alert hidden>${words.stale}</p>
<main><h1 id=say aria-live=polite class=${rank}>${sentence}</h1>
<div id=all>${matches(view, words)}${troubles(view, words)}<div class=bar>${legend(view, words)}</div>${axis(view, words)}`;
	const after = `${pager(view, words)}</div></main>
<footer>${words.footer(escaped(view.version), escaped(view.directory), zone(view.now))}</footer>
<script>${script}</script></html>
`;
	return [before, after];
}

function headline(view: PageView, words: PageWords): readonly [Rank, string] {
	const { failing, dead, total, now } = view;
	const of = count(total);
	const more = failing > 0 ? words.moreFailing(count(failing)) : "";
	if (dead > 0) return ["bad", words.someDead(count(dead), of) + more];
	return failing > 0
		? [
				"warn",
				words.someFailing(count(failing), of, clockTime(view.firstEnd, now)),
			]
		: ["ok", words.allValid(of)];
}

/** A dot in the colour of the state, for the tab. */
function icon(rank: Rank): string {
	const colour = { ok: "0b7442", warn: "c77700", bad: "c62828" }[rank];
	return `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='3.5' fill='%23${colour}'/%3E%3C/svg%3E`;
}

/** What many have in common, for all of them. */
function troubles(view: PageView, words: PageWords): string {
	const { shared, others, found } = view;
	const told = shared.map(
		({ code, rank, count: having, words: { message, hint } }, index) => {
			const only =
				having === found
					? ""
					: ` <a id=why${index} href="${address(view, { q: code, page: "" })}">${words.only}</a>`;
			return `<section class="t ${rank}"><h2>${words.sameTrouble(count(having))} <code>${escaped(code)}</code>${only}</h2><p>${words.example(escaped(message))}</p><p>${escaped(hint)}</p></section>`;
		},
	);
	const hasMore = others.causes > 0 && found > view.pageSize;
	const more = hasMore
		? `<p>${words.otherTroubles(count(others.count), count(others.causes))}</p>`
		: "";
	return told.join("") + more;
}

function rowOf(
	{ status, rank, isChild, day }: Row,
	view: PageView,
	words: PageWords,
	told: ReadonlySet<string>,
): RowParts {
	const kind = words.kinds[status.kind];
	const left =
		status.secondsLeft === 0
			? words.noneLeft
			: `${words.left(duration(status.secondsLeft * 1000, words))} · ${clockTime((status.expire ?? 0) * 1000, view.now)}`;
	const doubts = [
		...(status.guessed ? [words.guessed] : []),
		...(status.overdue ? [words.overdue] : []),
	];
	const trouble = troubleLines(status, view, words, told);
	return [
		`<li class="${rank}${isChild ? " c" : ""}"><b>${escaped(nameOf(status))}<small>${escaped(kind)}</small></b><span>${words.states[status.state]}</span><p>${[left, ...doubts].join(" · ")}</p>`,
		day,
		`${trouble === "" ? "" : `<div class=e>${trouble}</div>`}</li>`,
	];
}

/** The name of its file, without what the kind says already. */
function nameOf({ credential }: CredentialStatus): string {
	return credential.replace(
		/^(?:wx|wecom)_(?:[a-z]+_)?(?:access_token|ticket)_(?=.)/,
		"",
	);
}

function troubleLines(
	status: CredentialStatus,
	view: PageView,
	words: PageWords,
	told: ReadonlySet<string>,
): string {
	const { lastError, waitsFor } = status;
	const trouble = view.troubleOf(status);
	const isShared = told.has(causeKey(status) ?? "");
	const when =
		lastError === null
			? []
			: [
					words.since(
						clockTime(Date.parse(lastError.since), view.now),
						count(lastError.attempts),
					),
					words.nextTry(clockTime(Date.parse(lastError.nextTryAt), view.now)),
				];
	const lines = [
		waitsFor === null ? "" : words.waitsFor(escaped(waitsFor.credential)),
		isShared || trouble === undefined ? "" : escaped(trouble.message),
		isShared || trouble === undefined ? "" : escaped(trouble.hint),
		when.join(" · "),
	];
	return lines
		.filter((line) => line !== "")
		.map((line) => `<p>${line}</p>`)
		.join("");
}

function legend({ rows }: PageView, { legend: words }: PageWords): string {
	const hasPushes = rows.some(({ day }) => day.pushes.length > 0);
	const sample = (name: string, path: string, text: string) =>
		`<li><svg viewBox="0 0 26 20" aria-hidden=true><path class=${name} d="${path}"/></svg>${text}</li>`;
	return `<ul class=key>${[
		sample("b", "M0 7h17M9 13h17", words.value),
		sample("f", "M13 1v18", words.forced),
		sample("r", "M13 1v18", words.reported),
		sample("x", "M0 10h26", words.failure),
		sample("d", "M0 10h26", words.dead),
		hasPushes ? sample("p", "M0 10h26", words.push) : "",
	].join("")}</ul>`;
}

function search(view: PageView, words: PageWords): string {
	if (view.total <= 12 && view.search === "") return "";
	return `<form role=search><input id=q name=q type=search aria-label="${words.searched}" placeholder="${words.searched}" value="${escaped(view.search)}"><input type=hidden name=lang value=${view.language}><button id=go>${words.find}</button></form>`;
}

/** What came of a search, and the way back. */
function matches(view: PageView, words: PageWords): string {
	if (view.search === "") return "";
	const told = words.matches(
		count(view.found),
		count(view.total),
		escaped(view.search),
	);
	return `<p class=bar><span>${told}</span><a id=every href="${address(view, { q: "", page: "" })}">${words.every}</a></p>`;
}

function axis({ frame, now }: PageView, words: PageWords): string {
	const spanMs = now - frame.from;
	const ago = (ms: number) => words.legend.ago(duration(ms, words));
	return `<div class=axis aria-hidden=true><span><i>${ago(spanMs)}</i><i>${ago(spanMs / 2)}</i><i>${words.legend.now}</i></span></div>`;
}

function pager(view: PageView, words: PageWords): string {
	const { page, pageSize, found } = view;
	if (found <= pageSize) return "";
	const pages = Math.ceil(found / pageSize);
	const first = (page - 1) * pageSize + 1;
	const last = Math.min(found, page * pageSize);
	const link = (id: "first" | "prev" | "next" | "last", to: number) =>
		to === page || to < 1 || to > pages
			? ""
			: `<a id=${id} href="${address(view, { page: String(to) })}">${words.to[id]}</a>`;
	return `<nav aria-label="${words.pages}"><span>${link("first", 1)} ${link("prev", page - 1)}</span><span>${words.shown(count(first), count(last), count(found))}</span><span>${link("next", page + 1)} ${link("last", pages)}</span></nav>`;
}

/** This page with other parameters; those that are empty are left out. */
function address(
	{ language, page, search: q }: PageView,
	changed: Readonly<Record<string, string>>,
): string {
	const all = { lang: language, q, page: String(page), ...changed };
	const given = Object.entries(all).filter(
		([name, value]) => value !== "" && !(name === "page" && value === "1"),
	);
	return `/?${escaped(String(new URLSearchParams(given)))}`;
}

/** 10,000 with its comma, which both languages write. */
function count(number: number): string {
	return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** On the server's clock; with the day unless it is today, with seconds if it is near. */
function clockTime(at: number, now: number): string {
	const two = (number: number) => String(number).padStart(2, "0");
	const date = new Date(at);
	const isNear = Math.abs(at - now) < 120_000;
	const time = `${two(date.getHours())}:${two(date.getMinutes())}${isNear ? `:${two(date.getSeconds())}` : ""}`;
	return new Date(now).toDateString() === date.toDateString()
		? time
		: `${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** `UTC+08:00`. */
function zone(now: number): string {
	const minutes = -new Date(now).getTimezoneOffset();
	const two = (number: number) => String(number).padStart(2, "0");
	const size = Math.abs(minutes);
	return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
