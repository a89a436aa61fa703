/** Settings for behaviour of WeChat that is undocumented or that differs between accounts and days. */

/** A knob: its default, the values it accepts, and those values in words. */
interface Knob<Value> {
	readonly initial: Value;
	readonly accepts: (value: unknown) => boolean;
	/** Completes the sentence "the knob NAME accepts …". */
	readonly words: string;
}

/**
 * One entry per knob. U numbers are open questions about WeChat. A default is
 * the documented behaviour, or without one what users reported most often.
 */
const knobs = {
	/** `expires_in` of a new token, in seconds. */
	tokenLifetimeSeconds: numberBetween(1, 86_400, 7200),
	/**
	 * Two durations that WeChat documents as five minutes: how long a token lives
	 * after a newer one was issued, and how long before its end the stable
	 * interface renews it. null: 300 s, but at most a quarter of the lifetime. A
	 * number is cut to half of the lifetime.
	 */
	overlapSeconds: orNull(seconds(300)),
	/** Characters in an access_token. Samples from WeChat have 136 or 157. */
	tokenLength: numberBetween(32, 1024, 136),

	/** U1: seconds that a stable token lives after a forced refresh. */
	forcedFormerSeconds: seconds(0),
	/** U2: whether a third classic fetch within the overlap ends the oldest token. */
	thirdClassicFetch: oneOf("evicts", "keeps"),
	/** U3: whether a reset of the secret ends all tokens of the account. */
	secretResetKillsTokens: flag(),
	/** U4: whether a freeze of the secret ends all tokens of the account. */
	freezeKillsTokens: flag(),
	/** U5: whether the stable interface renews without a call when the window opens. */
	stableRotatesAlone: flag(),
	/** U6: seconds that a ticket lives after a newer one was issued, unless `ticketLife` ends it earlier. */
	formerTicketSeconds: seconds(300),
	/** U8: errcode for an expired token. 40001: 42001 first, 40001 after `forgetAfterSeconds`. */
	agedOutCode: oneOf(42001, 40014, 40001),
	/** U8: seconds after its end at which an expired token counts as unknown. */
	forgetAfterSeconds: seconds(86_400),
	/** U9: order of the checks that follow the check of the appid. */
	checkOrder: oneOf("documented", "ip-before-secret", "quota-first"),
	/** U10: POST on `/cgi-bin/token` with its parameters in the query. */
	classicPost: oneOf("accepted", "refused"),
	/** U11: answer of the stable interface to a test account; a number is the errcode. */
	stableOnTestAccount: oneOf("supported", 48001, 40013),
	/** U12: whether failed calls count against the quota. */
	failuresUseQuota: flag(),
	/** U13: a quota day starts at 00:00 UTC+8, or is the last 24 hours (calls are counted from the change on). */
	quotaDay: oneOf("beijing", "rolling"),
	/** U14: whether too many forced refreshes also block normal calls. */
	forceCapBlocksNormal: flag(),
	/** U15: errcode for a body that is not JSON. */
	unparsableBodyCode: oneOf(41002, 47001),
	/** U16: a forced refresh too soon after another: the current token, or errcode 45011. */
	earlyForce: oneOf("same", 45011),
	/** U18: share (0…1) of API calls answered 40001 although the token is alive. */
	flappingShare: share(),
	/**
	 * U20: when a ticket dies that nobody replaces. `fixed`: 7200 s after its first
	 * issue. `until-replaced`: never; a fetch later than 7200 s replaces it.
	 * `seeded`: at a random instant 7200 to 14400 s after its first issue, and no
	 * fetch replaces it before. A change acts on the tickets issued after it.
	 */
	ticketLife: oneOf("fixed", "until-replaced", "seeded"),

	/** U19: how long a component's token lives after another was fetched: 300 s, not at all, or to its own end. */
	componentFormer: oneOf("300", "0", "own"),
	/** U22: what a fetch of an authorizer's token gives. */
	authorizerReissue: oneOf("new", "same-until-300", "new-former-0"),
	/** U23: whether a fetch of an authorizer's token ends the account's own classic token. */
	authorizerFetchEndsOwn: flag(),
	/** U25: whether a fetch of an authorizer's token changes its refresh token; the former is taken for 300 s. */
	refreshTokenOnRefresh: oneOf("same", "new"),
	/** U26: the refresh token when an account authorises again without having withdrawn, and whether that is pushed. */
	reconsent: oneOf("same", "new", "new-with-event"),
	/** U27: whether tokens live on after the account has withdrawn. */
	cancelKillsTokens: oneOf(true, false),
	/** U27: errcode for the refresh of an account that has withdrawn. */
	cancelledCode: oneOf(61003, 61023),
	/** U28: whether a component_verify_ticket is good for its own 12 hours, or only the newest is. */
	olderTickets: oneOf("own-life", "newest-only"),
	/** U29: an auth code that is used again: errcode 61009, or the same answer. */
	usedAuthCode: oneOf(61009, "same"),
	/** U30: how often a push is tried, 5 s apart. */
	pushTries: oneOf(5, 1, 3),
	/** Real seconds that a push waits for its answer. WeChat waits 5. */
	pushTimeoutSeconds: numberBetween(1, 3600, 5),
	/** U31: seconds of failed pushes after which WeChat gives up; 0: never. */
	giveUpAfterSeconds: seconds(0),
	/** U32: when the first push comes after api_start_push_ticket. */
	firstPush: oneOf("next-slot", "at-once"),
	/** U33: tickets each 600 s, or each 420 to 840 s. */
	pushInterval: oneOf("fixed", "varied"),
	/** U41: the order of api_get_authorizer_list. */
	listOrder: oneOf("oldest-first", "newest-first"),
	/** U42: whether lists show no refresh token until the first code was exchanged. */
	emptyUntilExchanged: oneOf(true, false),

	/**
	 * U7: what a repeated call of 企业微信 gives. `same`: the same token until its end.
	 * `same-extended`: each call moves that end. `same-outlives`: the same for two hours,
	 * and it lives for two more. `new`: a new one. `new-former-dead`: and the former dies.
	 */
	wecomRepeat: oneOf(
		"same",
		"same-extended",
		"same-outlives",
		"new",
		"new-former-dead",
	),
	/** U17: `expires_in` of 企业微信's tokens: always 7200, or what is left. */
	wecomExpiresIn: oneOf("constant", "remaining"),
	/** U34: whether each push brings a new suite_ticket, or the same one for up to 30 minutes. */
	suiteTicketValue: oneOf("new", "same-30-min"),
	/** U35: whether a suite_ticket is good for its own 30 minutes, or only the newest is. */
	olderSuiteTickets: oneOf("own-life", "newest-only"),
	/** U37: when the former permanent code dies after 重新获取secret. */
	formerPermanentCode: oneOf("dead-at-once", "until-fetched"),
	/** Errcode for an auth code of a suite that is used, over, or none. 40078 was captured. */
	usedSuiteCode: oneOf(40078, 40029),
	/** Whether good answers below /cgi-bin/service/ have an errcode: the pages say no, their examples say yes. */
	serviceErrcode: oneOf("always", "on-failure"),
	/** U36: whether the apps of a corp share the corp's ticket. */
	wecomCorpTicket: oneOf("same", "per-app"),
	/** U38: the errcodes of wrong secrets that count towards the ban of an IP. */
	wecomBanCounts: oneOf("all", "40001"),
	/** U38: so many wrong secrets within an hour ban the IP for an hour. */
	wecomBanAfter: oneOf(5, 3, 10),
	/** Whether 企业微信 answers over plain HTTP, or redirects to https as the real one does. */
	wecomPlainHttp: oneOf("redirected", "served"),

	/** Seconds between two forced refreshes. Documented: 30. */
	forceIntervalSeconds: seconds(30),
	/** Share (0…1) of API calls answered -1. */
	busyShare: share(),
	/** Errcode for a wrong AppSecret. Both were reported. */
	wrongSecretCode: oneOf(40125, 40001),
	/** Whether a `force_refresh` that is not a boolean is refused. */
	strictForceRefresh: flag(),
	/** Whether every JSON body gets additional, undocumented keys. */
	extraKeys: flag(),
	/** Seconds by which `Date` and `rid` are ahead of the virtual clock. */
	clockOffsetSeconds: numberBetween(-1e9, 1e9, 0),
	/** Caller addresses as WeChat sees them, used in turn; empty: the real address. */
	egressIps: addresses(),
	/** Seconds until a changed whitelist acts. Documented: several minutes. */
	whitelistDelaySeconds: seconds(300),
	/** Seconds until a freeze or thaw of a secret acts. Documented: about ten minutes. */
	freezeDelaySeconds: seconds(600),
};

/** The value of every knob. */
export type Knobs = {
	readonly [Name in keyof typeof knobs]: (typeof knobs)[Name]["initial"];
};

/** The value that each knob has until it is changed. */
export const defaultKnobs = Object.fromEntries(
	Object.entries(knobs).map(([name, { initial }]) => [name, initial]),
) as Knobs;

/**
 * Checks knobs that come from outside.
 *
 * @returns the object itself
 * @throws RangeError with the name of the wrong knob and what it accepts
 */
export function checkKnobs(given: object): Partial<Knobs> {
	for (const [name, value] of Object.entries(given)) {
		if (!Object.hasOwn(knobs, name))
			throw new RangeError(
				`there is no knob ${JSON.stringify(name)}; there are ${Object.keys(knobs).join(", ")}`,
			);
		const { accepts, words } = knobs[name as keyof Knobs];
		if (!accepts(value))
			throw new RangeError(
				`the knob ${name} accepts ${words}, not ${JSON.stringify(value)}`,
			);
	}
	return given;
}

/** Lifetime of a new token, in ms. */
export function lifetimeMsOf({ tokenLifetimeSeconds }: Knobs): number {
	return tokenLifetimeSeconds * 1000;
}

/** `overlapSeconds` with its rules applied, in ms. */
export function overlapMsOf({
	overlapSeconds,
	tokenLifetimeSeconds,
}: Knobs): number {
	// A test with a lifetime of seconds needs a window that it can still observe.
	const inSeconds =
		overlapSeconds === null
			? Math.min(300, tokenLifetimeSeconds / 4)
			: Math.min(overlapSeconds, tokenLifetimeSeconds / 2);
	return inSeconds * 1000;
}

function numberBetween(
	min: number,
	max: number,
	initial: number,
): Knob<number> {
	return {
		initial,
		accepts: (value) =>
			typeof value === "number" && value >= min && value <= max,
		words: `a number from ${min} to ${max}`,
	};
}

function seconds(initial: number): Knob<number> {
	return numberBetween(0, 1e9, initial);
}

function share(): Knob<number> {
	return numberBetween(0, 1, 0);
}

/** The first value is the default. */
function oneOf<const Values extends readonly [unknown, ...unknown[]]>(
	...values: Values
): Knob<Values[number]> {
	return {
		initial: values[0],
		accepts: (value) => values.includes(value),
		words: values.map((value) => JSON.stringify(value)).join(" or "),
	};
}

function flag(): Knob<boolean> {
	return { ...oneOf(true, false), initial: false };
}

function orNull<Value>({ accepts, words }: Knob<Value>): Knob<Value | null> {
	return {
		initial: null,
		accepts: (value) => value === null || accepts(value),
		words: `${words}, or null`,
	};
}

function addresses(): Knob<readonly string[]> {
	return {
		initial: [],
		accepts: (value) =>
			Array.isArray(value) && value.every((ip) => typeof ip === "string"),
		words: "a list of addresses",
	};
}
