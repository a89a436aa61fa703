/** The status of a credential as JSON, as fast as ten thousand in a list need it. */
import { iso } from "./iso-time.ts";
import { interfaceOf, type StatusFacts, statusFrom } from "./status.ts";
import { type AtRest, usedAtRest } from "./status-at-rest.ts";

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

/** The same text as `statusJson(factsAtRest(…))`, without making the facts. */
export function jsonAtRest(
	{ credential, path, known, record, until }: AtRest,
	now: number,
): string {
	const { expiresAt } = known.token;
	const { file, kind, needs, limits } = credential;
	const wire = interfaceOf(credential);
	const hasRecord = record !== "unrecorded";
	const last =
		hasRecord && known.fetchedAt !== 0
			? `{"at":"${iso(known.fetchedAt)}","reason":${quoted(known.reason)}}`
			: "null";
	const lifetime = hasRecord ? known.lifetimeMs / 1000 : null;
	const [parent] = needs;
	return `{"appid":${quoted(credential.appid)},"state":"valid","valid":true,"interface":${wire === null ? "null" : `"${wire}"`},"file":${quoted(path)},"expire":${Math.floor(expiresAt / 1000)},"secondsLeft":${Math.floor((expiresAt - now) / 1000)},"lifetime":${lifetime},"lastRefresh":${last},"nextRefreshAt":"${iso(until)}","lastError":null,"budget":{"used":${usedAtRest(known, record, now)},"of":${limits.budget}},"foreignFetcher":false,"hint":null,"credential":${quoted(file)},"kind":"${kind}","parent":${parent === undefined ? "null" : quoted(parent)},"waitsFor":null,"guessed":${known.sighting?.isGuessed === true},"overdue":false}`;
}

/** As `JSON.stringify`, of texts that mostly need no escapes. */
function quoted(text: string): string {
	return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

const plain = /^[\w@./-]*$/;
