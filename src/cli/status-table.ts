/** The status as a table of text, for a person. */
import type { CredentialStatus, StatusReport } from "../core/status.ts";

/** How the table is drawn. */
export interface TableOptions {
	/** Whether the time left is also drawn as a bar. */
	readonly bars: boolean;
	readonly colors: boolean;
	/** Columns of the terminal. On a narrow one, columns of the table are left out. */
	readonly width: number;
	/** Epoch ms. */
	readonly now: number;
}

/**
 * The lines, without line ends: a head, one line for each account, and under it what is
 * wrong with the account; at the end what is wrong with the clock.
 */
export function tableOf(
	{ credentials, clock, days = {} }: StatusReport,
	options: TableOptions,
): readonly string[] {
	const { colors, now, width } = options;
	const accounts = childrenBelowParents(credentials);
	// Colours are added after padding: escapes have no width on the terminal.
	const paint = colors ? painted : (text: string) => text;
	const columns = columnsThatFit(accounts, options);
	const line = (cells: readonly string[], color?: Color) =>
		cells
			.map((cell, index) => {
				const { isTinted, width } = columns[index] as Column;
				const text = padded(cell, width);
				return isTinted && color !== undefined ? paint(text, color) : text;
			})
			.join(gap)
			.trimEnd();
	return [
		line(columns.map(({ title }) => title)),
		...accounts.flatMap((account, row) => [
			line(
				columns.map(({ cells }) => cells[row] ?? ""),
				colorOf(account),
			),
			...dayLine(days[account.credential], options),
			...remarksOn(account, now).flatMap((text) => wrapped(text, width, "  ")),
		]),
		...legendOf(days, options),
		...(clock === null
			? []
			: [
					...wrapped(clock.message, width),
					...wrapped(`hint: ${clock.hint}`, width, "  "),
				]),
	];
}

const dayTitle = "  last 24 h  ";

/** The day of an account, if it is known and fits. */
function dayLine(
	letters: string | undefined,
	{ bars, colors, width }: TableOptions,
): readonly string[] {
	if (letters === undefined || !bars) return [];
	if (dayTitle.length + letters.length + 2 > width) return [];
	const painted = colors
		? letters.replace(/([#!x])\1*/g, (run, letter: string) =>
				paintedRun(run, letter),
			)
		: letters;
	return [`${dayTitle}[${painted}]`];
}

/** What the letters mean, below a table that has some. */
function legendOf(
	days: NonNullable<StatusReport["days"]>,
	options: TableOptions,
): readonly string[] {
	const isDrawn = Object.values(days).some(
		(letters) => dayLine(letters, options).length > 0,
	);
	return isDrawn
		? wrapped(
				"last 24 h, half an hour each: # valid, ! a refresh failed, x no valid value, . not known",
				options.width,
			)
		: [];
}

/**
 * Breaks a text into lines of at most `width` columns of a terminal. A longer word has a
 * line of its own; Chinese may be broken between any two characters.
 */
export function wrapped(
	text: string,
	width: number,
	indent = "",
): readonly string[] {
	const lines: string[] = [];
	let line = indent;
	for (const word of text.split(" ")) {
		const pieces = word.match(unbroken) ?? [];
		for (const [index, piece] of pieces.entries()) {
			const gap = index === 0 && line !== indent ? " " : "";
			if (line !== indent && columnsOf(line + gap + piece) > width) {
				lines.push(line);
				line = indent + piece;
			} else line += gap + piece;
		}
	}
	return [...lines, line];
}

/** Characters that take two columns: Chinese, Japanese, Korean, full-width forms, emoji. */
const wide =
	"\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6\\u{1f300}-\\u{1faff}\\u{20000}-\\u{3fffd}";
const isWide = new RegExp(`[${wide}]`, "u");
/** Those that take none: marks over or in the character before. */
const isMark = /\p{M}|[\u200b-\u200f]/u;

/**
 * What stays on one line: a word, or one wide character; with the punctuation that must
 * not begin a line behind it, and the brackets that must not end one before it.
 */
const unbroken = new RegExp(
	`[（「『《【]*(?:[^${wide}]+|[${wide}])[，。、；：！？）」』》】]*`,
	"gu",
);

/** How many columns a text takes on a terminal. */
export function columnsOf(text: string): number {
	// Nearly all of ten thousand lines are such a text.
	if (/^[ -~]*$/.test(text)) return text.length;
	let columns = 0;
	for (const character of text)
		columns += isWide.test(character) ? 2 : isMark.test(character) ? 0 : 1;
	return columns;
}

function padded(text: string, width: number): string {
	return text + " ".repeat(Math.max(0, width - columnsOf(text)));
}

/** A column with all its cells, so that its width is known. */
interface Column {
	readonly title: string;
	/** In the colour of the state. */
	readonly isTinted: boolean;
	/** In the order of the accounts. */
	readonly cells: readonly string[];
	/** Of the longest one. */
	readonly width: number;
}

const gap = "  ";

/** The first choice that fits; the least important columns are left out first. */
function columnsThatFit(
	accounts: readonly Placed[],
	{ bars, now, width }: TableOptions,
): readonly Column[] {
	const column = (
		title: string,
		cellOf: (account: Placed) => string,
		isTinted = false,
	): Column => {
		const cells = accounts.map(cellOf);
		const lengths = [title, ...cells].map(columnsOf);
		return { title, isTinted, cells, width: Math.max(...lengths) };
	};
	const bar = column("", barOf, true);
	const last = column("REFRESHED", (account) => lastOf(account, now));
	const next = column("NEXT", (account) => nextOf(account, now));
	const needed = [
		column("APPID", nameOf),
		column("STATE", ({ state }) => state, true),
		column("LEFT", ({ valid, secondsLeft }) =>
			valid ? inWords(secondsLeft) : "-",
		),
	];
	const choices = [
		...(bars ? [[...needed, bar, last, next]] : []),
		[...needed, last, next],
		[...needed, next],
	];
	const widthOf = (columns: readonly Column[]) =>
		columns.reduce((sum, one) => sum + one.width + gap.length, -gap.length);
	return choices.find((columns) => widthOf(columns) <= width) ?? needed;
}

/** Seconds as `4d2h`, `1h52m`, `3m10s` or `45s`; negative ones as `0s`. */
export function inWords(seconds: number): string {
	const whole = Math.max(0, Math.round(seconds));
	const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) =>
		Math.floor(whole / unit),
	) as [number, number, number];
	if (days > 0) return `${days}d${hours % 24}h`;
	if (hours > 0) return `${hours}h${minutes % 60}m`;
	return minutes > 0 ? `${minutes}m${whole % 60}s` : `${whole}s`;
}

/** A credential, and how deep it stands below one that hangs on nothing. */
interface Placed extends CredentialStatus {
	readonly depth: number;
}

/** In the order that they have, but each one right below what it hangs on. */
function childrenBelowParents(
	credentials: readonly CredentialStatus[],
): readonly Placed[] {
	const children = new Map(
		credentials.map(({ credential }): [string, CredentialStatus[]] => [
			credential,
			[],
		]),
	);
	const isRoot = ({ parent }: CredentialStatus) =>
		parent === null || !children.has(parent);
	for (const one of credentials)
		if (one.parent !== null) children.get(one.parent)?.push(one);
	const placed: Placed[] = [];
	const place = (one: CredentialStatus, depth: number) => {
		placed.push({ ...one, depth });
		for (const child of children.get(one.credential) ?? [])
			place(child, depth + 1);
	};
	for (const one of credentials.filter(isRoot))
		place(one, one.parent === null ? 0 : 1);
	return placed;
}

/** The appid, or the file of what has none; a ticket has the name of its kind below its token. */
function nameOf({
	appid,
	kind,
	parent,
	credential,
	interface: wire,
	depth,
}: Placed): string {
	const indent = "  ".repeat(depth);
	if (kind === "authorizer_access_token") return indent + appid;
	// Of 代开发 it hangs on nothing.
	if (kind === "wecom_corp_access_token") return indent + credential;
	if (parent !== null) return indent + kind;
	return wire === null ? credential : appid;
}

/** What is wrong with an account, and what to do: none, or some sentences. */
function remarksOn(status: CredentialStatus, now: number): readonly string[] {
	const { lastError, hint, waitsFor, guessed, overdue } = status;
	const remarks: string[] = [];
	if (waitsFor !== null)
		remarks.push(
			`waits for ${waitsFor.credential}${waitsFor.reason === null ? "" : `: ${waitsFor.reason}`}`,
		);
	if (overdue)
		remarks.push("overdue: it is past its end, and WeChat still gives it");
	else if (guessed)
		remarks.push(
			"guessed: WeChat does not tell when it ends, so it is asked each 5 minutes until the next change",
		);
	if (lastError !== null) {
		const { message, attempts, since } = lastError;
		const times = attempts === 1 ? "once" : `${attempts} times`;
		const from = `${clockAt(Date.parse(since), now)} (${ago(since, now)})`;
		// The time under NEXT, and no second one: `nextTryAt` tells only when the pause
		// after the failure is over, and the token may not be due by then.
		remarks.push(
			`${message}`,
			`failed ${times} since ${from}, next try ${nextOf(status, now)}`,
		);
	}
	const effect = effectOn(status, now);
	if (effect !== undefined) remarks.push(effect);
	if (lastError !== null) remarks.push(`hint: ${lastError.hint}`);
	if (hint !== null) remarks.push(`hint: ${hint}`);
	return remarks;
}

/** From when on apps fail. Undefined: nothing stands in the way of the next refresh. */
function effectOn(
	{ valid, expire, lastError, waitsFor }: CredentialStatus,
	now: number,
): string | undefined {
	const at = expire === null ? undefined : clockAt(expire * 1000, now);
	if (!valid)
		return at === undefined || (expire ?? 0) * 1000 > now
			? "apps fail now"
			: `apps fail since ${at}`;
	if (lastError === null && waitsFor === null) return undefined;
	return at === undefined ? undefined : `apps will fail from ${at} on`;
}

/** An instant by the clock of this machine, with its date if that is not today's. */
function clockAt(at: number, now: number): string {
	const dayOf = (instant: Date) =>
		[instant.getFullYear(), instant.getMonth() + 1, instant.getDate()]
			.map((part) => String(part).padStart(2, "0"))
			.join("-");
	const instant = new Date(at);
	const clock = instant.toTimeString().slice(0, 5);
	const day = dayOf(instant);
	return day === dayOf(new Date(now)) ? clock : `${day} ${clock}`;
}

/** When the last successful fetch was, and why. A token from before may be of unknown age. */
function lastOf({ lastRefresh, valid }: CredentialStatus, now: number): string {
	if (lastRefresh === null) return valid ? "unknown" : "never";
	return `${ago(lastRefresh.at, now)} (${lastRefresh.reason})`;
}

/** When the next fetch may be made. */
function nextOf({ nextRefreshAt }: CredentialStatus, now: number): string {
	return nextRefreshAt === null ? "-" : ahead(nextRefreshAt, now);
}

/** `instant`: ISO 8601. */
function ago(instant: string, now: number): string {
	return `${inWords((now - Date.parse(instant)) / 1000)} ago`;
}

/** An instant that has passed is due at the next tick: `now`. */
function ahead(instant: string, now: number): string {
	const seconds = (Date.parse(instant) - now) / 1000;
	return seconds < 1 ? "now" : `in ${inWords(seconds)}`;
}

const barCells = 20;

/**
 * The share of the token's life that is left. In ASCII, because the width of other
 * characters differs between terminals.
 */
function barOf({ secondsLeft, lifetime }: CredentialStatus): string {
	const share = secondsLeft / Math.max(lifetime ?? 7_200, secondsLeft, 1);
	const full = Math.ceil(share * barCells);
	return `[${"#".repeat(full)}${"-".repeat(barCells - full)}]`;
}

type Color = "green" | "yellow" | "red";

/** Yellow needs attention, red means that apps fail. */
function colorOf({ state }: CredentialStatus): Color {
	switch (state) {
		case "valid":
			return "green";
		case "failing":
			return "yellow";
		case "expired":
		case "missing":
		case "unusable":
			return "red";
		default:
			return state satisfies never;
	}
}

/** A part of a day, in the colour of what it was. */
function paintedRun(run: string, letter: string): string {
	const color = letter === "#" ? "green" : letter === "!" ? "yellow" : "red";
	return painted(run, color);
}

/** With the escapes of ANSI terminals. */
function painted(text: string, color: Color): string {
	const codes = { green: 32, yellow: 33, red: 31 };
	return `\u001b[${codes[color]}m${text}\u001b[0m`;
}
