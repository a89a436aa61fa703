import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LocalDateFormat } from "../../src/config/local-date-format.ts";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { runProgram } from "../support/program.ts";

const zones = [
	"UTC",
	"Asia/Shanghai",
	"Asia/Kolkata",
	"Asia/Kathmandu",
	"Europe/London",
	"Europe/Berlin",
	"America/New_York",
	"America/St_Johns",
	"Australia/Lord_Howe",
	"Pacific/Chatham",
	"Pacific/Apia",
];

/** As in node-cron's source; its other options are empty or a time zone's name. */
const clockOptions = {
	year: "numeric",
	month: "2-digit",
	day: "2-digit",
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	weekday: "short",
	hour12: false,
} as const;

test.each(zones)(
	"in %s it gives the same parts as Intl.DateTimeFormat, even around each change of the clocks",
	(zone) => {
		setTimeZone(zone);
		const expectSame = comparison();
		const hourMs = 3_600_000;
		const from = Date.UTC(2025, 0, 1);
		for (let at = from; at < Date.UTC(2027, 0, 1); at += 31 * hourMs)
			expectSame(new Date(at + (at % 997) * 1000));
		for (let at = from; at < Date.UTC(2027, 0, 1); at += hourMs / 2)
			if (offsetAt(at) !== offsetAt(at - hourMs / 2))
				for (const step of [-1800, -1, 0, 1, 1800])
					expectSame(new Date(at + step * 1000));
	},
);

test("a named time zone is refused, because it knows only that of the machine", () => {
	expect(() =>
		LocalDateFormat("en-US", { ...clockOptions, timeZone: "Asia/Shanghai" }),
	).toThrow("time zone of this machine");
});

test("the built program computes its slots without Intl.DateTimeFormat", async () => {
	const { file } = writeConfig({
		url: "http://127.0.0.1:9",
		top: { schedule: "30 4 * * 1" },
	});
	const preload = join(newDirectory(), "no-intl.cjs");
	writeFileSync(
		preload,
		'Intl.DateTimeFormat = function () { throw new Error("it takes 8 MB"); };',
	);
	const { code, stderr } = await runProgram(["check", "--config", file], {
		env: { NODE_OPTIONS: `--require ${preload}` },
	});
	expect({ code, stderr }).toEqual({
		code: 0,
		stderr: expect.stringContaining("lets up to 10080 minutes pass"),
	});
});

/** Made once per time zone: the real formats take a millisecond each. */
function comparison(): (date: Date) => void {
	const offsetOptions = { timeZoneName: "shortOffset" } as const;
	const own = {
		clock: LocalDateFormat("en-US", clockOptions),
		offset: LocalDateFormat("en-US", offsetOptions),
	};
	const real = {
		clock: new Intl.DateTimeFormat("en-US", clockOptions),
		offset: new Intl.DateTimeFormat("en-US", offsetOptions),
	};
	return (date) => {
		expect(partsIn(own.clock, date)).toEqual(partsIn(real.clock, date));
		const { timeZoneName } = partsIn(real.offset, date);
		expect(partsIn(own.offset, date).timeZoneName).toBe(
			// It depends on the version of ICU which of the two is used.
			timeZoneName === "GMT" ? "GMT+0" : timeZoneName,
		);
	};
}

interface Format {
	formatToParts(date: Date): readonly { type: string; value: string }[];
}

/** As node-cron reads them: without the text between the parts, and with 24 as 0. */
function partsIn(format: Format, date: Date): Readonly<Record<string, string>> {
	const parts = format
		.formatToParts(date)
		.filter(({ type }) => type !== "literal")
		.map(({ type, value }) => [
			type,
			type === "hour" && value === "24" ? "00" : value,
		]);
	return Object.fromEntries(parts);
}

function offsetAt(at: number): number {
	return new Date(at).getTimezoneOffset();
}

/** Node.js notices a change of the variable at once. */
function setTimeZone(zone: string): void {
	const before = process.env.TZ;
	process.env.TZ = zone;
	onTestFinished(() => {
		if (before === undefined) delete process.env.TZ;
		else process.env.TZ = before;
	});
}
