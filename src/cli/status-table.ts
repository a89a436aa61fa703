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
 * wrong with the account.
 */
export function tableOf(
	{ credentials: accounts }: StatusReport,
	options: TableOptions,
): readonly string[] {
	const { colors, now, width } = options;
	// Colours are added after padding: escapes have no width on the terminal.
	const paint = colors ? painted : (text: string) => text;
	const columns = columnsThatFit(accounts, options);
	const line = (cells: readonly string[], color?: Color) =>
		cells
			.map((cell, index) => {
				const { isTinted, width } = columns[index] as Column;
				const text = cell.padEnd(width);
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
			...remarksOn(account, now).flatMap((text) => wrapped(text, width, "  ")),
		]),
	];
}

/** Breaks a text into lines of at most `width` characters. A longer word has a line of its own. */
export function wrapped(
	text: string,
	width: number,
	indent = "",
): readonly string[] {
	const lines: string[] = [];
	let line = indent;
	for (const word of text.split(" ")) {
		if (line.length + word.length > width && line.trim() !== "") {
			lines.push(line.trimEnd());
			line = indent;
		}
		line += `${word} `;
	}
	return [...lines, line.trimEnd()];
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
	accounts: readonly CredentialStatus[],
	{ bars, now, width }: TableOptions,
): readonly Column[] {
	const column = (
		title: string,
		cellOf: (account: CredentialStatus) => string,
		isTinted = false,
	): Column => {
		const cells = accounts.map(cellOf);
		const lengths = [title, ...cells].map((text) => text.length);
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

/** The appid; below it what hangs on its token. */
function nameOf({ appid, kind, interface: wire }: CredentialStatus): string {
	return wire === null ? `  ${kind}` : appid;
}

/** What is wrong with an account, and what to do: none, or some sentences. */
function remarksOn(
	{ lastError, hint, waitsFor, guessed, overdue }: CredentialStatus,
	now: number,
): readonly string[] {
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
		const { message, attempts, since, nextTryAt } = lastError;
		const times = attempts === 1 ? "once" : `${attempts} times`;
		remarks.push(
			`${message}`,
			`failed ${times} since ${ago(since, now)}, next try ${ahead(nextTryAt, now)}`,
			`hint: ${lastError.hint}`,
		);
	}
	if (hint !== null) remarks.push(`hint: ${hint}`);
	return remarks;
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

/** With the escapes of ANSI terminals. */
function painted(text: string, color: Color): string {
	const codes = { green: 32, yellow: 33, red: 31 };
	return `\u001b[${codes[color]}m${text}\u001b[0m`;
}
