#!/bin/sh
# fast-xml-parser 5.12.1: text in CDATA becomes a number or a boolean, too.
#
# WeChat wraps what is text in CDATA and leaves numbers bare. So one would guess that a
# parser which makes numbers of `<CreateTime>1795401000</CreateTime>` leaves CDATA alone.
# By default it does not: a user's id `00123` loses its zeros, `1e5` becomes 100000, `0x1F`
# 31, and `true` is no text any more. A credential or an id that happens to look so is
# spoilt before anybody compares or stores it; most never look so, and no test shows it.
#
# Seen: `CDATA: 123 100000 31 true, as text: 00123 1e5 0x1F true`. The remedy is
# `parseTagValue: false`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund fast-xml-parser@5.12.1
cat >look.mjs <<'END'
import { XMLParser } from "fast-xml-parser";
const text = (value) => `<A><![CDATA[${value}]]></A>`;
const push = `<xml>${["00123", "1e5", "0x1F", "true"].map(text).join("")}</xml>`;
const seen = (options) => new XMLParser(options).parse(push).xml.A;
console.log(
	`CDATA: ${seen({}).filter((value) => typeof value !== "string").join(" ")}` +
		`, as text: ${seen({ parseTagValue: false }).join(" ")}`,
);
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "CDATA: 123 100000 31 true, as text: 00123 1e5 0x1F true" ]
