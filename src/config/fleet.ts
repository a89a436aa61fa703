/** The table `[fleet]`: what several hosts share, and how this one takes part. */
import { isAbsolute } from "node:path";
import * as v from "valibot";
import { type ConfigProblem, errnoOf, inWords } from "../core/errors.ts";
import type { SdkName } from "../core/sdk-keys.ts";
import type { Input } from "./inputs.ts";
import { type SecretDirectory, secretDirectory } from "./secret-directory.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

const sdkNames = [
	"json",
	"php",
	"wxjava",
	"silenceper",
	"wechatpy",
] as const satisfies readonly SdkName[];

/** The fleet that this host belongs to. */
export interface FleetConfig {
	readonly server: FleetServer;
	/** Before every key and channel name. */
	readonly prefix: string;
	/** `follower`: it never fetches. */
	readonly role: "keeper" | "follower";
	readonly withoutRedis: "auto" | "wait" | "alone";
	/** How many replicas must confirm a write. */
	readonly replicas: number;
	readonly leaseMs: number;
	readonly publishAs: readonly SdkName[];
}

/** What the hosts share. */
export type FleetServer =
	| {
			readonly kind: "redis";
			/** `host`, or `path` of a socket; of a `sentinel` fleet: the sentinels. */
			readonly nodes: readonly FleetNode[];
			/** What the sentinels call the primary; undefined: `nodes` is the one server. */
			readonly sentinelName: string | undefined;
			readonly database: number;
			readonly username: string | undefined;
			readonly password: string | undefined;
			readonly sentinelPassword: string | undefined;
			readonly isTls: boolean;
			/** PEM; undefined: the authorities of Node.js. */
			readonly ca: string | undefined;
	  }
	| {
			/** A central wxtokend. */
			readonly kind: "https";
			readonly url: string;
			readonly bearer: string;
			readonly ca: string | undefined;
	  };

export type FleetNode =
	| { readonly host: string; readonly port: number }
	| { readonly path: string };

const urlRule =
	"redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH, or https://HOST:PORT of a central wxtokend; user and password have keys of their own";
const sentinelsRule =
	'a list of sentinels, such as ["sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"]';
const pathRule = "an absolute path";
const wordRule = "a word of 1 to 64 of A–Z a–z 0–9 . _ -";
const prefixRule =
	"1 to 64 visible characters of ASCII without braces, such as wxtokend:";
const replicasRule = "a whole number, 0 to 10";
const leaseRule = "a number of seconds, 3 to 60";
const publishRule = `a list of ${sdkNames.map((name) => `"${name}"`).join(", ")}, each once`;

const path = v.optional(
	v.pipe(v.string(pathRule), v.check(isAbsolute, pathRule)),
);

/** The keys of `[fleet]`. */
export const fleetKeys = {
	url: v.optional(v.pipe(v.string(urlRule), v.check(isFleetUrl, urlRule))),
	sentinels: v.optional(
		v.pipe(
			v.array(
				v.pipe(
					v.string(sentinelsRule),
					v.regex(/^(\[[0-9a-f:]+\]|[\w.-]+)(:\d{1,5})?$/i, sentinelsRule),
				),
				sentinelsRule,
			),
			v.minLength(1, sentinelsRule),
			v.maxLength(16, sentinelsRule),
		),
	),
	name: v.optional(
		v.pipe(v.string(wordRule), v.regex(/^[\w.-]{1,64}$/, wordRule)),
	),
	username: v.optional(
		v.pipe(v.string(wordRule), v.regex(/^[\w.-]{1,64}$/, wordRule)),
	),
	password_file: path,
	sentinel_password_file: path,
	bearer_file: path,
	ca_file: path,
	prefix: v.optional(
		v.pipe(v.string(prefixRule), v.regex(/^[\x21-\x7a|~]{1,64}$/, prefixRule)),
	),
	role: v.optional(
		v.picklist(["keeper", "follower"], '"keeper" or "follower"'),
	),
	without_redis: v.optional(
		v.picklist(["auto", "wait", "alone"], '"auto", "wait" or "alone"'),
	),
	replicas: v.optional(
		v.pipe(
			v.number(replicasRule),
			v.check((n) => Number.isInteger(n) && n >= 0 && n <= 10, replicasRule),
		),
	),
	lease: v.optional(
		v.pipe(
			v.number(leaseRule),
			v.check((n) => n >= 3 && n <= 60, leaseRule),
		),
	),
	publish_as: v.optional(
		v.pipe(
			v.array(v.picklist(sdkNames, publishRule), publishRule),
			v.check((list) => new Set(list).size === list.length, publishRule),
		),
	),
};

/** The table of the right shape. */
export type FleetContent = v.InferOutput<
	ReturnType<typeof v.object<typeof fleetKeys, undefined>>
>;

/** User and password would get into errors and `ps`. */
function isFleetUrl(text: string): boolean {
	if (!URL.canParse(text)) return false;
	const { protocol, username, password, search, hash, hostname, pathname } =
		new URL(text);
	if (username + password + search + hash !== "") return false;
	switch (protocol) {
		case "redis:":
		case "rediss:":
			return hostname !== "" && /^(\/\d{0,4})?$/.test(pathname);
		case "unix:":
			return hostname === "" && pathIn(pathname)?.startsWith("/") === true;
		case "https:":
		case "http:":
			return hostname !== "" && pathname === "/";
		default:
			return false;
	}
}

/** The path of a socket in a URL; undefined: a "%" in it is not followed by two hex digits. */
function pathIn(pathname: string): string | undefined {
	try {
		return decodeURIComponent(pathname);
	} catch {
		return undefined;
	}
}

/** The settings, and what is wrong with them. */
export interface FoundFleet {
	/** Undefined: there is no `[fleet]`, or it is wrong. */
	readonly settings: FleetConfig | undefined;
	readonly problems: readonly ConfigProblem[];
	readonly warnings: readonly string[];
}

/** What is read besides the table. */
interface FleetSources {
	readonly input: Input;
	/** Undefined: secrets are not asked for. */
	readonly openDirectory: (() => SecretDirectory | undefined) | undefined;
}

/** `content`: of the right shape; undefined: it is not, and the fleet does not matter. */
export function findFleet(
	content:
		| (EntriesContent & { readonly fleet?: FleetContent | undefined })
		| undefined,
	source: ConfigSource,
	{ env, secrets }: ConfigOptions,
	input: Input,
): FoundFleet {
	const none = { settings: undefined, problems: [], warnings: [] };
	if (content?.fleet === undefined) return none;
	const listProblems: ConfigProblem[] = [];
	const openDirectory = () =>
		secretDirectory({
			...{ source, env, input, problems: listProblems },
			// A list is for the secrets of entries.
			readList: () => undefined,
		});
	const { fleet, problems } = fleetOf(content.fleet, {
		input,
		openDirectory: secrets ? openDirectory : undefined,
	});
	return {
		settings: fleet,
		problems: [...problems, ...listProblems],
		warnings: fleet === undefined ? [] : warningsOf(fleet, content),
	};
}

function fleetOf(content: FleetContent, sources: FleetSources) {
	const problems: ConfigProblem[] = [];
	const wrong = (key: string, message: string) => {
		problems.push({ path: `fleet.${key}`, message });
	};
	const server = serverOf(content, sources, wrong);
	const { role = "keeper", sentinels, publish_as: publishAs = [] } = content;
	const isCentral = server?.kind === "https";
	if (isCentral && role === "keeper" && content.role !== undefined)
		wrong(
			"role",
			'is "keeper" with a central wxtokend; expected "follower", or the url of a Redis',
		);
	if (isCentral && publishAs.length > 0)
		wrong(
			"publish_as",
			"stands beside an https url; expected it only with a Redis",
		);
	if (server === undefined || problems.length > 0)
		return { fleet: undefined, problems };
	const fleet: FleetConfig = {
		server,
		prefix: content.prefix ?? "wxtokend:",
		role: isCentral ? "follower" : role,
		withoutRedis: content.without_redis ?? "auto",
		replicas: content.replicas ?? (sentinels === undefined ? 0 : 1),
		leaseMs: (content.lease ?? 10) * 1_000,
		publishAs,
	};
	return { fleet, problems };
}

type Wrong = (key: string, message: string) => void;

function serverOf(
	content: FleetContent,
	sources: FleetSources,
	wrong: Wrong,
): FleetServer | undefined {
	const { url, sentinels } = content;
	if ((url === undefined) === (sentinels === undefined)) {
		wrong(
			"url",
			url === undefined
				? `is missing; expected ${urlRule}; or \`sentinels\` with \`name\``
				: "stands beside `sentinels`; expected one of the two",
		);
		return undefined;
	}
	const ca = caOf(content, sources, wrong);
	if (url?.startsWith("http") !== true)
		return redisOf(content, ca, sources, wrong);
	misplaced(
		content,
		["username", "password_file", "sentinel_password_file"],
		"stands beside an https url; expected bearer_file",
		wrong,
	);
	const bearer = secretOf("bearer_file", "bearer", content, sources, wrong);
	if (bearer === undefined && sources.openDirectory !== undefined)
		wrong(
			"bearer_file",
			"is missing; expected the file with the bearer of the central wxtokend",
		);
	return { kind: "https", url, bearer: bearer ?? "", ca };
}

/** Keys that belong to another kind of server. */
function misplaced(
	content: FleetContent,
	keys: readonly (keyof FleetContent)[],
	message: string,
	wrong: Wrong,
): void {
	for (const key of keys) if (content[key] !== undefined) wrong(key, message);
}

function redisOf(
	content: FleetContent,
	ca: string | undefined,
	sources: FleetSources,
	wrong: Wrong,
): FleetServer {
	const { url, sentinels, name } = content;
	misplaced(
		content,
		["bearer_file"],
		"stands beside a Redis; expected it only with an https url",
		wrong,
	);
	if (sentinels === undefined) {
		if (name !== undefined)
			wrong("name", "stands without `sentinels`; expected both or neither");
	} else if (name === undefined)
		wrong(
			"name",
			"is missing; expected what the sentinels call the primary, such as mymaster",
		);
	const password = (key: "password_file" | "sentinel_password_file") =>
		secretOf(
			key,
			key === "password_file" ? "redis" : "redis-sentinel",
			content,
			sources,
			wrong,
		);
	const place = url === undefined ? undefined : new URL(url);
	return {
		kind: "redis",
		nodes:
			place === undefined
				? (sentinels ?? []).map((one) => nodeOf(`redis://${one}`, 26_379))
				: [nodeOf(place.href, 6_379)],
		sentinelName: name,
		database:
			place === undefined || place.protocol === "unix:"
				? 0
				: Number(place.pathname.slice(1) || 0),
		username: content.username,
		password: password("password_file"),
		sentinelPassword: password("sentinel_password_file"),
		isTls:
			place === undefined ? ca !== undefined : place.protocol === "rediss:",
		ca,
	};
}

function nodeOf(url: string, defaultPort: number): FleetNode {
	const { protocol, hostname, port, pathname } = new URL(url);
	if (protocol === "unix:") return { path: pathIn(pathname) ?? pathname };
	const host = hostname.replace(/^\[|\]$/g, "");
	return { host, port: port === "" ? defaultPort : Number(port) };
}

function caOf(
	{ ca_file: file, url }: FleetContent,
	{ input, openDirectory }: FleetSources,
	wrong: Wrong,
): string | undefined {
	if (file === undefined || openDirectory === undefined) return undefined;
	if (url?.startsWith("redis:") || url?.startsWith("unix:"))
		wrong(
			"ca_file",
			"stands beside a url without TLS; expected rediss:// or https://",
		);
	return textOf(file, "ca_file", input, wrong, maxAuthorityBytes);
}

/** From its file, else a credential of that name. Undefined: there is none, or it is wrong. */
function secretOf(
	key: "password_file" | "sentinel_password_file" | "bearer_file",
	credential: string,
	content: FleetContent,
	{ input, openDirectory }: FleetSources,
	wrong: Wrong,
): string | undefined {
	if (openDirectory === undefined) return undefined;
	const given = content[key];
	const found =
		given === undefined ? openDirectory()?.find(credential) : undefined;
	const text =
		found?.kind === "line"
			? found.text
			: textOf(given ?? found?.file, key, input, wrong);
	if (text === undefined) return undefined;
	const secret = text.replace(/^\ufeff?[ \t\r\n]+|[ \t\r\n]+$/g, "");
	if (/^[\x21-\x7e]{1,512}$/.test(secret)) return secret;
	wrong(
		key,
		`${secret === "" ? "names an empty file" : "names a file with blanks, or characters that no password has"}; expected one with the password and nothing else`,
	);
	return undefined;
}

/** A bundle of all public authorities has some 250 KiB. */
const maxAuthorityBytes = 1_048_576;
/** A file that is much longer than a password was named by mistake. */
const maxSecretBytes = 4_096;

function textOf(
	file: string | undefined,
	key: string,
	input: Input,
	wrong: Wrong,
	maxBytes = maxSecretBytes,
): string | undefined {
	if (file === undefined) return undefined;
	try {
		return input((files) => files.text(file, maxBytes)).text;
	} catch (error) {
		wrong(
			key,
			`${file} could not be read: ${inWords(errnoOf(error))}; expected a file that the daemon's user can read`,
		);
		return undefined;
	}
}

/** As far as the warnings look at it. */
interface EntriesContent {
	readonly wechat?: { readonly interface?: string | undefined } | undefined;
	readonly account?:
		| readonly {
				readonly interface?: string | undefined;
				readonly fleet?: boolean | undefined;
		  }[]
		| undefined;
}

/** What works, but should not stay so. */
function warningsOf(
	{ server, withoutRedis, role }: FleetConfig,
	{ wechat, account = [] }: EntriesContent,
): readonly string[] {
	const warnings: string[] = [];
	const isOpen =
		server.kind === "https" &&
		/^http:\/\/(?!(localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/])/.test(server.url);
	if (isOpen)
		warnings.push(
			`fleet.url ${server.url} is not encrypted: the bearer and the tokens can be read on the way; use https, or a private network`,
		);
	const classic = account.filter(
		(one) =>
			(one.interface ?? wechat?.interface) !== "stable" && one.fleet !== false,
	).length;
	if (role === "keeper" && classic > 0 && withoutRedis !== "wait")
		warnings.push(
			withoutRedis === "alone"
				? 'without_redis = "alone": exactly one host of the fleet may have it; two of them end each other\'s tokens while Redis is away'
				: `interface = "classic" in a fleet (${classic === 1 ? "1 account" : `${classic} accounts`}): while Redis is away no host renews; with interface = "stable" each one goes on by itself and gets the same token`,
		);
	return warnings;
}
