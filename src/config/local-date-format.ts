/**
 * What node-cron needs of `Intl.DateTimeFormat`, for the time zone of this machine. The
 * build puts it into node-cron instead of the real one, whose first use takes 8 MB of
 * memory: a fifth of all that the daemon has.
 */

/** As `Intl.DateTimeFormatPart`. */
interface Part {
	readonly type: string;
	readonly value: string;
}

/**
 * Call it with `new`, as `Intl.DateTimeFormat`. It knows only the options that
 * node-cron uses, and throws if a time zone is among them.
 */
export function LocalDateFormat(
	_locale: string,
	{ timeZone, timeZoneName }: Intl.DateTimeFormatOptions,
): { formatToParts(date: Date): readonly Part[] } {
	if (timeZone !== undefined)
		throw new Error("only the time zone of this machine is known");
	return {
		formatToParts:
			timeZoneName === undefined
				? partsOf
				: (date) => [{ type: "timeZoneName", value: offsetOf(date) }],
	};
}

const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** node-cron looks parts up by type, so their order does not matter. */
function partsOf(date: Date): readonly Part[] {
	const digits = (number: number) => String(number).padStart(2, "0");
	return [
		{ type: "weekday", value: weekdays[date.getDay()] ?? "" },
		{ type: "month", value: digits(date.getMonth() + 1) },
		{ type: "day", value: digits(date.getDate()) },
		{ type: "year", value: String(date.getFullYear()) },
		{ type: "hour", value: digits(date.getHours()) },
		{ type: "minute", value: digits(date.getMinutes()) },
		{ type: "second", value: digits(date.getSeconds()) },
	];
}

/** `GMT+0`, `GMT+8`, `GMT-3:30`. */
function offsetOf(date: Date): string {
	const minutes = -date.getTimezoneOffset();
	const size = Math.abs(minutes);
	const rest = size % 60;
	return `GMT${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest === 0 ? "" : `:${String(rest).padStart(2, "0")}`}`;
}
