// What the bare loops have in common.
import { open, rename } from "node:fs/promises";
import { join } from "node:path";

/** Calls `renew` with 0, 1, … below `count`, with so many at a time. */
export async function renewAll(count, concurrency, renew) {
	let next = 0;
	const work = async () => {
		while (next < count) {
			const index = next;
			next += 1;
			await renew(index);
		}
	};
	await Promise.all(Array.from({ length: concurrency }, work));
}

/** A temporary file, fsync and rename. `lifetime`: seconds from `requestedAt`, epoch ms. */
export async function publish(directory, name, value, requestedAt, lifetime) {
	const expire = Math.floor(requestedAt / 1000) + lifetime;
	const temporary = join(directory, `.${name}.tmp`);
	const file = await open(temporary, "w", 0o600);
	await file.writeFile(`${JSON.stringify({ value, expire })}\n`);
	await file.sync();
	await file.close();
	await rename(temporary, join(directory, name));
}
