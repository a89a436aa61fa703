/** The name of a process, and whether that process still lives: for locks of dead holders. */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { ProcessName } from "../core/record.ts";

/** Names this process. Call it once and pass the result on: each call gives a new name. */
export function nameThisProcess(): ProcessName {
	return {
		instance: randomBytes(8).toString("hex"),
		pid: process.pid,
		startTicks: statOf(process.pid)?.startTicks ?? "",
		realm: pidNamespace(),
	};
}

/**
 * Whether the named process still lives, as seen from this one. `unknown`: it belongs to
 * another machine, boot or container, so its pid means nothing here. Never throws.
 */
export function livenessOf(
	name: ProcessName,
	self: ProcessName,
): "alive" | "dead" | "unknown" {
	if (name.instance === self.instance) return "alive";
	if (name.realm !== self.realm || self.realm === "") return "unknown";
	// This process has that pid now, so the named one is gone.
	if (name.pid === self.pid) return "dead";
	try {
		process.kill(name.pid, 0);
	} catch (error) {
		if (errnoOf(error) === "ESRCH") return "dead";
	}
	const now = statOf(name.pid);
	if (now === undefined) return "alive";
	// A zombie does nothing any more; with another start time it is another process.
	return now.state === "Z" || now.startTicks !== name.startTicks
		? "dead"
		: "alive";
}

/** The boot and the pid namespace of this process: what `ProcessName.realm` holds. */
function pidNamespace(): string {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
	} catch {
		return ""; // Not Linux, or no /proc: then every other process is unknown.
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
