/** Seeded pseudo-random numbers: the same seed gives the same tokens and the same decisions. */
export interface Random {
	/** Uniform in [0, 1). */
	next(): number;
	/** `length` characters of `[A-Za-z0-9_-]`. */
	text(length: number): string;
}

const alphabet =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/** Two characters for each value of 12 bits: a long token takes half of the steps. */
const pairs = Array.from({ length: 4096 }, (_, bits) =>
	encode(bits, 2),
) as readonly string[];

/** @param seed 32 bits; the rest is ignored */
export function createRandom(seed: number): Random {
	let state = seed >>> 0;
	// Mulberry32: a small generator whose whole state is one 32-bit number.
	function draw(): number {
		state = (state + 0x6d2b79f5) >>> 0;
		let bits = Math.imul(state ^ (state >>> 15), state | 1);
		bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
		return (bits ^ (bits >>> 14)) >>> 0;
	}
	return {
		next: () => draw() / 2 ** 32,
		text(length) {
			let text = "";
			while (text.length < length) {
				const bits = draw();
				text += pairs[bits >>> 20];
				text += pairs[(bits >>> 8) & 0xfff];
			}
			return text.slice(0, length);
		},
	};
}

/** A count in base 64, as exactly `length` characters of the same alphabet. */
export function encode(count: number, length: number): string {
	let text = "";
	let rest = count;
	for (let position = 0; position < length; position += 1) {
		text = alphabet.charAt(rest % 64) + text;
		rest = Math.floor(rest / 64);
	}
	return text;
}
