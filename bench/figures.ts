/** What a bench says: measures, and rows that set ours beside others. */

export type Unit =
	| "µs"
	| "ms"
	| "s"
	| "MiB"
	| "KiB"
	| "bytes"
	| "%"
	| "s/h"
	| "/s"
	| "";

/** What was measured, of one candidate. */
export interface Measure {
	readonly name: string;
	/** The median, if there were several. */
	readonly value: number;
	readonly unit: Unit;
	/** All of them, in the order of measuring. */
	readonly samples: readonly number[];
}

export interface Target {
	/** What must hold, in words. */
	readonly text: string;
	readonly met: boolean;
}

/** One line of the table. */
export interface Row {
	readonly part: string;
	readonly what: string;
	readonly ours: Measure;
	/** What nobody can beat, or what a user would take instead. */
	readonly others: readonly Measure[];
	/** Ours over the first of the others: the median of the pairs. */
	readonly ratio?: number | undefined;
	readonly target?: Target | undefined;
}

export function measure(
	name: string,
	unit: Unit,
	samples: readonly number[],
): Measure {
	return { name, unit, value: median(samples), samples };
}

export function single(name: string, unit: Unit, value: number): Measure {
	return { name, unit, value, samples: [value] };
}

export function median(values: readonly number[]): number {
	const sorted = [...values].sort((one, other) => one - other);
	const middle = sorted.length >> 1;
	const upper = sorted[middle] ?? Number.NaN;
	if (sorted.length % 2 === 1) return upper;
	return (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/**
 * The median of sample over sample. Ours and the other's were taken in turn, so
 * a machine that gets slower meanwhile makes both slower.
 */
export function pairedRatio(ours: Measure, other: Measure): number {
	return median(
		ours.samples.map((sample, index) => {
			const against = other.samples[index];
			return against === undefined ? Number.NaN : sample / against;
		}),
	);
}

/** A row whose ratio to the first of the others must not exceed `most`. */
export function compared(
	part: string,
	what: string,
	[ours, ...others]: readonly [Measure, Measure, ...Measure[]],
	most?: number,
): Row {
	const [first] = others;
	const ratio = first === undefined ? undefined : pairedRatio(ours, first);
	return {
		part,
		what,
		ours,
		others,
		ratio,
		target:
			most === undefined || ratio === undefined
				? undefined
				: { text: `≤ ${most} ×`, met: ratio <= most },
	};
}

/** A row whose own value must not exceed `most`. */
export function bounded(
	part: string,
	what: string,
	ours: Measure,
	most: number,
	others: readonly Measure[] = [],
): Row {
	const text = `≤ ${most}${ours.unit === "" ? "" : ` ${ours.unit}`}`;
	return {
		part,
		what,
		ours,
		others,
		target: { text, met: ours.value <= most },
	};
}

/** Measures each candidate once per round, in turn, in alternating order. */
export async function sideBySide<Name extends string>(
	rounds: number,
	candidates: Readonly<Record<Name, () => Promise<number> | number>>,
): Promise<Readonly<Record<Name, readonly number[]>>> {
	const names = Object.keys(candidates) as Name[];
	const samples = Object.fromEntries(
		names.map((name) => [name, [] as number[]]),
	) as Record<Name, number[]>;
	for (let round = 0; round < rounds; round += 1) {
		const order = round % 2 === 0 ? names : [...names].reverse();
		for (const name of order) samples[name].push(await candidates[name]());
	}
	return samples;
}
