/** Why WeChat is asked, and what is answered to those who ask for another token. */
import type { Token } from "./token.ts";

/** Why WeChat is asked for a token. */
export type Reason =
	/** There is none. */
	| "first"
	/** It nears its end. */
	| "due"
	/** SIGHUP, or a request without a token. */
	| "forced"
	/** An app reported it dead. */
	| "reported"
	/** A request was cut off: WeChat may have issued another one already. */
	| "cut-off"
	/** `wxtokend check --online`. */
	| "checked"
	/** It claims to live longer than tokens do: the clock was set back. */
	| "clock";

/** Whether a refresh for that reason counts as a forced one, with its cooldown. */
export function isForced(reason: Reason): boolean {
	return reason === "forced" || reason === "reported";
}

/** A request for another token than the present one. */
export interface RefreshRequest {
	readonly reason: "forced" | "reported" | "checked";
	/** Epoch ms. */
	readonly requestedAt: number;
	/** `tokenId` of the token that was found dead; only with `reported`. */
	readonly stale?: string | undefined;
	/** WeChat itself has called that token dead. */
	readonly isProved?: boolean;
	/** A person wants it though the other hosts of the fleet cannot be asked. */
	readonly alone?: boolean;
	/** Another host of the fleet wants it, which cannot fetch: it is not handed on again. */
	readonly forAnother?: boolean;
	/** An attempt for it has failed already: from then on pauses are kept. */
	readonly tried: boolean;
}

/** The answer to a request. */
export type RefreshAnswer =
	| {
			readonly outcome: "refreshed" | "already-fresh" | "alive";
			readonly token: Token;
	  }
	| { readonly outcome: "failed"; readonly error: RefreshFailure };

/** Why a request failed. */
export interface RefreshFailure {
	/** Stable, for programs. */
	readonly code: string;
	readonly message: string;
	/** What to do next. */
	readonly hint: string;
}

/** The answer that it failed, and why. */
export function failedBy({
	code,
	message,
	hint,
}: RefreshFailure): RefreshAnswer {
	return { outcome: "failed", error: { code, message, hint } };
}

/** The failure of a keeper that begins nothing any more. */
export const stopping: RefreshFailure = {
	code: "stopping",
	message: "could not refresh: wxtokend is stopping",
	hint: "ask again when it is back",
};
