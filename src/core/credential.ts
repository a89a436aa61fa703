/** What a credential is, as far as the rules need to know. */
import type { Publication } from "./record.ts";
import { type Token, tokenId } from "./token.ts";

/** Names a credential among all of a directory: the name of its file. */
export type CredentialId = string;

/** A thing that WeChat issues, and that is kept: one file, one lock, one record. */
export interface Credential {
	readonly id: CredentialId;
	readonly kind: KindName;
	/** The account that it belongs to, for logs, status and metrics; of 企业微信 the corpid. */
	readonly appid: string;
	/** The name of its file in the directory. */
	readonly file: string;
	/** Copies of the file, in the forms that existing sites read. */
	readonly formats: readonly "php"[];
	/**
	 * Which account of which server issues it: what was published for another one is
	 * not ours, though it lies in our file.
	 */
	readonly source: string;
	/** Its parents: without a living value of each of them WeChat is not asked. */
	readonly needs: readonly CredentialId[];
	readonly limits: Limits;
	/** Another host fetches it. This process never asks WeChat for it, only that host. */
	readonly isFollowed?: boolean;
}

/** How one credential is to be kept; all from the configuration. */
export interface Limits {
	readonly refreshBeforeMs: number;
	/**
	 * `refreshBeforeMs` counts also above a third of the lifetime: nobody looks between
	 * two runs of a cron job, which may be an hour apart.
	 */
	readonly refreshEarly?: boolean;
	/**
	 * It becomes due up to a third of its life earlier, each token at another instant: of a
	 * hundred thousand that were fetched together the next fetches are spread.
	 */
	readonly isSpread?: boolean;
	/** Between two forced refreshes; the kind may ask for more. */
	readonly cooldownMs: number;
	/** Calls to WeChat per lifetime. */
	readonly budget: number;
	/** How long one request to WeChat may take as a whole. */
	readonly timeoutMs: number;
	/**
	 * 0 to 1: when this host has its turn among those that renew it together. Absent: at
	 * once.
	 */
	readonly turn?: number;
}

/** All that the rules may know of a kind. */
export interface Traits {
	/**
	 * Whether WeChat issues another value at each call, or the same one until its
	 * end (or until `renewWindowMs` before it); `either`: nobody knows.
	 */
	readonly reissue: "new-each-time" | "same-until-end" | "either";
	/**
	 * What an answer's lifetime says: how long the value lives from the request on;
	 * or a constant, so that the end counts from the last sight of the former value; or
	 * one of the two, so that only less than a whole life is what is left.
	 */
	readonly life: "as-told" | "from-last-sight-of-former" | "left-or-constant";
	/** The span before its end in which WeChat gives a new value; absent: at any time. */
	readonly renewWindowMs?: number;
	/** Another value can be forced: how far apart, and how often a day. */
	readonly force?: { readonly gapMs: number; readonly perDay: number };
	/** How long a value is still accepted once another one has replaced it. */
	readonly replacedLivesMs: number;
	/** A harmless call tells whether the value is accepted. */
	readonly canProbe: boolean;
	/** An app can find it dead, and say so. */
	readonly canReport: boolean;
	/** It signs pages for WeChat's JS-SDK. */
	readonly signsPages?: boolean;
}

/**
 * A ticket: the same value until its end, `expires_in` is 7200 whatever is left, and no
 * call tells whether it is alive. That a former one lives on is documented nowhere.
 */
const ticket = {
	reissue: "same-until-end",
	life: "from-last-sight-of-former",
	replacedLivesMs: 0,
	canProbe: false,
	canReport: false,
} as const satisfies Traits;

const signingTicket = { ...ticket, signsPages: true } as const;

/** A token of 企业微信: what a repeated call gives is not documented. */
const wecomToken = {
	reissue: "either",
	life: "left-or-constant",
	replacedLivesMs: 0,
	canReport: true,
} as const satisfies Omit<Traits, "canProbe">;

/**
 * Every kind that is kept, by what the rules know of it. A further kind begins with a
 * row here; docs/architecture.md tells the other places.
 */
export const kinds = {
	/** GET /cgi-bin/token: each call replaces the token; the former lives 5 minutes more. */
	access_token: {
		reissue: "new-each-time",
		life: "as-told",
		replacedLivesMs: 300_000,
		canProbe: true,
		canReport: true,
	},
	/**
	 * POST /cgi-bin/stable_token: a new token only in the last 300 s, of which 15 are
	 * left to clocks and the way there. `force_refresh` is ignored within 30 s (one
	 * more for the way), and refused more than 20 times a day.
	 */
	stable_access_token: {
		reissue: "same-until-end",
		life: "as-told",
		renewWindowMs: 285_000,
		force: { gapMs: 31_000, perDay: 20 },
		replacedLivesMs: 300_000,
		canProbe: true,
		canReport: true,
	},
	/** GET /cgi-bin/ticket/getticket?type=jsapi: signs pages for WeChat's JS-SDK. */
	jsapi_ticket: signingTicket,
	/** … type=wx_card: signs cards (卡券). */
	wx_card_ticket: ticket,
	/** … type=2: scan-login of mobile apps. */
	sdk_ticket: ticket,
	/** POST /cgi-bin/component/api_component_token: of a 第三方平台; as an access_token. */
	component_access_token: {
		reissue: "new-each-time",
		life: "as-told",
		replacedLivesMs: 300_000,
		canProbe: true,
		canReport: true,
	},
	/** POST /cgi-bin/component/api_authorizer_token: of an account that has authorised one. */
	authorizer_access_token: {
		reissue: "new-each-time",
		life: "as-told",
		replacedLivesMs: 300_000,
		canProbe: true,
		canReport: true,
	},
	/** 企业微信, GET /cgi-bin/gettoken: of an app. */
	wecom_access_token: { ...wecomToken, canProbe: true },
	/** 企业微信, GET /cgi-bin/get_jsapi_ticket: signs the pages of a corp. */
	wecom_jsapi_ticket: signingTicket,
	/** 企业微信, GET /cgi-bin/ticket/get?type=agent_config: signs the pages of an app. */
	wecom_agent_ticket: signingTicket,
	/** 企业微信, POST /cgi-bin/service/get_provider_token: of a 服务商. */
	wecom_provider_access_token: { ...wecomToken, canProbe: false },
	/** 企业微信, POST /cgi-bin/service/get_suite_token: of a 第三方应用 or 代开发 template. */
	wecom_suite_access_token: { ...wecomToken, canProbe: false },
	/** 企业微信, POST get_corp_token, 代开发: GET gettoken: of a corp that has authorised one. */
	wecom_corp_access_token: { ...wecomToken, canProbe: true },
} as const satisfies Readonly<Record<string, Traits>>;

export type KindName = keyof typeof kinds;

/** What it is, for a person. */
export function nounOf({ kind }: Pick<Credential, "kind">): "token" | "ticket" {
	return kind.endsWith("_ticket") ? "ticket" : "token";
}

/** What the rules may know of that credential's kind. */
export function traitsOf({ kind }: Pick<Credential, "kind">): Traits {
	return kinds[kind];
}

/** A value and what is known of it. */
export interface KnownToken {
	readonly token: Token;
	/** `tokenId` of the value. */
	readonly id: string;
	/** `SharedRecord.generation` at its publication. */
	readonly generation: number;
	readonly lifetimeMs: number;
	/** When its request was sent, epoch ms; 0 if that is not known. */
	readonly fetchedAt: number;
	/** Why it was fetched; "found" if that is not known. */
	readonly reason: string;
	/**
	 * How far the wall clock was ahead of the monotonic one, in ms, when this process
	 * learned the end of the token: a clock that is set back later shows by it.
	 */
	readonly clockOffset?: number;
	/**
	 * Another process published it while this one watched, and its clock is ahead of ours
	 * by at least this much, in ms: by our clock the token ends so much earlier.
	 */
	readonly aheadMs?: number;
	/** Only of kinds whose answers do not tell the end. */
	readonly sighting?: Sighting;
}

/** What is known of the end of a value of which WeChat only tells that it is the present one. */
export interface Sighting {
	/** The last answer with this value, epoch ms. */
	readonly seenAt: number;
	/**
	 * When it ends: the last answer with the former value, and a whole life. WeChat
	 * issued it after that, also if another program was given it first.
	 */
	readonly endsAt: number;
	/** The first answer with this value, and a whole life: it cannot end later by its age. */
	readonly endsBy: number;
	/** No answer shortly before showed the former value: it may end earlier. */
	readonly isGuessed: boolean;
}

/** What stands at the path of the file. */
export type Reading =
	/** `exact`: byte for byte what we publish, a plain file of the right mode and group. */
	| { readonly kind: "token"; readonly token: Token; readonly exact: boolean }
	| { readonly kind: "absent" }
	/** A folder, a link, garbage, unreadable: `problem` says what. */
	| { readonly kind: "unusable"; readonly problem: string };

/** What tokens live until an answer tells: the only value ever documented. */
export const usualLifetimeMs = 7_200_000;

/** The value of a file, with what its record says of it, if it is of that value. */
export function knownFrom(
	token: Token,
	generation: number,
	published: Publication | undefined,
): KnownToken {
	return {
		token,
		id: published?.id ?? tokenId(token.value),
		generation,
		lifetimeMs: published?.lifetimeMs ?? usualLifetimeMs,
		fetchedAt: published?.fetchedAt ?? 0,
		reason: published?.reason ?? "found",
		...(published?.sighting && { sighting: published.sighting }),
	};
}

/** Whether another value can be had before the end of the present one; or perhaps. */
export function isRenewedEarly(credential: Pick<Credential, "kind">): boolean {
	const { reissue, renewWindowMs } = traitsOf(credential);
	return reissue !== "same-until-end" || renewWindowMs !== undefined;
}

/** Whether another value can be had at any time, or forced; or perhaps. */
export function canForce(credential: Pick<Credential, "kind">): boolean {
	const { reissue, force } = traitsOf(credential);
	return reissue !== "same-until-end" || force !== undefined;
}
