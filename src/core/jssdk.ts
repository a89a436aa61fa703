/** Signatures that pages and cards need, as WeChat's JS-SDK document describes them. */
import { createHash } from "node:crypto";

/** What `wx.config` takes. */
export interface JsSdkConfig {
	readonly appId: string;
	/** Epoch seconds. */
	readonly timestamp: number;
	/** With a capital S here, and without one in the text that is signed. */
	readonly nonceStr: string;
	/** SHA-1, lower-case hex. */
	readonly signature: string;
}

/**
 * The signature of a page. `url`: its full address byte for byte as the browser sent
 * it; from `#` on it is not signed.
 */
export function signPage(
	ticket: string,
	{
		appId,
		url,
		nonceStr,
		timestamp,
	}: Pick<JsSdkConfig, "appId" | "nonceStr" | "timestamp"> & {
		readonly url: string;
	},
): JsSdkConfig {
	const [page = ""] = url.split("#", 1);
	// The names are in alphabetical order, the values as they are, without escapes.
	const text = `jsapi_ticket=${ticket}&noncestr=${nonceStr}&timestamp=${timestamp}&url=${page}`;
	const signature = createHash("sha1").update(text).digest("hex");
	return { appId, timestamp, nonceStr, signature };
}
