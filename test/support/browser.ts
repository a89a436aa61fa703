/** Chromium as Debian has it, without a window. */
import { execFileSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

/** Its path; undefined: there is none. */
export const chromiumPath = ["chromium", "chromium-browser", "google-chrome"]
	.map((name) => {
		try {
			return execFileSync("/bin/sh", ["-c", `command -v ${name}`], {
				encoding: "utf8",
			}).trim();
		} catch {
			return "";
		}
	})
	.find((path) => path !== "");

/** Throws if there is no Chromium. */
export async function startBrowser(): Promise<Browser> {
	if (chromiumPath === undefined)
		throw new Error(
			"could not start a browser: there is no chromium (apt-get install chromium)",
		);
	return chromium.launch({
		executablePath: chromiumPath,
		// Root has no sandbox for it, and containers little shared memory.
		args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
	});
}
