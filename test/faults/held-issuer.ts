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
	readonly appid: string;
	give(): void;
}

export async function startHeldIssuer(
	lifetimeSeconds?: number,
): Promise<HeldIssuer> {
	const arrived: HeldRequest[] = [];
	const issuer = await startIssuer({
		...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
		twist: ({ query }, _, give) => {
			arrived.push({ appid: query.appid ?? "", give });
		},
	});
	return {
		...issuer,
		next: () => eventually(() => arrived.shift(), { what: "a request" }),
		waiting: () => arrived.length,
	};
}
