/** Hosts of a fleet: real daemons, each with its own directory, and one Redis. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import type { Simulator } from "../../src/simulator/server.ts";
import { newAccounts, type TestConfig, writeConfig } from "./config-file.ts";
import { newDirectoryInMemory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { type Running, type SpawnOptions, startProgram } from "./program.ts";
import { callSocket, type SocketAnswer, socketIn } from "./socket.ts";
import { hasFile, readTokenFile, type SeenToken } from "./token-file.ts";
import { startWeChat } from "./wechat.ts";

export const appid = "wx1";

export interface Host {
	readonly config: TestConfig;
	/** The last process of it. */
	daemon: Running;
	token(): SeenToken;
	/** SIGKILL or SIGTERM, and the end. */
	end(signal?: NodeJS.Signals): Promise<void>;
	/** Starts it again, and waits until it has looked at its account. */
	start(): Promise<void>;
	/** Another `[fleet]` for its next start. */
	setFleet(fleet: Readonly<Record<string, unknown>>): void;
	/** Asks its control socket. */
	call(
		path: string,
		options?: Parameters<typeof callSocket>[2],
	): Promise<SocketAnswer>;
}

export interface FleetOptions {
	readonly count?: number;
	/** Keys of `[fleet]`, of the host at that place. */
	readonly fleet: (
		index: number,
	) => Readonly<Record<string, unknown>> | undefined;
	/** Keys of `[wechat]`. */
	readonly wechat?: Readonly<Record<string, unknown>>;
	readonly top?: (index: number) => Readonly<Record<string, unknown>>;
	readonly spawn?: (index: number) => SpawnOptions;
	readonly lifetimeSeconds?: number;
	readonly latencyMs?: number;
	readonly accounts?: number;
	/** Of the files, as /run is mostly; else they are where the tests have theirs. */
	readonly isInMemory?: boolean;
	/** This host has an AppSecret that is not right any more. */
	readonly hasWrongSecret?: (index: number) => boolean;
}

export interface StartedFleet {
	readonly wechat: Simulator;
	readonly hosts: readonly Host[];
	/** Calls for a token that reached WeChat. */
	fetches(): number;
	/** The value that all files hold, if it is one. */
	value(): string | undefined;
	/** All files hold one value, and another than `than`. */
	agreement(than?: string): Promise<string>;
	/** WeChat takes that value, and has issued no other one since. */
	isLive(value: string): boolean;
}

/** All at the same time; each has looked at its account. */
export async function startHosts(options: FleetOptions): Promise<StartedFleet> {
	const { count = 4, lifetimeSeconds = 7_200, latencyMs = 0 } = options;
	const accounts = newAccounts(options.accounts ?? 1);
	const wechat = await startWeChat({
		accounts,
		latencyMs,
		knobs: { tokenLifetimeSeconds: lifetimeSeconds },
	});
	const hosts = await Promise.all(
		Array.from({ length: count }, async (_, index): Promise<Host> => {
			const config = writeConfig({
				url: wechat.url,
				...(options.isInMemory && {
					directory: join(newDirectoryInMemory(), "tokens"),
				}),
				accounts: options.hasWrongSecret?.(index)
					? newAccounts(accounts.length)
					: accounts,
				top: {
					log_level: "info",
					...options.top?.(index),
					...withFleet(options.fleet(index)),
				},
				// Long, for a busy machine: what it asks twice would be counted twice.
				wechat: { cooldown: 1, timeout: 20, ...options.wechat },
			});
			const begin = () =>
				startProgram(["run", "--config", config.file], options.spawn?.(index));
			const host: Host = {
				config,
				daemon: begin(),
				token: () => readTokenFile(config.tokenFile(appid)),
				end: async (signal = "SIGTERM") => {
					host.daemon.kill(signal);
					await host.daemon.exited;
				},
				start: async () => {
					host.daemon = begin();
					await host.daemon.event("daemon.ready");
				},
				setFleet: (fleet) => {
					const content = parse(readFileSync(config.file, "utf8"));
					writeFileSync(config.file, stringify({ ...content, fleet }));
				},
				call: (path, call) =>
					callSocket(socketIn(config.directory), path, call),
			};
			await host.daemon.event("daemon.ready");
			return host;
		}),
	);
	const value = () => {
		const files = hosts.map(({ config }) => config.tokenFile(appid));
		if (!files.every(hasFile)) return undefined;
		const values = new Set(files.map((file) => readTokenFile(file).value));
		return values.size === 1 ? [...values][0] : undefined;
	};
	return {
		wechat,
		hosts,
		fetches: () =>
			wechat.requests.filter(({ endpoint }) =>
				/^(stable_)?token$/.test(endpoint ?? ""),
			).length,
		value,
		isLive: (token) => {
			const now = wechat.now();
			const known = wechat.platform.account(appid, now);
			return [known?.classic, known?.stable].some(
				(line) => line?.current?.value === token && now < line.current.endsAt,
			);
		},
		agreement: (than = "") =>
			eventually(
				() => {
					const one = value();
					return one === than ? undefined : one;
				},
				{ what: "one token on all hosts", withinMs: 60_000 },
			),
	};
}

function withFleet(fleet: Readonly<Record<string, unknown>> | undefined) {
	return fleet === undefined ? {} : { fleet };
}

/** That many HUPs at once. */
export function hangUp(hosts: readonly Host[]): void {
	for (const { daemon } of hosts) daemon.kill("SIGHUP");
}
