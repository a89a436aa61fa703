import type { Account } from "../../src/config/entry.ts";
import type { Credential, Limits } from "../../src/core/credential.ts";

/** An account as the configuration gives it, with the default limits; nobody answers at its base URL. */
export function anAccount(
	given: Pick<Account, "appid" | "file"> & Partial<Account>,
): Account {
	return {
		secret: "not a secret at all",
		interface: "classic",
		tickets: [],
		formats: [],
		baseUrls: ["http://127.0.0.1:9"],
		timeoutMs: 10_000,
		refreshBeforeMs: 2_400_000,
		cooldownMs: 10_000,
		budget: 60,
		...given,
	};
}

/** A classic access token of wx1 in the file `token`, with the default limits but no cooldown. */
export function accessToken(limits: Partial<Limits> = {}): Credential {
	return {
		id: "token",
		kind: "access_token",
		appid: "wx1",
		file: "token",
		formats: [],
		source: "wx1 from WeChat",
		needs: [],
		limits: {
			refreshBeforeMs: 2_400_000,
			cooldownMs: 0,
			budget: 60,
			timeoutMs: 10_000,
			...limits,
		},
	};
}
