/** The addresses from which calls leave, as WeChat names them when it refuses one. */

/** What is known of the addresses of one account's calls. */
export interface Addresses {
	/** WeChat gave what was asked for, so the address of that call is a good one. */
	accepted(): void;
	/**
	 * WeChat refused a call, and named its address. True if the last call left from
	 * another one: then it is worth it to try again soon.
	 */
	refused(address: string): boolean;
	/** In words, for a hint: one address, or all that were refused lately. */
	describe(): string;
}

/** More are not listed: a hint is read by a person. */
const maxListed = 8;

export function createAddresses(): Addresses {
	/** The newest last. */
	let seen: readonly string[] = [];
	let isAccepted = false;
	return {
		accepted: () => {
			isAccepted = true;
		},
		refused: (address) => {
			const last = seen.at(-1);
			const isOther = isAccepted || (last !== undefined && last !== address);
			isAccepted = false;
			seen = [...seen.filter((one) => one !== address), address];
			seen = seen.slice(-maxListed);
			return isOther;
		},
		describe: () =>
			seen.length === 1
				? `the IP ${seen[0]}`
				: `each of the IPs ${seen.join(", ")} (calls leave from several, as behind a NAT pool)`,
	};
}
