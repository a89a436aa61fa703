/**
 * Pushes to the receiver: never an exception, and nothing is taken that was not signed
 * with the Token. The first byte says where the rest stands: as the body, as the cipher
 * text, as the plain text in a right cipher (with a head of its own or a right one), as
 * the query.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { decodeEcho, decodePush } from "../../../src/core/push.ts";
import { pushKeyOf } from "../../../src/core/push-crypt.ts";
import { readPushXml } from "../../../src/core/push-xml.ts";
import { queryIn } from "../../../src/daemon/push-answers.ts";

const key = pushKeyOf("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
if (key === undefined) throw new Error("the key of this target is none");
const token = "token-of-the-console";
const id = "wx0123456789abcdef";
const receiver = { token, keys: [key], idField: "AppId", id } as const;

export function fuzz(data: Uint8Array): void {
	const [mode = 0] = data;
	const rest = Buffer.from(data.subarray(1));
	const text = rest.toString("utf8");
	const ways = [
		() => body(text),
		() => signed(text, text),
		() => signed(encrypt(pad(rest)), text),
		() => signed(encrypt(pad(framed(rest))), text),
		() => query(text),
	];
	ways[mode % ways.length]?.();
}

function body(text: string): void {
	const fields = readPushXml(text);
	if (fields !== undefined) {
		ok(fields.size <= 200);
		for (const [name, value] of fields)
			ok(name.length + value.length <= text.length);
	}
	// Nobody has signed it.
	const said = decodePush({ query: new Map(), body: text }, receiver);
	ok(said === "not-xml" || said === "bad-signature");
}

function signed(encrypted: string, text: string): void {
	const query = new Map([
		["timestamp", "1700000000"],
		["nonce", "nonce"],
		["msg_signature", signatureOf("1700000000", "nonce", encrypted)],
		["echostr", encrypted],
	]);
	decodeEcho(query, receiver);
	const body = `<xml><Encrypt><![CDATA[${encrypted}]]></Encrypt></xml>`;
	const push = decodePush({ query, body }, receiver);
	if (typeof push === "string") return;
	ok(push.fields.get("AppId") === id);
	ok(Number.isNaN(push.createdAt) || push.createdAt < 1e12);
	ok(push.fields.size <= 200 && push.infoType.length <= text.length);
}

function query(text: string): void {
	const found = queryIn(text);
	ok(found.size <= 32);
	const said = decodeEcho(found, receiver);
	ok(said === "bad-signature");
	deepStrictEqual(queryIn(text), found);
}

function framed(message: Buffer): Buffer {
	const length = Buffer.alloc(4);
	length.writeUInt32BE(message.length);
	return Buffer.concat([Buffer.alloc(16, 7), length, message, Buffer.from(id)]);
}

function pad(plain: Buffer): Buffer {
	const count = 32 - (plain.length % 32);
	return Buffer.concat([plain, Buffer.alloc(count, count)]);
}

function encrypt(plain: Buffer): string {
	const cipher = createCipheriv(
		"aes-256-cbc",
		key as Uint8Array,
		(key as Uint8Array).subarray(0, 16),
	);
	cipher.setAutoPadding(false);
	return Buffer.concat([cipher.update(plain), cipher.final()]).toString(
		"base64",
	);
}

function signatureOf(...parts: readonly string[]): string {
	const text = [token, ...parts]
		.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
		.join("");
	return createHash("sha1").update(text).digest("hex");
}
