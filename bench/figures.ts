/** What a bench says: measures, and rows that set ours beside others. */

export type Unit = "×" | "µs" | "ms" | "s" | "MiB" | "KiB" | "%" | "";

/** What was measured, of one candidate. */
export interface Measure {
	readonly name: string;
	/** The median, if there were several. */
	readonly value: number;
	readonly unit: Unit;
	/** All of them, in the order of measuring. */
	readonly samples: readonly number[];
	/** It had not come to its end by then: the value is where the bench stopped waiting. */
	readonly unfinished?: true | undefined;
}

/** What ours is set beside. */
export interface Other extends Measure {
	/** Ours over this one: the median of the pairs. */
	readonly ratio?: number | undefined;
}

export interface Target {
	/** What must hold, in words. */
	readonly text: string;
	/** What is held against it: ours, or its ratio to the first of the others. */
	readonly value: number;
	readonly unit: Unit;
	readonly met: boolean;
	/** How much of what it allows is used: more than 1 is a miss. */
	readonly share: number;
}

/** One line of the table. */
export interface Row {
	readonly part: string;
	readonly what: string;
	readonly ours: Measure;
	/** The first: what nobody can beat. Then what a user would take instead. */
	readonly others: readonly Other[];
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

/** A row with the ratio to each of the others; the one to the first must not exceed `most`. */
export function compared(
	part: string,
	what: string,
	[ours, ...others]: readonly [Measure, Measure, ...Measure[]],
	most?: number,
): Row {
	const withRatios = others.map((other) => ({
		...other,
		ratio: pairedRatio(ours, other),
	}));
	const ratio = withRatios[0]?.ratio ?? Number.NaN;
	return {
		part,
		what,
		ours,
		others: withRatios,
		target: most === undefined ? undefined : atMost(most, ratio, "×"),
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
	return {
		part,
		what,
		ours,
		others,
		target: atMost(most, ours.value, ours.unit),
	};
}

/** A row whose own value must be at least `least`. */
export function reached(
	part: string,
	what: string,
	ours: Measure,
	least: number,
	others: readonly Measure[] = [],
): Row {
	const { value, unit } = ours;
	const target = {
		text: withUnit(`≥ ${least}`, unit),
		value,
		unit,
		met: value >= least,
		share: value === 0 ? Number.MAX_VALUE : least / value,
	};
	return { part, what, ours, others, target };
}

function atMost(most: number, value: number, unit: Unit): Target {
	const met = value <= most;
	return {
		text: withUnit(`≤ ${most}`, unit),
		value,
		unit,
		met,
		// Where nothing is allowed, it is kept, or missed without measure.
		share: most === 0 ? (met ? 0 : Number.MAX_VALUE) : value / most,
	};
}

function withUnit(text: string, unit: Unit): string {
	return unit === "" ? text : `${text} ${unit}`;
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
