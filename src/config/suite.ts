/**
 * 第三方应用 and 代开发 templates of 企业微信 in the configuration: an entry `[[suite]]`, and
 * the corps that have authorised them. These are not configured one by one: pushes tell
 * of them.
 */
import type { EntryBase, PlatformBase } from "./entry-base.ts";
import { suiteCorpFile, type WecomTicketName } from "./entry-names.ts";

/** A 第三方应用, or a 代开发 template. */
export interface Suite extends PlatformBase {
	readonly interface: "suite";
	readonly suiteId: string;
	/** The corpid of the 服务商 that it belongs to. */
	readonly provider: string;
	/** Whose tokens are kept, by corpid. */
	readonly corps: "all" | readonly string[];
	/** For each of them. */
	readonly corpTickets: readonly WecomTicketName[];
}

/** A corp that has authorised a suite: an app of 企业微信 whose secret came by a push. */
export interface Corp extends EntryBase {
	readonly interface: "corp";
	readonly corpid: string;
	readonly tickets: readonly WecomTicketName[];
	/** The suite's id. */
	readonly suite: string;
	/** The file of the suite's token. Undefined: the app is a 代开发 one, which needs none. */
	readonly parent: string | undefined;
}

/** Whether it is a 代开发 template: the permanent codes of its corps are secrets for gettoken. */
export function isCustomized(suiteId: string): boolean {
	return suiteId.startsWith("dk");
}

/** The entry of a corp; undefined: its token is not to be kept. */
export function corpOf(suite: Suite, corpid: string): Corp | undefined {
	const { suiteId, corps } = suite;
	if (corps !== "all" && !corps.includes(corpid)) return undefined;
	return {
		interface: "corp",
		corpid,
		suite: suiteId,
		parent: isCustomized(suiteId) ? undefined : suite.file,
		secret: "",
		file: suiteCorpFile(corpid, suiteId),
		tickets: suite.corpTickets,
		formats: suite.formats,
		baseUrls: suite.baseUrls,
		timeoutMs: suite.timeoutMs,
		refreshBeforeMs: suite.refreshBeforeMs,
		cooldownMs: suite.cooldownMs,
		budget: suite.budget,
		...(suite.fleet === false ? { fleet: false } : {}),
	};
}
