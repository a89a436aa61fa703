/** What can be read from the `errmsg` of an answer, and what of it may be shown. */
import { isIPv6 } from "node:net";

/**
 * WeChat's number for a call: `rid: 64e5d2d0-…`. Its support asks for it. Undefined if
 * the text has none, as with older subsystems.
 */
export function ridIn(errmsg: string): string | undefined {
	return /rid: ([0-9a-f]{8}-[0-9a-f-]{1,40})/.exec(errmsg)?.[1];
}

/**
 * The time of WeChat's clock in a rid, epoch ms: its first eight hex digits are epoch
 * seconds. Not documented; seen in answers whose `Date` header says the same second.
 */
export function timeOfRid(rid: string | undefined): number | undefined {
	return rid === undefined
		? undefined
		: Number.parseInt(rid.slice(0, 8), 16) * 1000;
}

/** The first IP address: `invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist`. */
export function addressIn(errmsg: string): string | undefined {
	const v4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/.exec(errmsg)?.[0];
	return v4 ?? errmsg.split(/[^0-9a-f:]+/i).find(isIPv6);
}

/**
 * An errmsg that may be logged: one line of at most 300 characters, without control
 * characters, without `secret`, and without any run of characters that is long enough to
 * be a secret or a token.
 */
export function harmless(errmsg: string, secret: string): string {
	return errmsg
		.replaceAll(secret, "***")
		.replaceAll(encodeURIComponent(secret), "***")
		.replace(/[\w-]{24,}/g, (run) =>
			/^[0-9a-f]{8}-[0-9a-f-]{1,40}$/.test(run) ? run : `${run.slice(0, 8)}…`,
		)
		.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
		.slice(0, 300)
		.trim();
}
