/**
 * Copies of a value in forms that existing sites read, published with its file:
 * `<file>.php` as the sample of WeChat's JS-SDK has it. Its reader cuts off the first 15
 * bytes, reads JSON, and fetches by itself once `expire_time` is before now.
 */
import type { Credential, KindName } from "../core/credential.ts";
import type { Token } from "../core/token.ts";
import type { Location } from "./atomic-write.ts";
import { publishFile } from "./atomic-write.ts";
import { cachedRead, maxTokenBytes, readSmallFile } from "./cached-read.ts";
import type { Contests } from "./contest.ts";

export interface Copies {
	/** Whether each copy is just as it should be for that token. Reads only what was touched. */
	areIntact(token: Token): boolean;
	/** Replaces each copy by rename. Throws `StoreError`, and what `mustBeHeld` throws. */
	publish(token: Token, mustBeHeld: () => void): Promise<void>;
}

/** The name of the copy of that file. */
export function phpCopyOf(file: string): string {
	return `${file}.php`;
}

/** Opens and reads nothing yet. */
export function openCopies(
	location: Location,
	contests: Contests,
	credential: Credential,
): Copies {
	const { directory, mode, gid } = location;
	const { file, formats, kind } = credential;
	if (formats.length === 0) return noCopies;
	const path = `${directory.path}/${phpCopyOf(file)}`;
	const copy = cachedRead<FoundCopy | undefined>(path, {
		// What is not believed has no text.
		interpret: ({ stat, text }) =>
			stat === undefined || text === undefined
				? undefined
				: { text, mode: stat.mode, gid: stat.gid },
		readFile: () => readSmallFile(path, maxTokenBytes, directory),
		isExpected: false,
	});
	const isAsConfigured = (found: FoundCopy) =>
		(found.mode & 0o7777) === mode && (gid === undefined || found.gid === gid);
	return {
		areIntact: (token) => {
			const found = copy.read();
			return (
				found !== undefined &&
				found.text === phpText(kind, token) &&
				// A keeper that won the contest for the file publishes the copies as well.
				(isAsConfigured(found) || contests.known(file)?.accepts(found) === true)
			);
		},
		publish: async (token, mustBeHeld) => {
			const attributes = contests.known(file)?.attributes() ?? location;
			const content = phpText(kind, token);
			await publishFile(path, content, attributes, mustBeHeld, directory);
		},
	};
}

interface FoundCopy {
	readonly text: string;
	readonly mode: number;
	readonly gid: number;
}

const noCopies: Copies = {
	areIntact: () => true,
	publish: async () => {},
};

/** Exactly 15 bytes: who asks for the file over the web gets nothing. */
const phpPrefix = "<?php exit();?>";

/** What the sample calls the value; it has no card and no sdk tickets. */
const phpKeys: Readonly<Record<KindName, string>> = {
	access_token: "access_token",
	stable_access_token: "access_token",
	jsapi_ticket: "jsapi_ticket",
	wx_card_ticket: "api_ticket",
	sdk_ticket: "sdk_ticket",
	component_access_token: "access_token",
	authorizer_access_token: "access_token",
	wecom_access_token: "access_token",
	wecom_jsapi_ticket: "jsapi_ticket",
	wecom_agent_ticket: "jsapi_ticket",
	wecom_provider_access_token: "provider_access_token",
	wecom_suite_access_token: "suite_access_token",
	wecom_corp_access_token: "access_token",
};

function phpText(kind: KindName, { value, expiresAt }: Token): string {
	const expire_time = Math.floor(expiresAt / 1000);
	return phpPrefix + JSON.stringify({ [phpKeys[kind]]: value, expire_time });
}
