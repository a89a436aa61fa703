/**
 * The examples that sign pages and cards with tickets give what WeChat's documents give,
 * in each language. A driver answers each line of its stdin by one of its stdout:
 *
 *     page URL NONCE TIMESTAMP        -> appId timestamp nonceStr signature
 *     card ID TIMESTAMP NONCE CODE    -> signature
 *     sort VALUE…                     -> signature of the values
 *
 * with tabs between the words; an exception becomes "error TEXT".
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { newDirectory } from "../support/directory.ts";
import { environmentOf, missingFor, type Signer, signers } from "./readers.ts";

const appid = "wx0123456789abcdef";

/** Of WeChat's documents. */
const tickets = {
	jsapi:
		"sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
	card: "ojZ8YtyVyr30HheH3CM73y7h4jJE",
};

const page = (url: string) => ["page", url, "Wm3WZYTPz0wzccnW", "1414587457"];
const signed = (signature: string) =>
	`${appid} 1414587457 Wm3WZYTPz0wzccnW ${signature}`;
const sha1 = (text: string) => createHash("sha1").update(text).digest("hex");

const vectors: readonly {
	readonly what: string;
	readonly words: readonly string[];
	readonly answer: string;
}[] = [
	{
		what: "the page of the documents",
		words: page("http://mp.weixin.qq.com?params=value"),
		answer: signed("0f9de62fce790f9a083d5c99e95740ceb90c27ed"),
	},
	{
		what: "a bare host, to which no / is added",
		words: page("http://mp.weixin.qq.com"),
		answer: signed("f4d90daf4b3bca3078ab155816175ba34c443a7b"),
	},
	{
		what: "the part of an address before #",
		words: page("http://mp.weixin.qq.com?params=value#/shop#top"),
		answer: signed("0f9de62fce790f9a083d5c99e95740ceb90c27ed"),
	},
	{
		what: "the card of the documents",
		words: [
			"card",
			"pjZ8Yt1XGILfi-FUsewpnnolGgZk",
			"1404896688",
			"jonyqin_1434008071",
			"jonyqin",
		],
		answer: "2b4d29b5f60fa4be37522ddfd9583c329446d3e3",
	},
	{
		what: "values by their bytes, not by the order of a language",
		words: ["sort", "_", "a", "-1", "B"],
		answer: sha1("-1B_a"),
	},
	{
		what: "values that look like numbers by their bytes",
		words: ["sort", "10", "9", "1e1", "010"],
		answer: sha1("010101e19"),
	},
];

const inAnHour = Math.floor(Date.now() / 1000) + 3_600;

describe.each(signers)("$name", (signer) => {
	const missing = missingFor(signer);
	const reason = `needs ${missing.join(", ")}`;

	test("signs as WeChat's documents say", async (context) => {
		context.skip(missing.length > 0, reason);
		const directory = directoryWith(inAnHour);
		const answers = await answersOf(signer, directory, vectors);
		expect(answers).toEqual(vectors.map(({ answer }) => answer));
	});

	test("raises an error for a ticket that has ended, and for one that is missing", async (context) => {
		context.skip(missing.length > 0, reason);
		const ended = await answersOf(
			signer,
			directoryWith(1),
			vectors.slice(0, 1),
		);
		expect(ended).toEqual([expect.stringMatching(/^error .*expired/)]);
		const absent = await answersOf(signer, newDirectory(), vectors.slice(3, 4));
		expect(absent).toEqual([expect.stringMatching(/^error .*/)]);
	});
});

function directoryWith(expire: number): string {
	const directory = newDirectory();
	for (const [kind, value] of Object.entries(tickets))
		writeFileSync(
			join(directory, `wx_${kind}_ticket_${appid}`),
			`${JSON.stringify({ value, expire })}\n`,
		);
	return directory;
}

/** What the driver of that language prints for these lines. */
async function answersOf(
	signer: Signer,
	directory: string,
	asked: typeof vectors,
): Promise<readonly string[]> {
	const [file = "", ...rest] = await signer.prepare();
	const place = { appid, directory, url: "", secret: "" };
	const { PATH, HOME } = process.env;
	const { stdout, stderr } = spawnSync(file, rest, {
		encoding: "utf8",
		env: { PATH, HOME, ...environmentOf(place) },
		input: asked.map(({ words }) => `${words.join("\t")}\n`).join(""),
	});
	expect(stderr).toBe("");
	return stdout.trimEnd().split("\n");
}
