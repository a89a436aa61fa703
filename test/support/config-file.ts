import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { newDirectory } from "./directory.ts";
import { newSecret } from "./leaks.ts";

export interface TestAccount {
	readonly appid: string;
	readonly secret: string;
}

/** Accounts wx1, wx2… with secrets that no output may show. */
export function newAccounts(count = 1): readonly TestAccount[] {
	return Array.from({ length: count }, (_, index) => ({
		appid: `wx${index + 1}`,
		secret: newSecret(),
	}));
}

/** What is left out has the default of the tests, else of the program. */
export interface ConfigOptions {
	/** Of the issuer. */
	readonly url: string;
	/** For the token files; default: a new one beside the configuration. */
	readonly directory?: string;
	readonly accounts?: readonly TestAccount[];
	/** As for a host that does not fetch. */
	readonly withoutSecrets?: boolean;
	/** Top-level keys. By default it ticks each second and logs at level trace. */
	readonly top?: Readonly<Record<string, unknown>>;
	/** Keys of `[wechat]`. */
	readonly wechat?: Readonly<Record<string, unknown>>;
}

export interface TestConfig {
	/** The configuration file. */
	readonly file: string;
	/** Of the token files; a new one is not there yet. */
	readonly directory: string;
	readonly accounts: readonly TestAccount[];
	tokenFile(appid: string): string;
}

/** A configuration file for the built program, in a directory of its own. */
export function writeConfig({
	url,
	directory: given,
	accounts = newAccounts(),
	top = {},
	wechat = {},
	withoutSecrets = false,
}: ConfigOptions): TestConfig {
	const place = newDirectory();
	const directory = given ?? join(place, "tokens");
	const file = join(place, "config.toml");
	const content = {
		directory,
		schedule: "* * * * * *",
		log_level: "trace",
		...top,
		wechat: { base_urls: [url], ...wechat },
		account: withoutSecrets
			? accounts.map(({ appid }) => ({ appid }))
			: accounts,
	};
	writeFileSync(file, stringify(content));
	chmodSync(file, 0o600);
	return {
		file,
		directory,
		accounts,
		tokenFile: (appid) => join(directory, `wx_access_token_${appid}`),
	};
}
