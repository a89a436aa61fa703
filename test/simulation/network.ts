/** The network of a simulated machine: requests of the real issuer to the simulated platform. */
import type { HttpAnswer, HttpRequest } from "../../src/issuer/http.ts";
import { LinkError } from "../../src/issuer/link-error.ts";
import { ask, isProbe } from "./ask.ts";
import { canRun, effect, type Machine, type Process } from "./machine-state.ts";

/** One request of a daemon, over a network with the fault of the moment. Throws `LinkError`. */
export async function send(
	machine: Machine,
	daemon: Process,
	request: HttpRequest,
): Promise<HttpAnswer> {
	const mode =
		machine.fault !== undefined && machine.fault.until > machine.agenda.now()
			? machine.fault.mode
			: undefined;
	if (mode !== undefined) machine.disturb(machine.agenda.now());
	if (mode === "unsent") {
		await effect(machine, daemon, "connect", () => {});
		throw new LinkError("unreachable", "ECONNREFUSED", false);
	}
	const asksForToken = !isProbe(request);
	if (asksForToken) {
		if (
			machine.inFlight > 0 &&
			machine.processes.some(
				(p) => p.requests > 0 && canRun(machine, p) && !p.tainted,
			)
		)
			machine.violate("two requests for one account in flight");
		machine.inFlight += 1;
		daemon.requests += 1;
		machine.calls.push(machine.agenda.now());
	}
	try {
		const answer = await effect(machine, daemon, "request arrives", () => {
			if (mode === "refused" || mode === "gateway") return undefined;
			const forced = request.body?.includes('"force_refresh":true');
			if (forced) {
				const last = machine.forces.at(-1);
				if (last !== undefined && machine.agenda.now() - last < 30_000)
					machine.violate("force_refresh twice within 30 s");
				machine.forces = [...machine.forces, machine.agenda.now()];
			}
			if (mode === "busy")
				return {
					status: 200,
					body: '{"errcode":-1,"errmsg":"system error"}',
				};
			const answered = ask(machine.platform, request, machine.agenda.now());
			const value = /"access_token":"([^"]+)"/.exec(answered.body)?.[1];
			if (value !== undefined && !machine.issued.includes(value)) {
				machine.issuedAt.push(machine.agenda.now());
				machine.issued.push(value);
			}
			machine.note(
				`${daemon.index} ${answered.endpoint} ${answered.outcome} ${value === undefined ? "" : machine.issued.indexOf(value)}`,
			);
			return answered;
		});
		return await effect(
			machine,
			daemon,
			"answer arrives",
			() => {
				if (mode === "lost")
					throw new LinkError("timeout", "UND_ERR_HEADERS_TIMEOUT", true);
				if (answer === undefined && mode === "gateway")
					throw new LinkError("server-error", "http 502", true);
				if (answer === undefined)
					throw new LinkError("interrupted", "ECONNRESET", true);
				return {
					status: answer.status,
					text: answer.body,
					serverTime: undefined,
				};
			},
			mode === "lost" ? 10_000 : undefined,
		);
	} finally {
		if (asksForToken) {
			machine.inFlight -= 1;
			daemon.requests -= 1;
		}
	}
}
