/** A 第三方平台: a simulator that pushes to a receiver, and a configuration for the daemon. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Knobs } from "../../src/simulator/knobs.ts";
import type {
	Simulator,
	SimulatorOptions,
} from "../../src/simulator/server.ts";
import { newSecret, noteSecret } from "./leaks.ts";
import { newPlatformPlace, tokenThat } from "./platform-place.ts";
import { startWeChat } from "./wechat.ts";

export const componentAppid = "wx1123456789abcdef";
export { otherPushKey, pushKey } from "./platform-place.ts";

export interface PlatformSceneOptions {
	readonly knobs?: Partial<Knobs>;
	/** Keys of `[[component]]`. */
	readonly component?: Readonly<Record<string, unknown>>;
	/** Top-level keys and tables. */
	readonly top?: Readonly<Record<string, unknown>>;
	readonly receiver?: Readonly<Record<string, unknown>>;
	/** Keys of `[wechat]`. */
	readonly wechat?: Readonly<Record<string, unknown>>;
	/** Called with each request; `callsTo` knows the last ten thousand of them. */
	readonly onRequest?: SimulatorOptions["onRequest"];
	/** Virtual seconds per real second; by default time stands still. */
	readonly timeScale?: number;
}

/** Nothing is pushed before the test asks for it. */
export async function newPlatform(options: PlatformSceneOptions = {}) {
	const place = await newPlatformPlace(
		`/component/${componentAppid}`,
		"pushtokenpushtokenpush1",
	);
	const secret = newSecret();
	const wechat = await startWeChat({
		accounts: [],
		components: [{ appid: componentAppid, secret, push: place.target }],
		timeScale: options.timeScale ?? 1,
		onRequest: options.onRequest ?? (() => {}),
		knobs: { pushTries: 1, ...options.knobs },
	});
	const component = wechat.platform.component(componentAppid);
	if (component === undefined) throw new Error("no component");
	component.nextTicketAt = Number.POSITIVE_INFINITY;
	const write = (
		changes: Readonly<Record<string, unknown>> = {},
		top: Readonly<Record<string, unknown>> = {},
	) => {
		place.writeConfig({
			...options.top,
			...top,
			wechat: { base_urls: [wechat.url], cooldown: 0, ...options.wechat },
			component: [
				{
					appid: componentAppid,
					secret,
					...place.pushFiles(),
					...options.component,
					...changes,
				},
			],
			receiver: { listen: `127.0.0.1:${place.port}`, ...options.receiver },
		});
	};
	write();
	const { path, state } = place;
	return {
		...place,
		...{ wechat, component, write },
		tokenOf: (appid: string) => path(`wx_access_token_${appid}`),
		componentFile: path(`wx_component_access_token_${componentAppid}`),
		stateFile: (name: string) => join(state, "component", componentAppid, name),
		push: (flaw?: Parameters<typeof pushTicket>[1], olderSeconds = 0) =>
			pushTicket(wechat, flaw, olderSeconds),
		/** Pushes an event once; how it was answered. */
		event: (infoType: string, fields: Record<string, string> = {}) =>
			wechat.pushes.push(component, { infoType, fields }),
		/** An account authorises; the event is pushed, unless not. */
		consent: async (authorizer: string, isPushed = true) => {
			const { code, event } = wechat.platform.consent(
				componentAppid,
				authorizer,
				wechat.now(),
			);
			if (event !== undefined && isPushed)
				await wechat.pushes.push(component, event);
			return code;
		},
		withdraw: async (authorizer: string, isPushed = true) => {
			const event = wechat.platform.withdraw(
				componentAppid,
				authorizer,
				wechat.now(),
			);
			if (isPushed) await wechat.pushes.push(component, event);
		},
	};
}

export type PlatformScene = Awaited<ReturnType<typeof newPlatform>>;

async function pushTicket(
	{ pushes, platform, now }: Simulator,
	flaw?: Parameters<Simulator["pushes"]["push"]>[2] extends infer Options
		? Options extends { readonly flaw?: infer Flaw }
			? Flaw
			: never
		: never,
	olderSeconds = 0,
) {
	const component = platform.component(componentAppid);
	if (component === undefined) throw new Error("no component");
	const { ticketEvent } = await import("../../src/simulator/pushes.ts");
	const event = ticketEvent(platform.state, component, now());
	const record = await pushes.push(component, event, {
		olderSeconds,
		...(flaw === undefined ? {} : { flaw }),
	});
	const ticket = component.tickets.at(-1)?.value ?? "";
	noteSecret(ticket);
	return { ...record, ticket };
}

/** Waits until a published token is one that WeChat accepts, and another than `before`. */
export async function liveToken(
	{ wechat }: Pick<PlatformScene, "wechat">,
	path: string,
	before = "",
): Promise<string> {
	return tokenThat(
		(value) => {
			const found = wechat.platform.state.book.find(value);
			return found !== undefined && wechat.now() < found.endsAt;
		},
		path,
		before,
	);
}

/** How often that endpoint was called, for that account if one is named. */
export function callsTo(
	{ wechat }: Pick<PlatformScene, "wechat">,
	endpoint: string,
	appid?: string,
): number {
	return wechat.requests.filter(
		(one) =>
			one.endpoint === endpoint && (appid === undefined || one.appid === appid),
	).length;
}

/** The facts of a log in the state directory; a line that is being written is none yet. */
export function factsIn(path: string): readonly Record<string, unknown>[] {
	const text = readFileSync(path, "utf8");
	return text
		.slice(0, text.lastIndexOf("\n") + 1)
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line));
}
