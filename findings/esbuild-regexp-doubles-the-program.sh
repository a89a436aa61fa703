#!/bin/sh
# esbuild 0.28.2 and Node.js 20: one quotation mark in a regular expression doubles the memory
# that the text of a whole bundle takes.
#
# esbuild escapes what is not ASCII, unless told otherwise. So one would guess that V8, which
# keeps the text of a program for as long as it runs, keeps it in one byte for each character.
# But esbuild leaves regular expressions as they are (its documentation of "charset" says
# so), and V8 takes two bytes for all of a text with one character above U+00FF. A daemon of
# a megabyte of JavaScript holds two for it. The same character as an escape costs nothing.
#
# Seen: bytes of V8's heap for each byte of a bundle of 1 MB, with the mark in a
# string, as an escape in a regular expression, and as itself in one: `1.0 1.0 2.0`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund esbuild@0.28.2
cat >look.mjs <<'END'
import { execFileSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
// Of a function that is never called, so that nothing but its text is kept.
const filling = Array.from({ length: 20_000 }, (_, at) => `if (globalThis.never) globalThis.never(${at}, "${"x".repeat(20)}");`);
const variants = ['"“".length', "/\\u201c/.test('x')", "/“/.test('x')"];
const show = `
const used = () => {
	gc();
	return process.memoryUsage().heapUsed;
};
const before = used();
require(process.argv[1]);
console.log(used() - before);`;
const ratios = [];
for (const [at, variant] of variants.entries()) {
	writeFileSync("entry.js", `globalThis.seen = ${variant};\nglobalThis.later = () => {\n${filling.join("\n")}\n};\n`);
	const outfile = `./out${at}.cjs`;
	await build({ entryPoints: ["entry.js"], outfile, bundle: true, platform: "node", format: "cjs" });
	const bytes = Number(execFileSync(process.execPath, ["--expose-gc", "-e", show, outfile]));
	ratios.push((bytes / statSync(outfile).size).toFixed(1));
}
console.log(ratios.join(" "));
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "1.0 1.0 2.0" ]
