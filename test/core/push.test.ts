import { createCipheriv, createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	decodeEcho,
	decodePush,
	type PushReceiver,
} from "../../src/core/push.ts";
import { isSigned, pushKeyOf } from "../../src/core/push-crypt.ts";
import { readPushXml } from "../../src/core/push-xml.ts";

const appid = "wx0123456789abcdef";
const encodingAesKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const otherKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

function keyOf(text: string) {
	const key = pushKeyOf(text);
	if (key === undefined) throw new Error("no key");
	return key;
}

const receiver: PushReceiver = {
	token: "sampletoken",
	keys: [keyOf(encodingAesKey)],
	idField: "AppId",
	id: appid,
};

/** As WeChat makes it; written apart from the code under test. */
function sealed(
	message: string,
	{ tail = appid, key = encodingAesKey, random = "0123456789abcdef" } = {},
): string {
	const aesKey = Buffer.from(`${key}=`, "base64");
	const text = Buffer.from(message);
	const length = Buffer.alloc(4);
	length.writeUInt32BE(text.length);
	const plain = Buffer.concat([
		Buffer.from(random),
		length,
		text,
		Buffer.from(tail),
	]);
	const padding = 32 - (plain.length % 32);
	const cipher = createCipheriv("aes-256-cbc", aesKey, aesKey.subarray(0, 16));
	cipher.setAutoPadding(false);
	return Buffer.concat([
		cipher.update(Buffer.concat([plain, Buffer.alloc(padding, padding)])),
		cipher.final(),
	]).toString("base64");
}

function signed(encrypted: string, token = "sampletoken") {
	const [timestamp, nonce] = ["1795401000", "12345678"];
	const text = [token, timestamp, nonce, encrypted].sort().join("");
	const signature = createHash("sha1").update(text).digest("hex");
	return new Map([
		["msg_signature", signature],
		["timestamp", timestamp],
		["nonce", nonce],
	]);
}

function pushed(message: string, options = {}) {
	const encrypted = sealed(message, options);
	return {
		query: signed(encrypted),
		body: `<xml><AppId><![CDATA[${appid}]]></AppId>\n<Encrypt><![CDATA[${encrypted}]]></Encrypt></xml>`,
	};
}

const ticketMessage = `<xml><AppId><![CDATA[${appid}]]></AppId>
<CreateTime>1795401000</CreateTime>
<InfoType><![CDATA[component_verify_ticket]]></InfoType>
<ComponentVerifyTicket><![CDATA[ticket@@@AAAABBBB]]></ComponentVerifyTicket>
</xml>`;

describe("two published examples", () => {
	test("a push of a verify ticket", () => {
		const encrypted =
			"Q3stYC6hdFzMh9T8HCvyDIGQViZm47n7q0EVUgEdJBGodN4LZRp/COlN93vkt+seVd2IdLKgbHtmh/ebEBFb8V5vw7SyIVsjlFaxxS+XRjxo4HdamMfbKwKtae+LuWs93QdzcgAJshsndFfORXS7oPre+KQxoOtwvyjteXXuWpifh9BFb+KU3aCKr0lZO1Z53BGAweLaV9xGfAbwyP19EKlmxfhUJm4XGa/DKql7p4t3uE/hyieJftDV4GmU8YUg5lcq2joHb07dnqCbRSO5PrWUmYiJcsg9j5xMIXlkjTyYyDJQwfFpWxtVd15vB/LQ/8+GGGi1RuWrZO8gWQp2HzkmjJtOoD3Ua2S2Fe7x1VRAEKLctwWQaqCGxx215FWT";
		expect(sealed(ticketMessage)).toBe(encrypted);
		const push = decodePush(
			{
				query: new Map([
					["msg_signature", "372c053d3def54e6435b10647e7a6319f6479c11"],
					["timestamp", "1795401000"],
					["nonce", "12345678"],
				]),
				body: `<xml><AppId>${appid}</AppId><Encrypt>${encrypted}</Encrypt></xml>`,
			},
			receiver,
		);
		expect(push).toMatchObject({
			infoType: "component_verify_ticket",
			createdAt: 1_795_401_000,
		});
		if (typeof push === "string") throw new Error(push);
		expect(push.fields.get("ComponentVerifyTicket")).toBe("ticket@@@AAAABBBB");
	});

	test("Tencent's own check of a URL", () => {
		const echo = decodeEcho(
			new Map([
				["msg_signature", "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"],
				["timestamp", "1409659589"],
				["nonce", "263014780"],
				[
					"echostr",
					"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
				],
			]),
			{
				token: "QDG6eK",
				keys: [keyOf(otherKey)],
				idField: "SuiteId",
				id: "wx5823bf96d3bd56c7",
			},
		);
		expect(echo).toMatchObject({ message: "1616140317555161061" });
	});
});

describe("a push", () => {
	test("is read whatever its length is, so with each padding from 1 to 32", () => {
		for (let length = 0; length < 64; length += 1) {
			const message = `<xml><AppId>${appid}</AppId><InfoType>x</InfoType><A>${"长a".repeat(length)}</A></xml>`;
			const push = decodePush(pushed(message), receiver);
			if (typeof push === "string") throw new Error(`${length}: ${push}`);
			expect(push.fields.get("A")).toBe("长a".repeat(length));
		}
	});

	test("is read with the former key, too", () => {
		const request = pushed(ticketMessage, { key: otherKey });
		expect(decodePush(request, receiver)).toBe("undecipherable");
		const keys = [keyOf(encodingAesKey), keyOf(otherKey)];
		expect(decodePush(request, { ...receiver, keys })).toMatchObject({
			infoType: "component_verify_ticket",
		});
	});

	test.each([
		[
			"bad-signature",
			{ ...pushed(ticketMessage), query: signed("x") },
			receiver,
		],
		["bad-signature", { ...pushed(ticketMessage), query: new Map() }, receiver],
		["bad-signature", pushed(ticketMessage), { ...receiver, token: "other" }],
		[
			"foreign-id",
			pushed(ticketMessage, { tail: "wx1123456789abcdef" }),
			receiver,
		],
		["foreign-id", pushed(ticketMessage, { tail: "" }), receiver],
		[
			"foreign-receiver",
			pushed(ticketMessage.replace(appid, "wx1123456789abcdef")),
			receiver,
		],
		["not-xml", { query: new Map(), body: "{}" }, receiver],
		["not-xml", pushed("no XML"), receiver],
		["undecipherable", cut(pushed(ticketMessage)), receiver],
	] as const)("is refused: %s", (refusal, request, by) => {
		expect(decodePush(request, by)).toBe(refusal);
	});

	test("is refused when the length inside points behind its end", () => {
		const aesKey = Buffer.from(`${encodingAesKey}=`, "base64");
		const plain = Buffer.alloc(64, 32);
		plain.writeUInt32BE(0xffffffff, 16);
		const cipher = createCipheriv(
			"aes-256-cbc",
			aesKey,
			aesKey.subarray(0, 16),
		);
		cipher.setAutoPadding(false);
		const encrypted = Buffer.concat([
			cipher.update(plain),
			cipher.final(),
		]).toString("base64");
		const request = {
			query: signed(encrypted),
			body: `<xml><Encrypt>${encrypted}</Encrypt></xml>`,
		};
		expect(decodePush(request, receiver)).toBe("undecipherable");
	});

	test("never throws, whatever arrives", () => {
		fc.assert(
			fc.property(fc.string(), fc.base64String(), (text, cipher) => {
				decodePush({ query: signed(text), body: text }, receiver);
				const body = `<xml><Encrypt>${cipher}</Encrypt></xml>`;
				decodePush({ query: signed(cipher), body }, receiver);
			}),
		);
	});
});

/** Without its last block, but signed. */
function cut({ body }: ReturnType<typeof pushed>) {
	const encrypted = /CDATA\[([^\]]*)\]\]><\/Encrypt>/.exec(body)?.[1] ?? "";
	const less = Buffer.from(encrypted, "base64")
		.subarray(0, -15)
		.toString("base64");
	return {
		query: signed(less),
		body: `<xml><Encrypt>${less}</Encrypt></xml>`,
	};
}

test("the parts of a signature are sorted by their bytes", () => {
	// "𠮷" is behind "～" by its bytes, and before it by the units of UTF-16.
	const parts = ["～", "𠮷", "B", "a"];
	const sorted = [...parts].sort((one, other) =>
		Buffer.compare(Buffer.from(one), Buffer.from(other)),
	);
	expect(sorted).not.toEqual([...parts].sort());
	const [token = "", timestamp = "", nonce = "", encrypted = ""] = parts;
	const signature = createHash("sha1").update(sorted.join("")).digest("hex");
	const given = { signature, timestamp, nonce, encrypted };
	expect(isSigned(given, { token, keys: [] })).toBe(true);
});

describe("an EncodingAESKey", () => {
	test("may have bits at its end that base64 does not need", () => {
		expect(pushKeyOf(encodingAesKey)).toHaveLength(32);
		expect(pushKeyOf(`${encodingAesKey.slice(0, -1)}H`)).toHaveLength(32);
	});
	test.each(["", "a", `${encodingAesKey}=`, `${encodingAesKey.slice(1)}_`])(
		"is not %j",
		(text) => {
			expect(pushKeyOf(text)).toBeUndefined();
		},
	);
});

describe("the XML of a push", () => {
	test.each([
		["plain values", "<xml><A>1</A><B>x y</B></xml>"],
		["CDATA", "<xml><A><![CDATA[1]]></A><B><![CDATA[x y]]></B></xml>"],
		[
			"blanks before CDATA, as in an official example",
			"<xml>\n <A> <![CDATA[1]]>\n</A>\r\n<B>\tx y </B> </xml>\n",
		],
		["the end of another official example", "<xml><A>1</A><B>x y</B><xml>"],
		[
			"a declaration",
			'\uFEFF<?xml version="1.0"?>\n<xml><A>1</A><B>x y</B></xml>',
		],
		["a child twice", "<xml><A>1</A><B>x y</B><A>2</A></xml>"],
	])("has %s", (_what, text) => {
		expect(readPushXml(text)).toEqual(
			new Map([
				["A", "1"],
				["B", "x y"],
			]),
		);
	});

	test("keeps a child with children, and does not decode entities", () => {
		expect(
			readPushXml("<xml><info><n>1</n></info><A>&lt;&amp;</A></xml>"),
		).toEqual(
			new Map([
				["info", "<n>1</n>"],
				["A", "&lt;&amp;"],
			]),
		);
	});

	test.each([
		"",
		"<xml>",
		"<xml><A>1</A>",
		"<xml><A>1</xml>",
		"<xml><A><![CDATA[1</A></xml>",
		"<xml>text</xml>",
		'<!DOCTYPE xml [<!ENTITY a "b">]><xml><A>&a;</A></xml>',
		'<xml><A id="1">1</A></xml>',
		`<xml>${"<A>1</A><B>1</B>".repeat(3)}`,
		`<xml>${Array.from({ length: 300 }, (_, at) => `<A${at}>1</A${at}>`).join("")}</xml>`,
	])("is refused: %j", (text) => {
		expect(readPushXml(text)).toBeUndefined();
	});
});
