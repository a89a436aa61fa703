/** From an entry of the configuration to the credential that is kept. */
import type { Account } from "../config/config.ts";
import type { Credential, KindName } from "../core/credential.ts";

const kindOf: Readonly<Record<Account["interface"], KindName>> = {
	classic: "access_token",
	stable: "stable_access_token",
};

/** The access token of an account. */
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

/** One for all: ten thousand accounts have it. */
const nothing: readonly string[] = [];
