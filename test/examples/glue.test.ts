import { testReader } from "./cases.ts";
import { gluedReaders } from "./readers.ts";

for (const reader of gluedReaders) testReader(reader);
