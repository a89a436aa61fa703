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
	/** The children outside, one of which names the receiver. */
	readonly outside: Readonly<Record<string, string>>;
	/** 企业微信 sends the one signature that counts, and nothing else. */
	readonly isBare: boolean;
	/** Epoch seconds. */
	readonly timestamp: number;
	readonly random: Random;
}

export function seal(message: string, parts: SealParts): SealedPush {
	const encrypted = encrypt(message, parts);
	const { outside } = parts;
	return {
		query: signedQuery(encrypted, parts),
		body: `<xml>\n${Object.entries(outside)
			.map(([name, value]) => `    <${name}><![CDATA[${value}]]></${name}>\n`)
			.join("")}    <Encrypt><![CDATA[${encrypted}]]></Encrypt>\n</xml>\n`,
	};
}

/** The query of the check of a URL, whose answer is the plain text. */
export function sealEcho(
	plain: string,
	parts: Omit<SealParts, "outside">,
): string {
	const encrypted = encrypt(plain, parts);
	const echostr = encodeURIComponent(encrypted);
	return `${signedQuery(encrypted, parts)}&echostr=${echostr}`;
}

function signedQuery(
	encrypted: string,
	{ token, timestamp, random, isBare }: Omit<SealParts, "outside">,
): string {
	const nonce = String(Math.floor(random.next() * 1e9));
	const signature = (...texts: readonly string[]) =>
		createHash("sha1")
			.update([...texts].sort().join(""))
			.digest("hex");
	const [time, msg_signature] = [
		String(timestamp),
		signature(token, String(timestamp), nonce, encrypted),
	];
	const query = isBare
		? { msg_signature, timestamp: time, nonce }
		: {
				signature: signature(token, time, nonce),
				...{ timestamp: time, nonce, encrypt_type: "aes", msg_signature },
			};
	return new URLSearchParams(query).toString();
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
