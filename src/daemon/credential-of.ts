/** From an entry of the configuration to the credentials that are kept for it. */
import type { Authorizer } from "../config/component.ts";
import type { Account, Entry, WecomApp } from "../config/entry.ts";
import {
	type TicketName,
	ticketFile,
	type WecomTicketName,
	wecomTicketFile,
} from "../config/entry-names.ts";
import type { Member } from "../config/platform.ts";
import type { Corp } from "../config/suite.ts";
import type { Credential, KindName, Limits } from "../core/credential.ts";

const tokenKindOf: Readonly<Record<Entry["interface"], KindName>> = {
	classic: "access_token",
	stable: "stable_access_token",
	wecom: "wecom_access_token",
	provider: "wecom_provider_access_token",
	component: "component_access_token",
	authorizer: "authorizer_access_token",
	suite: "wecom_suite_access_token",
	corp: "wecom_corp_access_token",
};

const ticketKindOf: Readonly<Record<TicketName, KindName>> = {
	jsapi: "jsapi_ticket",
	wx_card: "wx_card_ticket",
	sdk: "sdk_ticket",
};

const wecomTicketKindOf: Readonly<Record<WecomTicketName, KindName>> = {
	jsapi: "wecom_jsapi_ticket",
	agent_config: "wecom_agent_ticket",
};

/** All that is kept for an entry: its token first, then what hangs on it. */
export function credentialsOf(entry: Entry): readonly Credential[] {
	const token = credentialOf(entry);
	if (entry.tickets.length === 0) return [token];
	switch (entry.interface) {
		case "classic":
		case "stable":
		case "authorizer":
			return [token, ...entry.tickets.map((one) => ticketOf(entry, one))];
		case "wecom":
		case "corp":
			return [token, ...entry.tickets.map((one) => wecomTicketOf(entry, one))];
		case "provider":
		case "component":
		case "suite":
			return [token];
		default:
			return entry satisfies never;
	}
}

/** The token of an entry. */
export function credentialOf(entry: Entry): Credential {
	const { file, formats } = entry;
	return {
		id: file,
		kind: tokenKindOf[entry.interface],
		appid: ownerOf(entry),
		file,
		formats,
		source: sourceOf(entry),
		needs: commonOf(entry).needs,
		limits: commonOf(entry).limits,
	};
}

/**
 * A ticket is asked for up to 60 times in a lifetime, by its own rule. An hour without
 * answers takes 60 more, and must leave the asks at the end of the ticket, which cannot
 * be made earlier or later.
 */
const minTicketBudget = 120;

/** A ticket of an account, which hangs on its access token. */
export function ticketOf(
	account: Account | Authorizer,
	ticket: TicketName,
): Credential {
	const file = ticketFile(ticket, account.appid);
	return childOf(account, ticketKindOf[ticket], file);
}

/** A ticket of an app, which hangs on its access token. */
function wecomTicketOf(
	app: WecomApp | Corp,
	ticket: WecomTicketName,
): Credential {
	const name = app.interface === "wecom" ? app.name : app.suite;
	const file = wecomTicketFile(ticket, `${app.corpid}_${name}`);
	return childOf(app, wecomTicketKindOf[ticket], file);
}

function childOf(entry: Entry, kind: KindName, file: string): Credential {
	return {
		id: file,
		kind,
		appid: ownerOf(entry),
		file,
		formats: entry.formats,
		source: sourceOf(entry),
		needs: [entry.file],
		limits: commonOf(entry).ticketLimits,
	};
}

/** The token of the platform, for those who have their tokens through one. */
function needsOf(entry: Entry): readonly string[] {
	if (entry.interface === "authorizer") return [entry.parent];
	return entry.interface === "corp" && entry.parent !== undefined
		? [entry.parent]
		: [];
}

/** The appid, the corpid, or the suite_id. */
function ownerOf(entry: Entry): string {
	if (entry.interface === "suite") return entry.suiteId;
	return "appid" in entry ? entry.appid : entry.corpid;
}

/**
 * What the credentials of one entry and of its neighbours share: of a hundred thousand
 * entries nearly all say the same, and objects for each would take as much memory as
 * their tokens.
 */
interface Common {
	/** The one that it was made for. */
	readonly entry: Entry;
	readonly limits: Limits;
	readonly ticketLimits: Limits;
	/** What the token hangs on. */
	readonly needs: readonly string[];
	/** The end of `source`. */
	readonly origin: string;
}

/** All that `Common` is made from. */
const commonKeys = [
	"interface",
	"component",
	"suite",
	"parent",
	"baseUrls",
	"timeoutMs",
	"refreshBeforeMs",
	"refreshEarly",
	"cooldownMs",
	"budget",
] as const;

let last: Common | undefined;

function commonOf(entry: Entry): Common {
	if (last === undefined || !hasSame(last.entry, entry)) {
		const limits = limitsOf(entry);
		const budget = Math.max(minTicketBudget, entry.budget);
		last = {
			entry,
			limits,
			ticketLimits: { ...limits, budget },
			needs: needsOf(entry),
			origin: originOf(entry),
		};
	}
	return last;
}

function hasSame(
	one: Partial<Record<(typeof commonKeys)[number], unknown>>,
	other: typeof one,
): boolean {
	return commonKeys.every((key) => one[key] === other[key]);
}

function limitsOf(entry: Entry): Limits {
	const { refreshBeforeMs, cooldownMs, budget, timeoutMs, refreshEarly } =
		entry;
	return {
		...{ refreshBeforeMs, cooldownMs, budget, timeoutMs },
		...(refreshEarly && { refreshEarly }),
		...(entry.interface === "authorizer" && { isSpread: true }),
	};
}

/** An app of 企业微信 is a part of the source, as each app has a token of its own. */
function sourceOf(entry: Entry): string {
	const name = entry.interface === "wecom" ? ` ${entry.name}` : "";
	return ownerOf(entry) + name + commonOf(entry).origin;
}

/**
 * All of WeChat's own hosts know the same accounts. Behind another base URL there may
 * be a simulator, or a proxy of which nothing is known. A token of an own account is not
 * the one that a component gets for it.
 */
function originOf(entry: Entry): string {
	const [first = ""] = entry.baseUrls;
	const { origin, hostname } = new URL(first);
	const server = hostname.endsWith(".weixin.qq.com") ? "WeChat" : origin;
	switch (entry.interface) {
		case "authorizer":
			return ` through ${entry.component} from ${server}`;
		case "corp":
			return ` through ${entry.suite} from ${server}`;
		default:
			return ` from ${server}`;
	}
}

/** Whether they differ in their names alone. */
export function areSiblings(one: Member, other: Member): boolean {
	return (
		hasSame(one, other) &&
		one.tickets === other.tickets &&
		one.formats === other.formats &&
		one.secret === other.secret &&
		one.fleet === other.fleet
	);
}

/** The entry of that credential, by that of a sibling. */
export function siblingOf(
	member: Member,
	{ kind, appid, file: own, needs }: Credential,
): Member {
	// Tickets hang on the token of their entry.
	const isToken = kind === tokenKindOf[member.interface];
	const [file = own] = isToken ? [own] : needs;
	return member.interface === "authorizer"
		? { ...member, appid, file }
		: { ...member, corpid: appid, file };
}
