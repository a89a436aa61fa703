/** Requests as they may be shown: what gives an account away is hidden. */
import type { RequestRecord } from "./request-log.ts";

/** Parameters that give nothing away; every other value is hidden. */
const openParameters: ReadonlySet<string> = new Set([
	"grant_type",
	"appid",
	"type",
	"force_refresh",
	"cgi_path",
]);

/** The record as it may be shown: neither a secret nor a whole token in it. */
export function masked(record: RequestRecord): Record<string, unknown> {
	const { target: _target, headers, body, query, path, ...open } = record;
	return {
		...open,
		path: path.slice(0, 200),
		query: maskedFields(query),
		...(body === "" ? {} : { body: maskedBody(body) }),
		userAgent: headers["user-agent"],
	};
}

/** One line for a terminal, whatever the caller sent. */
export function lineOf(record: RequestRecord): string {
	const { at, method, host, path, outcome, processed } = record;
	const time = new Date(at).toISOString().slice(0, 19);
	const fields = Object.entries({ ...record.query, ...parsed(record.body) })
		.map(([name, value]) => ` ${name}=${maskedField(name, value)}`)
		.join("");
	const before = processed === undefined ? "" : ` (after: ${processed})`;
	const asked = `${path.slice(0, 100)}${fields.slice(0, 300)}`;
	// An escape sequence would act on the terminal, a line break forge a line.
	const shown = asked.replace(/[^\x20-\x7e]/g, "?");
	return `${time} ${host} ${method} ${shown} -> ${outcome}${before}`;
}

function maskedFields(fields: object): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(fields).map(([name, value]) => [
			name,
			maskedField(name, value),
		]),
	);
}

function maskedField(name: string, value: unknown): unknown {
	if (openParameters.has(name))
		return typeof value === "string" ? value.slice(0, 64) : value;
	// A token's first characters tell tokens apart in a log, and open nothing.
	if (name === "access_token" && typeof value === "string" && value.length > 40)
		return `${value.slice(0, 10)}…`;
	return "***";
}

function maskedBody(body: string): unknown {
	const fields = parsed(body);
	return fields === undefined
		? `(${body.length} characters)`
		: maskedFields(fields);
}

function parsed(body: string): object | undefined {
	try {
		const content: unknown = JSON.parse(body);
		return typeof content === "object" &&
			content !== null &&
			!Array.isArray(content)
			? content
			: undefined;
	} catch {
		return undefined;
	}
}
