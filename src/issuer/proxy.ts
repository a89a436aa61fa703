/** The usual environment variables `https_proxy`, `http_proxy` and `no_proxy`. */
import { BlockList, isIP } from "node:net";
import { ConfigError } from "../core/errors.ts";

/** A proxy, from the URL in the environment. */
export interface ProxyAddress {
	/** The protocol between us and the proxy. */
	readonly protocol: "http:" | "https:";
	readonly hostname: string;
	readonly port: string;
	/** The value of `Proxy-Authorization`, if its URL has a user. */
	readonly authorization: string | undefined;
}

/** The server of a request. */
export interface Destination {
	readonly protocol: string;
	/** Without brackets. */
	readonly hostname: string;
	/** Empty: the default port of the protocol. */
	readonly port: string;
}

/** The server that a URL names. */
export function destinationOf({ protocol, hostname, port }: URL): Destination {
	return { protocol, hostname: unbracketed(hostname), port };
}

/**
 * The proxy for a destination; undefined: connect directly. Loopback addresses never
 * go through a proxy, as there they would mean the proxy's own machine. Throws
 * `ConfigError` if a variable is not the address of a proxy.
 */
export function readProxies(
	env: Readonly<Record<string, string | undefined>>,
): (destination: Destination) => ProxyAddress | undefined {
	const proxies: Readonly<Record<string, ProxyAddress | undefined>> = {
		"https:": proxyIn(env, "https_proxy"),
		"http:": proxyIn(env, "http_proxy"),
	};
	const exceptions = (variableIn(env, "no_proxy")?.text ?? "")
		.split(/[\s,]+/)
		.filter((entry) => entry !== "")
		.map(exceptionOf);
	return (destination) => {
		const isDirect =
			isLoopback(destination.hostname) ||
			exceptions.some((excepts) => excepts(destination));
		return isDirect ? undefined : proxies[destination.protocol];
	};
}

/** What is doubtful about these variables, and what is done about it; for the operator. */
export function proxyWarnings(
	env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
	const quoted = ["https_proxy", "http_proxy", "no_proxy"]
		.map((name) => variableIn(env, name))
		.filter((value) => value?.isQuoted)
		.map(
			(value) =>
				`${value?.name} in the environment: its value stands in quotes; it is used without them`,
		);
	const all = variableIn(env, "all_proxy");
	const others = ["https_proxy", "http_proxy"];
	return all !== undefined && others.every((name) => !variableIn(env, name))
		? [
				...quoted,
				`${all.name} in the environment is not used, and no https_proxy is set; WeChat is called without a proxy; set https_proxy=http://host:port`,
			]
		: quoted;
}

interface Variable {
	/** As it is spelled in the environment. */
	readonly name: string;
	/** Not empty. */
	readonly text: string;
	/** In the environment; `text` is without them. */
	readonly isQuoted: boolean;
}

/** `https_proxy` in either spelling. `docker run --env-file`, for one, leaves quotes in a value. */
function variableIn(
	env: Readonly<Record<string, string | undefined>>,
	lower: string,
): Variable | undefined {
	const name = env[lower] ? lower : lower.toUpperCase();
	const value = env[name]?.trim() ?? "";
	const inside = /^["'\u201c\u2018](.*)["'\u201d\u2019]$/s.exec(value)?.[1];
	const text = (inside ?? value).trim();
	return text === ""
		? undefined
		: { name, text, isQuoted: inside !== undefined };
}

function proxyIn(
	env: Readonly<Record<string, string | undefined>>,
	variable: string,
): ProxyAddress | undefined {
	const found = variableIn(env, variable);
	if (found === undefined) return undefined;
	const { name, text } = found;
	const address = /^\w+:\/\//.test(text) ? text : `http://${text}`;
	const url = URL.canParse(address) ? new URL(address) : undefined;
	if (
		(url?.protocol !== "http:" && url?.protocol !== "https:") ||
		!/^[\w.:[\]-]+$/.test(url.hostname)
	) {
		// The value is not shown: there may be a password in it.
		const message =
			"is not the address of a proxy; expected http://host:port or https://host:port";
		throw new ConfigError("the environment", [{ path: name, message }]);
	}
	const { protocol, hostname, port, username, password } = url;
	const user = `${decoded(username)}:${decoded(password)}`;
	return {
		protocol,
		hostname: unbracketed(hostname),
		port: port || (protocol === "https:" ? "443" : "80"),
		authorization:
			user === ":"
				? undefined
				: `Basic ${Buffer.from(user).toString("base64")}`,
	};
}

/**
 * `*`, `host`, `.host` or `*.host`, with or without `:port`, or a range of addresses such
 * as `10.0.0.0/8`. A host includes its subdomains.
 */
function exceptionOf(entry: string): (destination: Destination) => boolean {
	if (entry === "*") return () => true;
	const range = rangeIn(entry);
	if (range !== undefined) return ({ hostname }) => range(hostname);
	const [, name = entry, port] =
		/^(\[.*\]|[^:]+):(\d+)$/.exec(entry) ?? ([] as readonly string[]);
	const host = comparable(unbracketed(name).replace(/^\*?\./, ""));
	return (destination) => {
		const hostname = comparable(destination.hostname);
		const isNamed =
			hostname === host || (!isIP(hostname) && hostname.endsWith(`.${host}`));
		return isNamed && (port === undefined || port === portOf(destination));
	};
}

/** Whether an address is in the range that an entry names; undefined: the entry is no range. */
function rangeIn(entry: string): ((address: string) => boolean) | undefined {
	const [, network = "", bits] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? [];
	const version = isIP(unbracketed(network));
	const length = Number(bits);
	if (version === 0 || length > (version === 4 ? 32 : 128)) return undefined;
	const family = version === 4 ? "ipv4" : "ipv6";
	const range = new BlockList();
	range.addSubnet(unbracketed(network), length, family);
	return (address) => isIP(address) === version && range.check(address, family);
}

/** A host name without what makes no difference: the case, and a dot at the end. */
function comparable(hostname: string): string {
	return hostname.toLowerCase().replace(/\.$/, "");
}

/** The port of a destination, also if it is the default one. */
export function portOf({ protocol, port }: Destination): string {
	return port || (protocol === "https:" ? "443" : "80");
}

function isLoopback(hostname: string): boolean {
	return /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(hostname);
}

function unbracketed(hostname: string): string {
	return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Decodes a part of a URL; a text with a stray % is taken as it is. */
function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
