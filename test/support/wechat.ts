import {
	type Simulator,
	type SimulatorOptions,
	startSimulator,
} from "../../src/simulator/server.ts";
import { noteSecret, noteToken } from "./leaks.ts";
import { atEnd } from "./lifetime.ts";

/**
 * The simulator inside the test's process, closed after the test, or with what shares it. Its secrets
 * and every token it issues are things that no output may show.
 */
export async function startWeChat(
	options: SimulatorOptions,
): Promise<Simulator> {
	for (const { secret } of options.accounts) noteSecret(secret);
	const simulator = await startSimulator({
		...options,
		onRequest: (record) => {
			noteTokens(simulator, record.appid);
			options.onRequest?.(record);
		},
	});
	atEnd(() => simulator.close());
	return simulator;
}

/** How often a token was fetched, by account: what reached WeChat, not what succeeded. */
export function fetchesOf({ requests }: Simulator, appid: string): number {
	return requests.filter(
		(record) =>
			record.appid === appid &&
			(record.endpoint === "token" || record.endpoint === "stable_token"),
	).length;
}

function noteTokens(
	{ platform, now }: Simulator,
	appid: string | undefined,
): void {
	const account = appid && platform.account(appid, now());
	if (!account) return;
	for (const line of [account.classic, account.stable])
		if (line.current !== undefined) noteToken(line.current.value);
}
