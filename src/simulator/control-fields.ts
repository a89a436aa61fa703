/** What the routes of the control port are handed, and read from a request. */
import type { Fault } from "./faults.ts";
import type { CompleteRequest } from "./http-messages.ts";
import type { Platform } from "./platform.ts";
import type { Pushes } from "./pushes.ts";
import type { RequestRecord } from "./request-log.ts";

/** What the control port reads and changes. A test in the same process can do the same. */
export interface Controlled {
	readonly platform: Platform;
	readonly pushes: Pushes;
	/** At least the last 10,000, with their secrets. */
	readonly requests: readonly RequestRecord[];
	/** Virtual epoch ms. */
	now(): number;
	/** Skips time. Settles when the ports are open or closed as the faults then require. */
	advance(seconds: number): Promise<void>;
	/**
	 * Adds a fault as of now, and settles when it is in force; its result removes
	 * the fault again. Unlike `platform.faults.add` it also closes ports for a
	 * `refuse` of a whole host.
	 */
	addFault(fault: Fault): Promise<() => Promise<void>>;
	clearFaults(): Promise<void>;
}

/** The JSON object of a request. */
export type Fields = Readonly<Record<string, unknown>>;
/** The content of the answer. A RangeError becomes a 400. */
export type Route = (
	fields: Fields,
	query: CompleteRequest["query"],
) => unknown;
export type Routes = Readonly<Record<string, Route>>;

/** @throws RangeError if it is none */
export function textOf(fields: Fields, name: string): string {
	const value = fields[name];
	if (typeof value !== "string" || value === "")
		throw new RangeError(`${name} is missing`);
	return value;
}
