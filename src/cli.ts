#!/usr/bin/env node
// Signals come first: an early SIGHUP kills a Node.js process that has no
// handler yet. Only then is the program itself loaded.
import { catchSignals } from "./daemon/signals.ts";

const [command] = process.argv.slice(2);
const signals = command === "run" ? catchSignals() : undefined;

void import("./cli/main.ts").then(({ main }) =>
	main(process.argv.slice(2), signals),
);
