/**
 * What every command is called, takes and answers: the one source of `--help`,
 * of the parser, and of the man page.
 */

export interface OptionUsage {
	readonly flag: string;
	/** The placeholder of its value; undefined: a switch. */
	readonly value?: string;
	readonly many?: true;
	readonly about: string;
	readonly default?: string;
}

export interface CommandUsage {
	readonly name: string;
	/** Positional arguments, as in a usage line. */
	readonly operands: string;
	readonly minOperands: number;
	readonly maxOperands: number;
	/** One line for the list of commands. */
	readonly summary: string;
	/** Some lines for its own help. */
	readonly about: string;
	readonly options: readonly OptionUsage[];
	readonly exitCodes: readonly (readonly [code: number, when: string])[];
	readonly example: string;
}

const config: OptionUsage = {
	flag: "config",
	value: "F",
	about: "configuration file",
	default: "$WXTOKEND_CONFIG, else /etc/wxtokend/config.toml",
};

const usageCode = [64, "wrong usage"] as const;
const configCode = [78, "the configuration is wrong"] as const;

export const commands = {
	run: {
		name: "run",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "keep the tokens: the daemon, in the foreground",
		about: `Fetches each account's token ahead of its end and publishes it as a small file.
SIGHUP reads the configuration again and refreshes every account at once;
SIGTERM and SIGINT finish what is under way and leave the files.`,
		options: [
			config,
			{
				flag: "simulate",
				about:
					"with the embedded simulator instead of WeChat; needs no configuration",
			},
		],
		exitCodes: [
			[0, "ended by SIGTERM or SIGINT"],
			usageCode,
			[70, "a bug: please report it"],
			[73, "the directory cannot be written"],
			configCode,
		],
		example: "wxtokend run --config /etc/wxtokend/config.toml",
	},
	once: {
		name: "once",
		operands: "[APPID…]",
		minOperands: 0,
		maxOperands: Number.POSITIVE_INFINITY,
		summary: "refresh what is due, then exit (cron, deploy scripts, CI)",
		about: `One pass without a daemon. It may share the directory with daemons: who comes
second takes over the token of the first.`,
		options: [config],
		exitCodes: [
			[0, "done, or nothing was due"],
			usageCode,
			[69, "failed, and no valid token is on disk"],
			[73, "cannot write the token file"],
			[75, "failed, but the token on disk is still valid"],
			configCode,
		],
		example: "wxtokend once wx0123456789abcdef",
	},
	get: {
		name: "get",
		operands: "APPID",
		minOperands: 1,
		maxOperands: 1,
		summary: "print a token and nothing else",
		about: `Reads the token file; never asks WeChat.`,
		options: [
			config,
			{
				flag: "wait",
				value: "S",
				about: "wait up to S seconds for a valid token",
				default: "0",
			},
			{
				flag: "min-valid",
				value: "S",
				about: "only a token that lives for another S seconds",
				default: "0",
			},
		],
		exitCodes: [
			[0, "printed"],
			usageCode,
			[69, "there is no valid token"],
			[75, "the wait ran out"],
			configCode,
		],
		example:
			'curl "https://api.weixin.qq.com/cgi-bin/get_api_domain_ip?access_token=$(wxtokend get wx0123456789abcdef)"',
	},
	check: {
		name: "check",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "validate the configuration and probe the directory",
		about: `Reports every problem of the configuration at once, and writes a file into the
directory to see that it can.`,
		options: [
			config,
			{
				flag: "online",
				about:
					"also fetch once per account; the token is published, so that it is not lost",
			},
		],
		exitCodes: [
			[0, "all is well"],
			usageCode,
			[69, "--online: an account got no token"],
			[73, "the directory cannot be written"],
			[75, "--online: no token, but the one on disk is still valid"],
			configCode,
		],
		example: "wxtokend check --online",
	},
} as const satisfies Record<string, CommandUsage>;

export type CommandName = keyof typeof commands;

export function overview(version: string): string {
	const list = Object.values<CommandUsage>(commands)
		.map(
			({ name, operands, summary }) =>
				`  ${`${name} ${operands}`.padEnd(20)} ${summary}`,
		)
		.join("\n");
	return `wxtokend ${version}: the one keeper of WeChat access tokens on a server

Usage: wxtokend COMMAND [OPTIONS]

Commands:
${list}
  simulate             a WeChat to try your apps against, without an account

wxtokend COMMAND --help tells more; wxtokend --version prints the version.
Try it without an account: wxtokend run --simulate
`;
}

export function helpFor(usage: CommandUsage): string {
	const rows = usage.options.map(({ flag, value, about, ...rest }) => {
		const name = `--${flag}${value === undefined ? "" : ` ${value}`}`;
		const fallback =
			rest.default === undefined ? "" : ` (default: ${rest.default})`;
		return `  ${name.padEnd(20)} ${about}${rest.many ? "; may be repeated" : ""}${fallback}`;
	});
	const codes = usage.exitCodes.map(
		([code, when]) => `  ${String(code).padEnd(4)} ${when}`,
	);
	return `Usage: wxtokend ${usage.name} ${usage.operands}${usage.operands === "" ? "" : " "}[OPTIONS]

${usage.about}

Options:
${rows.join("\n")}
  --help               print this

Exit codes:
${codes.join("\n")}

Example:
  ${usage.example}
`;
}
