/** A 第三方平台: a simulator that pushes to a receiver, and a configuration for the daemon. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import type { Knobs } from "../../src/simulator/knobs.ts";
import type { Simulator } from "../../src/simulator/server.ts";
import { newDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./free-port.ts";
import { newSecret, noteSecret } from "./leaks.ts";
import { hasFile, readTokenFile } from "./token-file.ts";
import { startWeChat } from "./wechat.ts";

export const componentAppid = "wx1123456789abcdef";
export const pushKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
export const otherPushKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

export interface PlatformSceneOptions {
	readonly knobs?: Partial<Knobs>;
	/** Keys of `[[component]]`. */
	readonly component?: Readonly<Record<string, unknown>>;
	/** Top-level keys and tables. */
	readonly top?: Readonly<Record<string, unknown>>;
	readonly receiver?: Readonly<Record<string, unknown>>;
	/** Virtual seconds per real second; by default time stands still. */
	readonly timeScale?: number;
}

/** Nothing is pushed before the test asks for it. */
export async function newPlatform(options: PlatformSceneOptions = {}) {
	const place = newDirectory();
	const [directory, state] = [join(place, "run"), join(place, "state")];
	mkdirSync(directory, { mode: 0o750 });
	const port = await freePort();
	const secret = newSecret();
	const token = noteSecret("pushtokenpushtokenpush1");
	for (const key of [pushKey, otherPushKey]) noteSecret(key);
	const url = `http://127.0.0.1:${port}/component/${componentAppid}`;
	const push = { url, token, key: pushKey, formerKey: otherPushKey };
	const wechat = await startWeChat({
		accounts: [],
		components: [{ appid: componentAppid, secret, push }],
		timeScale: options.timeScale ?? 1,
		knobs: { pushTries: 1, ...options.knobs },
	});
	const component = wechat.platform.component(componentAppid);
	if (component === undefined) throw new Error("no component");
	component.nextTicketAt = Number.POSITIVE_INFINITY;
	const file = (name: string, text: string) => {
		const path = join(place, name);
		writeFileSync(path, `${text}\n`, { mode: 0o600 });
		return path;
	};
	const config = join(place, "config.toml");
	const write = (
		changes: Readonly<Record<string, unknown>> = {},
		top: Readonly<Record<string, unknown>> = {},
	) => {
		const content = {
			directory,
			state_directory: state,
			schedule: "* * * * * *",
			log_level: "trace",
			...options.top,
			...top,
			wechat: { base_urls: [wechat.url], cooldown: 0 },
			component: [
				{
					appid: componentAppid,
					secret,
					token_file: file("token", token),
					aes_key_file: file("aes-key", pushKey),
					...options.component,
					...changes,
				},
			],
			receiver: { listen: `127.0.0.1:${port}`, ...options.receiver },
		};
		writeFileSync(config, stringify(content));
		chmodSync(config, 0o600);
	};
	write();
	const path = (name: string) => join(directory, name);
	return {
		place,
		directory,
		state,
		wechat,
		component,
		port,
		url,
		config,
		write,
		file,
		path,
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
	return eventually(
		() => {
			if (!hasFile(path)) return undefined;
			const { value } = readTokenFile(path);
			if (value === before) return undefined;
			const { book } = wechat.platform.state;
			const found = book.find(value);
			return found !== undefined && wechat.now() < found.endsAt
				? value
				: undefined;
		},
		{ what: `a living token at ${path}` },
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
