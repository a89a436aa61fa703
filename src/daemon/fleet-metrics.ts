/** The metrics of the fleet, in Prometheus' text format; none without a fleet. */
import type { Fleet, FleetCounts, FleetStatus } from "../core/ports.ts";
import { type Family, headOf, sampleOf } from "./metrics-text.ts";

type Value = (status: FleetStatus, counts: FleetCounts) => number;

/** In the order of the output. */
const families: readonly (readonly [Family, Value])[] = [
	[
		{
			name: "wxtokend_fleet_connected",
			type: "gauge",
			help: "1 if this host reaches what the fleet shares.",
		},
		({ connected }) => (connected ? 1 : 0),
	],
	[
		{
			name: "wxtokend_fleet_hosts",
			type: "gauge",
			help: "Hosts that were seen in the last minute, this one included; 0 if that cannot be asked.",
		},
		({ hosts }) => hosts.length,
	],
	[
		{
			name: "wxtokend_fleet_clock_offset_seconds",
			type: "gauge",
			help: "How far the time of the fleet is ahead of the clock of this host.",
		},
		({ offsetMs }) => offsetMs / 1_000,
	],
	[
		{
			name: "wxtokend_fleet_lease_waits_total",
			type: "counter",
			help: "Times that another host was refreshing, and this one waited.",
		},
		(_, { leaseWaits }) => leaseWaits,
	],
	[
		{
			name: "wxtokend_fleet_offers_total",
			type: "counter",
			help: "Values of this host that the fleet did not know.",
		},
		(_, { offers }) => offers,
	],
	[
		{
			name: "wxtokend_fleet_followed_total",
			type: "counter",
			help: "Values of other hosts that this one took over.",
		},
		(_, { followed }) => followed,
	],
	[
		{
			name: "wxtokend_fleet_lost_leases_total",
			type: "counter",
			help: "Refreshes that another host overtook.",
		},
		(_, { lostLeases }) => lostLeases,
	],
	[
		{
			name: "wxtokend_fleet_redis_calls_total",
			type: "counter",
			help: "Calls to what the fleet shares.",
		},
		(_, { calls }) => calls,
	],
	[
		{
			name: "wxtokend_fleet_redis_seconds_total",
			type: "counter",
			help: "How long these calls took together.",
		},
		(_, { callsMs }) => callsMs / 1_000,
	],
];

/** "" without a fleet. */
export async function renderFleetMetrics(
	fleet: Pick<Fleet, "status" | "counts"> | undefined,
): Promise<string> {
	if (fleet === undefined) return "";
	const status = await fleet.status();
	const counts = fleet.counts();
	return families
		.map(
			([family, value]) =>
				headOf(family) + sampleOf(family.name, "", value(status, counts)),
		)
		.join("");
}
