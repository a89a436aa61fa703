/** The log of requests, complete for tests in the same process and masked for everything else. */

/** One request as it arrived, and its outcome. */
export interface RequestRecord {
	/** Counts from 1. */
	readonly id: number;
	/** Virtual epoch ms. */
	readonly at: number;
	readonly method: string;
	/** The host name that was called. */
	readonly host: string;
	readonly path: string;
	/** Path and query exactly as sent. */
	readonly target: string;
	readonly query: Readonly<Record<string, string | undefined>>;
	readonly body: string;
	/** Names in lower case. */
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly ip: string;
	readonly status: number;
	readonly endpoint: string;
	readonly outcome: string;
	/** With a fault: the outcome that the platform reached before the fault. */
	readonly processed?: string;
	readonly appid?: string;
}

/** The last requests, and a way to wait for the next. */
export interface RequestLog {
	/** At least the last `limit` records, oldest first. */
	readonly records: readonly RequestRecord[];
	/** Gives the record its id, and resolves the promises that wait for it. */
	add(record: Omit<RequestRecord, "id">): RequestRecord;
	/**
	 * The first record above `sinceId` that fulfils the predicate. Records that
	 * exist already count too. Rejects after `timeoutMs` of real time.
	 */
	waitFor(
		predicate: (record: RequestRecord) => boolean,
		timeoutMs: number,
		sinceId?: number,
	): Promise<RequestRecord>;
}

/** Keeps at least the last `limit` requests, and at most twice as many. */
export function createRequestLog(limit: number): RequestLog {
	const records: RequestRecord[] = [];
	const watchers = new Set<(record: RequestRecord) => void>();
	let lastId = 0;
	return {
		records,
		add(fields) {
			lastId += 1;
			const record = { ...fields, id: lastId };
			// Dropping records one at a time would move the whole array each time.
			if (records.length >= 2 * limit) records.splice(0, limit);
			records.push(record);
			for (const watcher of watchers) watcher(record);
			return record;
		},
		waitFor(predicate, timeoutMs, sinceId = 0) {
			const found = records.find(
				(record) => record.id > sinceId && predicate(record),
			);
			if (found !== undefined) return Promise.resolve(found);
			return new Promise((resolve, reject) => {
				const timer = setTimeout(() => {
					watchers.delete(watcher);
					reject(new Error(timeoutMessage(records, timeoutMs)));
				}, timeoutMs);
				function watcher(record: RequestRecord): void {
					if (!predicate(record)) return;
					clearTimeout(timer);
					watchers.delete(watcher);
					resolve(record);
				}
				watchers.add(watcher);
			});
		},
	};
}

/** The record as the control port shows it: without secrets and whole tokens. */
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

/** The record as one line for a terminal: without secrets and whole tokens. */
export function lineOf(record: RequestRecord): string {
	const { at, method, host, path, outcome, processed } = record;
	const time = new Date(at).toISOString().slice(0, 19);
	const fields = Object.entries({ ...record.query, ...parsed(record.body) })
		.map(([name, value]) => ` ${name}=${maskedField(name, value)}`)
		.join("");
	const before = processed === undefined ? "" : ` (after: ${processed})`;
	const asked = `${path.slice(0, 100)}${fields.slice(0, 300)}`;
	// A caller could send escape sequences to the terminal, or a second line.
	const shown = asked.replace(/[^\x20-\x7e]/g, "?");
	return `${time} ${host} ${method} ${shown} -> ${outcome}${before}`;
}

/** Parameters that are shown. Any other value may be a secret, and is masked. */
const openParameters: ReadonlySet<string> = new Set([
	"grant_type",
	"appid",
	"corpid",
	"auth_corpid",
	"suite_id",
	"type",
	"force_refresh",
	"cgi_path",
	"component_appid",
	"authorizer_appid",
	"offset",
	"count",
]);

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
	// The first characters of a token differ from token to token, and are useless for a call.
	if (name === "access_token" && typeof value === "string" && value.length > 40)
		return `${value.slice(0, 10)}…`;
	return "***";
}

/** A body that is no JSON object may hold a secret anywhere: only its length is shown. */
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

/** A test that waits in vain needs to see what came instead. */
function timeoutMessage(
	records: readonly RequestRecord[],
	timeoutMs: number,
): string {
	const last = records
		.slice(-5)
		.map(({ method, path, outcome }) => `${method} ${path} ${outcome}`);
	return `no such request within ${timeoutMs} ms; the last were: ${last.join(", ") || "none"}`;
}
