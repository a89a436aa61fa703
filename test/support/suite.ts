/** Suites of 企业微信: a simulator that pushes to a receiver, and a configuration for the daemon. */
import { join } from "node:path";
import { wecomHost } from "../../src/simulator/hosts.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import {
	type PushEvent,
	type PushOptions,
	ticketEvent,
} from "../../src/simulator/pushes.ts";
import { newSecret, noteSecret } from "./leaks.ts";
import { newPlatformPlace, tokenThat } from "./platform-place.ts";
import { startWeChat } from "./wechat.ts";

/** A 第三方应用, and a 代开发 template. */
export const thirdParty = "ww2123456789abcdef";
export const customized = "dk3123456789abcdef";
export const provider = "ww1111111111111111";
export const corp = "ww4123456789abcdef";

export interface SuiteSceneOptions {
	readonly suiteId?: string;
	readonly knobs?: Partial<Knobs>;
	/** Keys of `[[suite]]`. */
	readonly suite?: Readonly<Record<string, unknown>>;
	/** Top-level keys and tables. */
	readonly top?: Readonly<Record<string, unknown>>;
	/** Without one, pushes are handed over. */
	readonly hasReceiver?: boolean;
}

/** Nothing is pushed before the test asks for it. */
export async function newSuite(options: SuiteSceneOptions = {}) {
	const { suiteId = thirdParty, hasReceiver = true } = options;
	const place = await newPlatformPlace(
		`/suite/${suiteId}`,
		"pushtokenpushtokenpush2",
	);
	const [secret, providerSecret] = [newSecret(), newSecret()];
	const wechat = await startWeChat({
		accounts: [],
		suites: [{ suiteId, secret, provider, push: place.target }],
		wecom: [{ corpid: provider, secret: providerSecret, isProvider: true }],
		hosts: { [wecomHost]: 0 },
		knobs: { pushTries: 1, wecomPlainHttp: "served", ...options.knobs },
	});
	const suite = wechat.platform.suite(suiteId);
	if (suite === undefined) throw new Error("no suite");
	suite.nextTicketAt = Number.POSITIVE_INFINITY;
	const base_urls = [wechat.hosts[wecomHost]?.url ?? ""];
	const write = (changes: Readonly<Record<string, unknown>> = {}) => {
		place.writeConfig({
			...options.top,
			wechat: { cooldown: 0 },
			provider: [{ corpid: provider, secret: providerSecret, base_urls }],
			suite: [
				{
					...{ suite_id: suiteId, provider, secret, base_urls },
					...place.pushFiles(),
					...options.suite,
					...changes,
				},
			],
			...(hasReceiver && {
				receiver: { listen: `127.0.0.1:${place.port}` },
			}),
		});
	};
	write();
	const { path, state } = place;
	const pushEvent = (event: PushEvent, options?: PushOptions) =>
		wechat.pushes.push(suite, event, options);
	const noteCode = (corpid: string) => {
		const code = suite.corps.get(corpid)?.nextCode;
		noteSecret(code ?? suite.corps.get(corpid)?.code ?? "");
	};
	return {
		...place,
		...{ wechat, suite, suiteId, write, base_urls, event: pushEvent },
		suiteFile: path(`wecom_suite_access_token_${suiteId}`),
		tokenOf: (corpid: string) =>
			path(`wecom_access_token_${corpid}_${suiteId}`),
		stateFile: (name: string) => join(state, "suite", suiteId, name),
		/** A new ticket is pushed; how that was answered. */
		push: async (options?: PushOptions) => {
			const event = ticketEvent(wechat.platform.state, suite, wechat.now());
			const ticket = noteSecret(String(event.fields?.SuiteTicket));
			return { ...(await pushEvent(event, options)), ticket };
		},
		/** A corp authorises; the event is pushed, unless not. */
		consent: async (corpid = corp, isPushed = true) => {
			const given = wechat.platform.authorizeSuite(
				...([suiteId, corpid, wechat.now()] as const),
			);
			noteCode(corpid);
			noteSecret(given.code);
			if (isPushed) await pushEvent(given.event);
			return given;
		},
		/** 重新获取secret in the console. */
		reset: async (corpid = corp) => {
			const given = wechat.platform.resetSuiteCode(
				...([suiteId, corpid, wechat.now()] as const),
			);
			noteCode(corpid);
			noteSecret(given.code);
			return pushEvent(given.event);
		},
		withdraw: (corpid = corp) =>
			pushEvent(wechat.platform.withdrawSuite(suiteId, corpid)),
	};
}

export type SuiteScene = Awaited<ReturnType<typeof newSuite>>;

/** Waits until a published token is one that 企业微信 accepts, and another than `before`. */
export async function livingToken(
	{ wechat }: Pick<SuiteScene, "wechat">,
	path: string,
	before = "",
): Promise<string> {
	return tokenThat(
		(value) => {
			const found = wechat.platform.state.wecom.tokens.get(value);
			return (
				found !== undefined && !found.isInvalid && wechat.now() < found.endsAt
			);
		},
		path,
		before,
	);
}
