/** The usual environment variables `https_proxy`, `http_proxy` and `no_proxy`. */
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
	const exceptions = (env.no_proxy || env.NO_PROXY || "")
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

function proxyIn(
	env: Readonly<Record<string, string | undefined>>,
	name: string,
): ProxyAddress | undefined {
	const text = env[name] || env[name.toUpperCase()];
	if (!text) return undefined;
	const address = /^\w+:\/\//.test(text) ? text : `http://${text}`;
	const url = URL.canParse(address) ? new URL(address) : undefined;
	if (url?.protocol !== "http:" && url?.protocol !== "https:") {
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

/** `*`, `host`, `.host` or `*.host`, with or without `:port`. A host includes its subdomains. */
function exceptionOf(entry: string): (destination: Destination) => boolean {
	if (entry === "*") return () => true;
	const [, name = entry, port] =
		/^(\[.*\]|[^:]+):(\d+)$/.exec(entry) ?? ([] as readonly string[]);
	const host = unbracketed(name)
		.replace(/^\*?\./, "")
		.toLowerCase();
	return (destination) => {
		const hostname = destination.hostname.toLowerCase();
		const isNamed = hostname === host || hostname.endsWith(`.${host}`);
		return isNamed && (port === undefined || port === portOf(destination));
	};
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
