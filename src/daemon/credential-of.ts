/** From an entry of the configuration to the credential that is managed. */
import type { Account } from "../config/config.ts";
import type { Credential, KindName } from "../core/credential.ts";

const kindOf: Readonly<Record<Account["interface"], KindName>> = {
	classic: "access_token",
	stable: "stable_access_token",
};

/** The access token of an account. Its id is the name of its file, which is unique. */
export function credentialOf(account: Account): Credential {
	const { appid, file, refreshBeforeMs, cooldownMs, budget, timeoutMs } =
		account;
	return {
		id: file,
		kind: kindOf[account.interface],
		appid,
		file,
		source: sourceOf(account),
		needs: nothing,
		limits: { refreshBeforeMs, cooldownMs, budget, timeoutMs },
	};
}

/**
 * All of WeChat's own hosts know the same accounts. Behind another base URL there may
 * be a simulator, or a proxy of which nothing is known.
 */
function sourceOf({ appid, baseUrls: [first = ""] }: Account): string {
	const { origin, hostname } = new URL(first);
	const server = hostname.endsWith(".weixin.qq.com") ? "WeChat" : origin;
	return `${appid} from ${server}`;
}

/** One array for all credentials: ten thousand empty ones would take memory. */
const nothing: readonly string[] = [];
