/**
 * The control face: JSON over HTTP under `/sim/`, for tests in any language.
 *
 * | request | does |
 * |---|---|
 * | `GET /sim/state` | accounts and counters; no token, no secret |
 * | `GET /sim/requests?since=ID` | the log of requests after that id, masked |
 * | `POST /sim/foreign-fetch {appid, interface?}` | somebody else fetches with this secret |
 * | `POST /sim/kill {appid}` | its tokens die at once; a use answers 40001 |
 * | `POST /sim/faults {mode, endpoint?, host?, appid?, count?, forSeconds?, processed?, …}` | scripts a fault; `{"clear":true}` clears all |
 * | `POST /sim/advance {seconds}` | skips time |
 * | `POST /sim/knobs {…}` | changes settings; GET shows them |
 * | `GET|POST /sim/use?access_token=` | a business API: accepts a live token, refuses a dead one |
 */
import type { PlatformRequest } from "./answer.ts";
import type { Fault } from "./faults.ts";
import { type Journal, masked } from "./journal.ts";
import type { Knobs } from "./knobs.ts";
import type { Platform } from "./platform.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface Controlled {
	readonly platform: Platform;
	readonly clock: VirtualClock;
	readonly journal: Journal;
}

export interface ControlAnswer {
	readonly status: number;
	readonly content: unknown;
}

export function control(
	{ platform, clock, journal }: Controlled,
	{ method, path, query, body }: PlatformRequest,
): ControlAnswer {
	const now = clock.now();
	try {
		const fields = body ? (JSON.parse(body) as Record<string, unknown>) : {};
		switch (`${method} ${path}`) {
			case "GET /sim/state":
				return ok({
					now,
					counters: Object.fromEntries(platform.counters),
					accounts: [...platform.accounts()].map(({ appid, kind }) => ({
						appid,
						kind,
					})),
				});
			case "GET /sim/requests": {
				const since = Number(query?.["since"] ?? 0);
				return ok(journal.records.filter(({ id }) => id > since).map(masked));
			}
			case "POST /sim/foreign-fetch":
				platform.foreignFetch(String(fields["appid"]), "classic", now);
				return ok({});
			case "POST /sim/kill":
				platform.kill(String(fields["appid"]), now);
				return ok({});
			case "POST /sim/faults":
				if (fields["clear"] === true) platform.faults.clear();
				else platform.faults.add(fields as unknown as Fault, now);
				return ok({ faults: platform.faults.pending(now) });
			case "POST /sim/advance":
				clock.advance(Number(fields["seconds"]));
				return ok({ now: clock.now() });
			case "GET /sim/knobs":
				return ok(platform.knobs);
			case "POST /sim/knobs":
				platform.turn(fields as Partial<Knobs>);
				return ok(platform.knobs);
			default:
				return { status: 404, content: { error: `no ${method} ${path} here` } };
		}
	} catch (error) {
		return {
			status: 400,
			content: {
				error: error instanceof Error ? error.message : "bad request",
			},
		};
	}
}

function ok(content: unknown): ControlAnswer {
	return { status: 200, content };
}
