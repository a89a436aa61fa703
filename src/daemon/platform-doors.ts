/**
 * The two ways in for what WeChat pushes: the receiver, which WeChat itself calls through
 * nginx, and the admin socket, for a program that receives pushes and hands them over.
 * Both are there only with a 第三方平台 or a suite in the configuration.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/ports.ts";
import { maxPushBytes } from "../core/push.ts";
import type { ProcessName } from "../core/record.ts";
import { createAdminAnswers } from "./admin-answers.ts";
import { createControl } from "./control.ts";
import { createForwarder } from "./forwarder.ts";
import { createHttpFace } from "./http-face.ts";
import type { Platforms } from "./platforms.ts";
import { createPushAnswers } from "./push-answers.ts";

export interface PlatformDoors {
	/** Opens, moves or closes them; resolves when that is done or has failed, which is logged. */
	use(config: Config, gid: number | undefined): Promise<void>;
	/** Cheap, for each tick. */
	keepOpen(): void;
	/** As `Control.stop`. */
	stop(settled: Promise<unknown>): Promise<boolean>;
}

export interface PlatformDoorsParts {
	readonly platforms: () => Platforms;
	readonly clock: Clock;
	readonly self: ProcessName;
	readonly log: Log;
}

/** The name of the admin socket in the directory. */
export const adminSocket = "admin.sock";

/** Both are closed until the first `use`. */
export function createPlatformDoors({
	platforms,
	clock,
	self,
	log,
}: PlatformDoorsParts): PlatformDoors {
	let forward: string | undefined;
	const platform: Platforms["platform"] = (table, id) =>
		platforms().platform(table, id);
	const pushes = {
		...{ clock, self, log },
		name: "receiver",
		bodies: { maxBytes: maxPushBytes, isAnyType: true },
		answer: createPushAnswers({
			...{ platform, clock, log },
			forward: createForwarder(() => forward, log),
		}),
	} as const;
	const receiver = createHttpFace(pushes);
	const receiverSocket = createControl(pushes);
	const admin = createControl({
		...{ clock, self, log },
		name: "admin",
		answer: createAdminAnswers({ platform, now: clock.now }),
	});
	const all = [receiver, receiverSocket, admin];
	return {
		use: async ({ receiver: wanted, directory, stateDirectory }, gid) => {
			forward = wanted?.forward;
			const { listen = "", address } = wanted ?? {};
			const isSocket = wanted !== undefined && address === undefined;
			const hasPlatforms = stateDirectory !== undefined;
			await Promise.all([
				receiver.use(
					address && { ...address, listen, bearer: undefined, tls: undefined },
				),
				receiverSocket.moveTo(isSocket ? { path: listen, gid } : undefined),
				admin.moveTo(
					hasPlatforms
						? {
								path: join(directory, adminSocket),
								gid: undefined,
								mode: 0o600,
							}
						: undefined,
				),
			]);
		},
		keepOpen: () => {
			for (const one of all) one.keepOpen();
		},
		stop: async (settled) => {
			const [, ...silent] = await Promise.all([
				receiver.stop(settled),
				receiverSocket.stop(settled),
				admin.stop(settled),
			]);
			return silent.includes(true);
		},
	};
}
