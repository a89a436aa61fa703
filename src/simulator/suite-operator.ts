/** What people do with suites: they authorise and withdraw, and change things in the console. */
import type { PlatformState } from "./accounts.ts";
import type { PushTarget } from "./components.ts";
import type { PushEvent } from "./pushes.ts";
import { putCode } from "./suite-endpoints.ts";
import {
	createSuite,
	createSuiteCorp,
	makeSuiteCode,
	type SimulatedSuite,
	type Suite,
	type SuiteCorp,
} from "./suites.ts";

/** An auth code, which the redirect carries as well, and the event. */
export interface SuiteConsent {
	readonly code: string;
	readonly event: PushEvent;
}

/** Changes to a suite; what is absent stays. */
export interface SuiteChanges {
	readonly secret?: string;
	readonly provider?: string;
	/** null: every address may call. */
	readonly trustedIps?: readonly string[] | null;
	readonly push?: PushTarget;
	/** Its token dies at once: 40082. */
	readonly kill?: boolean;
	/** Nothing is pushed any more, or is again. */
	readonly stopped?: boolean;
}

/** Each throws a RangeError for an unknown suite or corp. */
export interface SuiteOperator {
	addSuite(given: SimulatedSuite): void;
	suite(suiteId: string): Suite | undefined;
	suites(): Iterable<Suite>;
	changeSuite(suiteId: string, changes: SuiteChanges): void;
	/** A corp authorises: it has a permanent code, which nobody has been told. */
	authorizeSuite(suiteId: string, corpid: string, nowMs: number): SuiteConsent;
	/** Its administrator changes the permissions. */
	changeSuiteCorp(suiteId: string, corpid: string): PushEvent;
	/** It withdraws. */
	withdrawSuite(suiteId: string, corpid: string): PushEvent;
	/** 重新获取secret in the console: U37. */
	resetSuiteCode(suiteId: string, corpid: string, nowMs: number): SuiteConsent;
}

export function createSuiteOperator(state: PlatformState): SuiteOperator {
	const { suites, wecom, random } = state;
	const known = (suiteId: string): Suite => {
		const suite = suites.get(suiteId);
		if (suite === undefined)
			throw new RangeError(`there is no suite ${JSON.stringify(suiteId)}`);
		return suite;
	};
	const corpOf = (suite: Suite, corpid: string): SuiteCorp => {
		const corp = suite.corps.get(corpid);
		if (corp === undefined || corp.isCancelled)
			throw new RangeError(`${corpid} has not authorised ${suite.suiteId}`);
		return corp;
	};
	return {
		addSuite: (given) => {
			suites.set(given.suiteId, createSuite(wecom, given));
		},
		suite: (suiteId) => suites.get(suiteId),
		suites: () => suites.values(),
		changeSuite: (suiteId, changes) => change(known(suiteId), changes),
		authorizeSuite: (suiteId, corpid, nowMs) => {
			const suite = known(suiteId);
			const before = suite.corps.get(corpid);
			const corp = before ?? createSuiteCorp(wecom, suite, corpid, random);
			// Also if it had never withdrawn: the console can install anew.
			if (before !== undefined) putCode(corp, random.text(43));
			corp.isCancelled = false;
			corp.app.isDisabled = false;
			suite.corps.set(corpid, corp);
			const { value } = makeSuiteCode(suite, corpid, random, nowMs);
			const fields = { AuthCode: value, State: "" };
			return { code: value, event: { infoType: "create_auth", fields } };
		},
		changeSuiteCorp: (suiteId, corpid) => {
			corpOf(known(suiteId), corpid);
			return { infoType: "change_auth", fields: { AuthCorpId: corpid } };
		},
		withdrawSuite: (suiteId, corpid) => {
			const corp = corpOf(known(suiteId), corpid);
			corp.isCancelled = true;
			corp.app.isDisabled = true;
			if (state.knobs.cancelKillsTokens && corp.app.current !== undefined)
				corp.app.current.isInvalid = true;
			return { infoType: "cancel_auth", fields: { AuthCorpId: corpid } };
		},
		resetSuiteCode: (suiteId, corpid, nowMs) => {
			const suite = known(suiteId);
			const corp = corpOf(suite, corpid);
			const next = random.text(43);
			if (state.knobs.formerPermanentCode === "dead-at-once")
				putCode(corp, next);
			else corp.nextCode = next;
			const { value } = makeSuiteCode(suite, corpid, random, nowMs);
			const fields = { AuthCode: value };
			return {
				code: value,
				event: { infoType: "reset_permanent_code", fields },
			};
		},
	};
}

function change(
	suite: Suite,
	{ secret, provider, trustedIps, push, kill, stopped }: SuiteChanges,
): void {
	const { app } = suite;
	if (secret !== undefined) app.secret = secret;
	if (provider !== undefined) suite.provider = provider;
	if (trustedIps !== undefined) app.trustedIps = trustedIps ?? undefined;
	if (push !== undefined) suite.push = push;
	if (stopped !== undefined) suite.isStopped = stopped;
	if (kill === true && app.current !== undefined) app.current.isInvalid = true;
}
