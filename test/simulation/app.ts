/** The app of a simulated machine, which reads the token file and reports a dead token. */
import { appid, canRun, type Machine, startAt } from "./machine-state.ts";

/** Reads the token now and each 5 s; checks the laws, and reports a dead token. */
export function read(machine: Machine): void {
	if (machine.agenda.now() >= machine.endAt) return;
	machine.agenda.at(machine.agenda.now() + 5_000, () => read(machine));
	const token = machine.disk.readToken();
	const isCalm =
		machine.agenda.now() - machine.disturbedAt > machine.allowedRecoveryMs;
	if (token === undefined) {
		if (
			isCalm ||
			(machine.everPublished &&
				machine.disk.token === undefined &&
				machine.disturbedAt === startAt)
		)
			machine.violate("no readable token");
		return;
	}
	const age = machine.issuedAt[machine.issued.indexOf(token.value)] ?? 0;
	if (
		isCalm &&
		machine.hupAt !== undefined &&
		machine.agenda.now() - machine.hupAt > machine.allowedRecoveryMs
	) {
		// A signal to another daemon just before may satisfy this one as well. And the
		// stable interface may give a token that is older, but new to us.
		if (age < machine.hupAt - 2_000 && token.value === machine.replacedByHup)
			machine.violate("a SIGHUP led to no new token");
		machine.hupAt = undefined;
	}
	const good = machine.platform.isAlive(
		appid,
		token.value,
		machine.agenda.now(),
	);
	if (!good || token.expiresAt <= machine.wall()) {
		// After force_refresh the old token is dead before the new one is on disk.
		const isOnItsWay =
			machine.agenda.now() - (machine.forces.at(-1) ?? startAt) < 1_000;
		if (isCalm && !isOnItsWay)
			machine.violate(
				`a dead token (${good ? "by its date" : "at the platform"})`,
			);
		const running = machine.processes.filter((one) => canRun(machine, one));
		const reader = running[Math.floor(machine.random() * running.length)];
		machine.agenda.awaitPromises();
		void reader?.keeper
			.report(token.value)
			.catch((error) => machine.violate(`a bug: ${String(error)}`));
	}
}
