/**
 * The gate before calls to 企业微信: what the ledger of the IP forbids does not leave this
 * machine. The ledger is in files (ip-book.ts), so that other processes and a restart keep
 * to it as well.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import { IssuerError } from "../core/errors.ts";
import {
	type Admission,
	admitAny,
	admitSecret,
	afterAnswer,
	afterLimit,
	isNews,
	isProved,
	type SecretAnswer,
} from "../core/ip-ledger.ts";
import { createIpBook, type LedgerNotes } from "./ip-book.ts";
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
	/** A call that carries no secret: only a limit of this IP holds it up. Throws as the other. */
	pass<T>(
		of: Pick<GatedCall, "baseUrl" | "what">,
		call: () => Promise<T>,
	): Promise<T>;
	/** Whether this IP is not limited. */
	isOpen(of: Pick<GatedCall, "baseUrl">): boolean;
	/** A call without a secret, which `pass` did not see, was answered with 45009. */
	limited(of: Pick<GatedCall, "baseUrl">): Promise<void>;
	/** From now on the ledgers are kept there. */
	keepIn(notes: LedgerNotes): void;
}

/** It is decided when the next answer is there. */
interface Held {
	readonly kind: "held";
	readonly answered: Promise<void>;
}

/** Without notes the ledgers are only in memory. */
export function createIpGate(clock: Clock): IpGate {
	const book = createIpBook(clock);
	/** Calls with a secret that are under way, and those that wait for their answers. */
	let asking = 0;
	let waiting: (() => void)[] = [];

	const limitAt = (baseUrl: string) =>
		admitAny(book.of(new URL(baseUrl).origin), clock.now());

	/** Until one of the calls that are under way has its answer. */
	const held = (): Held => ({
		kind: "held",
		answered: new Promise((answered) => waiting.push(answered)),
	});
	const decide = (host: string, id: string): Admission | Held => {
		const ledger = book.of(host);
		// After a limit one call finds out whether it is over.
		if (ledger.limited !== undefined && asking > 0) return held();
		const admission = admitSecret(ledger, id, clock.now());
		if (admission.kind === "wait")
			return admission.for === "answer" && asking > 0 ? held() : admission;
		asking += 1;
		if (admission.ledger !== ledger) book.change(host, admission.ledger);
		return admission;
	};

	/** Waits for the answers of calls of this process, and for nothing else. */
	const admitted = async (
		{ what, meaningOf }: GatedCall,
		host: string,
		id: string,
	): Promise<void> => {
		for (;;) {
			// Who is known to be right changes nothing.
			const isKnown = isProved(book.of(host), id, clock.now());
			const admission = isKnown
				? decide(host, id)
				: await book.alone(host, () => decide(host, id));
			if (admission.kind === "go") return;
			if (admission.kind === "wait")
				throw refusalFor(admission, what, meaningOf);
			await admission.answered;
		}
	};

	/** What the answer to that secret tells is noted. */
	const remember = async (host: string, id: string, answer: SecretAnswer) => {
		if (!isNews(book.of(host), id, answer, clock.now())) return;
		await book.alone(host, () =>
			book.change(host, afterAnswer(book.of(host), id, answer, clock.now())),
		);
	};

	const limited = (baseUrl: string) => {
		const host = new URL(baseUrl).origin;
		return book.alone(host, () =>
			book.change(host, afterLimit(book.of(host), clock.now())),
		);
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
				return granted;
			} catch (error) {
				answer = answerIn(error);
				throw error;
			} finally {
				if (answer !== undefined) await remember(host, id, answer);
				asking -= 1;
				for (const answered of waiting) answered();
				waiting = [];
			}
		},
		pass: async ({ baseUrl, what }, call) => {
			const limit = limitAt(baseUrl);
			if (limit !== undefined) throw refusalFor(limit, what, wecomMeaningOf);
			try {
				return await call();
			} catch (error) {
				if (answerIn(error)?.kind === "limited") await limited(baseUrl);
				throw error;
			}
		},
		isOpen: ({ baseUrl }) => limitAt(baseUrl) === undefined,
		limited: ({ baseUrl }) => limited(baseUrl),
		keepIn: book.keepIn,
	};
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
