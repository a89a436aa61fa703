/** The files of a week: one token and its record, and for how long the token was dead. */
import type { Lease, Slot } from "../../src/core/ports.ts";
import { decodeRecord, encodeRecord } from "../../src/core/record.ts";
import { decodeToken, encodeToken, type Token } from "../../src/core/token.ts";
import { type Agenda, pauseOf } from "./agenda.ts";
import { lastResult } from "./last-result.ts";

/** An empty disk. `isAlive`: whether WeChat accepts a token now, and it has not ended. */
export function createWeekDisk(
	agenda: Agenda,
	isAlive: (token: Token) => boolean,
) {
	const disk: { token: string | undefined; state: string | undefined } = {
		token: undefined,
		state: undefined,
	};
	/** When another token was published, epoch ms. */
	const publications: number[] = [];
	const deadSpans: (readonly [number, number])[] = [];
	let deadSince: number | undefined;
	const later = (ms: number) => pauseOf(agenda, ms);
	const tokenOnDisk = lastResult(
		() => disk.token,
		(text) => (text === undefined ? undefined : decodeToken(text)),
	);
	const readRecord = lastResult(
		() => disk.state,
		(text) => decodeRecord(text ?? ""),
	);

	/** Notes whether the token on disk is alive: before and after each change of it. */
	const noteLife = () => {
		const token = tokenOnDisk();
		if (token === undefined) return;
		const isGood = isAlive(token);
		if (isGood && deadSince !== undefined) {
			deadSpans.push([deadSince, agenda.now()]);
			deadSince = undefined;
		}
		if (!isGood) deadSince ??= agenda.now();
	};

	const slot: Slot = {
		read: () => {
			const token = tokenOnDisk();
			return token === undefined
				? { kind: "absent" }
				: { kind: "token", token, exact: true };
		},
		record: readRecord,
		snapshot: () => ({}),
		acquire: async (): Promise<Lease> => {
			await later(1);
			return {
				id: "1",
				write: async (record) => {
					await later(5);
					disk.state = encodeRecord(record);
				},
				publish: async (token, record) => {
					await later(5);
					if (record !== undefined) disk.state = encodeRecord(record);
					await later(5);
					noteLife();
					if (tokenOnDisk()?.value !== token.value)
						publications.push(agenda.now());
					disk.token = encodeToken(token);
					noteLife();
				},
				release: () => later(1),
			};
		},
	};
	return {
		slot,
		token: tokenOnDisk,
		noteLife,
		publications,
		/** As after a reboot, or after a person deleted the record. */
		lose: (what: "all" | "record") => {
			disk.state = undefined;
			if (what === "record") return;
			noteLife();
			if (deadSince !== undefined) deadSpans.push([deadSince, agenda.now()]);
			deadSince = undefined;
			disk.token = undefined;
		},
		/** From when to when (epoch ms) the file held a dead token. */
		deadSpansUntil: (endAt: number) =>
			deadSince === undefined
				? deadSpans
				: [...deadSpans, [deadSince, endAt] as const],
	};
}
