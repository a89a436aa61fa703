/** The wall clock of a running daemon is set. */
import { expect, test } from "vitest";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { hasFaketime, newFakeClock } from "../support/faketime.ts";
import { startIssuer } from "../support/issuer.ts";
import { startDaemon } from "../support/program.ts";
import { readTokenFile } from "../support/token-file.ts";
import { inParallel } from "./in-parallel.ts";

const hour = 3_600;
const tenYears = 10 * 365 * 86_400;
const lifetime = 7_200;

const steps = [
	["two hours ahead", 2 * hour],
	["two hours back", -2 * hour],
	["ten years ahead", tenYears],
	["ten years back", -tenYears],
	["three hours ahead while it is stopped", 3 * hour],
] as const;

test.skipIf(!hasFaketime)(
	"after each step of the clock, there and back, the next tick publishes a valid token with one request (needs libfaketime)",
	() =>
		inParallel(steps, steps.length, async ([how, seconds]) => {
			const clock = newFakeClock();
			const issuer = await startIssuer({ lifetimeSeconds: lifetime });
			const config = writeConfig({
				url: issuer.url,
				accounts: newAccounts(3),
				top: { log_level: "info" },
			});
			const appids = config.accounts.map(({ appid }) => appid);
			const daemon = await startDaemon(config.file, { env: clock.env });
			for (const [index, offset] of [seconds, 0].entries()) {
				const isStopped = how.includes("stopped");
				if (isStopped) daemon.kill("SIGSTOP");
				clock.set(offset);
				const steppedAt = performance.now();
				if (isStopped) daemon.kill("SIGCONT");
				const areValid = () =>
					appids.every((appid) => {
						const { expire } = readTokenFile(config.tokenFile(appid));
						const left = expire - (Date.now() / 1000 + offset);
						return left > lifetime / 2 && left <= lifetime;
					});
				await eventually(areValid, {
					what: `tokens that are valid after ${offset} s`,
				});
				took.push(Math.round(performance.now() - steppedAt));
				await ticks(3);
				for (const appid of appids)
					expect(issuer.countOf(appid), `requests for ${appid}`).toBe(
						2 + index,
					);
			}
			expect(bad(daemon.events())).toEqual([]);
		}).then(() => console.log(`valid after ${took} ms`)),
);

test.skipIf(!hasFaketime)(
	"a cooldown or pause that began before the clock was set back does not last for years (needs libfaketime)",
	async () => {
		const clock = newFakeClock();
		const issuer = await startIssuer({ lifetimeSeconds: lifetime });
		const config = writeConfig({ url: issuer.url, wechat: { cooldown: 60 } });
		const daemon = await startDaemon(config.file, { env: clock.env });
		daemon.kill("SIGHUP");
		await eventually(() => issuer.requests.length === 2, { what: "a refresh" });
		clock.set(-tenYears);
		await eventually(() => issuer.requests.length === 3, {
			what: "a token by the new clock",
		});
		clock.set(-tenYears - hour);
		daemon.kill("SIGHUP");
		await eventually(() => issuer.requests.length >= 4, {
			what: "a forced refresh",
		});

		issuer.twist((_, response) =>
			response.end('{"errcode":-1,"errmsg":"system error"}'),
		);
		clock.set(tenYears);
		await daemon.event("fetch.failed");
		issuer.twist(undefined);
		const back = -tenYears - 5 * hour;
		clock.set(back);
		await eventually(
			() => {
				const { expire } = readTokenFile(config.tokenFile("wx1"));
				const left = expire - (Date.now() / 1000 + back);
				return left > lifetime / 2 && left <= lifetime;
			},
			{ what: "a token by the new clock" },
		);
	},
);

/** How many milliseconds each step took, for the output. */
const took: number[] = [];

function bad(
	events: readonly { readonly level: string; readonly msg: string }[],
) {
	return events
		.filter(({ level }) => level === "error" || level === "fatal")
		.map(({ msg }) => msg);
}

/** Waits so many ticks, in which the daemon should do nothing. */
async function ticks(count: number): Promise<void> {
	const until = performance.now() + count * 1_000;
	await eventually(() => performance.now() > until, { what: "ticks" });
}
