/** One request as it arrived and what became of it. */
export interface RequestRecord {
	/** Counts from 1. */
	readonly id: number;
	/** Virtual epoch ms. */
	readonly at: number;
	readonly method: string;
	/** The host name whose listener took it. */
	readonly host: string;
	readonly path: string;
	/** Path and query exactly as sent. */
	readonly target: string;
	readonly query: Readonly<Record<string, string | undefined>>;
	readonly body: string;
	/** Lower-case names. */
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly ip: string;
	readonly status: number;
	readonly endpoint: string;
	readonly outcome: string;
	/** With a fault: what the platform had done before it. */
	readonly processed?: string;
	readonly appid?: string;
}

export interface Journal {
	/** At least the last `limit` records, oldest first. */
	readonly records: readonly RequestRecord[];
	add(record: Omit<RequestRecord, "id">): RequestRecord;
	/**
	 * The first record with an id above `sinceId` that fulfils the predicate, past
	 * ones included. Rejects after `timeoutMs` of real time.
	 */
	waitFor(
		predicate: (record: RequestRecord) => boolean,
		timeoutMs: number,
		sinceId?: number,
	): Promise<RequestRecord>;
}

export function createJournal(limit: number): Journal {
	const records: RequestRecord[] = [];
	const watchers = new Set<(record: RequestRecord) => void>();
	let lastId = 0;
	return {
		records,
		add(fields) {
			lastId += 1;
			const record = { ...fields, id: lastId };
			// Cut in halves: dropping one at a time would move the whole array each time.
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
					reject(
						new Error(
							`no such request within ${timeoutMs} ms; the last were: ${
								records
									.slice(-5)
									.map(
										({ method, path, outcome }) =>
											`${method} ${path} ${outcome}`,
									)
									.join(", ") || "none"
							}`,
						),
					);
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
