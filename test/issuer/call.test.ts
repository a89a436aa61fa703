/** What further kinds of credentials need of call.ts: another field, host and errcode table. */
import { expect, test } from "vitest";
import type { IssuerError } from "../../src/core/errors.ts";
import { createCaller, type Wanted } from "../../src/issuer/call.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { type Meaning, thisAddress } from "../../src/issuer/meaning.ts";
import { noteSecret } from "../support/leaks.ts";

const now = Date.UTC(2026, 0, 5, 2);
const parent = noteSecret("a-parent-token+of/the-ticket");

const ticket: Wanted = {
	request: {
		path: `/cgi-bin/ticket/getticket?access_token=${encodeURIComponent(parent)}&type=jsapi`,
	},
	what: "a jsapi ticket for wx1",
	field: "ticket",
	secret: parent,
	meaningOf: () => ({ kind: "admin", meaning: "not used here", hint: "none" }),
};

/** On qyapi.weixin.qq.com this code means an IP that is not allowed. */
const notAllowed: Meaning = {
	kind: "admin",
	meaning: "this server's IP is not trusted by the app (可信IP)",
	hint: `add ${thisAddress} to the trusted IPs (企业可信IP)`,
	waitMs: 300_000,
};

/** A caller whose servers give these answers, one to each request. */
function callerOf(...answers: readonly string[]) {
	const sent: HttpRequest[] = [];
	const caller = createCaller({
		baseUrls: ["https://one.invalid", "https://two.invalid"],
		timeoutMs: 10_000,
		http: {
			send: async (request) => {
				sent.push(request);
				const text = answers[sent.length - 1];
				return text === undefined
					? { status: 502, text: "", serverTime: undefined }
					: { status: 200, text, serverTime: undefined };
			},
		},
		clock: { now: () => now, monotonic: () => 0 },
		monitor: { serverTime: () => {}, answered: () => {} },
		stopping: new AbortController().signal,
	});
	const failure = (wanted: Wanted): Promise<IssuerError> =>
		caller.fetch(wanted).then(
			() => {
				throw new Error("the fetch did not fail");
			},
			(error: IssuerError) => error,
		);
	return { caller, failure, sent };
}

test("a ticket is read from its own field, beside an errcode of 0", async () => {
	const { caller, sent } = callerOf(
		'{"errcode":0,"errmsg":"ok","ticket":"kgt8ON7yVITDhtdwci0qef","expires_in":7200}',
	);
	await expect(caller.fetch(ticket)).resolves.toEqual({
		value: "kgt8ON7yVITDhtdwci0qef",
		lifetimeMs: 7_200_000,
		requestedAt: now,
	});
	expect(sent).toEqual([expect.objectContaining(ticket.request)]);
});

test("an answer without the expected field names that field, and what was to be fetched", async () => {
	const { failure } = callerOf('{"access_token":"token","expires_in":7200}');
	expect(await failure(ticket)).toMatchObject({
		kind: "garbled",
		code: "no-token",
		message:
			"could not fetch a jsapi ticket for wx1 from one.invalid: the answer holds neither an errcode nor what was asked for (ticket absent)",
	});
});

test("an errcode is understood by the table of the host, and the secret of the call is not shown", async () => {
	const { failure } = callerOf(
		JSON.stringify({
			errcode: 60020,
			errmsg: `not allow to access from your ip, from ip: 1.2.3.4, token ${parent}`,
		}),
	);
	const at: number[] = [];
	const error = await failure({
		...ticket,
		meaningOf: (errcode, serverTime) => {
			expect(errcode).toBe(60020);
			at.push(serverTime);
			return notAllowed;
		},
	});
	expect(error).toMatchObject({
		kind: "admin",
		code: "errcode 60020",
		message:
			"could not fetch a jsapi ticket for wx1: this server's IP is not trusted by the app (可信IP) (errcode 60020: not allow to access from your ip, from ip: 1.2.3.4, token ***)",
		hint: "add the IP 1.2.3.4 to the trusted IPs (企业可信IP)",
		waitMs: 300_000,
	});
	expect(at).toEqual([now]);
});

test("a look gives what `read` makes of the first usable answer, and undefined if there is none", async () => {
	const read = (body: object) => Object.keys(body);
	const good = callerOf('{"errcode":0}');
	expect(await good.caller.look("/x", read)).toEqual(["errcode"]);
	const broken = callerOf();
	expect(await broken.caller.look("/x", read)).toBeUndefined();
	expect(broken.sent).toHaveLength(2);
});
