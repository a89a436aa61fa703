/**
 * The examples that sign pages and cards with tickets give what WeChat's documents give,
 * in each language. A driver answers each line of its stdin by one of its stdout:
 *
 *     page URL NONCE TIMESTAMP        -> appId timestamp nonceStr signature
 *     card ID TIMESTAMP NONCE CODE    -> signature
 *     sort VALUE…                     -> signature of the values
 *     ask URL                         -> what the daemon answers, as JSON
 *
 * with tabs between the words; an exception becomes "error TEXT".
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { json, text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
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

	test("lets the daemon sign a page, and hands on why it does not", async (context) => {
		context.skip(missing.length > 0, reason);
		const directory = newDirectory();
		const page = {
			appId: appid,
			timestamp: 1414587457,
			nonceStr: "Wm3WZYTPz0wzccnW",
			signature: "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
		};
		const asked = await answerAt(join(directory, "control.sock"), [
			[200, page],
			[404, { code: "no-ticket", message: "there is no jsapi ticket" }],
		]);
		const url = 'https://www.example.com/%E5%BA%97?q="a\\b"&n=1';
		const [signed = "", refused] = await answersOf(signer, directory, [
			{ words: ["ask", url] },
			{ words: ["ask", url] },
		]);
		expect(JSON.parse(signed)).toEqual(page);
		expect(refused).toMatch(/^error .*there is no jsapi ticket/);
		const request = `POST /v1/accounts/${appid}/jssdk`;
		expect(asked).toEqual([
			[request, { url }],
			[request, { url }],
		]);
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

/** A socket that gives these answers in order; the requests are added to the list. */
async function answerAt(
	path: string,
	answers: readonly (readonly [status: number, content: object])[],
): Promise<readonly (readonly [request: string, body: unknown])[]> {
	const asked: (readonly [string, unknown])[] = [];
	const server = createServer(async (request, response) => {
		const [status, content] = answers[asked.length] ?? [500, {}];
		asked.push([`${request.method} ${request.url}`, await json(request)]);
		response.writeHead(status, { "Content-Type": "application/json" });
		response.end(JSON.stringify(content));
	}).listen(path);
	onTestFinished(() => void server.close());
	await once(server, "listening");
	return asked;
}

/** What the driver of that language prints for these lines. */
async function answersOf(
	signer: Signer,
	directory: string,
	asked: readonly { readonly words: readonly string[] }[],
): Promise<readonly string[]> {
	const [file = "", ...rest] = await signer.prepare();
	const place = { appid, directory, url: "", secret: "" };
	const { PATH, HOME } = process.env;
	const child = spawn(file, rest, {
		env: { PATH, HOME, ...environmentOf(place) },
	});
	child.stdin.end(asked.map(({ words }) => `${words.join("\t")}\n`).join(""));
	const [printed, errors] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
	]);
	expect(errors).toBe("");
	return printed.trimEnd().split("\n");
}
