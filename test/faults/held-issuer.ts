/** An issuer over HTTP that answers each request only when the test says so. */
import { eventually } from "../support/eventually.ts";
import { type FakeIssuer, startIssuer } from "../support/issuer.ts";

/** A `FakeIssuer` with requests that the test takes one by one. */
export interface HeldIssuer extends FakeIssuer {
	/** The next request that the test has not taken yet; `give` answers it. */
	next(): Promise<HeldRequest>;
	/** How many requests have arrived that the test has not taken. */
	waiting(): number;
}

/** A request without an answer. */
export interface HeldRequest {
	give(): void;
}

export async function startHeldIssuer(): Promise<HeldIssuer> {
	const arrived: HeldRequest[] = [];
	const issuer = await startIssuer({
		twist: (_request, _response, give) => {
			arrived.push({ give });
		},
	});
	return {
		...issuer,
		next: () => eventually(() => arrived.shift(), { what: "a request" }),
		waiting: () => arrived.length,
	};
}
