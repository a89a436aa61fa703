/**
 * What 第三方平台 (components) and suites of 企业微信 do differently: one row each. All else
 * treats them alike, as platforms with members.
 */
import type { Platform, PlatformTable } from "../config/platform.ts";
import type { Push } from "../core/push.ts";
import { isMemberId } from "../issuer/pushed.ts";
import {
	componentNames,
	type PushedTicket,
	type StateNames,
	suiteNames,
} from "../store/platform-state.ts";

/** What a push means for the keeper. */
export type PlatformNews =
	/** `createdAt`: epoch seconds; NaN if the push does not say. */
	| {
			readonly kind: "ticket";
			readonly ticket: string;
			readonly createdAt: number;
	  }
	/** A code that can be exchanged, of that member if the push names it. */
	| {
			readonly kind: "code";
			readonly code: string;
			readonly id: string | undefined;
	  }
	| { readonly kind: "withdrawn"; readonly id: string }
	/** A member has changed what it allows: it should be known. */
	| { readonly kind: "changed"; readonly id: string };

/** One row. */
export interface PlatformKind {
	/** The files of its state, and what the id and the secret of a member are called. */
	readonly state: StateNames;
	/** The child of a push that names the receiver. */
	readonly idField: "AppId" | "SuiteId";
	/** As in `/v1/components/…`. */
	readonly route: "components" | "suites";
	/** 企业微信 checks a URL by a GET when it is saved. */
	readonly isUrlChecked: boolean;
	/** Codes live so long. */
	readonly codeLifeMs: number;
	/** When a ticket is not taken any more, epoch ms. */
	readonly ticketEndsAt: (ticket: PushedTicket) => number;
	/** Undefined: nothing that the keeper must know. */
	readonly newsIn: (push: Push) => PlatformNews | undefined;
	/** What an operator can do if no ticket comes. */
	readonly noTicketHint: string;
	/** Why a member has no secret, if it has not withdrawn. */
	readonly noSecret: string;
	/** What an operator can do if it has withdrawn. */
	readonly withdrawnHint: string;
	/** What is done about lines of the state that cannot be read. */
	readonly unreadableHint: string;
	/** What becomes of a secret that could not be kept. */
	readonly unsafeHint: string;
}

const hourMs = 3_600_000;

const component: PlatformKind = {
	state: componentNames,
	idField: "AppId",
	route: "components",
	isUrlChecked: false,
	codeLifeMs: hourMs,
	ticketEndsAt: ({ createdAt }) => createdAt * 1000 + 12 * hourMs,
	newsIn: ({ infoType, createdAt, fields }) => {
		const id = idIn(fields.get("AuthorizerAppid"));
		switch (infoType) {
			case "component_verify_ticket":
				return ticketIn(fields.get("ComponentVerifyTicket"), createdAt);
			case "authorized":
			case "updateauthorized":
				return codeIn(fields.get("AuthorizationCode"), id);
			case "unauthorized":
				return id === undefined ? undefined : { kind: "withdrawn", id };
			default:
				return undefined;
		}
	},
	noTicketHint:
		"WeChat pushes a ticket each 10 minutes to the 授权事件接收URL: see that it leads here, and that Token and EncodingAESKey are those of the console (wxtokend logs what it refuses)",
	noSecret: "WeChat has not told its refresh token",
	withdrawnHint:
		"send its administrator the page of consent (授权页) again, if it is still a customer; nothing else is to be done",
	unreadableHint: "WeChat's list of accounts is compared",
	unsafeHint:
		"WeChat's list is asked for the refresh token if the former one fails",
};

const suite: PlatformKind = {
	state: suiteNames,
	idField: "SuiteId",
	route: "suites",
	isUrlChecked: true,
	codeLifeMs: 600_000,
	// Whatever its age was: some values are pushed for half an hour.
	ticketEndsAt: ({ arrivedAt }) => arrivedAt + hourMs / 2,
	newsIn: ({ infoType, createdAt, fields }) => {
		const id = idIn(fields.get("AuthCorpId"));
		switch (infoType) {
			case "suite_ticket":
				return ticketIn(fields.get("SuiteTicket"), createdAt);
			case "create_auth":
			case "reset_permanent_code":
				return codeIn(fields.get("AuthCode"), id);
			case "change_auth":
				return id === undefined ? undefined : { kind: "changed", id };
			case "cancel_auth":
				return id === undefined ? undefined : { kind: "withdrawn", id };
			default:
				return undefined;
		}
	},
	noTicketHint:
		"企业微信 pushes a ticket each 10 minutes to the 指令回调URL: see that it leads here, and that Token and EncodingAESKey are those of the console (wxtokend logs what it refuses); 刷新Ticket in the console pushes one at once",
	noSecret: "its permanent code is not known",
	withdrawnHint:
		"let its administrator authorise the suite again, if it is still a customer; nothing else is to be done",
	unreadableHint:
		"permanent codes in them cannot be fetched again: compare with a backup, else those corps must authorise again",
	unsafeHint: "it is tried again each minute: make room on the disk at once",
};

const kinds: Readonly<Record<PlatformTable, PlatformKind>> = {
	component,
	suite,
};

/** The row of a platform. */
export function kindOf({
	interface: table,
}: Pick<Platform, "interface">): PlatformKind {
	return kinds[table];
}

/** By the path of its routes: `components`. */
export function tableOfRoute(route: string): PlatformTable | undefined {
	const tables = Object.keys(kinds) as readonly PlatformTable[];
	return tables.find((table) => kinds[table].route === route);
}

function ticketIn(
	ticket: string | undefined,
	createdAt: number,
): PlatformNews | undefined {
	return ticket === undefined
		? undefined
		: { kind: "ticket", ticket, createdAt };
}

function codeIn(
	code: string | undefined,
	id: string | undefined,
): PlatformNews | undefined {
	return code === undefined ? undefined : { kind: "code", code, id };
}

function idIn(id: string | undefined): string | undefined {
	return id !== undefined && isMemberId(id) ? id : undefined;
}
