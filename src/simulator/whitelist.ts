import type { AccountKind } from "./account.ts";

/** An account's IP白名单. Switched off, every address may call. */
export interface Whitelist {
	readonly enabled: boolean;
	readonly entries: readonly string[];
}

/**
 * Checks entries as the console does: `1.2.3.4` and `1.2.3.4/24`; for 小程序 also
 * `1.2.3.*`, and ten at most.
 *
 * @throws RangeError that names the entry
 */
export function checkEntries(
	entries: readonly string[],
	kind: AccountKind,
): void {
	if (kind === "mini" && entries.length > 10)
		throw new RangeError("a mini program's whitelist has ten entries at most");
	for (const entry of entries)
		if (rangeOf(entry, kind) === undefined)
			throw new RangeError(`${JSON.stringify(entry)} is no whitelist entry`);
}

/** Whether this address may call. */
export function isListed(
	ip: string,
	{ enabled, entries }: Whitelist,
	kind: AccountKind,
): boolean {
	if (!enabled) return true;
	const address = addressOf(ip);
	return entries.some((entry) => {
		const range = rangeOf(entry, kind);
		return (
			range !== undefined &&
			address !== undefined &&
			(address & range.mask) === (range.base & range.mask)
		);
	});
}

function rangeOf(
	entry: string,
	kind: AccountKind,
): { base: number; mask: number } | undefined {
	const starred = kind === "mini" && /^(\d+\.\d+\.\d+)\.\*$/.exec(entry);
	const [ip, bits = "32", ...more] = starred
		? [`${starred[1]}.0`, "24"]
		: entry.split("/");
	const base = addressOf(ip ?? "");
	if (base === undefined || more.length > 0) return undefined;
	if (!/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
	// A shift by 32 is one by 0, so /0 needs its own word.
	const mask = Number(bits) === 0 ? 0 : -1 << (32 - Number(bits));
	return { base, mask };
}

function addressOf(ip: string): number | undefined {
	const parts = ip.split(".");
	if (parts.length !== 4) return undefined;
	let address = 0;
	for (const part of parts) {
		if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
		address = (address << 8) | Number(part);
	}
	return address;
}
