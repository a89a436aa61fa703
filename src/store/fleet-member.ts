/** The credentials that this host shares with others, and who waits for news of them. */
import type { Credential } from "../core/credential.ts";
import { fleetNameOf } from "../core/fleet-record.ts";
import type { Store } from "../core/ports.ts";

/** One of them, on this host. */
export interface Member {
	readonly credential: Credential;
	/** The store of this host. */
	readonly local: Store;
	/** This process has its local lock, for a refresh: it takes over what it hears of itself. */
	isHeld: boolean;
	/** What was heard of it could not be taken over yet. */
	isStale: boolean;
	/** The last wish that was served, by its time. */
	wishedAt: number;
	readonly waiting: Set<() => void>;
}

export interface Members {
	all(): Iterable<Member>;
	/** By its name in the fleet. */
	named(name: string): Member | undefined;
	/** Undefined: the fleet does not keep it. */
	of(credential: Credential): Member | undefined;
	/** These are followed as well; what is known of them stays. */
	add(local: Store, credentials: readonly Credential[]): readonly Member[];
	drop(credentials: readonly Credential[]): void;
	/** These and no others are followed from now on. */
	replace(local: Store, credentials: readonly Credential[]): void;
}

export function createMembers(): Members {
	let byName = new Map<string, Member>();
	const memberFrom = (
		former: ReadonlyMap<string, Member>,
		credential: Credential,
		local: Store,
	): Member => ({
		isHeld: false,
		isStale: false,
		wishedAt: 0,
		waiting: new Set(),
		...former.get(fleetNameOf(credential)),
		...{ credential, local },
	});
	return {
		all: () => byName.values(),
		named: (name) => byName.get(name),
		of: (credential) => {
			const member = byName.get(fleetNameOf(credential));
			return member?.credential.id === credential.id ? member : undefined;
		},
		add: (local, credentials) =>
			credentials.map((credential) => {
				const member = memberFrom(byName, credential, local);
				byName.set(fleetNameOf(credential), member);
				return member;
			}),
		drop: (credentials) => {
			for (const credential of credentials)
				byName.delete(fleetNameOf(credential));
		},
		replace: (local, credentials) => {
			const former = byName;
			byName = new Map();
			for (const credential of credentials)
				byName.set(
					fleetNameOf(credential),
					memberFrom(former, credential, local),
				);
		},
	};
}

/** Those who wait for news of it look again. */
export function wake({ waiting }: Member): void {
	for (const look of [...waiting]) look();
}

/** Resolves at the next news of it, or when `orEnd` does. */
export async function nextNews(
	{ waiting }: Member,
	orEnd: (signal: AbortSignal) => Promise<unknown>,
): Promise<"news" | "end"> {
	const over = new AbortController();
	let look = () => {};
	const news = new Promise<"news">((resolve) => {
		look = () => resolve("news");
	});
	waiting.add(look);
	try {
		return await Promise.race([
			news,
			orEnd(over.signal).then(
				() => "end" as const,
				() => "end" as const,
			),
		]);
	} finally {
		waiting.delete(look);
		over.abort();
	}
}
