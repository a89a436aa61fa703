/** What the entries of a configuration have in common, whatever they are entries of. */
import type { PushKey } from "../core/push-crypt.ts";

/** What every entry has. */
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

/** How pushes to a platform are checked and opened. */
export interface PushSettings {
	/** 消息校验Token; undefined: none is configured, and no push can be taken. */
	readonly token: string | undefined;
	/** EncodingAESKeys, the newest first. */
	readonly keys: readonly PushKey[];
}

/** What a platform has, be it a 第三方平台 or a suite: others authorise it, and WeChat pushes that. */
export interface PlatformBase extends EntryBase {
	readonly tickets: readonly never[];
	readonly push: PushSettings;
	/** Codes of consents are exchanged here, and not by the app. */
	readonly exchange: boolean;
}
