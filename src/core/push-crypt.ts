/**
 * The signature and the cipher of WeChat's pushes (安全模式): AES-256-CBC with the
 * EncodingAESKey of the console, and a SHA-1 over the Token of the console.
 */
import { createDecipheriv, createHash, timingSafeEqual } from "node:crypto";

/** An EncodingAESKey as bytes: 32 of them, the first 16 are the IV, too. */
export type PushKey = Uint8Array;

/** What the console and this server know, and nobody else. */
export interface PushSecrets {
	/** 消息校验Token. */
	readonly token: string;
	/** The newest first. The former one is still used for a while after a change. */
	readonly keys: readonly PushKey[];
}

/** What is signed, as it was sent. */
export interface Signed {
	/** `msg_signature` of the query; `signature` there is about something else. */
	readonly signature: string;
	readonly timestamp: string;
	readonly nonce: string;
	/** The cipher text in base64. */
	readonly encrypted: string;
}

/**
 * The key in an EncodingAESKey; undefined if it is none: 43 characters of base64. The
 * last one may have bits that base64 does not need. WeChat makes such keys.
 */
export function pushKeyOf(encodingAesKey: string): PushKey | undefined {
	return /^[A-Za-z0-9+/]{43}$/.test(encodingAesKey)
		? Buffer.from(encodingAesKey, "base64")
		: undefined;
}

/** Whether WeChat, or whoever has the Token, made that signature. In constant time. */
export function isSigned(signed: Signed, { token }: PushSecrets): boolean {
	const { signature, timestamp, nonce, encrypted } = signed;
	const text = [token, timestamp, nonce, encrypted].sort(byBytes).join("");
	const right = createHash("sha1").update(text).digest();
	if (!/^[0-9a-f]{40}$/i.test(signature)) return false;
	return timingSafeEqual(right, Buffer.from(signature, "hex"));
}

/** A message, and whom it is for. */
export interface Opened {
	readonly message: string;
	/** What stands behind the message: an appid, suite_id or corpid. */
	readonly id: string;
}

/**
 * The message in a cipher text, by the first key that fits. A wrong key is told by the
 * padding, by the length that does not fit, or by an id that is not in `ids`; so all three
 * are looked at for each key. Never throws.
 */
export function openPush(
	encrypted: string,
	{ keys }: PushSecrets,
	ids: ReadonlySet<string>,
): Opened | "undecipherable" | "foreign-id" {
	let result: "undecipherable" | "foreign-id" = "undecipherable";
	for (const key of keys) {
		const opened = openWith(key, encrypted);
		if (opened === undefined) continue;
		if (ids.has(opened.id)) return opened;
		result = "foreign-id";
	}
	return result;
}

const blockBytes = 16;
/** Before the message: 16 random bytes, and its length. */
const headBytes = 20;
/** Padding is to a multiple of 32, whatever the cipher's own block is. */
const maxPadding = 32;

function openWith(key: PushKey, encrypted: string): Opened | undefined {
	const bytes = Buffer.from(encrypted, "base64");
	if (bytes.length === 0 || bytes.length % blockBytes !== 0) return undefined;
	const iv = key.subarray(0, blockBytes);
	const decipher = createDecipheriv("aes-256-cbc", key, iv);
	// OpenSSL knows no padding over 16, and would refuse half of all messages.
	decipher.setAutoPadding(false);
	const plain = Buffer.concat([decipher.update(bytes), decipher.final()]);
	const padding = plain.at(-1) ?? 0;
	const end = plain.length - padding;
	if (padding < 1 || padding > maxPadding || end < headBytes) return undefined;
	// In bytes, of UTF-8.
	const length = plain.readUInt32BE(blockBytes);
	if (length > end - headBytes) return undefined;
	const idAt = headBytes + length;
	return {
		message: plain.toString("utf8", headBytes, idAt),
		id: plain.toString("utf8", idAt, end),
	};
}

/** As `strcmp` sorts, which is what WeChat's own samples use. */
function byBytes(one: string, other: string): number {
	return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
