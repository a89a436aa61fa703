/** The fleet as a person sees it: this host, the server, the hosts, who fetched last. */
import type { FleetStatus } from "../core/ports.ts";
import { columnsOf, inWords } from "./status-table.ts";

/** Lines for a terminal or a pipe; `now`: by the fleet's time, epoch ms. */
export function fleetLines(fleet: FleetStatus, now: number): readonly string[] {
	const { self, role, server, connected, problem, offsetMs } = fleet;
	const where = connected ? `connected to ${server}` : "not connected";
	const lines = [`this host: ${self} (${role}), ${where}`];
	if (problem !== null)
		lines.push(`  ${problem.message}`, `  hint: ${problem.hint}`);
	if (offsetMs !== 0)
		lines.push(`  its clock is ${skewInWords(offsetMs)} that of the fleet`);
	if (fleet.hosts.length > 0) lines.push("", ...table(hostRows(fleet, now)));
	const published = Object.entries(fleet.publishedBy).filter(
		([, host]) => host !== "",
	);
	if (published.length > 0)
		lines.push("", ...table([["CREDENTIAL", "FETCHED BY"], ...published]));
	return lines;
}

function hostRows({ hosts }: FleetStatus, now: number) {
	return [
		["HOST", "ROLE", "VERSION", "KEEPS", "CLOCK", "SEEN"],
		...hosts.map((host) => [
			host.name,
			host.withoutRedis === "alone" ? `${host.role}, alone` : host.role,
			host.version,
			String(host.credentials),
			host.offsetMs === 0
				? "right"
				: (skewInWords(host.offsetMs).split(" ")[0] ?? ""),
			`${inWords((now - host.seenAt) / 1_000)} ago`,
		]),
	];
}

/** A fleet that is ahead means a clock that is behind. */
function skewInWords(offsetMs: number): string {
	const seconds = Math.abs(offsetMs) / 1_000;
	const amount = seconds < 10 ? `${seconds.toFixed(1)}s` : inWords(seconds);
	return offsetMs > 0 ? `-${amount} behind` : `+${amount} ahead of`;
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
	const widths = (rows[0] ?? []).map((_, column) =>
		Math.max(...rows.map((row) => columnsOf(row[column] ?? ""))),
	);
	return rows.map((row) =>
		row
			.map(
				(cell, column) =>
					cell + " ".repeat((widths[column] ?? 0) - columnsOf(cell)),
			)
			.join("  ")
			.trimEnd(),
	);
}
