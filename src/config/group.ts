/** Groups of the system by name, for which Node.js has no call. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** The id of a group that is given by name or id; undefined if there is none. Never throws. */
export function groupId(group: string | number): number | undefined {
	// "" would be group 0 as a number. 0xffffffff means "leave it" to chown.
	const id = typeof group === "number" ? group : Number(group || "none");
	if (Number.isInteger(id)) return id >= 0 && id < 0xffffffff ? id : undefined;
	return typeof group === "string"
		? (idIn(readGroups(), group) ?? idIn(askSystem(group), group))
		: undefined;
}

/** `lines` as in group(5): name, password, id and members between colons. */
function idIn(lines: string, name: string): number | undefined {
	for (const line of lines.split("\n")) {
		const [found, , id] = line.split(":");
		if (found === name && id !== undefined) return Number(id);
	}
	return undefined;
}

/** "" if the file cannot be read: then getent is asked. */
function readGroups(): string {
	try {
		return readFileSync("/etc/group", "utf8");
	} catch {
		return "";
	}
}

/** The line of a group that is not in /etc/group, but in LDAP or systemd: getent finds it. */
function askSystem(name: string): string {
	// A name that begins with a dash would be an option of getent.
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
