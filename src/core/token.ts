import { hash } from "node:crypto";

/** What WeChat issued, and the wall-clock instant (epoch ms) at which it ends. */
export interface Token {
	readonly value: string;
	readonly expiresAt: number;
}

/** The longest token that is believed; WeChat asks to reserve 512 characters. */
const maxTokenLength = 1024;

/** Visible ASCII, 1 to 1024 characters. */
export function isTokenValue(value: unknown): value is string {
	return (
		typeof value === "string" &&
		value.length <= maxTokenLength &&
		/^[\x21-\x7e]+$/.test(value)
	);
}

/**
 * The token file's content: one line of JSON with exactly two keys, `expire` in
 * whole epoch seconds. Readers in every language rely on this shape.
 */
export function encodeToken({ value, expiresAt }: Token): string {
	return `${JSON.stringify({ value, expire: Math.floor(expiresAt / 1000) })}\n`;
}

/** Whether their files are the same, byte for byte. */
export function haveSameFile(one: Token, other: Token): boolean {
	return (
		one.value === other.value &&
		Math.floor(one.expiresAt / 1000) === Math.floor(other.expiresAt / 1000)
	);
}

/** The token in a file's text, or undefined if it holds none. */
export function decodeToken(text: string): Token | undefined {
	let content: unknown;
	try {
		content = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (typeof content !== "object" || content === null) return undefined;
	const { value, expire } = content as Record<string, unknown>;
	if (!isTokenValue(value)) return undefined;
	// Less than a second would be written as 0, which no file of ours ever holds.
	if (typeof expire !== "number" || !(expire >= 1) || expire > 1e11)
		return undefined;
	return { value, expiresAt: Math.floor(expire) * 1000 };
}

/** The last token that was named: a look at a credential asks for the same one again and again. */
let last = { value: "", id: "" };

/** Names a token without giving it away: 16 hex digits of its SHA-256. */
export function tokenId(value: string): string {
	if (value === last.value && value !== "") return last.id;
	// Not the slice of a longer text, which V8 would keep for as long as the slice.
	const id = hash("sha256", value, "buffer").toString("hex", 0, 8);
	last = { value, id };
	return id;
}
