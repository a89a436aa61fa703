import type { Simulator } from "../../src/simulator/server.ts";
import {
	type ConfigOptions,
	newAccounts,
	type TestConfig,
	writeConfig,
} from "./config-file.ts";
import { type Running, startDaemon } from "./program.ts";
import { socketIn } from "./socket.ts";
import { startWeChat } from "./wechat.ts";

export interface AllOptions extends Pick<ConfigOptions, "top" | "wechat"> {
	/** Of accounts; default 1. */
	readonly count?: number;
}

export interface All {
	readonly wechat: Simulator;
	readonly config: TestConfig;
	readonly daemon: Running;
	/** The path of the control socket, if it is where it is by default. */
	readonly socket: string;
}

/** The simulator, a configuration of accounts that it knows, and a daemon that keeps them. */
export async function startAll({
	count,
	...options
}: AllOptions = {}): Promise<All> {
	const accounts = newAccounts(count);
	const wechat = await startWeChat({ accounts });
	const config = writeConfig({ ...options, accounts, url: wechat.url });
	const daemon = await startDaemon(config.file);
	return { wechat, config, daemon, socket: socketIn(config.directory) };
}
