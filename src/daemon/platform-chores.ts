/**
 * What must be asked of WeChat for a platform besides tokens: its duties. Each of them
 * waits for a living token of the platform, and one call at a time is under way for each
 * platform.
 */
import type { Clock } from "../core/clock.ts";
import { IssuerError, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { pushGapMs } from "../core/push.ts";
import type { Trouble } from "../core/trouble.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import type { KeptPlatform } from "./kept-platform.ts";

export interface ChoresParts {
	readonly clock: Clock;
	readonly log: Log;
	/** Once aborted, nothing is begun. */
	readonly stopping: AbortSignal;
	readonly onBug: (error: unknown) => void;
	/** The platform's token. */
	readonly token: (platform: KeptPlatform) => ManagedCredential | undefined;
	/** Something that a person must be told, and no status shows. `file`: of whom it is. */
	readonly onTrouble: (file: string, trouble: Trouble) => void;
	/** The member was refused, and has another secret now: it is tried once more. */
	readonly onMended: (id: string) => void;
}

/** What differs between components and suites. They throw `IssuerError` and `StoreError`. */
export interface Duties {
	/** Whether a step has something to do; cheap, for each tick. */
	readonly isDue: () => boolean;
	/** Before all else, also without a token: what was not safe becomes safe. */
	readonly save?: () => Promise<void>;
	/** No push has come for half an hour: at most once an hour. */
	readonly onMissing: () => Promise<void>;
	/** A piece of work each, the most urgent one first. False: there was nothing to do. */
	readonly steps: readonly ((token: string) => Promise<boolean>)[];
}

export interface Chores {
	/** Begins what is due and not under way. */
	tick(): void;
	/** Resolves when nothing is under way. */
	settle(): Promise<void>;
}

const hourMs = 3_600_000;
/** A host that dies meanwhile holds up the others for so long; the longest call takes less. */
const holdMs = 120_000;
/** After a failure that is none of a member's. */
const retryMs = 60_000;

/** The chores of one platform. */
export function createChores(
	platform: KeptPlatform,
	duties: Duties,
	parts: ChoresParts,
): Chores {
	const { clock, log, stopping } = parts;
	let running: Promise<void> | undefined;
	let notBefore = 0;
	let missedAt = Number.NEGATIVE_INFINITY;

	const arePushesMissing = () => {
		const now = clock.now();
		const sinceMs = now - missedAt;
		if (sinceMs >= 0 && sinceMs < hourMs) return false;
		return now - platform.heardAt() >= pushGapMs;
	};

	const work = async () => {
		await duties.save?.();
		const isDue =
			duties.isDue() &&
			parts.token(platform)?.living(clock.now()) !== undefined;
		if (!isDue && !arePushesMissing()) return;
		// Of several hosts one does it.
		const giveBack = await platform.state.hold(holdMs);
		if (giveBack === undefined) return;
		try {
			await platform.state.freshenWork();
			await workForAll();
		} finally {
			await giveBack();
		}
	};

	const workForAll = async () => {
		if (arePushesMissing()) {
			missedAt = clock.now();
			await duties.onMissing();
		}
		const endAt = clock.monotonic() + holdMs / 2;
		while (clock.monotonic() < endAt) {
			const managed = parts.token(platform);
			const token = managed?.living(clock.now())?.value;
			if (token === undefined || stopping.aborted) return;
			try {
				if (!(await didOne(duties, token))) return;
			} catch (error) {
				if (error instanceof IssuerError && error.kind === "parent")
					void managed?.keeper.report(token).catch(parts.onBug);
				throw error;
			}
		}
	};

	const failed = createFailureLog(platform, log);
	const run = async () => {
		try {
			await work();
			failed.over();
		} catch (error) {
			if (!(error instanceof IssuerError || error instanceof StoreError))
				return parts.onBug(error);
			notBefore = clock.now() + retryMs;
			failed.tell(error);
		}
	};

	return {
		tick: () => {
			if (stopping.aborted || running !== undefined) return;
			// Set back, the clock says nothing of the pause.
			const now = clock.now();
			if (now < notBefore && notBefore - now <= retryMs) return;
			running = run().finally(() => {
				running = undefined;
			});
		},
		settle: async () => {
			await running;
			try {
				await duties.save?.();
			} catch (error) {
				if (!(error instanceof StoreError)) return parts.onBug(error);
				failed.tell(error);
			}
		},
	};
}

async function didOne({ steps }: Duties, token: string): Promise<boolean> {
	for (const step of steps) if (await step(token)) return true;
	return false;
}

/** One line when a failure begins, and none for each repetition. */
function createFailureLog(platform: KeptPlatform, log: Log) {
	let last = "";
	return {
		over: () => {
			last = "";
		},
		tell: (error: IssuerError | StoreError) => {
			const { message, code, hint } = error;
			const event = `${platform.entry.interface}.failed`;
			const fields = { event, ...platform.fields(), code, hint };
			if (last === code) log.debug(fields, message);
			else log.warn(fields, message);
			last = code;
		},
	};
}

/** Whether WeChat answered with one of these errcodes. */
export function isRefusal(
	error: unknown,
	...errcodes: readonly number[]
): boolean {
	return (
		error instanceof IssuerError &&
		errcodes.some((errcode) => error.code === `errcode ${errcode}`)
	);
}
