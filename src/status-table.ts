/** The status as a person reads it. */
import type { AccountStatus, StatusReport } from "./status.ts";

export interface TableOptions {
	/** A bar for the time left. */
	readonly bars: boolean;
	readonly colors: boolean;
	/** Epoch ms. */
	readonly now: number;
}

/** Lines without line ends: a head, one line for each account, and under it what is wrong. */
export function tableOf(
	{ accounts }: StatusReport,
	{ bars, colors, now }: TableOptions,
): readonly string[] {
	const paint = colors ? painted : (text: string) => text;
	const rows = accounts.map((account) => ({
		account,
		cells: [
			account.appid,
			account.state,
			account.valid ? inWords(account.secondsLeft) : "-",
			...(bars ? [barOf(account)] : []),
			lastOf(account, now),
			nextOf(account, now),
		],
	}));
	const head = [
		"APPID",
		"STATE",
		"LEFT",
		...(bars ? [""] : []),
		"REFRESHED",
		"NEXT",
	];
	const widths = head.map((title, column) =>
		Math.max(
			title.length,
			...rows.map(({ cells }) => cells[column]?.length ?? 0),
		),
	);
	const line = (cells: readonly string[], color?: Color) =>
		cells
			.map((cell, column) => {
				const text = cell.padEnd(widths[column] ?? 0);
				// The state, and the bar that shows it.
				const tinted = column === 1 || (bars && column === 3);
				return tinted && color !== undefined ? paint(text, color) : text;
			})
			.join("  ")
			.trimEnd();
	return [
		line(head),
		...rows.flatMap(({ account, cells }) => [
			line(cells, colorOf(account)),
			...remarksOn(account, now).map((text) => `  ${text}`),
		]),
	];
}

/** `1h52m`, `3m10s`, `45s`. */
export function inWords(seconds: number): string {
	const whole = Math.max(0, Math.round(seconds));
	const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) =>
		Math.floor(whole / unit),
	) as [number, number, number];
	if (days > 0) return `${days}d${hours % 24}h`;
	if (hours > 0) return `${hours}h${minutes % 60}m`;
	return minutes > 0 ? `${minutes}m${whole % 60}s` : `${whole}s`;
}

function remarksOn(
	{ lastError, hint }: AccountStatus,
	now: number,
): readonly string[] {
	const remarks: string[] = [];
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

function lastOf({ lastRefresh }: AccountStatus, now: number): string {
	if (lastRefresh === null) return "never";
	return `${ago(lastRefresh.at, now)} (${lastRefresh.reason})`;
}

function nextOf({ nextRefreshAt }: AccountStatus, now: number): string {
	return nextRefreshAt === null ? "-" : ahead(nextRefreshAt, now);
}

function ago(instant: string, now: number): string {
	return `${inWords((now - Date.parse(instant)) / 1000)} ago`;
}

function ahead(instant: string, now: number): string {
	const seconds = (Date.parse(instant) - now) / 1000;
	return seconds < 1 ? "now" : `in ${inWords(seconds)}`;
}

const barCells = 20;

/** What is left of the token's life. ASCII, as wider characters differ between terminals. */
function barOf({ secondsLeft, lifetime }: AccountStatus): string {
	const share = secondsLeft / Math.max(lifetime ?? 7_200, secondsLeft, 1);
	const full = Math.ceil(share * barCells);
	return `[${"#".repeat(full)}${"-".repeat(barCells - full)}]`;
}

type Color = "green" | "yellow" | "red";

function colorOf({ state }: AccountStatus): Color {
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

function painted(text: string, color: Color): string {
	const codes = { green: 32, yellow: 33, red: 31 };
	return `\u001b[${codes[color]}m${text}\u001b[0m`;
}
