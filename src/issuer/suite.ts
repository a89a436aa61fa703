/**
 * 第三方应用 and 代开发 templates (suites) of 企业微信: the token of the suite, the tokens of the
 * corps that have authorised it, and the call that exchanges a code. What they need and
 * cannot fetch comes by pushes, and is asked for here by functions.
 */
import type { CredentialId } from "../core/credential.ts";
import type { Issuer } from "../core/ports.ts";
import type { Body } from "./answer.ts";
import { type CallerOptions, createCaller, type Wanted } from "./call.ts";
import type { IpGate } from "./ip-gate.ts";
import { LinkError } from "./link-error.ts";
import {
	isMemberId,
	isTicketError,
	type MemberSecret,
	noPlatformToken,
	type TicketSource,
	type ToldMember,
	textIn,
} from "./pushed.ts";
import { customizedMeaningOf, suiteMeaningOf } from "./suite-errcode.ts";
import { createAppProbe } from "./wecom.ts";

/** What calls for a suite have in common. */
export interface SuiteCallerOptions extends CallerOptions {
	/** Shared by all of this process: it keeps this IP from a ban. */
	readonly gate: IpGate;
	readonly suiteId: string;
}

export interface SuiteTokenOptions extends SuiteCallerOptions {
	readonly secret: string;
	readonly ticket: TicketSource;
}

/** The issuer of a suite_access_token. It makes no request until it is asked. */
export function createSuiteTokenIssuer(options: SuiteTokenOptions): Issuer {
	const { suiteId, secret, ticket, gate } = options;
	const caller = createCaller(options);
	const wanted = {
		what: `a suite token for ${suiteId}`,
		field: "suite_access_token",
		secret,
		meaningOf: suiteMeaningOf,
	};
	return {
		issue: async ({ onCall, maxCalls }) => {
			const value = ticket.current();
			const body = JSON.stringify({
				suite_id: suiteId,
				suite_secret: secret,
				suite_ticket: value,
			});
			const request = { path: `${base}/get_suite_token`, body };
			try {
				return await gate.passWithSecret(
					{ ...wanted, owner: suiteId, baseUrl: options.baseUrls[0] ?? "" },
					() => caller.fetch({ ...wanted, request }, { maxCalls, onCall }),
				);
			} catch (error) {
				if (isTicketError(error)) ticket.refused(value);
				throw error;
			}
		},
		// No harmless call takes this token.
		probe: async () => "unsure",
	};
}

const base = "/cgi-bin/service";

export interface CorpTokenOptions extends SuiteCallerOptions {
	readonly corpid: string;
	/** The suite token that it hangs on; undefined: 代开发, which needs none. */
	readonly parent: CredentialId | undefined;
	readonly code: MemberSecret;
}

/** The issuer of the token of a corp. It makes no request until it is asked. */
export function createCorpTokenIssuer(options: CorpTokenOptions): Issuer {
	const { corpid, suiteId, parent, code, gate } = options;
	const caller = createCaller(options);
	return {
		issue: async ({ parents, onCall, maxCalls }) => {
			const secret = code.current();
			const wanted = {
				what: `a token for ${corpid} ${suiteId}`,
				field: "access_token",
				secret,
				...(parent === undefined
					? askedAsApp(corpid, secret)
					: askedThrough(corpid, secret, parents?.get(parent))),
			};
			const baseUrl = options.baseUrls[0] ?? "";
			return gate.passWithSecret({ ...wanted, owner: corpid, baseUrl }, () =>
				caller.fetch(wanted, { maxCalls, onCall }),
			);
		},
		probe: createAppProbe(options, caller),
	};
}

/** 代开发: the permanent code is the secret of an app as any other. */
function askedAsApp(
	corpid: string,
	code: string,
): Pick<Wanted, "request" | "meaningOf"> {
	return {
		request: {
			path: `/cgi-bin/gettoken?corpid=${encodeURIComponent(corpid)}&corpsecret=${encodeURIComponent(code)}`,
		},
		meaningOf: customizedMeaningOf,
	};
}

function askedThrough(
	corpid: string,
	code: string,
	token: string | undefined,
): Pick<Wanted, "request" | "meaningOf"> {
	if (token === undefined) throw noPlatformToken(corpid, "suite token");
	return {
		request: {
			path: pathWith("get_corp_token", token),
			body: JSON.stringify({ auth_corpid: corpid, permanent_code: code }),
		},
		meaningOf: suiteMeaningOf,
	};
}

/** The calls that fetch no token to publish. Each throws `IssuerError`. */
export interface SuiteCalls {
	/** Exchanges an auth code. 企业微信 gives the permanent code of it once, and never again. */
	permanentCode(token: string, code: string): Promise<ToldMember>;
}

export function createSuiteCalls(options: SuiteCallerOptions): SuiteCalls {
	const { suiteId, gate, baseUrls } = options;
	const caller = createCaller(options);
	const what = `the permanent code of a corp that has authorised ${suiteId}`;
	return {
		permanentCode: (token, code) =>
			gate.pass({ baseUrl: baseUrls[0] ?? "", what }, () =>
				caller.ask(
					{
						request: {
							path: pathWith("get_permanent_code", token),
							body: JSON.stringify({ auth_code: code }),
						},
						...{ what, secret: token, meaningOf: suiteMeaningOf },
					},
					toldIn,
					// A second request would use a code that the first one has used up.
					{ onlyOnce: true },
				),
			),
	};
}

function pathWith(name: string, token: string): string {
	return `${base}/${name}?suite_access_token=${encodeURIComponent(token)}`;
}

/** Throws `LinkError` if it names no corp, or has no code. */
function toldIn({ permanent_code, auth_corp_info }: Body): ToldMember {
	const secret = textIn(permanent_code);
	const id = textIn(Object(auth_corp_info).corpid);
	if (secret === undefined || id === undefined || !isMemberId(id))
		throw new LinkError("no-token", "permanent_code or corpid absent", true);
	return { id, secret };
}
