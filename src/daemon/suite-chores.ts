/**
 * The duties for a suite of 企业微信: its codes are exchanged, each one once, as no call
 * gives a permanent code a second time. Neither can pushes be started, nor corps listed.
 * A permanent code that is lost, or may be, is told to people: only they can get another.
 */
import { memberOf } from "../config/platform.ts";
import type { IssuerError, StoreError } from "../core/errors.ts";
import type { Trouble } from "../core/trouble.ts";
import type { SuiteCalls } from "../issuer/suite.ts";
import type { PendingCode } from "../store/platform-state.ts";
import { createExchange } from "./exchange.ts";
import type { KeptPlatform } from "./kept-platform.ts";
import { type ChoresParts, type Duties, isRefusal } from "./platform-chores.ts";

export interface SuiteParts extends ChoresParts {
	/** As configured at that moment. */
	readonly calls: () => SuiteCalls;
}

/** What is done for one suite. */
export function suiteDuties(suite: KeptPlatform, parts: SuiteParts): Duties {
	const { log, clock } = parts;
	const { save, step, isDue } = createExchange(suite, {
		...parts,
		ask: (token, code) => parts.calls().permanentCode(token, code),
		isDead: (error) => isRefusal(error, 40029, 40078),
		onLost: (pending, cause) => {
			const message = lossInWords(pending, cause);
			const fields = { ...suite.fields(pending.id), code: cause.code };
			log.error(
				{ event: "suite.code-lost", ...fields, hint: lostHint },
				message,
			);
			tell(suite, parts, pending.id, {
				...{ code: "code-lost", message, hint: lostHint },
				since: pending.arrivedAt,
			});
		},
		onUnsaved: ({ id }, { message }: StoreError) =>
			tell(suite, parts, id, {
				code: "code-unsaved",
				message: `${message}; the permanent code of ${id} is only in memory, and is lost when wxtokend ends`,
				hint: suite.kind.unsafeHint,
				since: clock.now(),
			}),
	});
	return {
		save,
		isDue,
		steps: [step],
		onMissing: async () =>
			log.warn(
				{
					event: "push.missing",
					...suite.fields(),
					hint: suite.kind.noTicketHint,
				},
				`no push to ${suite.id} since ${new Date(suite.heardAt()).toISOString()}`,
			),
	};
}

const lostHint =
	"if another program has exchanged it, hand the permanent code over (wxtokend import), and set exchange = false; else let the corp authorise the suite again (代开发: 重新获取secret in the console)";

function lossInWords(
	{ arrivedAt, askedAt }: PendingCode,
	{ message }: IssuerError,
): string {
	const before =
		askedAt === undefined
			? ""
			: `; it was tried before, at ${new Date(askedAt).toISOString()}, without an answer that could be kept`;
	return `an auth code that came at ${new Date(arrivedAt).toISOString()} has brought no permanent code: ${message}${before}`;
}

/** Under the name of the corp's file, if the push has named the corp. */
function tell(
	{ entry }: KeptPlatform,
	{ onTrouble, clock }: SuiteParts,
	corpid: string | undefined,
	trouble: Pick<Trouble, "code" | "message" | "hint" | "since">,
): void {
	const member = corpid === undefined ? undefined : memberOf(entry, corpid);
	onTrouble((member ?? entry).file, {
		...{ ...trouble, kind: "none", of: "wecom_suite_access_token" },
		...{ failsAt: undefined, needsPerson: true, tellAt: clock.now() },
	});
}
