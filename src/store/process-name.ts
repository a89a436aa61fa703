/** Who a process is, and whether it still lives: for the locks of dead holders. */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { ProcessName } from "../core/record.ts";

/** This process. Call once and pass it on. */
export function nameThisProcess(): ProcessName {
	return {
		instance: randomBytes(8).toString("hex"),
		pid: process.pid,
		startTicks: statOf(process.pid)?.startTicks ?? "",
		realm: realm(),
	};
}

/**
 * `unknown`: the name comes from another machine, boot or container, where its
 * pid says nothing here.
 */
export function fateOf(
	name: ProcessName,
	self: ProcessName,
): "alive" | "dead" | "unknown" {
	if (name.instance === self.instance) return "alive";
	if (name.realm !== self.realm || self.realm === "") return "unknown";
	// The same pid in the same realm, but not this process: it is gone.
	if (name.pid === self.pid) return "dead";
	try {
		process.kill(name.pid, 0);
	} catch (error) {
		if (errnoOf(error) === "ESRCH") return "dead";
	}
	const now = statOf(name.pid);
	if (now === undefined) return "alive";
	// A zombie holds nothing any more; another start time is another process.
	return now.state === "Z" || now.startTicks !== name.startTicks
		? "dead"
		: "alive";
}

function realm(): string {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
	} catch {
		return ""; // Not Linux, or no /proc: every other process is unknown.
	}
}

function statOf(
	pid: number,
): { readonly state: string; readonly startTicks: string } | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The second field, the command's name, may hold blanks and parentheses.
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return { state: fields[0] ?? "", startTicks: fields[19] ?? "" };
	} catch {
		return undefined;
	}
}
