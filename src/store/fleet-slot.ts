/** What the slots of all fleets have in common, whatever the hosts share. */
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import type { FleetClock } from "../core/fleet-clock.ts";
import type { Lease, Remembered, Slot, Store } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import type { Token } from "../core/token.ts";

/**
 * The slot of a directory store, in the fleet's time; in the file a token ends by the
 * clock of the host.
 */
export function openInFleetTime(
	local: Store,
	credential: Credential,
	clock: FleetClock,
	remembered?: Remembered,
): Slot {
	const toFile = ({ value, expiresAt }: Token) => ({
		value,
		expiresAt: expiresAt - clock.shiftMs(),
	});
	const inner = local.open(
		credential,
		remembered && { ...remembered, token: toFile(remembered.token) },
	);
	return {
		read: () => {
			const reading = inner.read();
			const shiftMs = clock.shiftMs();
			if (shiftMs === 0 || reading.kind !== "token") return reading;
			const { value, expiresAt } = reading.token;
			return { ...reading, token: { value, expiresAt: expiresAt + shiftMs } };
		},
		record: inner.record,
		snapshot: (token) => inner.snapshot(toFile(token)),
		acquire: async (timeoutMs, purpose) => {
			const lease = await inner.acquire(timeoutMs, purpose);
			return (
				lease && {
					...lease,
					write: (record, options) =>
						lease.write(shifted(record, clock), options),
					publish: (token, record) =>
						lease.publish(toFile(token), record && shifted(record, clock)),
				}
			);
		},
	};
}

/** With what readers without a daemon need to compare it with the file. */
function shifted(record: SharedRecord, clock: FleetClock): SharedRecord {
	const { shiftMs: _, ...rest } = record;
	const shiftMs = clock.shiftMs();
	return shiftMs === 0 ? rest : { ...rest, shiftMs };
}

/** The lease of a host that never fetches: it repairs a file, and begins no request. */
export function withoutFetching(lease: Lease, file: string): Lease {
	return {
		...lease,
		write: async () => {
			throw new StoreError(
				"unreachable",
				`could not refresh ${file}: the hosts that fetch it found no reason for another value`,
				"look at the hosts with the role keeper: wxtokend status --fleet lists them",
				"no-keeper",
			);
		},
	};
}
