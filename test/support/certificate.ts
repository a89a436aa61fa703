import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A self-signed certificate for 127.0.0.1 with any dates, by the openssl command.
 * `openssl req` alone makes none that is expired, so a small CA signs itself.
 */
export function certificate(
	from: Date,
	until: Date,
): { readonly key: string; readonly cert: string } {
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-tls-"));
	const openssl = (...words: readonly string[]) =>
		execFileSync("openssl", words, { cwd: directory, stdio: "pipe" });
	const read = (name: string) => readFileSync(join(directory, name), "utf8");
	try {
		writeFileSync(join(directory, "index.txt"), "");
		writeFileSync(join(directory, "serial"), "01\n");
		writeFileSync(
			join(directory, "ca.conf"),
			`[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
`,
		);
		openssl(
			...["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=sim"],
			...["-addext", "subjectAltName=IP:127.0.0.1"],
			...["-keyout", "key.pem", "-out", "request.pem"],
		);
		openssl(
			...["ca", "-selfsign", "-batch", "-notext"],
			...["-config", "ca.conf", "-keyfile", "key.pem", "-in", "request.pem"],
			...["-startdate", asn1(from), "-enddate", asn1(until)],
			...["-out", "cert.pem"],
		);
		return { key: read("key.pem"), cert: read("cert.pem") };
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** `20260105020000Z` */
function asn1(date: Date): string {
	return `${date.toISOString().replace(/\..*$/, "").replace(/[-:T]/g, "")}Z`;
}
