import { testRandomHistories } from "./simulation/random-histories.ts";

testRandomHistories(0);
