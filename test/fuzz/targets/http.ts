/**
 * Bytes on a connection of the control socket, of the admin socket or of the receiver (by the
 * first byte): the server never meets a bug of its own, and each connection ends. Requests
 * come as they are; what lies behind the routes is a stand-in.
 */
import { Duplex } from "node:stream";
import { emptyRecord } from "../../../src/core/record.ts";
import { factsOf, statusFrom } from "../../../src/core/status.ts";
import { createAdminAnswers } from "../../../src/daemon/admin-answers.ts";
import {
	type Answering,
	createControlServer,
} from "../../../src/daemon/control-http.ts";
import {
	type AnswerParts,
	createAnswers,
} from "../../../src/daemon/control-routes.ts";
import type { KeptPlatform } from "../../../src/daemon/kept-platform.ts";
import { createPushAnswers } from "../../../src/daemon/push-answers.ts";
import { componentNames } from "../../../src/store/platform-state.ts";
import { accessToken } from "../../support/account.ts";

/** Longer than anything a server of these answers may take. */
const hangMs = 20_000;

const clock = { now: () => 1_700_000_000_000 };
const appid = "wx0123456789abcdef";
const nothing = async () => {};

const platform = {
	id: appid,
	kind: { state: componentNames, idField: "AppId", isUrlChecked: true },
	entry: { interface: "component", exchange: true, push: { keys: [] } },
	fields: () => ({}),
	takeTicket: nothing,
	takeCode: nothing,
	authorize: nothing,
	withdraw: nothing,
} as unknown as KeptPlatform;

const keeper = {
	current: () => undefined,
	force: async () => ({ outcome: "failed", error: undefined }),
};
const credential = { ...accessToken(), id: appid, appid };
const facts = () =>
	factsOf({
		credential,
		path: `/nowhere/${credential.file}`,
		reading: { kind: "absent" },
		record: emptyRecord,
		now: clock.now(),
	});
const one = {
	credential,
	keeper: { ...keeper, known: () => undefined, report: keeper.force },
	facts,
	status: () => statusFrom(facts()),
};

const controlParts = {
	managed: () => ({
		byAppid: new Map([[appid, one]]),
		byFile: new Map([[credential.file, one]]),
	}),
	clock,
	skew: () => null,
	shiftMs: () => 0,
	fleet: async () => undefined,
	history: { of: () => undefined },
	metrics: { render: () => "", heldBytes: () => 0 },
	reload: async () => ({ refused: undefined, answers: [] }),
	stopping: new AbortController().signal,
	nextValues: { after: async () => undefined },
	page: async () => ({ status: 200, content: "" }),
} as unknown as AnswerParts;

/** Behind the path of one credential stands the stand-in: routing is what is tried here. */
function withoutCredentials(answer: Answering): Answering {
	return (request) =>
		/^\/v1\/(accounts|credentials)(\/|$)/.test(request.path) &&
		(request.path.includes(appid) || request.path.split("/").length < 4)
			? Promise.resolve({ status: 200, content: "" })
			: answer(request);
}

const bugs: unknown[] = [];
const serverOf = (answer: Answering) =>
	createControlServer({
		maxConnections: 16,
		answer,
		onBug: (error) => bugs.push(error),
	});
const find = (_table: unknown, id: string) =>
	id === appid ? platform : undefined;
const log = {
	error: () => {},
	warn: () => {},
	info: () => {},
	debug: () => {},
};
const servers = [
	serverOf(withoutCredentials(createAnswers(controlParts))),
	serverOf(createAdminAnswers({ platform: find, now: clock.now })),
	serverOf(
		createPushAnswers({
			platform: find,
			forward: () => {},
			clock,
			log,
		} as unknown as Parameters<typeof createPushAnswers>[0]),
	),
];

export async function fuzz(data: Uint8Array): Promise<void> {
	const server = servers[(data[0] ?? 0) % servers.length];
	await new Promise<void>((resolve, reject) => {
		const hang = setTimeout(
			() => reject(new Error("the connection did not end")),
			hangMs,
		);
		const connection = new Duplex({
			read() {},
			write: (_chunk, _encoding, done) => done(),
		});
		connection.on("error", () => {});
		connection.once("close", () => {
			clearTimeout(hang);
			resolve();
		});
		server?.emit("connection", connection);
		connection.push(Buffer.from(data.subarray(1)));
		connection.push(null);
	});
	const [bug] = bugs.splice(0);
	if (bug !== undefined) throw bug;
}
