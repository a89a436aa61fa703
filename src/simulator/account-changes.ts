import type { AccountState } from "./account.ts";
import type { Platform } from "./platform.ts";
import type { LimitChanges } from "./quotas.ts";

/**
 * Changes an account by the fields of a control request.
 *
 * @throws RangeError that names the field
 */
export function changeAccount(
	platform: Platform,
	appid: string,
	fields: Readonly<Record<string, unknown>>,
	nowMs: number,
): void {
	// First look at all of them: a wrong field must not leave half of the change.
	const steps = Object.entries(fields)
		.filter(([name]) => name !== "appid")
		.map(([name, value]) => stepFor(platform, appid, name, value, nowMs));
	for (const step of steps) step();
}

const states: readonly unknown[] = [
	"ok",
	"limited",
	"tokenForbidden",
	"frozen",
	"component",
] satisfies readonly AccountState[];

function stepFor(
	platform: Platform,
	appid: string,
	name: string,
	value: unknown,
	nowMs: number,
): () => void {
	const isText = typeof value === "string";
	const isFlag = typeof value === "boolean";
	if (name === "secret" && isText)
		return () => platform.resetSecret(appid, value, nowMs);
	if (name === "frozen" && isFlag)
		return () => platform.freezeSecret(appid, value, nowMs);
	if (name === "state" && states.includes(value))
		return () => platform.setState(appid, value as AccountState);
	if (name === "whitelist" && (value === null || isTexts(value)))
		return () => platform.setWhitelist(appid, value ?? undefined, nowMs);
	if (name === "ipConfirmation" && isFlag)
		return () => platform.requireConfirmation(appid, value);
	if ((name === "approve" || name === "refuse") && isText)
		return () => platform.decideIp(appid, value, name, nowMs);
	if (name === "limits" && typeof value === "object" && value !== null)
		return () => platform.setLimits(appid, value as LimitChanges);
	throw new RangeError(
		`an account cannot be changed by ${JSON.stringify(name)} of this kind`,
	);
}

function isTexts(value: unknown): value is readonly string[] {
	return (
		Array.isArray(value) && value.every((item) => typeof item === "string")
	);
}
