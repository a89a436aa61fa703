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
		needs: nothing,
		limits: { refreshBeforeMs, cooldownMs, budget, timeoutMs },
	};
}

/** One array for all credentials: ten thousand empty ones would take memory. */
const nothing: readonly string[] = [];
