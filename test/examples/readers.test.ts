import { testReader } from "./cases.ts";
import { plainReaders } from "./readers.ts";

for (const reader of plainReaders) testReader(reader);
