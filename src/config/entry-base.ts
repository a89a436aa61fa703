/** What every entry of a configuration has, whatever it is an entry of. */
export interface EntryBase {
	/** "" if secrets were not asked for, or a follower has none. */
	readonly secret: string;
	/** The token file's name in the directory, unique among all entries. */
	readonly file: string;
	/** Copies of each of its files: "php" as the sample of WeChat's JS-SDK reads them. */
	readonly formats: readonly "php"[];
	/** In the order in which they are tried; at least one. */
	readonly baseUrls: readonly string[];
	/** For a whole request. */
	readonly timeoutMs: number;
	/** How long before its end a token becomes due. */
	readonly refreshBeforeMs: number;
	/** As in `Limits`; only `once` sets it. */
	readonly refreshEarly?: boolean;
	/** Between two forced refreshes. */
	readonly cooldownMs: number;
	/** The most calls to WeChat in one token lifetime. */
	readonly budget: number;
	/** False: this host keeps it alone. */
	readonly fleet?: boolean;
}
