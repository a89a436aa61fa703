/**
 * What follows for the keepers from what becomes known of platforms and their members:
 * who is kept from now on, who is tried again, whose files go.
 */
import { type Member, memberOf } from "../config/platform.ts";
import type { Clock } from "../core/clock.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { credentialsOf } from "./credential-of.ts";
import type { KeptPlatform, MemberChange } from "./kept-platform.ts";

export interface MemberParts {
	readonly clock: Clock;
	readonly onBug: (error: unknown) => void;
	readonly wakeAt: (at: number) => void;
	readonly find: (file: string) => ManagedCredential | undefined;
	/** A ticket that the credential of that file needs was pushed, at that time. */
	readonly onPush: (file: string, at: number) => void;
	/** Keeps a member from now on, unless it is kept already. */
	readonly add: (entry: Member) => void;
	/** Keeps these of its files no longer; they stay. */
	readonly remove: (files: readonly string[]) => Promise<void>;
	/** Keeps nothing of a member any longer, and removes its files. False: they are in use. */
	readonly drop: (entry: Member) => Promise<boolean>;
}

export interface MemberActs {
	changed(platform: KeptPlatform, id: string, change: MemberChange): void;
	/** A newer ticket is there, or a code. */
	ticketCame(platform: KeptPlatform): void;
	/** It was refused, and has another secret. */
	mended(platform: KeptPlatform, id: string): void;
	/** Files of members that have withdrawn, once their tokens are over. Throws `StoreError`. */
	dropRetired(platform: KeptPlatform): Promise<void>;
}

export function createMemberActs(parts: MemberParts): MemberActs {
	const { clock, find } = parts;
	return {
		changed: ({ entry: platform }, id, change) => {
			const entry = memberOf(platform, id);
			if (entry === undefined) return;
			const one = find(entry.file);
			if (change === "withdrawn") {
				const tickets = credentialsOf(entry)
					.slice(1)
					.map(({ file }) => file);
				void parts.remove(tickets).catch(parts.onBug);
				// Its state says why from now on. No call is made for that.
				if (one !== undefined) force(one, parts);
			} else {
				// Also its tickets, which were dropped when it withdrew.
				parts.add(entry);
				if (one !== undefined && change === "returned") force(one, parts);
				else if (one !== undefined) endPause(one, parts);
			}
			parts.wakeAt(clock.now());
		},
		ticketCame: ({ entry: { file }, state }) => {
			const pushed = state.ticket();
			if (pushed !== undefined) parts.onPush(file, pushed.arrivedAt);
			const one = find(file);
			if (one !== undefined && one.living(clock.now()) === undefined)
				endPause(one, parts);
			parts.wakeAt(clock.now());
		},
		mended: ({ entry: platform }, id) => {
			const entry = memberOf(platform, id);
			const one = entry && find(entry.file);
			if (one !== undefined) force(one, parts);
		},
		dropRetired: async ({ entry: platform, state }) => {
			for (const id of state.retired()) {
				const entry = memberOf(platform, id);
				const one = entry && find(entry.file);
				if (one?.living(clock.now()) !== undefined) continue;
				if (entry !== undefined && !(await parts.drop(entry))) continue;
				await state.forget(id);
			}
		},
	};
}

/** Tries it whatever is due. */
function force(one: ManagedCredential, { onBug }: MemberParts): void {
	const { keeper } = one;
	void keeper
		.whenIdle()
		.then(() => keeper.force())
		.catch(onBug);
}

/** What made its last attempt fail may be mended: it is tried at the next tick. */
function endPause(one: ManagedCredential, parts: MemberParts): void {
	const { keeper } = one;
	void keeper
		.whenIdle()
		.then(() => {
			keeper.endPause();
			parts.wakeAt(parts.clock.now());
		})
		.catch(parts.onBug);
}
