/**
 * Whether a token file is as the keepers recorded it. They write the record right
 * before the file, so a file that says something else was altered by somebody, unless
 * a daemon vouches for it.
 */
import { basename } from "node:path";
import { likelySocket } from "../config/lookup.ts";
import {
	decodeRecord,
	emptyRecord,
	inHostTime,
	recordPathOf,
	type SharedRecord,
} from "../core/record.ts";
import type { CredentialStatus } from "../core/status.ts";
import { decodeToken, type Token, tokenId } from "../core/token.ts";
import {
	maxRecordFileBytes,
	maxTokenBytes,
	readSmallFile,
} from "../store/cached-read.ts";

/**
 * What is wrong with a token by its record; undefined: nothing, or there is nothing to
 * compare it with.
 */
export function whyAltered(
	{ value, expiresAt }: Token,
	{ published, inFlight }: SharedRecord,
): string | undefined {
	if (published === undefined) return undefined;
	if (published.id === tokenId(value))
		return expiresAt > published.expiresAt
			? "altered: its end is later than was recorded"
			: undefined;
	// A request was under way as the writer ended: this may be the value before it, or
	// its answer, of which a crash of the machine has taken the record.
	const isUnderWay =
		inFlight !== undefined && inFlight.at > published.fetchedAt;
	return isUnderWay
		? undefined
		: "altered: it holds another token than was recorded";
}

/** The record beside a token file, as any reader sees it. */
export function recordBeside(path: string): SharedRecord {
	const { text } = readSmallFile(recordPathOf(path), maxRecordFileBytes);
	return text === undefined ? emptyRecord : inHostTime(decodeRecord(text));
}

/** A keeper may publish between two looks; not so often in a row. */
export const maxLooks = 3;

/** A token, or a ticket, as it was read. */
export interface FoundToken {
	/** Of its file. */
	readonly path: string;
	/** From `--config`. */
	readonly config: string | undefined;
	readonly token: Token;
}

/** The token, or why it is not to be trusted. */
export async function trusted({
	path,
	config,
	token: first,
}: FoundToken): Promise<{ readonly token: Token } | { readonly why: string }> {
	let token: Token | undefined = first;
	let why: string | undefined;
	for (let looks = 0; looks < maxLooks && token !== undefined; looks += 1) {
		why = whyAltered(token, recordBeside(path));
		if (why === undefined) return { token };
		const { text = "" } = readSmallFile(path, maxTokenBytes);
		token = decodeToken(text);
	}
	if (token === undefined) return { why: "gone again" };
	return (await isVouchedFor(path, config))
		? { token }
		: { why: why ?? "altered" };
}

/** A daemon may keep a token that it found there, and that nobody recorded. */
async function isVouchedFor(
	path: string,
	config: string | undefined,
): Promise<boolean> {
	const { callControl, ControlUnreachable } = await import(
		"./control-client.ts"
	);
	try {
		const { status, content } = await callControl(
			likelySocket(config, process.env),
			{
				method: "GET",
				path: `/v1/credentials/${basename(path)}`,
				timeoutMs: 2_000,
			},
		);
		const { valid, file } = Object(content) as Partial<CredentialStatus>;
		return status === 200 && valid === true && file === path;
	} catch (error) {
		if (error instanceof ControlUnreachable) return false;
		throw error;
	}
}
