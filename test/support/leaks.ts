/**
 * Secrets and tokens that must never be seen. Every secret that a test makes, and every
 * token that an issuer gives, is noted here. The output of every program that a test
 * starts is searched for all of them.
 */
import { randomBytes } from "node:crypto";

const secrets = new Set<string>();
const tokens = new Set<string>();

/**
 * An AppSecret of 32 characters, each one new. Some of them look different in a
 * URL, so that an encoded copy would not be missed.
 */
export function newSecret(): string {
	return noteSecret(`s3/+&=%${randomBytes(13).toString("hex").slice(0, 25)}`);
}

/** No output may show it from now on. */
export function noteSecret(secret: string): string {
	secrets.add(secret);
	return secret;
}

/** Only `get` may print it from now on. */
export function noteToken(token: string): string {
	tokens.add(token);
	return token;
}

/** The forms of secrets (and tokens, if `alsoTokens`) that stand in `text`. */
export function leaksIn(text: string, alsoTokens: boolean): readonly string[] {
	const hidden = alsoTokens ? [...secrets, ...tokens] : [...secrets];
	// Logs are long, and hidden values are many, but long words are rare in a log:
	// a form is searched for only if its own long word is there.
	const longWords = longWordsIn(text).join("\n");
	return hidden.filter((value) =>
		formsOf(value).some(
			({ form, longWord }) =>
				(longWord === undefined || longWords.includes(longWord)) &&
				text.includes(form),
		),
	);
}

interface Form {
	readonly form: string;
	readonly longWord: string | undefined;
}

const known = new Map<string, readonly Form[]>();

function formsOf(value: string): readonly Form[] {
	const forms =
		known.get(value) ??
		spellingsOf(value).map((form) => ({
			form,
			longWord: longWordsIn(form)[0],
		}));
	known.set(value, forms);
	return forms;
}

function longWordsIn(text: string): readonly string[] {
	return text.match(/\w{20,}/g) ?? [];
}

function spellingsOf(value: string): readonly string[] {
	const encoded = encodeURIComponent(value);
	return [
		value,
		encoded,
		encoded.toLowerCase(),
		encodeURIComponent(encoded),
		new URLSearchParams({ "": value }).toString().slice(1),
		JSON.stringify(value).slice(1, -1),
		Buffer.from(value).toString("base64"),
		Buffer.from(value).toString("hex"),
		// A long part of it would be a leak, too.
		...longWordsIn(value),
	];
}
