/** How WeChat signs and encrypts what it pushes. Apart from the product, so that each checks the other. */
import { createCipheriv, createHash } from "node:crypto";
import type { Random } from "./random.ts";

/** A request that pushes something. */
export interface SealedPush {
	/** Of the query, without the question mark. */
	readonly query: string;
	readonly body: string;
}

/** What a push is made from. */
export interface SealParts {
	readonly token: string;
	/** EncodingAESKey. */
	readonly key: string;
	/** What stands behind the message. */
	readonly tail: string;
	/** The child outside that names the receiver. */
	readonly outside: { readonly name: string; readonly value: string };
	/** Epoch seconds. */
	readonly timestamp: number;
	readonly random: Random;
}

export function seal(message: string, parts: SealParts): SealedPush {
	const { token, outside, timestamp, random } = parts;
	const encrypted = encrypt(message, parts);
	const nonce = String(Math.floor(random.next() * 1e9));
	const signature = (...texts: readonly string[]) =>
		createHash("sha1")
			.update([...texts].sort().join(""))
			.digest("hex");
	const query = new URLSearchParams({
		signature: signature(token, String(timestamp), nonce),
		timestamp: String(timestamp),
		nonce,
		encrypt_type: "aes",
		msg_signature: signature(token, String(timestamp), nonce, encrypted),
	});
	return {
		query: query.toString(),
		body: `<xml>\n    <${outside.name}><![CDATA[${outside.value}]]></${outside.name}>\n    <Encrypt><![CDATA[${encrypted}]]></Encrypt>\n</xml>\n`,
	};
}

const blockBytes = 32;

function encrypt(
	message: string,
	{ key, tail, random }: Pick<SealParts, "key" | "tail" | "random">,
): string {
	const aesKey = Buffer.from(`${key}=`, "base64");
	const text = Buffer.from(message);
	const length = Buffer.alloc(4);
	length.writeUInt32BE(text.length);
	const plain = Buffer.concat([
		Buffer.from(random.text(16)),
		length,
		text,
		Buffer.from(tail),
	]);
	const padding = blockBytes - (plain.length % blockBytes);
	const cipher = createCipheriv("aes-256-cbc", aesKey, aesKey.subarray(0, 16));
	cipher.setAutoPadding(false);
	return Buffer.concat([
		cipher.update(Buffer.concat([plain, Buffer.alloc(padding, padding)])),
		cipher.final(),
	]).toString("base64");
}
