/** What the sandbox of the installed unit lets the daemon write, for `check`, which runs outside of it. */
import { execFileSync } from "node:child_process";
import { relative } from "node:path";

const unit = "wxtokend.service";

/** Directories that systemd makes for a unit, and where they are. */
const ownDirectories = {
	RuntimeDirectory: "/run",
	StateDirectory: "/var/lib",
	CacheDirectory: "/var/cache",
	LogsDirectory: "/var/log",
} as const;

const temporary = ["/tmp", "/var/tmp"];

/** Properties of the unit by name; undefined: there is no such unit, or no systemd. */
export function unitProperties(): ReadonlyMap<string, string> | undefined {
	const names = [
		"LoadState",
		"ProtectSystem",
		"ReadWritePaths",
		"PrivateTmp",
		...Object.keys(ownDirectories),
	];
	try {
		const lines = execFileSync(
			"systemctl",
			["show", unit, `--property=${names.join(",")}`],
			{
				encoding: "utf8",
				stdio: ["ignore", "pipe", "ignore"],
				timeout: 3_000,
				killSignal: "SIGKILL",
			},
		);
		const properties = new Map(
			lines.split("\n").map((line): [string, string] => {
				const at = line.indexOf("=");
				return [line.slice(0, at), line.slice(at + 1)];
			}),
		);
		return properties.get("LoadState") === "loaded" ? properties : undefined;
	} catch {
		return undefined;
	}
}

/**
 * A sentence for the operator if the unit may not write in that directory (absolute
 * path), which is for `key` of the configuration, or writes where nobody else looks.
 * Undefined: it may.
 */
export function sandboxWarning(
	properties: ReadonlyMap<string, string>,
	key: string,
	directory: string,
): string | undefined {
	const isTemporary = temporary.some((path) => isWithin(directory, path));
	if (isTemporary && properties.get("PrivateTmp") === "yes")
		return `${unit} has a /tmp of its own (PrivateTmp=yes), so nobody else sees what it writes in ${directory} (${key}): choose another directory`;
	if (properties.get("ProtectSystem") !== "strict") return undefined;
	const words = (name: string) =>
		(properties.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
	const writable = [
		...words("ReadWritePaths").map((path) => path.replace(/^[-+]+/, "")),
		...Object.entries(ownDirectories).flatMap(([name, parent]) =>
			words(name).map((path) => `${parent}/${path}`),
		),
		...temporary,
		...["/dev", "/proc", "/sys"],
	];
	if (writable.some((path) => isWithin(directory, path))) return undefined;
	return `${unit} may not write in ${directory} (${key}), because its sandbox has ProtectSystem=strict; if it shall use this configuration: systemctl edit ${unit}, add "[Service]" and "ReadWritePaths=${directory}", then restart it`;
}

function isWithin(path: string, parent: string): boolean {
	const way = relative(parent, path);
	return way !== ".." && !way.startsWith("../");
}
