/** What a caller asks, and of whom: hosts, endpoints, the request itself. */

/** The names under which WeChat's API is reached; all share the accounts. */
export const apiHosts = [
	"api.weixin.qq.com",
	"api2.weixin.qq.com",
	"sh.api.weixin.qq.com",
	"sz.api.weixin.qq.com",
	"hk.api.weixin.qq.com",
] as const;

/** The one that everybody uses, and that has the control face. */
export const mainHost = apiHosts[0];

/** 企业微信, of which only the wire is here: no endpoint yet. */
export const wecomHost = "qyapi.weixin.qq.com";

/** Where the simulator listens, and where a caller is of whom nothing is said. */
export const loopback = "127.0.0.1";

/** A request as the platform sees it. */
export interface PlatformRequest {
	readonly method: string;
	/** The name it was sent to; absent: `mainHost`. */
	readonly host?: string;
	/** Without the query. */
	readonly path: string;
	readonly query?: Readonly<Record<string, string | undefined>>;
	readonly body?: string;
	/** The caller's address; absent: `loopback`. */
	readonly ip?: string;
	/** The body came without a Content-Length. */
	readonly chunked?: boolean;
	/** Over TLS. */
	readonly secure?: boolean;
}

/** What answers at a path; `other` is every path that WeChat does not have. */
export type Endpoint = keyof typeof paths | "other";

const paths = {
	token: "/cgi-bin/token",
	stable_token: "/cgi-bin/stable_token",
	getticket: "/cgi-bin/ticket/getticket",
	get_api_domain_ip: "/cgi-bin/get_api_domain_ip",
	getcallbackip: "/cgi-bin/getcallbackip",
	clear_quota: "/cgi-bin/clear_quota",
	"clear_quota/v2": "/cgi-bin/clear_quota/v2",
	"quota/get": "/cgi-bin/openapi/quota/get",
	use: "/sim/use",
} as const;

const named = Object.keys(paths) as readonly (keyof typeof paths)[];

export const endpointNames: readonly Endpoint[] = [...named, "other"];

const endpointsByPath: ReadonlyMap<string, Endpoint> = new Map(
	named.map((name) => [paths[name], name]),
);

/** Which endpoint a path leads to. */
export function endpointOf(path: string): Endpoint {
	return endpointsByPath.get(path) ?? "other";
}

/** The body's fields, or undefined if it is not JSON; JSON of another kind has none. */
export function parseBody(body: string): Record<string, unknown> | undefined {
	try {
		const content: unknown = JSON.parse(body);
		return typeof content === "object" && content !== null
			? (content as Record<string, unknown>)
			: {};
	} catch {
		return undefined;
	}
}
