/**
 * The files in which a platform's tickets, codes and secrets are kept: whatever they hold,
 * they open, or are refused with `StoreError`; a refresh token that is put then is there
 * when they are opened again.
 */
import { ok } from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoreError } from "../../../src/core/errors.ts";
import { atOnce } from "../../../src/core/steps.ts";
import {
	componentNames,
	openPlatformState,
} from "../../../src/store/platform-state.ts";

const folder = mkdtempSync(join(tmpdir(), "fuzz-platform-"));
process.once("exit", end);

/** Leaves nothing behind. */
export function end(): void {
	rmSync(folder, { recursive: true, force: true });
}

export async function fuzz(data: Uint8Array): Promise<void> {
	for (const name of readdirSync(folder)) rmSync(join(folder, name));
	for (const name of [componentNames.ticketFile, componentNames.accountsFile])
		writeFileSync(join(folder, name), data, { mode: 0o600 });
	try {
		const state = atOnce(openPlatformState(folder, componentNames));
		for (const [id] of state.authorizations())
			ok(state.authorization(id) !== undefined);
		state.codes();
		state.retired();
		ok(Number.isFinite(state.listedAt()));
		await state.authorize([["wx0123456789abcdef", "refresh"]]);
		state.close();
		const again = atOnce(openPlatformState(folder, componentNames));
		ok(again.authorization("wx0123456789abcdef") !== undefined);
		again.close();
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
	}
}
