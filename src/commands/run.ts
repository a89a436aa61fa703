import { systemClock } from "../clock.ts";
import type { CommandLine } from "../command-line.ts";
import { loadConfig } from "../config.ts";
import { runDaemon } from "../daemon.ts";
import { explain } from "../explain.ts";
import { openLog } from "../log.ts";
import type { SignalInbox } from "../signals.ts";

export async function run(
	line: CommandLine,
	signals: SignalInbox,
): Promise<number> {
	const { env } = process;
	const read = () =>
		loadConfig({ file: line.value("config"), env, secrets: true });
	const config = read();
	const log = openLog(config.logLevel, env);
	return runDaemon({
		config,
		reload: read,
		signals,
		log,
		clock: systemClock,
		env,
		onBug: (error) => process.exit(explain(error)),
	});
}
