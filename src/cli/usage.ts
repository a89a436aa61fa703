/**
 * The name, options and exit codes of every command. The parser, `--help` and the man
 * page are made from it, so that they cannot differ.
 */

/** An option of a command. */
export interface OptionUsage {
	/** Without its dashes. */
	readonly flag: string;
	/** The placeholder of its value; undefined: it is a switch. */
	readonly value?: string;
	/** It may be given several times. */
	readonly many?: true;
	/** A phrase for its line in the help. */
	readonly about: string;
	/** In words; undefined: there is none. */
	readonly default?: string;
}

/** A command. */
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
	/** In ascending order. */
	readonly exitCodes: readonly (readonly [code: number, when: string])[];
	/** A command line that can be copied. */
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

/** In the order in which the overview lists them. */
export const commands = {
	run: {
		name: "run",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "keep the tokens: the daemon, in the foreground",
		about: `Fetches each account's token ahead of its end and publishes it as a small file.
SIGHUP reads the configuration again and refreshes every account at once;
SIGTERM and SIGINT finish what is under way and leave the files.

With --simulate and a configuration, simulated tokens lie in its directory while
it runs. It refuses one with live tokens, or where a daemon answers; at the end
they are removed, also by the next real run if the simulation was killed.`,
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
			[
				73,
				"the directory is not safe or cannot be made; if that happens later, the daemon goes on",
			],
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
		about: `One pass without a daemon. It may share the directory with daemons: only one of them
fetches, and the others take over its token. After a failure the next try comes when
its wait is over; at once if you name the account, or if WeChat called its appid or
AppSecret wrong, as you may have corrected it. Warnings about the configuration are
printed on a terminal only, as cron would mail them at each run; check prints them
always.`,
		options: [config],
		exitCodes: [
			[0, "done, or nothing was due"],
			usageCode,
			[69, "failed, and no valid token is on disk"],
			[73, "cannot write the token file, or to stdout"],
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
		about: `Reads the token file; never asks WeChat. Works for every user who may read the
directory. If the user may not read the configuration, the token comes from
$WXTOKEND_DIRECTORY, else /run/wxtokend, under its default name. In a script, keep
it out of other programs' arguments, which every user can see: as in the example.`,
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
			[73, "the answer cannot be written"],
			[75, "the wait ran out"],
			configCode,
		],
		example: `printf 'url = "https://api.weixin.qq.com/cgi-bin/get_api_domain_ip?access_token=%s"\\n' \\
    "$(wxtokend get wx0123456789abcdef)" | curl --config -`,
	},
	status: {
		name: "status",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "every account: state, time left, last error with its hint",
		about: `Asks the daemon through the control socket. Without one it reads the files, and
says so. On a terminal with bars, as far as they fit, and colours unless $NO_COLOR
is set; on a dumb one neither. States:
valid; failing (the token lives, but its last refresh failed: since when, and from
when on apps will fail, by the clock of this machine); expired; missing; unusable
(the file is not as wxtokend wrote it). REFRESHED tells why it was fetched:
first: there was none. due: its end was near. forced: a person or a program asked
for it. reported: an app said that WeChat refuses it. cut-off: a request before was
broken off, or the token was replaced, so it was fetched again to be sure. checked:
by check --online. clock: the clock was changed.`,
		options: [
			config,
			{
				flag: "json",
				about:
					"accounts and credentials, as GET /v1/accounts and GET /v1/credentials answer",
			},
			{
				flag: "watch",
				about: "again each second, until Ctrl-C; with --json a line each time",
			},
			{
				flag: "fleet",
				about: "the hosts that keep the tokens together, and who fetched last",
			},
		],
		exitCodes: [
			[0, "all tokens are valid, and nothing fails; with --watch: ended"],
			usageCode,
			[69, "something has no valid token: apps fail"],
			[73, "the answer cannot be written"],
			[75, "all tokens are valid, but a refresh fails: apps will fail"],
			configCode,
		],
		example: "wxtokend status --watch",
	},
	refresh: {
		name: "refresh",
		operands: "[APPID…]",
		minOperands: 0,
		maxOperands: Number.POSITIVE_INFINITY,
		summary: "passive refresh through the control socket; waits for it",
		about: `Asks the daemon for a new token of each named account, or of all. During a cooldown
it waits for its end. A reported token (--stale) is compared with the one on disk and
tried first: a new one is fetched only if WeChat refuses it.`,
		options: [
			config,
			{
				flag: "stale",
				value: "TOKEN",
				about:
					"the token that WeChat refused; - reads it from stdin, as every user can see arguments",
			},
			{
				flag: "alone",
				about:
					"in a fleet without Redis: this host fetches all the same; on one host only",
			},
			{
				flag: "reload",
				about: "as SIGHUP: the configuration is read again first; all accounts",
			},
		],
		exitCodes: [
			[0, "done; or with --stale: it was replaced already, or still lives"],
			[64, "wrong usage, or an account that the daemon does not know"],
			[69, "failed, or no daemon answers; and no valid token is on disk"],
			[73, "the answer cannot be written"],
			[75, "the same, but the token on disk is still valid"],
			[78, "the configuration is wrong; with --reload: the old one stays"],
		],
		example: 'echo "$TOKEN" | wxtokend refresh wx0123456789abcdef --stale -',
	},
	check: {
		name: "check",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "validate the configuration and probe the directory",
		about: `Reports every problem of the configuration at once, and writes a file into the
directory (made if it is missing) and beside metrics_file to see that it can write.`,
		options: [
			config,
			{
				flag: "online",
				about:
					"also fetch once per account; the token is published, so that it is not lost",
			},
			{
				flag: "alert",
				about: "also send a test message to the robot of [alert]",
			},
		],
		exitCodes: [
			[0, "all is well"],
			usageCode,
			[69, "--online: an account got no token; --alert: no message arrived"],
			[73, "the directory, metrics_file or the answer cannot be written"],
			[75, "--online: no token, but the one on disk is still valid"],
			configCode,
		],
		example: "wxtokend check --online",
	},
	import: {
		name: "import",
		operands: "FILE",
		minOperands: 1,
		maxOperands: 1,
		summary: "take refresh tokens, permanent codes and tickets over",
		about: `Hands JSON lines over to the running daemon, which keeps them in its state directory;
each line is safe when it is counted. FILE may be - for stdin. A line is one of:

  {"component":"wx…","appid":"wx…","refresh_token":"…"}    an authorised account
  {"component":"wx…","ticket":"…","create_time":1795401000}  a component_verify_ticket
  {"component":"wx…","auth_code":"…"}                      a code, which is exchanged
  {"suite":"dk…","corpid":"ww…","permanent_code":"…"}      an authorised corp
  {"suite":"dk…","ticket":"…"}, {"suite":"dk…","auth_code":"…"}   as above

It needs the admin socket, which only the daemon's user and root may use.`,
		options: [
			config,
			{
				flag: "component",
				value: "APPID",
				about: "the 第三方平台 of lines that name none",
			},
			{
				flag: "suite",
				value: "SUITE_ID",
				about: "the suite of lines that name none",
			},
		],
		exitCodes: [
			[0, "all lines are taken over"],
			[64, "some lines are wrong: each is told, the others are taken over"],
			[73, "the daemon cannot write them: its disk is full, or read-only"],
			[75, "no daemon answers, or it cannot take them now: try again"],
			configCode,
		],
		example: "wxtokend import authorizers.jsonl --component wx1123456789abcdef",
	},
	simulate: {
		name: "simulate",
		operands: "",
		minOperands: 0,
		maxOperands: 0,
		summary: "a WeChat to try your apps against, without an account",
		about: `Issues access tokens and tickets on 127.0.0.1, lets them expire, and refuses
dead tokens with the errcodes of the real one. It prints what a daemon needs to use
it. While it runs, it is controlled by JSON over HTTP on the same port:

  GET  /sim/use?access_token=T   a business API: accepts T while it lives;
       so does any other path of WeChat's that is called with access_token
  GET  /sim/state                accounts, counters, faults
  GET  /sim/requests?since=ID    the requests, secrets and tokens masked
  POST /sim/foreign-fetch {"appid"}    another program fetches with your secret
  POST /sim/foreign-ticket {"appid"}   it fetches a ticket (type: jsapi wx_card 2)
  POST /sim/tickets {"appid","ticket"} this is its ticket from now on (type)
  POST /sim/verify-signature {…}       judges a JS-SDK signature as a phone does:
       url, noncestr, timestamp, signature (appid, type)
  POST /sim/kill {"appid"}             its tokens die now: 40001
  POST /sim/expire {"appid"}           its tokens age out now: 42001
  POST /sim/accounts {"appid", …}      adds one (secret, kind), or changes it:
       secret, frozen, state, whitelist, ipConfirmation, approve, refuse, limits
  POST /sim/components {"appid", …}    adds a 第三方平台 (secret), or changes it:
       secret, whitelist, push, kill, stopped, limits
  POST /sim/suites {"suite_id", …}     adds a suite of 企业微信 (secret, provider), or
       changes it: secret, provider, trustedIps, push, kill, stopped
  POST /sim/consents {"appid","authorizer"}     an account authorises it (push);
       {"suite_id","corpid"}: a corp authorises a suite
  POST /sim/withdrawals {"appid","authorizer"}  it withdraws (push); a corp: as above
  POST /sim/resets {"suite_id","corpid"}        another permanent code (push)
  POST /sim/changes {"suite_id","corpid"}       another permission (pushed)
  POST /sim/url-checks {"suite_id"}    checks the URL of pushes, as when it is saved
  POST /sim/authorizers {"appid","count"}       many that have authorised (prefix)
  POST /sim/push {"appid"} (or suite_id)  pushes a ticket now, or an event: infoType,
       fields, flaw, olderSeconds; GET /sim/pushes: how pushes were answered
  POST /sim/wecom {"corpid","secret"}  adds an app of 企业微信, or changes it:
       newSecret, disabled, trustedIps, kill, provider
  POST /sim/faults {"mode", …}         what goes wrong: endpoint, host, appid,
       count or forSeconds, processed; {"clear":true} ends all. Modes:
       refuse reset hang cut delay drip status redirect html empty big gzip-big
       body truncated bom no-fields empty-token expires-absent expires-zero
       expires-negative expires-text expires-huge errcode errcode-text; some take
       status, errcode, errmsg, seconds, location or body
  POST /sim/knobs {…}                  what is uncertain about WeChat; GET lists
       all of them with their values
  POST /sim/advance {"seconds"}        skips time

  curl -d '{"mode":"errcode","errcode":45009,"count":3}' localhost:8090/sim/faults`,
		options: [
			{
				flag: "port",
				value: "N",
				about: "port on 127.0.0.1; 0: any free one",
				default: "8090",
			},
			{
				flag: "account",
				value: "APPID:SECRET",
				many: true,
				about: "an account",
				default: "wx0123456789abcdef with a random secret, printed",
			},
			{
				flag: "wecom",
				value: "CORPID:SECRET",
				many: true,
				about: "an app of 企业微信; its port is five above --port",
				default: "none",
			},
			{
				flag: "component",
				value: "APPID:SECRET",
				many: true,
				about: "a 第三方平台",
				default: "none",
			},
			{
				flag: "suite",
				value: "SUITE_ID:SECRET",
				many: true,
				about:
					"a suite of 企业微信, dk…: 代开发; its port is five above --port",
				default: "none",
			},
			{
				flag: "push",
				value: "URL",
				about:
					"where tickets and events are pushed; without a path: to /component/APPID, /suite/SUITE_ID",
			},
			{
				flag: "push-token",
				value: "TOKEN",
				about: "the Token that signs pushes (消息校验Token)",
			},
			{
				flag: "push-key",
				value: "KEY",
				about: "the EncodingAESKey of pushes (消息加解密Key), 43 characters",
			},
			{
				flag: "token-lifetime",
				value: "S",
				about: "expires_in of new tokens, 1 to 86400",
				default: "7200",
			},
			{
				flag: "overlap",
				value: "S",
				about: "seconds that a replaced token lives on",
				default: "300, at most a quarter of the lifetime",
			},
			{
				flag: "time-scale",
				value: "X",
				about:
					"virtual seconds per real second; apps with a real clock: --token-lifetime",
				default: "1",
			},
			{
				flag: "latency",
				value: "MS",
				about: "real milliseconds that every answer takes",
				default: "0",
			},
			{
				flag: "hosts",
				about:
					"also api2, sh.api, sz.api and hk.api, on the next four ports, to let one fail alone",
			},
			{
				flag: "seed",
				value: "N",
				about: "the same seed issues the same tokens",
				default: "random",
			},
			{ flag: "quiet", about: "no line per request on stderr" },
		],
		exitCodes: [
			[0, "ended by SIGTERM or SIGINT"],
			usageCode,
			[69, "the port cannot be had"],
		],
		example: "wxtokend simulate --token-lifetime 20",
	},
} as const satisfies Record<string, CommandUsage>;

/** The name of a command. */
export type CommandName = keyof typeof commands;

/** What `wxtokend --help` prints. `version`: of wxtokend. */
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

wxtokend COMMAND --help tells more; wxtokend --version prints the version.
Try it without an account: wxtokend run --simulate
`;
}

/** What `wxtokend COMMAND --help` prints. */
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
