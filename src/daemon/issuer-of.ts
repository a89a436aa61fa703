/** From a credential and its entry of the configuration to the issuer that fetches it. */
import type { Authorizer } from "../config/component.ts";
import type { Account, Entry, Provider, WecomApp } from "../config/entry.ts";
import {
	isMember,
	isPlatform,
	type Member,
	type Platform,
} from "../config/platform.ts";
import type { Corp, Suite } from "../config/suite.ts";
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { Issuer } from "../core/ports.ts";
import { createAccessTokenIssuer } from "../issuer/access-token.ts";
import {
	createAuthorizerTokenIssuer,
	createComponentTokenIssuer,
} from "../issuer/component.ts";
import type { Http } from "../issuer/http.ts";
import type { IpGate } from "../issuer/ip-gate.ts";
import type { LinkMonitor } from "../issuer/link-monitor.ts";
import type { MemberSecret, TicketSource } from "../issuer/pushed.ts";
import {
	createCorpTokenIssuer,
	createSuiteTokenIssuer,
} from "../issuer/suite.ts";
import { createTicketIssuer, ticketTypes } from "../issuer/ticket.ts";
import {
	createAppTicketIssuer,
	createAppTokenIssuer,
	createProviderTokenIssuer,
} from "../issuer/wecom.ts";

/** What WeChat pushes, or tells only once. */
export interface PlatformSecrets {
	ticketOf(platform: Platform): TicketSource;
	secretOf(member: Member): MemberSecret;
	/** Another host may have been told a newer one a moment ago: it is asked for. Never rejects. */
	freshen(entry: Platform | Member): Promise<void>;
}

/** What an issuer needs besides its entry. */
export interface IssuerParts {
	readonly http: Pick<Http, "send">;
	readonly clock: Clock;
	readonly monitor: LinkMonitor;
	/** Once aborted, no further base URL is tried. */
	readonly stopping: AbortSignal;
	/** Shared by all calls to 企业微信. */
	readonly gate: IpGate;
	/** Undefined for commands that do without a daemon: they keep no platforms. */
	readonly platforms?: PlatformSecrets;
}

/** Throws if the entry has no credential of that kind. */
export function issuerOf(
	entry: Entry,
	credential: Pick<Credential, "kind">,
	parts: IssuerParts,
): Issuer {
	const issuer = plainIssuerOf(entry, credential, parts);
	if (!isPlatform(entry) && !isMember(entry)) return issuer;
	return {
		...issuer,
		issue: async (ask) => {
			await platformsOf(parts).freshen(entry);
			return issuer.issue(ask);
		},
	};
}

function plainIssuerOf(
	entry: Entry,
	{ kind }: Pick<Credential, "kind">,
	parts: IssuerParts,
): Issuer {
	switch (entry.interface) {
		case "classic":
		case "stable":
			return issuerOfAccount(entry, kind, parts);
		case "wecom":
			return issuerOfApp(entry, kind, parts);
		case "provider":
			return issuerOfProvider(entry, parts);
		case "component":
			return createComponentTokenIssuer({
				...callerOptionsOf(entry, parts),
				appid: entry.appid,
				secret: entry.secret,
				ticket: platformsOf(parts).ticketOf(entry),
			});
		case "authorizer":
			return issuerOfAuthorizer(entry, kind, parts);
		case "suite":
			return issuerOfSuite(entry, parts);
		case "corp":
			return issuerOfCorp(entry, kind, parts);
		default:
			return entry satisfies never;
	}
}

function issuerOfAccount(
	account: Account,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	switch (kind) {
		case "access_token":
		case "stable_access_token": {
			const { appid, secret, interface: wire } = account;
			return createAccessTokenIssuer({
				...{ appid, secret, interface: wire },
				...callerOptionsOf(account, parts),
			});
		}
		default:
			return issuerOfTicket(account, kind, parts);
	}
}

/** An authorised account has the same tickets as an own one. */
function issuerOfTicket(
	entry: Account | Authorizer,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	const { appid, file: parent } = entry;
	const options = { appid, parent, ...callerOptionsOf(entry, parts) };
	switch (kind) {
		case "jsapi_ticket":
			return createTicketIssuer({ ...options, type: ticketTypes.jsapi });
		case "wx_card_ticket":
			return createTicketIssuer({ ...options, type: ticketTypes.wx_card });
		case "sdk_ticket":
			return createTicketIssuer({ ...options, type: ticketTypes.sdk });
		default:
			throw new Error(`an account has no ${kind}`);
	}
}

function issuerOfApp(
	app: WecomApp,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	const { corpid, name, secret } = app;
	if (kind !== "wecom_access_token")
		return issuerOfAppTicket(app, name, kind, parts);
	return createAppTokenIssuer({
		...{ corpid, name, secret, gate: parts.gate },
		...callerOptionsOf(app, parts),
	});
}

/** An app has the same tickets, whether its secret is configured or was pushed. */
function issuerOfAppTicket(
	app: WecomApp | Corp,
	name: string,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	const { corpid, file: parent } = app;
	const options = {
		...{ corpid, name, parent, gate: parts.gate },
		...callerOptionsOf(app, parts),
	};
	switch (kind) {
		case "wecom_jsapi_ticket":
			return createAppTicketIssuer({ ...options, ticket: "jsapi" });
		case "wecom_agent_ticket":
			return createAppTicketIssuer({ ...options, ticket: "agent_config" });
		default:
			throw new Error(`an app of 企业微信 has no ${kind}`);
	}
}

function issuerOfProvider(
	{ corpid, secret, baseUrls, timeoutMs }: Provider,
	parts: IssuerParts,
): Issuer {
	return createProviderTokenIssuer({
		...{ corpid, secret, baseUrls, timeoutMs },
		...parts,
	});
}

function callerOptionsOf(
	{ baseUrls, timeoutMs }: Entry,
	{ http, clock, monitor, stopping }: IssuerParts,
) {
	return { baseUrls, timeoutMs, http, clock, monitor, stopping };
}

function platformsOf({ platforms }: IssuerParts): PlatformSecrets {
	if (platforms === undefined)
		throw new Error("platforms are kept by a daemon only");
	return platforms;
}

function issuerOfAuthorizer(
	authorizer: Authorizer,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	switch (kind) {
		case "authorizer_access_token": {
			const { appid, component, parent } = authorizer;
			return createAuthorizerTokenIssuer({
				...{ appid, component, parent },
				...callerOptionsOf(authorizer, parts),
				refreshToken: platformsOf(parts).secretOf(authorizer),
			});
		}
		default:
			return issuerOfTicket(authorizer, kind, parts);
	}
}

function issuerOfSuite(suite: Suite, parts: IssuerParts): Issuer {
	const { suiteId, secret } = suite;
	return createSuiteTokenIssuer({
		...{ suiteId, secret, gate: parts.gate },
		...callerOptionsOf(suite, parts),
		ticket: platformsOf(parts).ticketOf(suite),
	});
}

function issuerOfCorp(
	corp: Corp,
	kind: Credential["kind"],
	parts: IssuerParts,
): Issuer {
	const { corpid, suite: suiteId, parent } = corp;
	if (kind !== "wecom_corp_access_token")
		return issuerOfAppTicket(corp, suiteId, kind, parts);
	return createCorpTokenIssuer({
		...{ corpid, suiteId, parent, gate: parts.gate },
		...callerOptionsOf(corp, parts),
		code: platformsOf(parts).secretOf(corp),
	});
}
