/** The credentials that this host shares with others, and who waits for news of them. */
import { createHash } from "node:crypto";
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

/**
 * Resolves at the next news of it, after that time, or when the process stops. Without
 * signals of its own, which cost more than all the rest where thousands wait.
 */
export function nextNews(
	{ waiting }: Member,
	timeoutMs: number,
	stopping: AbortSignal,
): Promise<"news" | "end"> {
	return new Promise((resolve) => {
		const over = (how: "news" | "end") => {
			waiting.delete(look);
			clearTimeout(timer);
			stopping.removeEventListener("abort", end);
			resolve(how);
		};
		const look = () => over("news");
		const end = () => over("end");
		const timer = setTimeout(end, timeoutMs);
		waiting.add(look);
		stopping.addEventListener("abort", end);
		if (stopping.aborted) end();
	});
}

/** 0 to 1: the place of this process among those that keep that credential. */
export function turnOf(instance: string, { id }: Credential): number {
	const digest = createHash("sha256").update(`${instance} ${id}`).digest();
	return digest.readUInt32BE(0) / 2 ** 32;
}
