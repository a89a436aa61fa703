/** How much is logged; the names are pino's. */
export const logLevels = [
	"fatal",
	"error",
	"warn",
	"info",
	"debug",
	"trace",
	"silent",
] as const;
export type LogLevel = (typeof logLevels)[number];
