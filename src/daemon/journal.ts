import { fstatSync } from "node:fs";

/**
 * Whether stderr goes to systemd's journal, which takes `<3>` at the begin of a
 * line as its priority. $JOURNAL_STREAM names the stream: a child with another
 * stderr inherits the variable all the same.
 */
export function writesToJournal(
	env: Readonly<Record<string, string | undefined>>,
): boolean {
	if (!env.JOURNAL_STREAM) return false;
	const { dev, ino } = fstatSync(2);
	return env.JOURNAL_STREAM === `${dev}:${ino}`;
}
