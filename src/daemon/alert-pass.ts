/**
 * Tells people what a pass without a daemon has found: at most one message. What was
 * told is remembered beside the tokens, as the daemon does, so that the next pass does
 * not tell it again, and tells its end.
 */
import { statSync } from "node:fs";
import { hostname } from "node:os";
import type { AlertSettings } from "../config/alert-settings.ts";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { createHttp } from "../issuer/http.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import {
	alertMemoryPath,
	readAlertMemory,
	writeAlertMemory,
} from "./alert-memory.ts";
import { tellOnce } from "./alerts.ts";
import { createTroubles } from "./troubles.ts";

export interface PassParts {
	/** Of the tokens. */
	readonly directory: string;
	/** Those that the pass was about, after it. */
	readonly managed: readonly ManagedCredential[];
	/** For the proxy. */
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly clock: Clock;
	readonly log: Log;
}

/** Between two messages. A little less than a minute, so that a job of each minute may speak each time. */
const gapMs = 50_000;

/** Never throws but for a bug: its failure is one line in the log. */
export async function tellOfPass(
	settings: AlertSettings,
	{ directory, managed, env, clock, log }: PassParts,
): Promise<void> {
	const byFile = new Map(managed.map((one) => [one.credential.file, one]));
	const remembered = readAlertMemory(directory);
	// A pass for some accounts knows nothing of the others.
	const others = remembered.filter(({ credential }) => !byFile.has(credential));
	const troubles = createTroubles({
		statusOf: (file) => byFile.get(file)?.status(clock.now()),
		clock,
		remembered: remembered.filter(({ credential }) => byFile.has(credential)),
	});
	for (const file of byFile.keys()) troubles.watch(file);
	troubles.look(settings.afterMs, () => false);
	const news = troubles.news();
	if (news.length > 0 && clock.now() - toldAt(directory) >= gapMs) {
		const http = createHttp({ connectTimeoutMs: 10_000, env });
		const parts = { host: hostname(), isSimulated: false, clock, log };
		if (await tellOnce(http, settings, news, parts)) troubles.told(news);
		await http.close();
	}
	if (troubles.changes() === 0) return;
	try {
		await writeAlertMemory(directory, [...troubles.remembered(), ...others]);
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		// The keepers have the same disk, and tell of it.
		log.debug({ event: "alert.forgotten", code: error.code }, error.message);
	}
}

/** When a message left at the latest, epoch ms. */
function toldAt(directory: string): number {
	const stat = statSync(alertMemoryPath(directory), { throwIfNoEntry: false });
	return stat?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}
