/**
 * The gate before calls to 企业微信: what the ledger of the IP forbids does not leave this
 * machine. The ledger is in a file of the directory, so that `once`, a second daemon and
 * a restart keep to it as well.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import { IssuerError } from "../core/errors.ts";
import {
	type Admission,
	admitAny,
	admitSecret,
	afterAnswer,
	decodeLedgers,
	emptyLedger,
	type IpLedger,
	type SecretAnswer,
} from "../core/ip-ledger.ts";
import type { SharedNote } from "../core/ports.ts";
import type { Meaning } from "./meaning.ts";
import { wecomMeaningOf, wrongSecretCodes } from "./wecom-errcode.ts";

/** A secret, and for whom something is fetched with it. */
export interface GatedCall {
	/** Of the host that is asked first. */
	readonly baseUrl: string;
	/** Whose secret it is: a corpid, or a suite_id. */
	readonly owner: string;
	readonly secret: string;
	/** As in `Wanted`. */
	readonly what: string;
	/** As in `Wanted`. */
	readonly meaningOf: (errcode: number, at: number) => Meaning;
}

export interface IpGate {
	/** The call, if it may leave now; it throws what `call` throws, and `IssuerError` if it may not. */
	passWithSecret<T>(of: GatedCall, call: () => Promise<T>): Promise<T>;
	/** Throws `IssuerError` while this IP is limited: for calls that carry no secret. */
	mayCall(of: Pick<GatedCall, "baseUrl" | "what">): void;
	/** Whether this IP is not limited. */
	isOpen(of: Pick<GatedCall, "baseUrl">): boolean;
	/** From now on the ledgers are kept there. */
	keepIn(note: SharedNote): void;
}

/** Without a note the ledgers are only in memory. */
export function createIpGate(clock: Clock): IpGate {
	let ledgers: Readonly<Record<string, IpLedger>> = {};
	let note: SharedNote | undefined;
	/** Secrets that were accepted, by host and id. */
	const proved = new Set<string>();
	/** Calls with a secret that are under way, and those that wait for their answers. */
	let asking = 0;
	let waiting: (() => void)[] = [];

	const ledgerOf = (host: string): IpLedger => {
		// Another process may have written it since.
		const text = note?.read();
		if (text !== undefined) ledgers = { ...ledgers, ...decodeLedgers(text) };
		return ledgers[host] ?? emptyLedger;
	};
	const change = async (host: string, ledger: IpLedger) => {
		ledgers = { ...ledgers, [host]: ledger };
		await note?.write(`${JSON.stringify(ledgers)}\n`);
	};

	const limitAt = (baseUrl: string) =>
		admitAny(ledgerOf(new URL(baseUrl).origin), clock.now());

	/** Waits for the answers of calls of this process, and for nothing else. */
	const admitted = async (
		{ what, meaningOf }: GatedCall,
		host: string,
		id: string,
	): Promise<void> => {
		for (;;) {
			const ledger = ledgerOf(host);
			const isProved = proved.has(`${host} ${id}`);
			const admission = admitSecret(ledger, id, isProved, clock.now());
			// After a limit one call finds out whether it is over.
			const isHeld = ledger.limited !== undefined && asking > 0;
			if (admission.kind === "go" && !isHeld) {
				asking += 1;
				if (admission.ledger !== ledger) await change(host, admission.ledger);
				return;
			}
			const isForAnswer = admission.kind === "go" || admission.for === "answer";
			if (admission.kind === "wait" && !(isForAnswer && asking > 0))
				throw refusalFor(admission, what, meaningOf);
			await new Promise<void>((answered) => waiting.push(answered));
		}
	};

	return {
		passWithSecret: async (of, call) => {
			const host = new URL(of.baseUrl).origin;
			const id = idOf(of);
			await admitted(of, host, id);
			let answer: SecretAnswer | undefined;
			try {
				const granted = await call();
				answer = { kind: "accepted" };
				proved.add(`${host} ${id}`);
				return granted;
			} catch (error) {
				answer = answerIn(error);
				if (answer?.kind === "refused") proved.delete(`${host} ${id}`);
				throw error;
			} finally {
				asking -= 1;
				const before = ledgerOf(host);
				if (answer !== undefined && isNews(before, id, answer))
					await change(host, afterAnswer(before, id, answer, clock.now()));
				for (const answered of waiting) answered();
				waiting = [];
			}
		},
		mayCall: ({ baseUrl, what }) => {
			const limit = limitAt(baseUrl);
			if (limit !== undefined) throw refusalFor(limit, what, wecomMeaningOf);
		},
		isOpen: ({ baseUrl }) => limitAt(baseUrl) === undefined,
		keepIn: (wanted) => {
			note = wanted;
		},
	};
}

/** Nearly every answer is a good one to a good secret, and changes nothing. */
function isNews(ledger: IpLedger, id: string, { kind }: SecretAnswer): boolean {
	return (
		kind === "refused" ||
		kind === "limited" ||
		ledger.limited !== undefined ||
		id in ledger.secrets
	);
}

/** Not the secret, and nothing from which it could be found. */
function idOf({ owner, secret }: GatedCall): string {
	const text = `wxtokend\n${owner}\n${secret}`;
	return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Undefined: there was no answer, so nobody knows. */
function answerIn(error: unknown): SecretAnswer | undefined {
	if (!(error instanceof IssuerError)) return { kind: "other" };
	const [, digits] = /^errcode (-?\d+)$/.exec(error.code) ?? [];
	if (digits === undefined)
		return error.mayHaveIssued ? undefined : { kind: "other" };
	const errcode = Number(digits);
	if (errcode === 45009) return { kind: "limited" };
	const counts = wrongSecretCodes.has(errcode);
	return counts || errcode === 40013
		? { kind: "refused", errcode, counts }
		: { kind: "other" };
}

/** The failure of a call that was not made. */
function refusalFor(
	{ waitMs, for: cause, errcode }: Extract<Admission, { kind: "wait" }>,
	what: string,
	meaningOf: GatedCall["meaningOf"],
): IssuerError {
	const unsent = { mayHaveIssued: false, sent: false, waitMs };
	switch (cause) {
		case "limit":
		case "secret": {
			const { kind, meaning, hint } = meaningOf(errcode, 0);
			return new IssuerError({
				...{ ...unsent, kind, hint },
				code: `errcode ${errcode}`,
				message: `could not fetch ${what}: ${meaning} (errcode ${errcode}; it is not asked again before its time)`,
			});
		}
		case "budget":
			return new IssuerError({
				...{ ...unsent, kind: "limited" },
				code: "ban-budget",
				message: `could not fetch ${what}: several secrets were wrong in this hour, and one more would get this IP banned for all apps`,
				hint: "correct the secrets that wxtokend status shows as wrong; those that were right before are not held up",
			});
		case "answer":
			return new IssuerError({
				...{ ...unsent, kind: "limited" },
				code: "ban-budget",
				message: `could not fetch ${what}: other secrets are being tried, and too many wrong ones at once would get this IP banned`,
				hint: "nothing to do: it is tried again in a few seconds",
			});
		default:
			return cause satisfies never;
	}
}
