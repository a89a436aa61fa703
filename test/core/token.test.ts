import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	decodeToken,
	encodeToken,
	isTokenValue,
	tokenId,
} from "../../src/core/token.ts";

const visible = fc.string({
	unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
	minLength: 1,
	maxLength: 1024,
});
const end = fc.integer({ min: 1, max: 99_999_999_999 });

describe("a token file's content", () => {
	test("is one line of JSON with exactly two keys, as readers in every language expect", () => {
		expect(
			encodeToken({ value: "79_aB-c", expiresAt: 1_800_000_000_999 }),
		).toBe('{"value":"79_aB-c","expire":1800000000}\n');
	});

	test("names the second before the end, never the one after it", () => {
		const { expire } = JSON.parse(
			encodeToken({ value: "a", expiresAt: 1_999 }),
		);
		expect(expire).toBe(1);
	});

	test("is one line for whatever WeChat may issue, and comes back unchanged", () => {
		fc.assert(
			fc.property(visible, end, (value, expire) => {
				const token = { value, expiresAt: expire * 1000 };
				const text = encodeToken(token);
				expect(text.split("\n")).toHaveLength(2);
				expect(decodeToken(text)).toEqual(token);
			}),
		);
	});

	test.each([
		[
			"written by another program, with other blanks",
			' {"expire": 1800000000 , "value": "a"}\r\n',
		],
		["with a fraction of a second", '{"value":"a","expire":1800000000.9}'],
		[
			"with keys that others added",
			'{"value":"a","expire":1800000000,"name":"x"}',
		],
	])("is understood when it was %s", (_why, text) => {
		expect(decodeToken(text)).toEqual({
			value: "a",
			expiresAt: 1_800_000_000_000,
		});
	});

	test.each([
		"",
		"\n",
		"{",
		"null",
		"1",
		'"a"',
		"[]",
		"{}",
		'{"value":"a"}',
		'{"expire":1800000000}',
		'{"value":"","expire":1800000000}',
		'{"value":1,"expire":1800000000}',
		'{"value":"a b","expire":1800000000}',
		'{"value":"a\\n","expire":1800000000}',
		'{"value":"微信","expire":1800000000}',
		`{"value":"${"a".repeat(1025)}","expire":1800000000}`,
		'{"value":"a","expire":"1800000000"}',
		'{"value":"a","expire":null}',
		'{"value":"a","expire":0}',
		'{"value":"a","expire":0.9}',
		'{"value":"a","expire":-1}',
		'{"value":"a","expire":1e300}',
		'{"value":"a","expire":1800000000000}',
		'{"value":"a","expire":1800000000}}',
		'\u0000{"value":"a","expire":1800000000}',
	])("that is %j holds no token", (text) => {
		expect(decodeToken(text)).toBeUndefined();
	});

	test("torn at any byte holds no token, so that it is never taken for one", () => {
		const text = encodeToken({
			value: "79_aB-c",
			expiresAt: 1_800_000_000_000,
		});
		for (let length = 0; length < text.length - 1; length++)
			expect(decodeToken(text.slice(0, length))).toBeUndefined();
	});

	test("of any other kind is never an error", () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
				const token = decodeToken(text);
				if (token !== undefined) expect(isTokenValue(token.value)).toBe(true);
			}),
		);
	});
});

describe("a token's name", () => {
	test("is 16 hex digits, the same in every process, and not a part of the token", () => {
		// Of its SHA-256, so that anybody can name a token that he holds:
		// printf %s TOKEN | sha256sum | cut -c1-16
		expect(tokenId("79_aB-c")).toBe("739372483f81aa70");
		fc.assert(
			fc.property(visible, visible, (one, other) => {
				expect(tokenId(one)).toMatch(/^[0-9a-f]{16}$/);
				expect(tokenId(one) === tokenId(other)).toBe(one === other);
			}),
		);
	});
});
