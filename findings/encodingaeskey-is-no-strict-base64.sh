#!/bin/sh
# Node.js 26.10.0 and @scure/base 2.4.0: a strict base64 decoder refuses three of four keys
# that WeChat calls right.
#
# An EncodingAESKey is any 43 letters and digits, and with "=" the base64 of 32 bytes: so
# WeChat's pages say. One would guess that it is valid base64, and that strict is the right
# way to read a key. But 43 characters carry 258 bits: the last one has two bits too many,
# and only where both are 0 the text is what an encoder would write. A strict decoder raises
# an error for all others. So the first key somebody tries works with a chance of one in
# four, and a change of the key fails long after all tests. The lenient ones drop the two
# bits, by which keys that differ in the last character can be the same.
#
# Seen, of 62 keys that differ in the last character: see below. (RFC 4648, 3.5, lets a
# decoder choose.)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.10.0 @scure/base@2.4.0
cat >look.mjs <<'END'
import { base64 } from "@scure/base";
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const keys = [...letters].map((last) => `${letters.slice(0, 42)}${last}=`);
const decoders = {
	"Buffer.from": (key) => Buffer.from(key, "base64"),
	"fromBase64, loose": (key) => Uint8Array.fromBase64(key, { lastChunkHandling: "loose" }),
	"fromBase64, strict": (key) => Uint8Array.fromBase64(key, { lastChunkHandling: "strict" }),
	"@scure/base": (key) => base64.decode(key),
};
for (const [name, decode] of Object.entries(decoders)) {
	let refused = 0;
	const different = new Set();
	for (const key of keys) {
		try {
			different.add(Buffer.from(decode(key)).toString("hex"));
		} catch {
			refused += 1;
		}
	}
	console.log(`${name}: ${refused} refused, ${different.size} different keys`);
}
END
seen=$(node_modules/.bin/node look.mjs)
echo "$seen"
[ "$seen" = "Buffer.from: 0 refused, 16 different keys
fromBase64, loose: 0 refused, 16 different keys
fromBase64, strict: 46 refused, 16 different keys
@scure/base: 46 refused, 16 different keys" ]
