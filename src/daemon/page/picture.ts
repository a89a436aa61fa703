/** The picture of a credential's day as inline SVG, and what it shows in words. */
import type { Day, Span } from "../../core/day.ts";
import { duration, type PageWords } from "./words.ts";

/** What all pictures of a page show: from the past to what is still to come. */
export interface Frame {
	readonly from: number;
	readonly now: number;
	readonly to: number;
}

/** Units of the picture's width; bytes count, so that coordinates are whole numbers. */
const width = 520;
/** Where things are: one lane for pushes, two for values, and one for failures. */
const pushLane = 1;
const lanes = [5, 11] as const;
const failureLane = 17;
const middle = 9;

/** `maxParts`: of bars and marks together: bytes count. */
export function pictureOf(
	day: Day,
	frame: Frame,
	words: PageWords,
	maxParts: number,
): string {
	const { from, to } = frame;
	const x = (at: number) =>
		Math.round(
			(Math.min(Math.max(at, from), to) - from) * (width / (to - from)),
		);
	const isSeen = (span: Span) => span.to >= from && span.from <= to;
	const line = (span: Span, y: number, least: number) => {
		const start = x(span.from);
		return `M${start} ${y}h${Math.max(least, x(span.to) - start)}`;
	};
	const values = day.values.filter(isSeen);
	const dead = day.dead.filter(isSeen);
	const failures = day.failures.filter(isSeen);
	const pushes = day.pushes.filter(isSeen);
	const because = (why: string) =>
		values.filter((span) => span.why === why && span.from >= from);
	const forced = because("forced");
	const reported = because("reported");
	const lists = [values, dead, failures, forced, reported, pushes];
	const total = lists.reduce((sum, { length }) => sum + length, 0);
	const newest = <T>(list: readonly T[]): readonly T[] =>
		total <= maxParts
			? list
			: list.slice(-Math.ceil((list.length * maxParts) / total));
	const bars = mergedTo(newest(values).length, values);
	const tick = (span: Span) => `M${x(span.from)} 1v14`;
	const paths = {
		d: newest(dead).map((span) => line(span, middle, 1)),
		b: bars.map((span, index) => line(span, lanes[index % 2] ?? 0, 1)),
		x: newest(failures).map((span) => line(span, failureLane, 2)),
		p: newest(pushes).map((span) => line(span, pushLane, 2)),
		f: newest(forced).map(tick),
		r: newest(reported).map(tick),
	};
	const drawn = Object.entries(paths)
		.filter(([, parts]) => parts.length > 0)
		.map(([name, parts]) => `<path class=${name} d="${parts.join("")}"/>`);
	return `<svg role=img aria-label="${inWords(day, frame, words)}" viewBox="0 0 520 20" preserveAspectRatio=none>${drawn.join("")}</svg>`;
}

/** Too many to tell apart: neighbours become one, but for gaps between them. */
function mergedTo(count: number, spans: readonly Span[]): readonly Span[] {
	const size = Math.ceil(spans.length / count);
	if (size <= 1) return spans;
	const merged: { from: number; to: number; parts: number }[] = [];
	for (const { from, to } of spans) {
		const last = merged.at(-1);
		if (last === undefined || last.parts >= size || from > last.to)
			merged.push({ from, to, parts: 1 });
		else {
			last.to = Math.max(last.to, to);
			last.parts += 1;
		}
	}
	return merged.slice(-count);
}

function inWords(day: Day, { from, now }: Frame, words: PageWords): string {
	const { picture } = words;
	const isPast = (span: Span) => span.to >= from && span.from <= now;
	const values = day.values.filter(isPast);
	const lastPush = day.pushes.findLast(isPast);
	if (values.length === 0 && day.failures.length === 0 && !lastPush)
		return picture.unknown;
	const asked = values.filter(({ why }) => /^(forced|reported)$/.test(why));
	const failures = day.failures.filter(isPast);
	const deadMs = day.dead
		.filter(isPast)
		.reduce((sum, span) => sum + span.to - Math.max(from, span.from), 0);
	const parts = [
		picture.refreshes(values.length),
		...(asked.length === 0 ? [] : [picture.forced(asked.length)]),
		...(failures.length === 0 ? [] : [picture.failures(failures.length)]),
		...(deadMs < 1000 ? [] : [picture.dead(duration(deadMs, words))]),
		...(lastPush === undefined
			? []
			: [picture.pushed(duration(now - lastPush.to, words))]),
	];
	return parts.join(picture.comma);
}
