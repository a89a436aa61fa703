/** The status of a credential as JSON, as fast as ten thousand in a list need it. */
import { iso } from "./iso-time.ts";
import { type StatusFacts, statusFrom } from "./status.ts";

/** The same text as `JSON.stringify(statusFrom(facts))`. */
export function statusJson(facts: StatusFacts): string {
	const { lastRefresh, lastError, hint, waitsFor, budget } = facts;
	// Most have nothing to tell, and no text that somebody else wrote.
	if (lastError !== null || hint !== null || waitsFor !== null)
		return JSON.stringify(statusFrom(facts));
	const wire = facts.interface === null ? "null" : `"${facts.interface}"`;
	const parent = facts.parent === null ? "null" : JSON.stringify(facts.parent);
	const last =
		lastRefresh === null
			? "null"
			: `{"at":"${iso(lastRefresh.at)}","reason":${JSON.stringify(lastRefresh.reason)}}`;
	return `{"appid":${JSON.stringify(facts.appid)},"state":"${facts.state}","valid":${facts.valid},"interface":${wire},"file":${JSON.stringify(facts.file)},"expire":${facts.expire},"secondsLeft":${facts.secondsLeft},"lifetime":${facts.lifetime},"lastRefresh":${last},"nextRefreshAt":"${iso(facts.nextRefreshAt)}","lastError":null,"budget":{"used":${budget.used},"of":${budget.of}},"foreignFetcher":${facts.foreignFetcher},"hint":null,"credential":${JSON.stringify(facts.credential)},"kind":"${facts.kind}","parent":${parent},"waitsFor":null,"guessed":${facts.guessed},"overdue":${facts.overdue}}`;
}
