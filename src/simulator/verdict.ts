import { wordingOf } from "./wording.ts";

/** What an endpoint decided, before it becomes an HTTP answer. */
export interface Verdict {
	/** 0: the call succeeded. */
	readonly errcode: number;
	/** The body's keys; a refusal's errmsg gets its `rid` later. */
	readonly content: Readonly<Record<string, unknown>>;
	readonly outcome: string;
}

/** Success; the outcome is what onlookers are told. */
export function granted(
	content: Readonly<Record<string, unknown>>,
	outcome = "ok",
): Verdict {
	return { errcode: 0, content, outcome };
}

/** An error, in WeChat's own words if no others are given. */
export function refused(
	errcode: number,
	errmsg: string = wordingOf(errcode),
): Verdict {
	return {
		errcode,
		content: { errcode, errmsg },
		outcome: `errcode ${errcode}`,
	};
}
