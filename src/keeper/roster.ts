/**
 * Which credentials are kept, and who hangs on whom. Most of them are those of the
 * configuration; the accounts of a 第三方平台 come and go while the program runs.
 */
import { type CredentialId, canForce } from "../core/credential.ts";
import { eachInSteps, type Steps } from "../core/steps.ts";
import type { ManagedCredential } from "./managed-credential.ts";

export interface Roster {
	/** Each one behind all that it needs; else by the turn that this host has. */
	readonly all: readonly ManagedCredential[];
	/** Those that can be forced. */
	forcible(): readonly ManagedCredential[];
	/** Those that hang on that one. */
	childrenOf(id: CredentialId): readonly ManagedCredential[];
	/** Whether one that hangs on another is worth a look. */
	hasDirtyChild(): boolean;
	/** What it needs must be there already. */
	add(one: ManagedCredential): void;
	remove(one: ManagedCredential): void;
}

/** Throws if credentials need each other. */
export function* createRoster(
	credentials: readonly ManagedCredential[],
): Steps<Roster> {
	const all = [...(yield* parentsFirst(byTurn(credentials)))];
	const children = new Map<CredentialId, Set<ManagedCredential>>();
	const noteParents = (one: ManagedCredential) => {
		for (const id of one.credential.needs) {
			const known = children.get(id);
			if (known === undefined) children.set(id, new Set([one]));
			else known.add(one);
		}
	};
	yield* eachInSteps(all, noteParents);
	return {
		all,
		forcible: () => all.filter(({ credential }) => canForce(credential)),
		childrenOf: (id) => [...(children.get(id) ?? [])],
		hasDirtyChild: () =>
			all.some(
				({ credential, isDirty }) => isDirty && credential.needs.length > 0,
			),
		add: (one) => {
			all.push(one);
			noteParents(one);
		},
		remove: (one) => {
			const index = all.indexOf(one);
			if (index < 0) return;
			all.splice(index, 1);
			for (const id of one.credential.needs) children.get(id)?.delete(one);
		},
	};
}

/**
 * When many are due at once, each host of a fleet begins with others: by the time that it
 * comes to the rest, it has heard of what the other hosts fetched.
 */
function byTurn(
	credentials: readonly ManagedCredential[],
): readonly ManagedCredential[] {
	const turnOf = ({ credential }: ManagedCredential) =>
		credential.limits.turn ?? 0;
	return credentials.every((one) => turnOf(one) === 0)
		? credentials
		: [...credentials].sort((one, other) => turnOf(one) - turnOf(other));
}

/** The same credentials, each one behind all that it needs. Throws if they need each other. */
export function* parentsFirst(
	credentials: readonly ManagedCredential[],
): Steps<readonly ManagedCredential[]> {
	if (yield* areParentsFirst(credentials)) return credentials;
	const byId = new Map(credentials.map((one) => [one.credential.id, one]));
	const ordered = new Set<ManagedCredential>();
	const place = (one: ManagedCredential, above: readonly CredentialId[]) => {
		const { id, needs } = one.credential;
		if (above.includes(id))
			throw new Error(`credentials need each other: ${above.join(", ")}`);
		for (const need of needs) {
			const parent = byId.get(need);
			if (parent !== undefined) place(parent, [...above, id]);
		}
		ordered.add(one);
	};
	for (const one of credentials) place(one, []);
	return [...ordered];
}

/** As they mostly are: then nothing is to be sorted. False also if a parent is missing. */
function* areParentsFirst(
	credentials: readonly ManagedCredential[],
): Steps<boolean> {
	/** What is needed, and was not met yet. */
	const needed = new Set<CredentialId>();
	yield* eachInSteps(credentials, ({ credential }) => {
		for (const id of credential.needs) needed.add(id);
	});
	let areFirst = true;
	yield* eachInSteps(credentials, ({ credential }) => {
		areFirst &&= !credential.needs.some((id) => needed.has(id));
		needed.delete(credential.id);
	});
	return areFirst;
}
