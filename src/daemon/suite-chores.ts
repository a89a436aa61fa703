/**
 * The duties for a suite of 企业微信: its codes are exchanged, each one once, as no call
 * gives a permanent code a second time. Neither can pushes be started, nor corps listed.
 */
import type { SuiteCalls } from "../issuer/suite.ts";
import { createExchange } from "./exchange.ts";
import type { KeptPlatform } from "./kept-platform.ts";
import { type ChoresParts, type Duties, isRefusal } from "./platform-chores.ts";

export interface SuiteParts extends ChoresParts {
	/** As configured at that moment. */
	readonly calls: () => SuiteCalls;
}

/** What is done for one suite. */
export function suiteDuties(suite: KeptPlatform, parts: SuiteParts): Duties {
	const { log } = parts;
	const { save, step, isDue } = createExchange(suite, {
		...parts,
		ask: (token, code) => parts.calls().permanentCode(token, code),
		isDead: (error) => isRefusal(error, 40029, 40078),
		onLost: ({ id, arrivedAt, askedAt }, { message, code }) =>
			log.error(
				{
					event: "suite.code-lost",
					...suite.fields(id),
					code,
					hint: "if another program has exchanged it, hand the permanent code over (wxtokend import), and set exchange = false; else let the corp authorise the suite again (代开发: 重新获取secret in the console)",
				},
				`an auth code that came at ${new Date(arrivedAt).toISOString()} has brought no permanent code: ${message}${askedAt === undefined ? "" : `; it was tried before, at ${new Date(askedAt).toISOString()}, without an answer that could be kept`}`,
			),
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
