// Signals come first: an early SIGHUP kills a Node.js process that has no
// handler yet. Only then is the program itself loaded.
import { catchSignals, ignoreSignals } from "./daemon/signals.ts";

const [command] = process.argv.slice(2);
const signals = command === "run" ? catchSignals() : undefined;
// `get` holds no AppSecret, and is gone within milliseconds.
if (command !== "run" && command !== "get") ignoreSignals();

void import("./cli/main.ts").then(({ main }) =>
	main(process.argv.slice(2), signals),
);
