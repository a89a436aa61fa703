/** Groups by name, for which Node.js has no call; and the one of a directory. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

/** The id of a group given by name or id; undefined if there is none. */
export function groupId(group: string | number): number | undefined {
	const id = typeof group === "number" ? group : Number(group || "none");
	if (Number.isInteger(id)) return id >= 0 && id < 0xffffffff ? id : undefined;
	return typeof group === "string"
		? (idIn(readGroups(), group) ?? idIn(askSystem(group), group))
		: undefined;
}

/**
 * The group for files in a directory that is there. If none is configured, root
 * takes that of the directory, as nobody who may enter it is in root's own.
 * undefined: as the process makes files.
 */
export function groupFor({
	directory,
	gid: configured,
}: {
	readonly directory: string;
	readonly gid: number | undefined;
}): number | undefined {
	if (configured !== undefined || process.geteuid?.() !== 0) return configured;
	try {
		const gid = statSync(directory, { throwIfNoEntry: false })?.gid;
		return gid === unmappedGid ? undefined : gid;
	} catch {
		// What is wrong with it is told when it is used.
		return undefined;
	}
}

/** What a container sees of groups that it does not have, and cannot give to anything. */
const unmappedGid = 65_534;

function idIn(lines: string, name: string): number | undefined {
	for (const line of lines.split("\n")) {
		const [found, , id] = line.split(":");
		if (found === name && id !== undefined) return Number(id);
	}
	return undefined;
}

function readGroups(): string {
	try {
		return readFileSync("/etc/group", "utf8");
	} catch {
		return "";
	}
}

/** Groups from elsewhere (LDAP, systemd): only getent knows them. */
function askSystem(name: string): string {
	if (!/^[A-Za-z_][\w.-]*\$?$/.test(name)) return "";
	try {
		return execFileSync("getent", ["group", name], {
			encoding: "utf8",
			stdio: ["ignore", "pipe", "ignore"],
		});
	} catch {
		return "";
	}
}
