// A filter like gzip, but nothing is compressed: for packages that live for one test.
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

await pipeline(process.stdin, createGzip({ level: 0 }), process.stdout);
