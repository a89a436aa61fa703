/**
 * The table `[http]`: where HTTP is listened for, and what it reads from files: the
 * bearer, which is a secret, and the certificate. No problem ever quotes the bearer.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isAbsolute } from "node:path";
import { systemClock } from "../core/clock.ts";
import type { ConfigProblem } from "../core/errors.ts";
import { addressIn, type HttpAddress } from "./http-address.ts";
import type { Input } from "./inputs.ts";
import { secretDirectory } from "./secret-directory.ts";
import { readText } from "./secrets.ts";
import { show } from "./shape.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** HTTP on an address, beside the control socket. */
export interface HttpSettings extends HttpAddress {
	/** As configured, such as `127.0.0.1:9470`. */
	readonly listen: string;
	/** What callers must send for tokens; undefined: nobody gets one. */
	readonly bearer: string | undefined;
	/** PEM; undefined: plain HTTP. */
	readonly tls: { readonly cert: string; readonly key: string } | undefined;
}

/** The settings, and what is wrong with them. */
export interface FoundHttp {
	/** Undefined: there is no `[http]`, or it is wrong. */
	readonly settings: HttpSettings | undefined;
	readonly problems: readonly ConfigProblem[];
	readonly warnings: readonly string[];
}

/** The name of the bearer as a systemd credential. */
const bearerName = "bearer";

/** With `withSecrets` the files are read, too. */
export function findHttp(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
	withSecrets: boolean,
): FoundHttp {
	const { http } = source.content;
	const problems: ConfigProblem[] = [];
	const warnings: string[] = [];
	if (typeof http !== "object" || http === null || Array.isArray(http))
		return { settings: undefined, problems, warnings };
	const table = http as Readonly<Record<string, unknown>>;
	const address =
		typeof table.listen === "string" ? addressIn(table.listen) : undefined;
	for (const [one, other] of [
		["cert_file", "key_file"],
		["key_file", "cert_file"],
	] as const)
		if (table[one] !== undefined && table[other] === undefined)
			problems.push({
				path: `http.${other}`,
				message: `is missing; expected one beside ${one}, or neither`,
			});
	const reading: Reading = { table, source, env, input, problems, warnings };
	const bearer = withSecrets ? findBearer(reading) : undefined;
	const tls = withSecrets ? findCertificate(reading) : undefined;
	if (address === undefined) return { settings: undefined, problems, warnings };
	const settings = { listen: String(table.listen), ...address, bearer, tls };
	if (withSecrets) warnings.push(...doubtsAbout(settings));
	return { settings, problems, warnings };
}

interface Reading {
	readonly table: Readonly<Record<string, unknown>>;
	readonly source: ConfigSource;
	readonly env: ConfigOptions["env"];
	readonly input: Input;
	readonly problems: ConfigProblem[];
	readonly warnings: string[];
}

const bearerRule =
	"one line of 16 to 1024 visible ASCII characters (openssl rand -hex 32 makes one)";

/** From `bearer_file`, else from the systemd credential; undefined: there is none. */
function findBearer(reading: Reading): string | undefined {
	const { table, problems } = reading;
	const place = bearerPlace(reading);
	if (place === undefined) return undefined;
	const text =
		place.text ??
		readText(place.file, place.label, 4_096, {
			...reading,
			expected: "a file with the bearer that the daemon's user can read",
		});
	if (text === undefined) return undefined;
	const bearer = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
	if (/^[\x21-\x7e]{16,1024}$/.test(bearer)) return bearer;
	const where = table.bearer_file === undefined ? "" : `${place.file} `;
	problems.push({
		path: place.label,
		message: `${where}${bearer === "" ? "is empty" : "holds no usable bearer"}; expected ${bearerRule}`,
	});
	return undefined;
}

/** `text`: it is a line of a list. */
function bearerPlace(reading: Reading):
	| {
			readonly file: string;
			readonly label: string;
			readonly text?: string;
	  }
	| undefined {
	const { table, input } = reading;
	const { bearer_file: file } = table;
	if (typeof file === "string")
		return isAbsolute(file) ? { file, label: "http.bearer_file" } : undefined;
	if (file !== undefined) return undefined; // The shape says what is wrong.
	const readList = (path: string, label: string) =>
		readText(path, label, 1_048_576, reading);
	return secretDirectory({ ...reading, input, readList })?.find(bearerName);
}

/** Undefined: there is none, or a problem says what is wrong with it. */
function findCertificate(reading: Reading): HttpSettings["tls"] {
	const { table, problems, warnings } = reading;
	const { cert_file: certFile, key_file: keyFile } = table;
	if (typeof certFile !== "string" || typeof keyFile !== "string")
		return undefined;
	if (!isAbsolute(certFile) || !isAbsolute(keyFile)) return undefined;
	const cert = readText(certFile, "http.cert_file", 262_144, {
		...reading,
		// Everybody may read a certificate.
		warnings: [],
		expected: "a certificate in PEM that the daemon's user can read",
	});
	const key = readText(keyFile, "http.key_file", 65_536, {
		...reading,
		expected: "the certificate's key in PEM that the daemon's user can read",
	});
	if (cert === undefined || key === undefined) return undefined;
	const wrong = (path: string, message: string) => {
		problems.push({ path, message });
		return undefined;
	};
	let certificate: X509Certificate;
	try {
		certificate = new X509Certificate(cert);
	} catch {
		return wrong(
			"http.cert_file",
			`is ${show(certFile)}, which holds no certificate; expected one in PEM (-----BEGIN CERTIFICATE-----), with its chain below it`,
		);
	}
	try {
		if (!certificate.checkPrivateKey(createPrivateKey(key)))
			return wrong(
				"http.key_file",
				`is ${show(keyFile)}, the key of another certificate; expected the one of ${certFile}`,
			);
	} catch {
		return wrong(
			"http.key_file",
			`is ${show(keyFile)}, which holds no usable key; expected one in PEM without a passphrase`,
		);
	}
	warnings.push(...agedCertificate(certFile, certificate, reading));
	return { cert, key };
}

function agedCertificate(
	file: string,
	{ validTo }: X509Certificate,
	{ input }: Reading,
): readonly string[] {
	// As an input: the configuration is made again when the answer changes.
	const isOver = input(() => Date.parse(validTo) < systemClock.now());
	return isOver
		? [
				`the certificate ${file} has ended (${validTo}): clients refuse it; renew it, then reload`,
			]
		: [];
}

/** What works, but is not what most want. */
function doubtsAbout(settings: HttpSettings): readonly string[] {
	const { listen, isLoopback, bearer, tls } = settings;
	if (isLoopback) return [];
	if (bearer === undefined)
		return [
			`http.listen = "${listen}" is no loopback address, and there is no bearer_file: only /healthz is answered there`,
		];
	return tls === undefined
		? [
				`http.listen = "${listen}" is no loopback address, and without cert_file and key_file the bearer and the tokens can be read on the way: right only in a network that you trust as this machine`,
			]
		: [];
}
