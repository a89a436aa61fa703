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

export interface RequestLog {
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

/** Remembers the last `limit` requests at least, and twice as many at most. */
export function createRequestLog(limit: number): RequestLog {
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
					const last = records
						.slice(-5)
						.map(({ method, path, outcome }) => `${method} ${path} ${outcome}`);
					reject(
						new Error(
							`no such request within ${timeoutMs} ms; the last were: ${last.join(", ") || "none"}`,
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
