/** SDKs that sign pages with the ticket that wxtokend keeps, by the hooks that they have for it. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { installSdks } from "../../bench/sdks.ts";
import { newDirectory } from "../support/directory.ts";
import { npmSigner } from "./npm-sdks.ts";
import { environmentOf, gluedSigners, missingFor } from "./readers.ts";

installSdks();

const appid = "wx0123456789abcdef";
const url = "https://www.example.com/shop?id=7&q=%E5%BA%97";

test.each([...gluedSigners, npmSigner])(
	"$name signs with the ticket that is in the file now, fetches nothing, and hands on that there is none",
	async (signer) => {
		const missing = missingFor(signer);
		if (missing.length > 0 && process.env.CI === undefined)
			return console.log(`not run: needs ${missing.join(", ")}`);
		const directory = newDirectory();
		const file = join(directory, `wx_jsapi_ticket_${appid}`);
		const publish = (value: string) =>
			writeFileSync(file, JSON.stringify({ value, expire: 9_999_999_999 }));
		const [command = "", ...rest] = await signer.prepare();
		const { PATH, HOME } = process.env;
		// Nobody listens there: a fetch would be an error.
		const place = { appid, directory, url: "http://127.0.0.1:9", secret: "" };
		const child = spawn(command, rest, {
			env: { PATH, HOME, ...environmentOf(place) },
			stdio: ["pipe", "pipe", "inherit"],
		});
		onTestFinished(() => void child.kill("SIGKILL"));
		const lines = createInterface({ input: child.stdout })[
			Symbol.asyncIterator
		]();
		const sign = async () => {
			child.stdin.write(`${url}\n`);
			return String((await lines.next()).value);
		};
		for (const ticket of ["one", "two"]) {
			publish(ticket);
			const answer = await sign();
			const [timestamp = "", nonce = "", signature] = answer.split(" ");
			const text = `jsapi_ticket=${ticket}&noncestr=${nonce}&timestamp=${timestamp}&url=${url}`;
			expect(signature, answer).toBe(
				createHash("sha1").update(text).digest("hex"),
			);
		}
		rmSync(file);
		expect(await sign()).toMatch(/^error .*wx_jsapi_ticket_/);
	},
);
