/**
 * The routes of the admin socket: what a program that receives pushes itself hands over,
 * and what is taken over from another store. Each is answered once it is safe on the disk.
 */
import type { PlatformTable } from "../config/platform.ts";
import { StoreError } from "../core/errors.ts";
import { isMemberId } from "../issuer/pushed.ts";
import { type Answering, type ControlAnswer, failure } from "./control-http.ts";
import type { KeptPlatform } from "./kept-platform.ts";
import { tableOfRoute } from "./platform-kinds.ts";

export interface AdminAnswerParts {
	readonly platform: (
		table: PlatformTable,
		id: string,
	) => KeptPlatform | undefined;
	/** Epoch ms. */
	readonly now: () => number;
}

const routes =
	"POST /v1/components/{appid}/ticket, POST /v1/components/{appid}/authorizations, DELETE /v1/components/{appid}/authorizations/{appid}; the same below /v1/suites/{suite_id} with a corpid at the end";

type Fields = Readonly<Record<string, unknown>>;

/** Answers every request; throws only if wxtokend has a bug. */
export function createAdminAnswers(parts: AdminAnswerParts): Answering {
	return async ({ method, path, body }) => {
		const [, route = "", id = "", what = "", member] =
			/^\/v1\/(\w+)\/([\w-]{1,64})\/(ticket|authorizations)(?:\/([\w-]{1,64}))?$/.exec(
				path,
			) ?? [];
		const table = tableOfRoute(route);
		if (table === undefined || (what === "ticket" && member !== undefined))
			return unknownPath;
		const platform = parts.platform(table, id);
		if (platform === undefined) return unknownPlatform(table, id);
		const wanted = member === undefined ? "POST" : "DELETE";
		if (method !== wanted) return wrongMethod(wanted);
		try {
			if (member !== undefined) {
				await platform.withdraw(member);
				return done;
			}
			const fields = fieldsIn(body);
			if (fields === undefined)
				return badBody(platform, "it is not a JSON object");
			return what === "ticket"
				? await takeTicket(platform, fields, parts.now())
				: await takeAuthorization(platform, fields);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			return failure(500, { code, message, hint });
		}
	};
}

/** So much a clock may be off. */
const maxAheadMs = 3_600_000;

const done: ControlAnswer = { status: 204, content: "" };

async function takeTicket(
	platform: KeptPlatform,
	{ ticket, create_time }: Fields,
	now: number,
): Promise<ControlAnswer> {
	if (!isText(ticket)) return badBody(platform, "ticket is not a text");
	const at = create_time ?? Math.floor(now / 1000);
	if (typeof at !== "number" || !(at > 0 && at < 1e11))
		return badBody(platform, "create_time is no epoch second");
	if (at * 1000 > now + maxAheadMs)
		return badBody(
			platform,
			"create_time lies ahead of this host's clock: it is when the ticket was made, and not when it ends",
		);
	await platform.takeTicket(ticket, at);
	return done;
}

async function takeAuthorization(
	platform: KeptPlatform,
	fields: Fields,
): Promise<ControlAnswer> {
	const { id: idKey, secret: secretKey } = platform.kind.state;
	const { auth_code: code, [idKey]: id, [secretKey]: secret } = fields;
	if (code !== undefined) {
		if (!isText(code)) return badBody(platform, "auth_code is not a text");
		if (!platform.entry.exchange) return notExchanged(platform);
		await platform.takeCode(code);
		return done;
	}
	if (typeof id !== "string" || !isMemberId(id))
		return badBody(platform, `${idKey} is no ${idKey}`);
	if (!isText(secret)) return badBody(platform, `${secretKey} is not a text`);
	await platform.authorize([[id, secret]]);
	return done;
}

/** As tickets, codes and tokens are: one line of visible characters. */
function isText(value: unknown): value is string {
	return typeof value === "string" && /^[\x21-\x7e]{1,1024}$/.test(value);
}

function fieldsIn(body: string): Fields | undefined {
	try {
		const fields: unknown = JSON.parse(body);
		const isObject =
			typeof fields === "object" && fields !== null && !Array.isArray(fields);
		return isObject ? (fields as Fields) : undefined;
	} catch {
		return undefined;
	}
}

/** Quotes no value: it may be a secret. */
function badBody({ kind }: KeptPlatform, problem: string): ControlAnswer {
	const { id, secret } = kind.state;
	return failure(400, {
		code: "bad-body",
		message: `could not read the request's body: ${problem}`,
		hint: `send {"ticket","create_time"} to …/ticket, and {"auth_code"} or {"${id}","${secret}"} to …/authorizations`,
	});
}

function notExchanged({ kind, entry }: KeptPlatform): ControlAnswer {
	const { id, secret } = kind.state;
	return failure(409, {
		code: "not-exchanged",
		message: `wxtokend exchanges no codes of this ${entry.interface}: exchange = false`,
		hint: `exchange it, and hand {"${id}","${secret}"} over; or take exchange = false out of the configuration`,
	});
}

const unknownPath = failure(404, {
	code: "unknown-path",
	message: "there is nothing at this path",
	hint: `routes: ${routes}`,
});

function unknownPlatform(table: PlatformTable, id: string): ControlAnswer {
	const name = table === "component" ? "appid" : "suite_id";
	return failure(404, {
		code: `unknown-${table}`,
		message: `there is no ${table} with this ${name}: ${JSON.stringify(id)}`,
		hint: `it must stand below [[${table}]]; a new one comes with a reload (SIGHUP)`,
	});
}

function wrongMethod(method: string): ControlAnswer {
	return failure(
		405,
		{
			code: "method-not-allowed",
			message: "this path does not take the method",
			hint: `use ${method}`,
		},
		{ Allow: method },
	);
}
