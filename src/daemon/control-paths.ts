/** The paths of the routes, and what of them is harmless to tell. */

/** What a path names: an account by its appid, or a credential by its file. */
export interface RoutePath {
	readonly pattern: string;
	readonly appid?: string;
	readonly file?: string;
}

/** The name in a path is never decoded: appids and file names need no escapes. */
export function patternOf(path: string): RoutePath {
	const [, list, name = "", rest = ""] =
		/^\/v1\/(accounts|credentials)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
	switch (list) {
		case "accounts":
			return { pattern: `/v1/accounts/{appid}${rest}`, appid: name };
		case "credentials":
			return { pattern: `/v1/credentials/{file}${rest}`, file: name };
		default:
			return { pattern: path };
	}
}

/** States and figures: no token, and nothing is changed. */
const states = [
	"/",
	"/metrics",
	"/v1/accounts",
	"/v1/accounts/{appid}",
	"/v1/credentials",
	"/v1/credentials/{file}",
];

/** Whether everybody may ask for it: a load balancer, or the probe of Kubernetes. */
export function isForAnybody(path: string): boolean {
	return path === "/healthz";
}

/**
 * Whether it may be told to all who may know how the credentials are. Of what lies
 * below /v1 only what is listed: a new route is guarded until somebody lists it.
 */
export function isHarmless(path: string): boolean {
	return states.includes(patternOf(path).pattern) || !path.startsWith("/v1/");
}
