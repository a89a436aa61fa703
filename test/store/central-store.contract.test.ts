/**
 * The contract of stores, kept by the store of a host that follows a central wxtokend,
 * as far as this host writes by itself: what that server fetches is asked of it over
 * HTTP, and has no lease here. The server does not answer.
 */
import { onTestFinished } from "vitest";
import { openCentralFleet } from "../../src/store/central-store.ts";
import { freePort } from "../support/free-port.ts";
import { contractCredential, describeStore } from "./contract.ts";
import { newDirectoryPlace } from "./directory-place.ts";

describeStore(
	"the store of a follower of a central wxtokend",
	{ hasStore: true, canLandLate: true },
	() =>
		newDirectoryPlace(async (local, name, hostClock) => {
			const fleet = openCentralFleet({
				target: {
					url: `http://127.0.0.1:${await freePort()}`,
					...{ bearer: "of-the-test", ca: undefined },
				},
				...{ host: name.instance, hostClock, random: () => 0.5 },
				stopping: new AbortController().signal,
				...{ onFollowed: () => {}, onUp: () => {}, onDown: () => {} },
				onTrouble: (_of, error) => {
					throw error;
				},
				onBug: (error) => {
					throw error;
				},
			});
			onTestFinished(() => fleet.close());
			fleet.keep(local, [contractCredential]);
			return { store: fleet.storeOver(local), die: () => fleet.close() };
		}),
);
