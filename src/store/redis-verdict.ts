/** One probe for all hosts of a fleet, when apps of many of them report the same value. */
import type { Credential } from "../core/credential.ts";
import { unlessUnreachable } from "../core/errors.ts";
import type { ProbeResult } from "../core/ports.ts";
import { type Member, nextNews } from "./fleet-member.ts";
import { askedMs, type RedisRecords, type Standing } from "./redis-records.ts";

/** As of all slots of a fleet. */
export interface VerdictParts {
	readonly records: Pick<RedisRecords, "standingOf" | "tellVerdict">;
	readonly monotonic: () => number;
	readonly stopping: AbortSignal;
	/** Undefined: Redis can be asked. */
	readonly problem: () => object | undefined;
	readonly tell: (of: Credential, news: string) => void;
}

/** How long a verdict is believed by those who have not asked. */
const believedMs: Readonly<Record<ProbeResult, number>> = {
	// It does not come back to life.
	dead: 60_000,
	alive: 5_000,
	unsure: 1_000,
};

/** What is not told is found after so long. */
const pollMs = 200;

/**
 * What WeChat thinks of the value with that `tokenId`. `ask` asks it. Never rejects,
 * unless `ask` does.
 */
export async function judgeForAll(
	parts: VerdictParts,
	member: Member,
	id: string,
	ask: () => Promise<ProbeResult>,
): Promise<ProbeResult> {
	const { records, tell } = parts;
	const { credential } = member;
	const told = await verdictOfOthers(parts, member, id);
	if (told === "dead" || told === "alive") return told;
	const verdict = await ask();
	// What keeps one host from an answer need not keep the others from it.
	if (told === "mine")
		void records
			.tellVerdict(credential, id, verdict, believedMs[verdict])
			.then(() => tell(credential, probed), unlessUnreachable);
	return verdict;
}

/** The news that somebody has asked. */
export const probed = "probed";

/** Waits for it while another host asks. `asked`, `unsure`: it is not to be had. */
async function verdictOfOthers(
	{ records, problem, monotonic, stopping }: VerdictParts,
	member: Member,
	id: string,
): Promise<Standing> {
	const giveUpAt = monotonic() + askedMs;
	while (problem() === undefined) {
		const standing = await records
			.standingOf(member.credential, id)
			.catch(unlessUnreachable);
		if (standing === undefined) break;
		if (standing !== "asked") return standing;
		if (monotonic() >= giveUpAt || stopping.aborted) break;
		await nextNews(member, pollMs, stopping);
	}
	return "asked";
}
