/** Whether systemd's journal reads what the program writes. */
import { fstatSync } from "node:fs";

/**
 * Whether stderr goes to systemd's journal, which takes `<3>` at the beginning of a
 * line as its priority. $JOURNAL_STREAM is not enough: a child process whose stderr
 * goes elsewhere inherits it all the same. So the device and inode that it names are
 * compared with those of stderr.
 */
export function writesToJournal(
	env: Readonly<Record<string, string | undefined>>,
): boolean {
	if (!env.JOURNAL_STREAM) return false;
	const { dev, ino } = fstatSync(2);
	return env.JOURNAL_STREAM === `${dev}:${ino}`;
}
