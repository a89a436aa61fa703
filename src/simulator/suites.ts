/**
 * Suites of a 服务商 of 企业微信 as the platform stores them: 第三方应用 and 代开发 templates,
 * their tickets, their tokens, and the corps that have authorised them.
 */
import type { PushTarget } from "./components.ts";
import type { Knobs } from "./knobs.ts";
import type { Random } from "./random.ts";
import {
	addCorp,
	addWecomApp,
	createWecomApp,
	type WecomApp,
	type WecomState,
} from "./wecom.ts";

/** A suite to add to the platform. */
export interface SimulatedSuite {
	/** `dk…`: a 代开发 template. */
	readonly suiteId: string;
	/** The suite_secret. */
	readonly secret: string;
	/** The corpid of its 服务商. */
	readonly provider?: string;
	/** Where its pushes go; absent: nowhere, but tickets are made all the same. */
	readonly push?: PushTarget;
}

/** The 服务商 of suites that name none. */
export const usualProvider = "ww1111111111111111";

/** A corp that has authorised a suite, or had. */
export interface SuiteCorp {
	readonly corpid: string;
	/** Its app: of 代开发 the permanent code is its secret, of others nothing is. */
	readonly app: WecomApp;
	/** Its permanent code. */
	code: string;
	/** U37: a newer one, until somebody fetches it. */
	nextCode: string | undefined;
	isCancelled: boolean;
}

/** An auth code that was given out. */
export interface SuiteAuthCode {
	readonly value: string;
	readonly corpid: string;
	/** Epoch ms. */
	readonly madeAt: number;
	isUsed: boolean;
}

/** A ticket that was made; a value may be pushed several times. Epoch ms. */
export interface SuiteTicket {
	readonly value: string;
	readonly firstMadeAt: number;
	pushedAt: number;
}

/** A suite as the platform stores it. */
export interface Suite {
	readonly suiteId: string;
	readonly isCustomized: boolean;
	provider: string;
	/** Its token, its secret and the addresses that may call. */
	readonly app: WecomApp;
	push: PushTarget | undefined;
	/** Oldest first; those that are too old for everything are removed. */
	tickets: SuiteTicket[];
	/** When the next ticket is due, epoch ms. */
	nextTicketAt: number;
	isStopped: boolean;
	/** Since when no push was taken, epoch ms; undefined: the last one was. */
	failingSince: number | undefined;
	/** By corpid, in the order in which they authorised. */
	readonly corps: Map<string, SuiteCorp>;
	readonly codes: Map<string, SuiteAuthCode>;
}

/** A suite without tickets; its first one is due at once. */
export function createSuite(
	wecom: WecomState,
	{ suiteId, secret, provider = usualProvider, push }: SimulatedSuite,
): Suite {
	return {
		...{ suiteId, provider, push },
		isCustomized: suiteId.startsWith("dk"),
		app: createWecomApp(wecom, { corpid: suiteId, secret, kind: "suite" }),
		tickets: [],
		nextTicketAt: Number.NEGATIVE_INFINITY,
		isStopped: false,
		failingSince: undefined,
		corps: new Map(),
		codes: new Map(),
	};
}

/** A suite_ticket is valid for so long, seconds. */
export const suiteTicketSeconds = 1_800;

/** An auth code is valid for so long, ms. */
export const suiteCodeMs = 600_000;

/** U34: the value that is pushed next. */
export function makeSuiteTicket(
	suite: Suite,
	{ knobs, random }: { readonly knobs: Knobs; readonly random: Random },
	nowMs: number,
): string {
	const last = suite.tickets.at(-1);
	const isSame =
		knobs.suiteTicketValue === "same-30-min" &&
		last !== undefined &&
		nowMs - last.firstMadeAt < suiteTicketSeconds * 1000;
	if (isSame) {
		last.pushedAt = nowMs;
		return last.value;
	}
	const value = random.text(64);
	const oldest = nowMs - 2 * suiteTicketSeconds * 1000;
	suite.tickets = [
		...suite.tickets.filter(({ pushedAt }) => pushedAt > oldest),
		{ value, firstMadeAt: nowMs, pushedAt: nowMs },
	];
	return value;
}

/** A corp that is authorised, with a permanent code that nobody has been told. */
export function createSuiteCorp(
	wecom: WecomState,
	{ isCustomized }: Suite,
	corpid: string,
	random: Random,
): SuiteCorp {
	const code = random.text(43);
	const given = { corpid, secret: code, kind: "app" } as const;
	addCorp(wecom, corpid);
	return {
		...{ corpid, code, nextCode: undefined, isCancelled: false },
		// Only of 代开发 does gettoken know the permanent code.
		app: isCustomized
			? addWecomApp(wecom, given)
			: createWecomApp(wecom, given),
	};
}

/** An auth code of the corp. */
export function makeSuiteCode(
	suite: Suite,
	corpid: string,
	random: Random,
	nowMs: number,
): SuiteAuthCode {
	const code = {
		...{ value: random.text(64), corpid },
		...{ madeAt: nowMs, isUsed: false },
	};
	suite.codes.set(code.value, code);
	return code;
}
