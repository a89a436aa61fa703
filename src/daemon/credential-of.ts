/** From an account of the configuration to the credentials that are kept for it. */
import type { Account } from "../config/config.ts";
import { type TicketName, ticketFile } from "../config/lookup.ts";
import type { Credential, KindName } from "../core/credential.ts";

const kindOf: Readonly<Record<Account["interface"], KindName>> = {
	classic: "access_token",
	stable: "stable_access_token",
};

const ticketKindOf: Readonly<Record<TicketName, KindName>> = {
	jsapi: "jsapi_ticket",
	wx_card: "wx_card_ticket",
	sdk: "sdk_ticket",
};

/** The access token of an account. */
export function credentialOf(account: Account): Credential {
	const { appid, file, formats } = account;
	return {
		id: file,
		kind: kindOf[account.interface],
		appid,
		file,
		formats,
		source: sourceOf(account),
		needs: nothing,
		limits: limitsOf(account),
	};
}

/**
 * A ticket is asked for up to 60 times in a lifetime, by its own rule. An hour without
 * answers takes 60 more, and must leave the asks at the end of the ticket, which cannot
 * be made earlier or later.
 */
const minTicketBudget = 120;

/** A ticket of an account, which hangs on its access token. */
export function ticketOf(account: Account, ticket: TicketName): Credential {
	const { appid, file: parent, formats } = account;
	const file = ticketFile(ticket, appid);
	return {
		id: file,
		kind: ticketKindOf[ticket],
		appid,
		file,
		formats,
		source: sourceOf(account),
		needs: [parent],
		limits: {
			...limitsOf(account),
			budget: Math.max(minTicketBudget, account.budget),
		},
	};
}

/** All that is kept for an account: its access token, then its tickets. */
export function credentialsOf(account: Account): readonly Credential[] {
	return [
		credentialOf(account),
		...account.tickets.map((ticket) => ticketOf(account, ticket)),
	];
}

function limitsOf(account: Account): Credential["limits"] {
	const { refreshBeforeMs, cooldownMs, budget, timeoutMs, refreshEarly } =
		account;
	return {
		...{ refreshBeforeMs, cooldownMs, budget, timeoutMs },
		...(refreshEarly && { refreshEarly }),
	};
}

/**
 * All of WeChat's own hosts know the same accounts. Behind another base URL there may
 * be a simulator, or a proxy of which nothing is known.
 */
function sourceOf({ appid, baseUrls: [first = ""] }: Account): string {
	const { origin, hostname } = new URL(first);
	const server = hostname.endsWith(".weixin.qq.com") ? "WeChat" : origin;
	return `${appid} from ${server}`;
}

/** One array for all credentials: ten thousand empty ones would take memory. */
const nothing: readonly string[] = [];
