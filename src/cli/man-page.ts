/** wxtokend(8), made from the same source as `--help`. */
import { type CommandUsage, commands } from "./usage.ts";

/** The page in the language of roff. `version`: of wxtokend. */
export function manPage(version: string): string {
	// The page is made by the build, and checked by a test against the usage.
	const all = Object.values<CommandUsage>(commands);
	return `${[
		`.TH WXTOKEND 8 "" "wxtokend ${version}" "System Administration"`,
		".SH NAME",
		"wxtokend \\- the one keeper of WeChat access tokens on a server",
		".SH SYNOPSIS",
		".B wxtokend",
		"\\fICOMMAND\\fR [\\fIOPTIONS\\fR]",
		".SH DESCRIPTION",
		plain(
			"wxtokend fetches the access_token of each WeChat account before the old one ends, and publishes it as a small file: one line of JSON with the keys value and expire (epoch seconds), replaced by atomic rename. Apps in any language read the file; they never fetch.",
		),
		".SH COMMANDS",
		...all.flatMap(describeCommand),
		".SH SIGNALS",
		".TP",
		".B SIGHUP",
		plain(
			"reads configuration and secrets again, then refreshes every account at once. A broken configuration is reported, and the old one stays.",
		),
		".TP",
		".BR SIGTERM ,\\ SIGINT",
		plain(
			"finishes what is under way, leaves the files, and exits with 0; a second one ends at once.",
		),
		".SH FILES",
		...definition("/etc/wxtokend/config.toml", "the configuration"),
		...definition(
			"/run/wxtokend/wx_access_token_APPID",
			"the token file of an account",
		),
		...definition("/run/wxtokend/control.sock", "the control socket"),
		".SH SEE ALSO",
		".BR systemd.service (5)",
	].join("\n")}\n`;
}

/** A paragraph that begins with a blank is an example, and keeps its lines. */
function describeCommand(usage: CommandUsage): readonly string[] {
	const { name, operands, about, options, exitCodes, example } = usage;
	return [
		`.SS wxtokend ${name}${operands === "" ? "" : ` ${plain(operands)}`}`,
		...about
			.split("\n\n")
			.flatMap((paragraph) =>
				paragraph.startsWith(" ")
					? [".PP", ".nf", plain(paragraph), ".fi"]
					: [".PP", plain(paragraph)],
			),
		...options.flatMap((option) => {
			const value = option.value === undefined ? "" : ` ${option.value}`;
			const fallback =
				option.default === undefined ? "" : ` (default: ${option.default})`;
			const again = option.many ? "; may be repeated" : "";
			return definition(
				`--${option.flag}${value}`,
				`${option.about}${again}${fallback}`,
			);
		}),
		".PP",
		`Exit codes: ${exitCodes.map(([code, when]) => `${code} ${plain(when)}`).join("; ")}.`,
		".PP",
		"Example:",
		".PP",
		".nf",
		plain(example),
		".fi",
	];
}

/** A term in bold, and its text indented below. */
function definition(term: string, text: string): readonly string[] {
	return [".TP", `.B "${plain(term)}"`, plain(text)];
}

/** Escapes what roff would take for a request, an escape or a hyphen. */
function plain(text: string): string {
	return text
		.replaceAll("\\", "\\e")
		.replaceAll("-", "\\-")
		.replaceAll('"', "\\(dq")
		.replace(/^([.'])/gm, "\\&$1");
}
