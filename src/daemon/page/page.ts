/**
 * The status page as HTML: one document without anything from elsewhere. What it says
 * comes from the states; nothing of it is a token or a secret.
 */
import { createHash } from "node:crypto";
import type { Day } from "../../core/day.ts";
import type { CredentialStatus } from "../../core/status.ts";
import { type Frame, pictureOf } from "./picture.ts";
import { script, style } from "./style.ts";
import { duration, type Language, type PageWords, wordsOf } from "./words.ts";

/** How bad a state is; the order of the page. */
export type Rank = "bad" | "warn" | "ok";

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

/** The whole document. `maxParts`: as of `pictureOf`. */
export function renderPage(view: PageView, maxParts: number): string {
	const words = wordsOf(view.language);
	const [rank, sentence] = headline(view, words);
	const bad = view.failing + view.dead;
	const title = `${bad === 0 ? "" : `(${bad}) `}wxtokend: ${words.title}`;
	const lang = view.language === "zh" ? "zh-CN" : "en";
	const otherLang = view.language === "zh" ? "en" : "zh";
	return `<!doctype html><html lang=${lang}><meta charset=utf-8><title>${title}</title><meta name=viewport content="width=device-width,initial-scale=1"><link rel=icon href="${icon(rank)}"><noscript><meta http-equiv=refresh content=15></noscript><style>${style}</style>
<header><strong>wxtokend<span>${words.title}</span></strong><button type=button id=hold aria-pressed=false hidden>${words.pause}</button><a id=lang lang=${otherLang} hreflang=${otherLang} href="${address(view, { lang: otherLang })}">${words.other}</a></header>
<p id=old role=alert hidden>${words.stale}</p>
<main><h1 id=say aria-live=polite class=${rank}>${sentence}</h1>
<div id=all>${list(view, words, maxParts)}</div></main>
<footer>${words.footer(escaped(view.version), escaped(view.directory), zone(view.now))}</footer>
<script>${script}</script></html>
`;
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

function list(view: PageView, words: PageWords, maxParts: number): string {
	const shared = sharedTroubles(view);
	const told = [...shared.values()].map(
		({ rank, words: trouble, rows, code }) =>
			`<section class="t ${rank}"><h2>${words.sameTrouble(count(rows))} <code>${escaped(code)}</code></h2><p>${escaped(trouble.message)}</p><p>${escaped(trouble.hint)}</p></section>`,
	);
	const rows = view.rows.map((row) => {
		const picture = pictureOf(row.day, view.frame, words, maxParts);
		return rowOf(row, picture, view, words, shared);
	});
	const body =
		rows.length === 0 ? `<p>${words.none}</p>` : `<ol>${rows.join("\n")}</ol>`;
	return `${told.join("")}<div class=bar>${legend(view, words)}${search(view, words)}</div>${axis(view, words)}${body}${pager(view, words)}`;
}

/** A failure that many credentials have, told once. */
interface Shared {
	readonly code: string;
	readonly rank: Rank;
	readonly words: TroubleWords;
	readonly rows: number;
}

/** So many rows with the same failure share one text. */
const enoughToShare = 3;

function sharedTroubles(view: PageView): ReadonlyMap<string, Shared> {
	const found = new Map<string, Shared>();
	for (const { status, rank } of view.rows) {
		const key = troubleKey(status);
		const words = view.troubleOf(status);
		if (key === undefined || words === undefined) continue;
		const known = found.get(key);
		const code = status.lastError?.code ?? status.state;
		found.set(key, {
			code,
			rank: known?.rank === "bad" ? "bad" : rank,
			words: known?.words ?? words,
			rows: (known?.rows ?? 0) + 1,
		});
	}
	for (const [key, { rows }] of found)
		if (rows < enoughToShare) found.delete(key);
	return found;
}

function troubleKey({ lastError, hint, state }: CredentialStatus) {
	if (lastError !== null) return `${lastError.code} ${lastError.hint}`;
	return hint === null ? undefined : `${state} ${hint}`;
}

function rowOf(
	{ status, rank, isChild }: Row,
	picture: string,
	view: PageView,
	words: PageWords,
	shared: ReadonlyMap<string, Shared>,
): string {
	const kind = words.kinds[status.kind] ?? status.kind.replaceAll("_", " ");
	const left =
		status.secondsLeft === 0
			? words.noneLeft
			: `${words.left(duration(status.secondsLeft * 1000, words))} · ${clockTime((status.expire ?? 0) * 1000, view.now)}`;
	const doubts = [
		...(status.guessed ? [words.guessed] : []),
		...(status.overdue ? [words.overdue] : []),
	];
	const trouble = troubleLines(status, view, words, shared);
	const told = trouble === "" ? "" : `<div class=e>${trouble}</div>`;
	return `<li class="${rank}${isChild ? " c" : ""}"><b>${escaped(nameOf(status))}<small>${escaped(kind)}</small></b><span>${words.states[status.state]}</span><p>${[left, ...doubts].join(" · ")}</p>${picture}${told}</li>`;
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
	shared: ReadonlyMap<string, Shared>,
): string {
	const { lastError, waitsFor } = status;
	const trouble = view.troubleOf(status);
	const isShared = shared.has(troubleKey(status) ?? "");
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
	return `<form role=search><input id=q name=q aria-label="${words.find}" value="${escaped(view.search)}"><input type=hidden name=lang value=${view.language}><button id=go>${words.find}</button></form>`;
}

function axis({ frame, now }: PageView, words: PageWords): string {
	const spanMs = now - frame.from;
	const ago = (ms: number) => words.legend.ago(duration(ms, words));
	return `<div class=axis aria-hidden=true><span><i>${ago(spanMs)}</i><i>${ago(spanMs / 2)}</i><i>${words.legend.now}</i></span></div>`;
}

function pager(view: PageView, words: PageWords): string {
	const { page, pageSize, found } = view;
	if (found <= pageSize) return "";
	const first = (page - 1) * pageSize + 1;
	const last = Math.min(found, page * pageSize);
	const link = (to: number, text: string, id: string) =>
		to < 1 || (to - 1) * pageSize >= found
			? "<span></span>"
			: `<a id=${id} href="${address(view, { page: String(to) })}">${text}</a>`;
	return `<nav aria-label="${words.pages}">${link(page - 1, words.before, "prev")}<span>${words.shown(count(first), count(last), count(found))}</span>${link(page + 1, words.after, "next")}</nav>`;
}

/** This page with other parameters. */
function address(
	{ language, page, search: q }: PageView,
	changed: Readonly<Record<string, string>>,
): string {
	const all = {
		lang: language,
		...(q === "" ? {} : { q }),
		...(page === 1 ? {} : { page: String(page) }),
		...changed,
	};
	return `/?${escaped(String(new URLSearchParams(all)))}`;
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
