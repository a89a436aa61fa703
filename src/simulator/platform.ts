import {
	type Account,
	createAccount,
	type SimulatedAccount,
} from "./account.ts";
import {
	type Answer,
	type Endpoint,
	jsonHeaders,
	type PlatformRequest,
	wholeDelivery,
} from "./answer.ts";
import {
	createFaultScript,
	type FaultScript,
	isProcessed,
	spoil,
} from "./faults.ts";
import { defaultKnobs, type Knobs } from "./knobs.ts";
import { createRandom } from "./random.ts";
import {
	createTokenBook,
	endToken,
	fetchClassic,
	type Interface,
	type IssuedToken,
} from "./tokens.ts";
import { wordingOf } from "./wording.ts";

export interface PlatformOptions {
	readonly accounts: readonly SimulatedAccount[];
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
}

export interface Platform {
	readonly faults: FaultScript;
	readonly knobs: Knobs;
	turn(knobs: Partial<Knobs>): void;
	account(appid: string): Account | undefined;
	accounts(): Iterable<Account>;
	/** Any request to WeChat, answered as of `nowMs`, scripted faults included. */
	answer(request: PlatformRequest, nowMs: number): Answer;
	/** Whether business APIs accept the token, on either interface. */
	isAlive(appid: string, token: string, nowMs: number): boolean;
	/** Somebody else with the same secret fetches; returns the token. */
	foreignFetch(appid: string, via: Interface, nowMs: number): string;
	/** The account's tokens die at once; a use answers 40001. */
	kill(appid: string, nowMs: number): void;
	/** How often each outcome came, by endpoint. */
	readonly counters: ReadonlyMap<string, number>;
}

/** What an endpoint decided, before it becomes an HTTP answer. */
interface Verdict {
	readonly content: Readonly<Record<string, unknown>>;
	readonly outcome: string;
}

const endpoints: Readonly<Record<string, Endpoint>> = {
	"/cgi-bin/token": "token",
	"/cgi-bin/get_api_domain_ip": "get_api_domain_ip",
	"/sim/use": "use",
};

export function createPlatform(options: PlatformOptions): Platform {
	const random = createRandom(options.seed ?? 1);
	let knobs: Knobs = { ...defaultKnobs, ...options.knobs };
	const book = createTokenBook(random, () => knobs);
	const faults = createFaultScript();
	const counters = new Map<string, number>();
	const accounts = new Map<string, Account>();
	for (const given of options.accounts)
		accounts.set(given.appid, createAccount(given));

	function answer(request: PlatformRequest, nowMs: number): Answer {
		const endpoint = endpoints[request.path] ?? "other";
		const appid = appidOf(request);
		const fault = faults.take({ ...request, endpoint }, appid, nowMs);
		const real =
			fault === undefined || isProcessed(fault)
				? honest(request, endpoint, appid, nowMs)
				: undefined;
		const given: Answer | undefined =
			fault === undefined
				? real
				: {
						status: 200,
						headers: jsonHeaders,
						body: "",
						delivery: wholeDelivery,
						endpoint,
						...real,
						...spoil(fault, real),
						outcome: `fault ${fault.mode}`,
						...(appid === undefined ? {} : { appid }),
						...(real === undefined ? {} : { processed: real.outcome }),
					};
		if (given === undefined) throw new Error("neither an answer nor a fault");
		const key = `${endpoint} ${given.outcome}`;
		counters.set(key, (counters.get(key) ?? 0) + 1);
		return given;
	}

	function appidOf({ query }: PlatformRequest): string | undefined {
		const token = query?.["access_token"];
		if (token !== undefined) return book.find(token)?.appid;
		return query?.["appid"];
	}

	function honest(
		request: PlatformRequest,
		endpoint: Endpoint,
		appid: string | undefined,
		nowMs: number,
	): Answer {
		const { content, outcome } = verdict(request, endpoint, nowMs);
		return {
			status: 200,
			headers: jsonHeaders,
			body: JSON.stringify(content),
			delivery: wholeDelivery,
			endpoint,
			outcome,
			...(appid === undefined ? {} : { appid }),
		};
	}

	function verdict(
		request: PlatformRequest,
		endpoint: Endpoint,
		nowMs: number,
	): Verdict {
		switch (endpoint) {
			case "token":
				return classicToken(request, nowMs);
			case "get_api_domain_ip":
			case "use":
				return useToken(request, nowMs);
			default:
				return refusal(40066, nowMs);
		}
	}

	function classicToken(
		{ query = {} }: PlatformRequest,
		nowMs: number,
	): Verdict {
		const appid = query["appid"];
		if (!appid) return refusal(41002, nowMs);
		const account = accounts.get(appid);
		if (account === undefined) return refusal(40013, nowMs);
		if (query["grant_type"] !== "client_credential")
			return refusal(40002, nowMs);
		if (!query["secret"]) return refusal(41004, nowMs);
		if (query["secret"] !== account.secret)
			return refusal(knobs.wrongSecretCode, nowMs);
		const token = fetchClassic(book, account.classic, appid, knobs, nowMs);
		return {
			content: {
				access_token: token.value,
				expires_in: knobs.tokenLifetimeSeconds,
			},
			outcome: "issued",
		};
	}

	function useToken({ query = {} }: PlatformRequest, nowMs: number): Verdict {
		const value = query["access_token"];
		if (!value) return refusal(41001, nowMs);
		const token = book.find(value);
		if (token === undefined) return refusal(40001, nowMs);
		if (token.endsAt <= nowMs) return refusal(deathCode(token), nowMs);
		return {
			content: { ip_list: ["101.226.212.27", "112.60.0.226"] },
			outcome: "ok",
		};
	}

	function deathCode(token: IssuedToken): number {
		return token.endsBy === "age" ? knobs.agedOutCode : 40001;
	}

	function refusal(errcode: number, nowMs: number): Verdict {
		return {
			content: { errcode, errmsg: `${wordingOf(errcode)} rid: ${rid(nowMs)}` },
			outcome: `errcode ${errcode}`,
		};
	}

	function rid(nowMs: number): string {
		const seconds = Math.floor(nowMs / 1000) + knobs.clockOffsetSeconds;
		const group = () =>
			Math.floor(random.next() * 2 ** 32)
				.toString(16)
				.padStart(8, "0");
		return `${seconds.toString(16).padStart(8, "0")}-${group()}-${group()}`;
	}

	function known(appid: string): Account {
		const account = accounts.get(appid);
		if (account === undefined) throw new RangeError(`no account ${appid}`);
		return account;
	}

	return {
		faults,
		counters,
		get knobs() {
			return knobs;
		},
		turn(change) {
			knobs = { ...knobs, ...change };
		},
		account: (appid) => accounts.get(appid),
		accounts: () => accounts.values(),
		answer,
		isAlive(appid, value, nowMs) {
			const token = book.find(value);
			return (
				token !== undefined && token.appid === appid && nowMs < token.endsAt
			);
		},
		foreignFetch(appid, via, nowMs) {
			if (via === "stable") throw new RangeError("not yet");
			return fetchClassic(book, known(appid).classic, appid, knobs, nowMs)
				.value;
		},
		kill(appid, nowMs) {
			const { classic, stable } = known(appid);
			for (const line of [classic, stable])
				for (const token of [line.current, ...line.former])
					if (token !== undefined) endToken(token, nowMs, "revoked", nowMs);
		},
	};
}
