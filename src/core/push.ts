/** From a request to the receiver to what WeChat says with it, or why it is not believed. */
import { isSigned, openPush, type PushSecrets } from "./push-crypt.ts";
import { type PushFields, readPushXml } from "./push-xml.ts";

/** Larger bodies are not read: the largest known push has some 4 KiB. */
export const maxPushBytes = 65_536;

/** Tickets come each 10 minutes: after so long without one, pushes were missed. */
export const pushGapMs = 1_800_000;

/** Why a push is refused. One word each, for the log; the sender is told nothing. */
export type PushRefusal =
	| "not-xml"
	| "bad-signature"
	| "undecipherable"
	| "foreign-id"
	| "foreign-receiver";

/** A push as it arrived. */
export interface PushRequest {
	/** The parameters of the query, decoded. */
	readonly query: ReadonlyMap<string, string>;
	/** At most `maxPushBytes`. */
	readonly body: string;
}

/** Whose pushes are taken. */
export interface PushReceiver extends PushSecrets {
	/** The child that names the receiver inside: `AppId` or `SuiteId`. */
	readonly idField: "AppId" | "SuiteId";
	/** The component's appid, or the suite's id. */
	readonly id: string;
	/** What else may stand behind the message: older suites have the provider's corpid. */
	readonly otherIds?: readonly string[];
}

/** What WeChat says. */
export interface Push {
	/** `component_verify_ticket`, `authorized`… */
	readonly infoType: string;
	/** When WeChat made it, by its clock, epoch seconds; NaN if it does not say. */
	readonly createdAt: number;
	readonly fields: PushFields;
}

/**
 * The push in a request. The checks come in this order: form, signature, cipher, length,
 * the id behind the message, the id inside. Never throws.
 */
export function decodePush(
	{ query, body }: PushRequest,
	receiver: PushReceiver,
): Push | PushRefusal {
	const encrypted = readPushXml(body)?.get("Encrypt");
	if (encrypted === undefined) return "not-xml";
	const opened = openSigned(query, encrypted, receiver);
	if (typeof opened === "string") return opened;
	const fields = readPushXml(opened.message);
	if (fields === undefined) return "not-xml";
	if (fields.get(receiver.idField) !== receiver.id) return "foreign-receiver";
	const at = fields.get("CreateTime") ?? fields.get("TimeStamp") ?? "";
	return {
		infoType: fields.get("InfoType") ?? "",
		createdAt: /^\d{1,12}$/.test(at) ? Number(at) : Number.NaN,
		fields,
	};
}

/** The plain text that proves to WeChat that a URL is ours: `echostr` of a GET, opened. Never throws. */
export function decodeEcho(
	query: ReadonlyMap<string, string>,
	receiver: PushReceiver,
): { readonly message: string } | PushRefusal {
	return openSigned(query, query.get("echostr") ?? "", receiver);
}

function openSigned(
	query: ReadonlyMap<string, string>,
	encrypted: string,
	receiver: PushReceiver,
) {
	const signed = {
		signature: query.get("msg_signature") ?? "",
		timestamp: query.get("timestamp") ?? "",
		nonce: query.get("nonce") ?? "",
		encrypted,
	};
	if (!isSigned(signed, receiver)) return "bad-signature";
	const ids = new Set([receiver.id, ...(receiver.otherIds ?? [])]);
	return openPush(encrypted, receiver, ids);
}
