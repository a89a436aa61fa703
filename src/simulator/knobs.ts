/**
 * What nobody outside knows about WeChat, or what differs between accounts and
 * days, as settings (U numbers: the open questions). The defaults are what
 * the documents say, else what was seen most often.
 */
export interface Knobs {
	/** `expires_in` of a new token. */
	readonly tokenLifetimeSeconds: number;
	/**
	 * How long a token lives on after a newer one was issued, and how long before
	 * its end the stable interface renews. null: 300, but never more than a quarter
	 * of the lifetime. A number is cut to half of the lifetime.
	 */
	readonly overlapSeconds: number | null;
	/** Characters of an access_token. */
	readonly tokenLength: number;

	/** U1: seconds that a stable token lives on after a forced refresh. */
	readonly forcedFormerSeconds: number;
	/** U2: a third classic fetch within the overlap ends the oldest token, or not. */
	readonly thirdClassicFetch: "evicts" | "keeps";
	/** U3 */
	readonly secretResetKillsTokens: boolean;
	/** U4 */
	readonly freezeKillsTokens: boolean;
	/** U5: the stable interface renews by itself when the window opens. */
	readonly stableRotatesAlone: boolean;
	/** U6: seconds that a ticket lives on after a newer one was issued. */
	readonly formerTicketSeconds: number;
	/** U8: what an aged-out token is answered; 40001: after `forgetAfterSeconds`, 42001 before. */
	readonly agedOutCode: 42001 | 40014 | 40001;
	readonly forgetAfterSeconds: number;
	/** U9: the order of the checks after the appid. */
	readonly checkOrder: "documented" | "ip-before-secret" | "quota-first";
	/** U10: POST on `/cgi-bin/token` with its parameters in the query. */
	readonly classicPost: "accepted" | "refused";
	/** U11: the stable interface for a test account. */
	readonly stableOnTestAccount: "supported" | 48001 | 40013;
	/** U12 */
	readonly failuresUseQuota: boolean;
	/** U13: a quota's day: from 00:00 UTC+8, or the last 24 hours (counted from when it is set). */
	readonly quotaDay: "beijing" | "rolling";
	/** U14: too many forced refreshes block normal calls, too. */
	readonly forceCapBlocksNormal: boolean;
	/** U15: a body that is not JSON. */
	readonly unparsableBodyCode: 41002 | 47001;
	/** U16: a forced refresh too soon after another. */
	readonly earlyForce: "same" | 45011;
	/** U18: share of uses answered 40001 although the token is good. */
	readonly flappingShare: number;

	/** Seconds between two forced refreshes. */
	readonly forceIntervalSeconds: number;
	/** Share of uses answered -1. */
	readonly busyShare: number;
	readonly wrongSecretCode: 40125 | 40001;
	/** Refuses a `force_refresh` that is not a boolean. */
	readonly strictForceRefresh: boolean;
	/** Adds keys that no document names to every JSON body. */
	readonly extraKeys: boolean;
	/** Seconds by which `Date` and `rid` are ahead of the virtual clock. */
	readonly clockOffsetSeconds: number;
	/** The callers' addresses as WeChat sees them, in turn; empty: the real one. */
	readonly egressIps: readonly string[];
	/** Seconds until a changed whitelist acts. */
	readonly whitelistDelaySeconds: number;
	/** Seconds until freezing or thawing a secret acts. */
	readonly freezeDelaySeconds: number;
}

export const defaultKnobs: Knobs = {
	tokenLifetimeSeconds: 7200,
	overlapSeconds: null,
	tokenLength: 136,
	forcedFormerSeconds: 0,
	thirdClassicFetch: "evicts",
	secretResetKillsTokens: false,
	freezeKillsTokens: false,
	stableRotatesAlone: false,
	formerTicketSeconds: 300,
	agedOutCode: 42001,
	forgetAfterSeconds: 86_400,
	checkOrder: "documented",
	classicPost: "accepted",
	stableOnTestAccount: "supported",
	failuresUseQuota: false,
	quotaDay: "beijing",
	forceCapBlocksNormal: false,
	unparsableBodyCode: 41002,
	earlyForce: "same",
	flappingShare: 0,
	forceIntervalSeconds: 30,
	busyShare: 0,
	wrongSecretCode: 40125,
	strictForceRefresh: false,
	extraKeys: false,
	clockOffsetSeconds: 0,
	egressIps: [],
	whitelistDelaySeconds: 300,
	freezeDelaySeconds: 600,
};

/**
 * The same knobs, once every name and value is known to be one.
 *
 * @throws RangeError that names the knob and what it accepts
 */
export function checkKnobs(given: object): Partial<Knobs> {
	for (const [name, value] of Object.entries(given)) {
		if (!Object.hasOwn(rules, name))
			throw new RangeError(
				`there is no knob ${JSON.stringify(name)}; there are ${Object.keys(rules).join(", ")}`,
			);
		const { allows, says } = rules[name as keyof Knobs];
		if (!allows(value))
			throw new RangeError(
				`the knob ${name} accepts ${says}, not ${JSON.stringify(value)}`,
			);
	}
	return given;
}

export function lifetimeMsOf({ tokenLifetimeSeconds }: Knobs): number {
	return tokenLifetimeSeconds * 1000;
}

/** `overlapSeconds` as it acts, in ms. */
export function overlapMsOf({
	overlapSeconds,
	tokenLifetimeSeconds,
}: Knobs): number {
	const seconds =
		overlapSeconds === null
			? Math.min(300, tokenLifetimeSeconds / 4)
			: Math.min(overlapSeconds, tokenLifetimeSeconds / 2);
	return seconds * 1000;
}

interface Rule {
	readonly allows: (value: unknown) => boolean;
	readonly says: string;
}

const seconds = between(0, 1e9);
const share = between(0, 1);
const flag = oneOf(true, false);

const rules: { readonly [Name in keyof Knobs]: Rule } = {
	tokenLifetimeSeconds: between(1, 86_400),
	overlapSeconds: orNull(seconds),
	tokenLength: between(32, 1024),
	forcedFormerSeconds: seconds,
	thirdClassicFetch: oneOf("evicts", "keeps"),
	secretResetKillsTokens: flag,
	freezeKillsTokens: flag,
	stableRotatesAlone: flag,
	formerTicketSeconds: seconds,
	agedOutCode: oneOf(42001, 40014, 40001),
	forgetAfterSeconds: seconds,
	checkOrder: oneOf("documented", "ip-before-secret", "quota-first"),
	classicPost: oneOf("accepted", "refused"),
	stableOnTestAccount: oneOf("supported", 48001, 40013),
	failuresUseQuota: flag,
	quotaDay: oneOf("beijing", "rolling"),
	forceCapBlocksNormal: flag,
	unparsableBodyCode: oneOf(41002, 47001),
	earlyForce: oneOf("same", 45011),
	flappingShare: share,
	forceIntervalSeconds: seconds,
	busyShare: share,
	wrongSecretCode: oneOf(40125, 40001),
	strictForceRefresh: flag,
	extraKeys: flag,
	clockOffsetSeconds: between(-1e9, 1e9),
	egressIps: {
		allows: (value) =>
			Array.isArray(value) && value.every((ip) => typeof ip === "string"),
		says: "a list of addresses",
	},
	whitelistDelaySeconds: seconds,
	freezeDelaySeconds: seconds,
};

function between(least: number, most: number): Rule {
	return {
		allows: (value) =>
			typeof value === "number" && value >= least && value <= most,
		says: `a number from ${least} to ${most}`,
	};
}

function oneOf(...values: readonly unknown[]): Rule {
	return {
		allows: (value) => values.includes(value),
		says: values.map((value) => JSON.stringify(value)).join(" or "),
	};
}

function orNull({ allows, says }: Rule): Rule {
	return {
		allows: (value) => value === null || allows(value),
		says: `${says}, or null`,
	};
}
