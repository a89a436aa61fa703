/** A reload gives an account another keeper while the former one waits for WeChat. */
import { existsSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { startProgram } from "../support/program.ts";
import { readTokenFile } from "../support/token-file.ts";
import { startHeldIssuer } from "./held-issuer.ts";

test("another file: no request leaves for the account before the answer to the former one", async () => {
	const issuer = await startHeldIssuer();
	const accounts = newAccounts(1);
	const options = { url: issuer.url, wechat: { cooldown: 0 } };
	const config = writeConfig({ ...options, accounts });
	const daemon = startProgram(["run", "--config", config.file]);
	const first = await issuer.next();

	const other = writeConfig({
		...options,
		directory: config.directory,
		accounts: accounts.map((account) => ({ ...account, file: "moved" })),
	});
	renameSync(other.file, config.file);
	daemon.kill("SIGHUP");
	const record = join(dirname(config.tokenFile("wx1")), ".moved.state");
	await eventually(() => existsSync(record), {
		what: "the intent of the new keeper",
	});
	expect(issuer.waiting()).toBe(0);
	first.give();
	const second = await issuer.next();
	second.give();
	const moved = join(config.directory, "moved");
	await eventually(
		() =>
			existsSync(moved) &&
			readTokenFile(moved).value === issuer.issued.at(-1)?.value,
		{ what: "the last token in the new file" },
	);
	expect((await daemon.stop()).code).toBe(0);
});
