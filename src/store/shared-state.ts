/**
 * The state of a platform that several hosts share: what changes here is on the disk of
 * this host first, and then the fleet is told; what the fleet tells is put on the disk,
 * and then told to the daemon.
 */
import { unlessStoreError, unlessUnreachable } from "../core/errors.ts";
import type { LocalFacts, SharedFacts, StampedFact } from "../core/ports.ts";
import {
	accountIn,
	accountKey,
	codeKey,
	type FactualState,
	isCodeKey,
	listedKey,
	type PlatformState,
	ticketKey,
} from "./platform-state.ts";

/** What another host has told. */
export type HeardChange =
	| { readonly kind: "ticket" }
	| {
			readonly kind: "member";
			readonly id: string;
			readonly change: "authorized" | "returned" | "withdrawn";
	  };

export interface SharedState extends PlatformState {
	/** Joins the present fleet, if it has not; cheap, for each tick. */
	attach(): void;
	/** Resolves once other hosts can know of all that changed here. Throws `StoreError`. */
	safe(): Promise<void>;
	/** Takes over what is newer: of the ticket, and of the secret of that member. Never throws for a fleet that is away. */
	freshen(id?: string): Promise<void>;
	/** The same for codes and the list, by who is about to work on them. Throws `StoreError`. */
	freshenWork(): Promise<void>;
	/** As in `SharedFacts`; without a fleet this host always has it. Throws `StoreError`. */
	hold(forMs: number): Promise<(() => Promise<void>) | undefined>;
}

/** `facts`: those of the present fleet; undefined: there is none. */
export function shareState(
	state: FactualState,
	join: (own: LocalFacts) => SharedFacts | undefined,
	onHeard: (change: HeardChange) => void,
): SharedState {
	/** Changed here, and perhaps not known to the others. */
	const owed = new Set<string>();
	let telling: Promise<void> | undefined;
	const own: LocalFacts = {
		...state.facts,
		take: async (heard) => {
			const news = heard.map((one) => changeBy(one, state));
			await state.facts.take(heard);
			for (const change of news) if (change !== undefined) onHeard(change);
		},
	};
	const facts = () => join(own);

	const tell = async (shared: SharedFacts) => {
		while (owed.size > 0) {
			const keys = [...owed];
			owed.clear();
			try {
				await shared.put(keys);
			} catch (error) {
				for (const key of keys) owed.add(key);
				throw error;
			}
		}
	};
	const safe = async (): Promise<void> => {
		const shared = facts();
		if (shared === undefined) return owed.clear();
		telling ??= tell(shared).finally(() => {
			telling = undefined;
		});
		await telling;
		// What came while it was told.
		if (owed.size > 0) await safe();
	};
	/** The next session begins with a comparison, should this fail. */
	const tellSoon = (...keys: readonly string[]) => {
		for (const key of keys) owed.add(key);
		void safe().catch(unlessStoreError);
	};

	return {
		...state,
		putTicket: async (pushed) => {
			const isNew = await state.putTicket(pushed);
			if (isNew) tellSoon(ticketKey);
			return isNew;
		},
		authorize: async (secrets, exchanged) => {
			const all = [...secrets];
			await state.authorize(all, exchanged);
			tellSoon(
				...all.map(([id]) => accountKey(id)),
				...(exchanged === undefined ? [] : [codeKey(exchanged)]),
			);
		},
		retire: async (id, at) => {
			await state.retire(id, at);
			tellSoon(accountKey(id));
		},
		// Each host forgets by itself, once its own files are gone.
		putCode: async (code) => {
			await state.putCode(code);
			tellSoon(codeKey(code.code));
		},
		noteAsked: async (code, at) => {
			await state.noteAsked(code, at);
			tellSoon(codeKey(code));
		},
		dropCode: async (code) => {
			await state.dropCode(code);
			tellSoon(codeKey(code));
		},
		putListedAt: async (at) => {
			await state.putListedAt(at);
			tellSoon(listedKey);
		},
		attach: facts,
		safe,
		freshen: async (id) => {
			const keys = id === undefined ? [ticketKey] : [accountKey(id)];
			await facts()?.fetch(keys).catch(unlessUnreachable);
		},
		freshenWork: async () => {
			const codes = state.codes().map(({ code }) => codeKey(code));
			await facts()?.fetch([listedKey, ...codes]);
		},
		hold: async (forMs) => {
			const shared = facts();
			return shared === undefined ? async () => {} : shared.hold(forMs);
		},
	};
}

/** What a fact changes that the daemon must hear of. */
function changeBy(
	{ key, fact }: StampedFact,
	state: PlatformState,
): HeardChange | undefined {
	if (key === ticketKey) return { kind: "ticket" };
	if (isCodeKey(key))
		return fact.dropped === true ? undefined : { kind: "ticket" };
	const id = accountIn(key);
	if (id === undefined) return undefined;
	const known = state.authorization(id);
	if (fact.retired_at !== undefined)
		return known !== undefined && known.retiredAt === undefined
			? { kind: "member", id, change: "withdrawn" }
			: undefined;
	const isBack = known?.retiredAt !== undefined;
	return { kind: "member", id, change: isBack ? "returned" : "authorized" };
}
