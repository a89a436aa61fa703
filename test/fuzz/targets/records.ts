/**
 * Token files, records, and what stands in Redis: whatever the text, no exception; what is
 * believed keeps its bounds, and is the same once it was written and read again.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import {
	decodeFleetRecord,
	decodeWish,
	encodeState,
	encodeWish,
	isForeign,
	numberOf,
	takenOver,
} from "../../../src/core/fleet-record.ts";
import {
	decodeRecord,
	emptyRecord,
	encodeRecord,
	fenceOf,
	inHostTime,
	type SharedRecord,
} from "../../../src/core/record.ts";
import {
	decodeToken,
	encodeToken,
	isTokenValue,
	tokenId,
} from "../../../src/core/token.ts";

export function fuzz(data: Uint8Array): void {
	const text = Buffer.from(data).toString("utf8");
	token(text);
	const record = decodeRecord(text);
	bounded(record);
	deepStrictEqual(decodeRecord(encodeRecord(record)), plain(record));
	inHostTime(record);
	fleet(text);
	const wish = decodeWish(text);
	if (wish !== undefined)
		deepStrictEqual(decodeWish(`${wish.at} ${encodeWish(wish.stale)}`), wish);
}

function token(text: string): void {
	const found = decodeToken(text);
	if (found === undefined) return;
	ok(isTokenValue(found.value) && Number.isSafeInteger(found.expiresAt));
	deepStrictEqual(decodeToken(encodeToken(found)), found);
}

function bounded(record: SharedRecord): void {
	const { calls, forceCalls, diedEarly, published, pause, inFlight } = record;
	for (const list of [calls, forceCalls, diedEarly]) {
		ok(list.length <= 20_000);
		for (const at of list) new Date(at).toISOString();
	}
	const instants = [
		record.generation,
		fenceOf(record),
		published?.expiresAt,
		published?.sighting?.endsAt,
		inHostTime(record).published?.expiresAt,
		pause && pause.at + pause.waitMs - pause.waitMs,
		pause?.failure?.since,
		inFlight?.at,
		record.numbered?.number,
	];
	for (const at of instants) if (at !== undefined) ok(Number.isFinite(at));
	ok((pause?.waitMs ?? 0) <= 604_800_000);
}

/** Later than all that the seeds tell. */
const now = 2_000_000_000_000;

/** The fields as lines; the state as it is, and with an id that fits the value. */
function fleet(text: string): void {
	const [gen, value = "", expire, host, ...rest] = text.split("\n");
	const state = rest.join("\n");
	const fitting = state.replace(/"id":"[^"]*"/, `"id":"${tokenId(value)}"`);
	for (const one of [state, fitting]) {
		const { number, published } = decodeFleetRecord(
			{ gen, value, expire, state: one, host },
			now,
		);
		ok(Number.isSafeInteger(number));
		if (published === undefined) continue;
		const { record } = published;
		ok(isTokenValue(published.token.value));
		bounded(record);
		const taken = takenOver(record, number, emptyRecord);
		ok(numberOf(taken) === number);
		isForeign(record, { source: "other" });
		const local = decodeRecord(encodeState(taken));
		ok(local.numbered === undefined && local.pause?.of === undefined);
	}
}

/** As JSON has it: -0 is 0 there. */
function plain(record: SharedRecord): unknown {
	return JSON.parse(JSON.stringify(record));
}
