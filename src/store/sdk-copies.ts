/**
 * Copies of tokens under the keys of SDKs, for those that only read. They are written by
 * the host that publishes a token, and again if they are gone or altered.
 */
import type { Credential } from "../core/credential.ts";
import { type SdkEntry, type SdkName, sdkEntriesOf } from "../core/sdk-keys.ts";
import type { Token } from "../core/token.ts";
import type { RedisLink } from "./redis-link.ts";
import { share } from "./redis-scripts.ts";

/** A token of this host, with its number in the fleet. */
export interface NumberedToken {
	readonly credential: Credential;
	readonly token: Token;
	readonly number: number;
}

export interface SdkCopies {
	/** Of a token that was just published. Rejects with `LinkError`. */
	write(of: NumberedToken): Promise<void>;
	/** Some of all tokens in turn, so that each is looked at again and again. */
	check(all: readonly (() => NumberedToken | undefined)[]): Promise<void>;
}

/** Tokens that are looked at in one turn. */
const maxChecked = 50;

export function createSdkCopies(
	link: Pick<RedisLink, "run">,
	prefix: string,
	sdks: readonly SdkName[],
): SdkCopies {
	let turn = 0;
	const write = async ({ credential, token, number }: NumberedToken) => {
		const entries = sdks.flatMap((sdk) =>
			sdkEntriesOf(sdk, credential, token, prefix),
		);
		await Promise.all(
			entries.map(({ key, value }: SdkEntry) =>
				link.run(
					share,
					// The whole name is the tag, so that both are in one slot of a cluster.
					[key, `{${key}}.gen`],
					[String(number), value, String(token.expiresAt)],
				),
			),
		);
	};
	return {
		write,
		check: async (all) => {
			if (sdks.length === 0) return;
			for (
				let count = 0;
				count < maxChecked && count < all.length;
				count += 1
			) {
				const held = all[turn % all.length]?.();
				turn += 1;
				if (held !== undefined && held.number > 0) await write(held);
			}
		},
	};
}
