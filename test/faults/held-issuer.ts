/** An issuer whose answers wait until a test lets them go. */
import { eventually } from "../support/eventually.ts";
import { type FakeIssuer, startIssuer } from "../support/issuer.ts";

export interface HeldIssuer extends FakeIssuer {
	/** The next request that has not been taken yet; `give` answers it. */
	next(): Promise<HeldRequest>;
	/** Requests that wait for their answer. */
	waiting(): number;
}

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
