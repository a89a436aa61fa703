/**
 * The routes of the admin socket: what a program that receives pushes itself hands over,
 * and what is taken over from another store. Each is answered once it is safe on the disk.
 */
import { StoreError } from "../core/errors.ts";
import { isAppid } from "../issuer/component.ts";
import { type Answering, type ControlAnswer, failure } from "./control-http.ts";
import type { KeptComponent } from "./kept-component.ts";

export interface AdminAnswerParts {
	readonly component: (appid: string) => KeptComponent | undefined;
	/** Epoch ms. */
	readonly now: () => number;
}

const routes =
	"POST /v1/components/{appid}/ticket, POST /v1/components/{appid}/authorizations, DELETE /v1/components/{appid}/authorizations/{appid}";

type Fields = Readonly<Record<string, unknown>>;

/** Answers every request; throws only if wxtokend has a bug. */
export function createAdminAnswers(parts: AdminAnswerParts): Answering {
	return async ({ method, path, body }) => {
		const [, appid = "", what = "", account] =
			/^\/v1\/components\/([\w-]{1,64})\/(ticket|authorizations)(?:\/([\w-]{1,64}))?$/.exec(
				path,
			) ?? [];
		if (what === "" || (what === "ticket" && account !== undefined))
			return unknownPath;
		const component = parts.component(appid);
		if (component === undefined) return unknownComponent(appid);
		const wanted = account === undefined ? "POST" : "DELETE";
		if (method !== wanted) return wrongMethod(wanted);
		try {
			if (account !== undefined) {
				await component.withdraw(account);
				return done;
			}
			const fields = fieldsIn(body);
			if (fields === undefined) return badBody("it is not a JSON object");
			return what === "ticket"
				? await takeTicket(component, fields, parts.now())
				: await takeAuthorization(component, fields);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			return failure(500, { code, message, hint });
		}
	};
}

const done: ControlAnswer = { status: 204, content: "" };

async function takeTicket(
	component: KeptComponent,
	{ ticket, create_time }: Fields,
	now: number,
): Promise<ControlAnswer> {
	if (!isText(ticket)) return badBody("ticket is not a text");
	const at = create_time ?? Math.floor(now / 1000);
	if (typeof at !== "number" || !(at > 0 && at < 1e11))
		return badBody("create_time is no epoch second");
	await component.takeTicket(ticket, at);
	return done;
}

async function takeAuthorization(
	component: KeptComponent,
	{ auth_code: code, appid, refresh_token: secret }: Fields,
): Promise<ControlAnswer> {
	if (code !== undefined) {
		if (!isText(code)) return badBody("auth_code is not a text");
		await component.takeCode(code);
		return done;
	}
	if (typeof appid !== "string" || !isAppid(appid))
		return badBody("appid is no appid");
	if (!isText(secret)) return badBody("refresh_token is not a text");
	await component.authorize([[appid, secret]]);
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
function badBody(problem: string): ControlAnswer {
	return failure(400, {
		code: "bad-body",
		message: `could not read the request's body: ${problem}`,
		hint: 'send {"ticket","create_time"} to …/ticket, and {"auth_code"} or {"appid","refresh_token"} to …/authorizations',
	});
}

const unknownPath = failure(404, {
	code: "unknown-path",
	message: "there is nothing at this path",
	hint: `routes: ${routes}`,
});

function unknownComponent(appid: string): ControlAnswer {
	return failure(404, {
		code: "unknown-component",
		message: `there is no component with this appid: ${JSON.stringify(appid)}`,
		hint: "it must stand below [[component]]; a new one comes with a reload (SIGHUP)",
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
