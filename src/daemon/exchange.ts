/**
 * Codes of consents, exchanged for the secrets of members. A code can be exchanged once,
 * and of a suite's the answer is given once: so it is on the disk before anything else is
 * done, and before the request leaves it is made sure that the disk takes something.
 */
import { IssuerError, StoreError } from "../core/errors.ts";
import type { ToldMember } from "../issuer/pushed.ts";
import type { PendingCode } from "../store/platform-state.ts";
import type { KeptPlatform } from "./kept-platform.ts";
import type { ChoresParts } from "./platform-chores.ts";

/** How codes are exchanged, and what a code that cannot be means. */
export interface ExchangeParts extends Pick<ChoresParts, "clock" | "log"> {
	/** Throws `IssuerError`. */
	readonly ask: (token: string, code: string) => Promise<ToldMember>;
	/** Whether WeChat says that this code is used, over or none. */
	readonly isDead: (error: unknown) => boolean;
	/** Somebody else has exchanged it, or nobody in time. */
	readonly onLost: (pending: PendingCode, cause: IssuerError) => void;
	/** WeChat has told the secret, and the disk does not take it. */
	readonly onUnsaved?: (told: ToldMember, cause: StoreError) => void;
}

export interface Exchange {
	/** There is a code to exchange now. */
	isDue(): boolean;
	/** Exchanges one code. False: there is none to exchange now. Throws `IssuerError`, `StoreError`. */
	step(token: string): Promise<boolean>;
	/** Keeps what could not be kept before. Throws `StoreError`. */
	save(): Promise<void>;
}

/** A code that WeChat refuses for a reason of its own does not hold up the others. */
const retryMs = 60_000;

/** Exchanges the codes of one platform. */
export function createExchange(
	platform: KeptPlatform,
	parts: ExchangeParts,
): Exchange {
	const { clock, log } = parts;
	const { state } = platform;
	/** Told by WeChat, and not on the disk. */
	const unsaved = new Map<string, ToldMember>();
	const retryAt = new Map<string, number>();

	const keep = async (code: string, { id, secret }: ToldMember) => {
		if (secret === undefined) await state.dropCode(code);
		else await platform.authorize([[id, secret]], code);
		unsaved.delete(code);
		const { interface: table } = platform.entry;
		log.info(
			{ event: `${table}.authorized`, ...platform.fields(id) },
			`${id} has authorised ${platform.id}`,
		);
	};

	const save = async () => {
		for (const [code, told] of unsaved) await keep(code, told);
	};

	const next = () => {
		if (!platform.entry.exchange) return undefined;
		const now = clock.now();
		return state.codes().find(({ code }) => {
			const at = retryAt.get(code) ?? 0;
			return now >= at || at - now > retryMs;
		});
	};

	const refused = async (pending: PendingCode, error: IssuerError) => {
		const { code, arrivedAt } = pending;
		const isOver = clock.now() - arrivedAt > platform.kind.codeLifeMs;
		if (!parts.isDead(error) && !isOver) {
			retryAt.set(code, clock.now() + retryMs);
			const { message, code: cause, hint } = error;
			log.warn(
				{
					event: `${platform.entry.interface}.failed`,
					...platform.fields(pending.id),
					...{ code: cause, hint },
				},
				message,
			);
			return;
		}
		parts.onLost(pending, error);
		retryAt.delete(code);
		await state.dropCode(code);
	};

	return {
		save,
		isDue: () => next() !== undefined,
		step: async (token) => {
			const pending = next();
			if (pending === undefined) return false;
			const { code } = pending;
			await state.noteAsked(code, clock.now());
			let told: ToldMember;
			try {
				told = await parts.ask(token, code);
			} catch (error) {
				if (!isOfCode(error)) throw error;
				await refused(pending, error);
				return true;
			}
			unsaved.set(code, told);
			try {
				await keep(code, told);
			} catch (error) {
				if (error instanceof StoreError) {
					logUnsaved(platform, told, log, error);
					parts.onUnsaved?.(told, error);
				}
				throw error;
			}
			return true;
		},
	};
}

/** An answer of WeChat about the code: not about the link, the token, the limits, or this server. */
function isOfCode(error: unknown): error is IssuerError {
	return (
		error instanceof IssuerError &&
		error.code.startsWith("errcode ") &&
		!["transient", "parent", "limited"].includes(error.kind) &&
		!["errcode 60020", "errcode 61004"].includes(error.code)
	);
}

function logUnsaved(
	platform: KeptPlatform,
	{ id }: ToldMember,
	log: ChoresParts["log"],
	{ message, code }: StoreError,
): void {
	log.error(
		{
			event: "state.failed",
			...platform.fields(id),
			code,
			hint: platform.kind.unsafeHint,
		},
		`${message}; what WeChat told of ${id} is only in memory`,
	);
}
