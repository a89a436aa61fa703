/**
 * 第三方平台: the component's own token, the tokens of the accounts that have authorised
 * it, and the calls by which it learns of them. What they need and cannot fetch comes by
 * pushes, and is asked for here by functions.
 */
import type { CredentialId } from "../core/credential.ts";
import { IssuerError } from "../core/errors.ts";
import type { Grant, Issuer, ProbeResult } from "../core/ports.ts";
import { type Body, errcodeIn, grantIn } from "./answer.ts";
import { type CallerOptions, createCaller } from "./call.ts";
import {
	secretCallMeaningOf,
	tokenCallMeaningOf,
} from "./component-errcode.ts";
import { deadTokenCodes } from "./errcode.ts";
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

export interface ComponentTokenOptions extends CallerOptions {
	readonly appid: string;
	readonly secret: string;
	readonly ticket: TicketSource;
}

/** The issuer of a component_access_token. It makes no request until it is asked. */
export function createComponentTokenIssuer(
	options: ComponentTokenOptions,
): Issuer {
	const { appid, secret, ticket } = options;
	const caller = createCaller(options);
	return {
		issue: async ({ onCall, maxCalls }) => {
			const value = ticket.current();
			const body = JSON.stringify({
				component_appid: appid,
				component_appsecret: secret,
				component_verify_ticket: value,
			});
			try {
				return await caller.fetch(
					{
						request: { path: `${base}/api_component_token`, body },
						what: `a component token for ${appid}`,
						field: "component_access_token",
						secret,
						meaningOf: secretCallMeaningOf,
					},
					{ maxCalls, onCall },
				);
			} catch (error) {
				if (isTicketError(error)) ticket.refused(value);
				throw error;
			}
		},
		probe: async (token, onCall) => {
			const request = listRequest(appid, token, { offset: 0, count: 1 });
			return (await caller.look(request, probeResultIn, onCall)) ?? "unsure";
		},
	};
}

const base = "/cgi-bin/component";

function probeResultIn(body: Body): ProbeResult {
	const errcode = errcodeIn(body);
	if (deadTokenCodes.has(errcode)) return "dead";
	return errcode === 0 && Array.isArray(body.list) ? "alive" : "unsure";
}

export interface AuthorizerTokenOptions extends CallerOptions {
	/** The component's. */
	readonly component: string;
	/** The account's. */
	readonly appid: string;
	/** The component token that it hangs on. */
	readonly parent: CredentialId;
	readonly refreshToken: MemberSecret;
}

/** The issuer of an authorizer_access_token. It makes no request until it is asked. */
export function createAuthorizerTokenIssuer(
	options: AuthorizerTokenOptions,
): Issuer {
	const { component, appid, parent, refreshToken } = options;
	const caller = createCaller(options);
	return {
		issue: async ({ parents, onCall, maxCalls }) => {
			const sent = refreshToken.current();
			const token = parents?.get(parent);
			if (token === undefined) throw noPlatformToken(appid, "component token");
			try {
				const { grant, answered } = await caller.ask(
					{
						request: {
							path: pathWith("api_authorizer_token", token),
							body: JSON.stringify({
								component_appid: component,
								authorizer_appid: appid,
								authorizer_refresh_token: sent,
							}),
						},
						what: `a token for ${appid}`,
						secret: sent,
						meaningOf: tokenCallMeaningOf,
					},
					authorizerGrantIn,
					{ maxCalls, onCall },
				);
				if (answered !== undefined && answered !== sent)
					await refreshToken.keep(answered);
				return grant;
			} catch (error) {
				if (isRefusedAuthorizer(error)) refreshToken.refused();
				throw error;
			}
		},
		probe: async (token, onCall) => {
			const path = `/cgi-bin/get_api_domain_ip?access_token=${encodeURIComponent(token)}`;
			return (await caller.look(path, apiProbeResultIn, onCall)) ?? "unsure";
		},
	};
}

function authorizerGrantIn(body: Body, requestedAt: number) {
	const grant: Grant = grantIn(body, "authorizer_access_token", requestedAt);
	return { grant, answered: textIn(body.authorizer_refresh_token) };
}

function apiProbeResultIn(body: Body): ProbeResult {
	const errcode = errcodeIn(body);
	if (deadTokenCodes.has(errcode)) return "dead";
	return errcode === 0 && Array.isArray(body.ip_list) ? "alive" : "unsure";
}

/** Whether the account, and not the component or the way, is the reason. */
export function isRefusedAuthorizer(error: unknown): boolean {
	return (
		error instanceof IssuerError &&
		/^errcode (42007|61003|61023)$/.test(error.code)
	);
}

/** A page of the list of accounts. */
export interface AuthorizerPage {
	/** Of all pages. */
	readonly total: number;
	readonly authorizers: readonly ToldMember[];
}

/** The calls that fetch no token to publish. Each throws `IssuerError`. */
export interface ComponentCalls {
	/** Exchanges an authorisation code. */
	queryAuth(token: string, code: string): Promise<ToldMember>;
	/** Asks for one account. */
	authorizerInfo(token: string, appid: string): Promise<ToldMember>;
	/** At most `pageSize` accounts. */
	list(token: string, offset: number): Promise<AuthorizerPage>;
	/** WeChat's errmsg: `ok` if pushes had stopped, `in a normal state` if they had not. */
	startPushTicket(): Promise<string>;
}

/** More at a time WeChat refuses. */
export const pageSize = 500;

/** A page has some 75 KB. */
const maxPageBytes = 1_048_576;

export function createComponentCalls(
	options: CallerOptions & { readonly appid: string; readonly secret: string },
): ComponentCalls {
	const { appid, secret } = options;
	const caller = createCaller(options);
	const ask = createTokenCall(appid, caller);
	return {
		queryAuth: (token, code) =>
			ask(
				token,
				"api_query_auth",
				`the account that has authorised ${appid}`,
				{ authorization_code: code },
				({ authorization_info: info }) => toldIn(Object(info)),
			),
		authorizerInfo: (token, authorizer) =>
			ask(
				token,
				"api_get_authorizer_info",
				`what ${authorizer} has authorised ${appid} for`,
				{ authorizer_appid: authorizer },
				({ authorization_info: info }) => toldIn(Object(info)),
			),
		list: (token, offset) =>
			ask(
				token,
				"api_get_authorizer_list",
				`the list of accounts that have authorised ${appid}`,
				{ offset, count: pageSize },
				pageIn,
			),
		startPushTicket: () =>
			caller.ask(
				{
					request: {
						path: `${base}/api_start_push_ticket`,
						body: JSON.stringify({
							component_appid: appid,
							component_secret: secret,
						}),
					},
					what: `new tickets for ${appid}`,
					...{ secret, meaningOf: secretCallMeaningOf },
				},
				({ errmsg }) => String(errmsg),
			),
	};
}

/** Asks with a component token; `what`: is asked for, in words. Throws `IssuerError`. */
type TokenCall = <T>(
	token: string,
	name: string,
	what: string,
	fields: object,
	read: (body: Body) => T,
) => Promise<T>;

function createTokenCall(
	appid: string,
	caller: ReturnType<typeof createCaller>,
): TokenCall {
	return (token, name, what, fields, read) =>
		caller.ask(
			{
				request: {
					path: pathWith(name, token),
					body: JSON.stringify({ component_appid: appid, ...fields }),
					maxBytes: maxPageBytes,
				},
				...{ what, secret: token, meaningOf: tokenCallMeaningOf },
			},
			read,
		);
}

function pathWith(name: string, token: string): string {
	return `${base}/${name}?access_token=${encodeURIComponent(token)}`;
}

function listRequest(
	appid: string,
	token: string,
	range: { readonly offset: number; readonly count: number },
) {
	return {
		path: pathWith("api_get_authorizer_list", token),
		body: JSON.stringify({ component_appid: appid, ...range }),
	};
}

/** Throws `LinkError` if it names no account. */
function toldIn(info: Body): ToldMember {
	const id = textIn(info.authorizer_appid);
	if (id === undefined || !isMemberId(id))
		throw new LinkError("no-token", "authorizer_appid absent", true);
	const secret =
		textIn(info.authorizer_refresh_token) ?? textIn(info.refresh_token);
	return { id, secret };
}

function pageIn({ total_count: total, list }: Body): AuthorizerPage {
	if (typeof total !== "number" || !Array.isArray(list))
		throw new LinkError("no-token", "list absent", true);
	return { total, authorizers: list.map((one) => toldIn(Object(one))) };
}
