/**
 * Where SDKs look for a token in Redis, and in which form: read in their sources. None of
 * these names holds a secret.
 */
import type { Credential } from "./credential.ts";
import { encodeToken, type Token } from "./token.ts";

/** Whose keys these are. */
export type SdkName = "json" | "php" | "wxjava" | "silenceper" | "wechatpy";

/** A token as an SDK reads it. */
export interface SdkEntry {
	readonly key: string;
	readonly value: string;
}

/** The entries of an access token for that SDK; none for other credentials. */
export function sdkEntriesOf(
	sdk: SdkName,
	{ kind, appid }: Pick<Credential, "kind" | "appid">,
	token: Token,
	prefix: string,
): readonly SdkEntry[] {
	const isStable = kind === "stable_access_token";
	if (!isStable && kind !== "access_token") return [];
	const { value } = token;
	const raw = (key: string): SdkEntry => ({ key, value });
	switch (sdk) {
		case "json":
			return [{ key: `${prefix}json:${appid}`, value: encodeToken(token) }];
		case "php":
			// As PHP serializes a string: its length in bytes, and a token is ASCII.
			return [
				{
					key: `wx_access_token_${appid}`,
					value: `s:${value.length}:"${value}";`,
				},
			];
		case "wxjava":
			return [raw(`wx:access_token:${appid}`), raw(`wa:access_token:${appid}`)];
		case "silenceper": {
			const what = isStable ? "_stable_access_token" : "_access_token";
			return [
				raw(`gowechat_officialaccount_${what}_${appid}`),
				raw(`gowechat_miniprogram_${what}_${appid}`),
			];
		}
		case "wechatpy":
			return [
				{
					key: `wechatpy:${appid}_access_token`,
					value: JSON.stringify(value),
				},
			];
		default:
			return sdk satisfies never;
	}
}
