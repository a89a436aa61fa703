/**
 * The duties for a 第三方平台: codes are exchanged, doubtful accounts looked at, the list of
 * accounts compared once a day and after gaps, and pushes started again.
 */
import type { ComponentCalls } from "../issuer/component.ts";
import type { ToldMember } from "../issuer/pushed.ts";
import { createExchange } from "./exchange.ts";
import type { KeptPlatform } from "./kept-platform.ts";
import { type ChoresParts, type Duties, isRefusal } from "./platform-chores.ts";

export interface ComponentParts extends ChoresParts {
	/** As configured at that moment. */
	readonly calls: () => ComponentCalls;
}

const dayMs = 86_400_000;
/** A doubtful account that could not be looked at is looked at again after so long. */
const doubtRetryMs = 600_000;

/** What is done for one component. */
export function componentDuties(
	component: KeptPlatform,
	parts: ComponentParts,
): Duties {
	const { save, step, isDue } = createExchange(component, {
		...parts,
		ask: (token, code) => parts.calls().queryAuth(token, code),
		isDead: (error) => isRefusal(error, 61009, 61010, 61003),
		// The account may be ours: WeChat tells on demand.
		onLost: ({ id }) => {
			if (id !== undefined) component.doubt(id);
			else component.hasGap = true;
		},
	});
	return {
		save,
		isDue: () =>
			isDue() ||
			doubtfulIn(component, parts) !== undefined ||
			isListDue(component, parts),
		onMissing: () => startPushes(component, parts),
		steps: [
			step,
			(token) => resolveDoubt(component, token, parts),
			(token) => compare(component, token, parts),
		],
	};
}

async function authorize(
	component: KeptPlatform,
	told: readonly ToldMember[],
): Promise<void> {
	const secrets = told.flatMap(({ id, secret }) =>
		secret === undefined ? [] : [[id, secret] as const],
	);
	if (secrets.length > 0) await component.authorize(secrets);
}

/** One that is to be looked at now. */
function doubtfulIn(
	{ doubted }: KeptPlatform,
	{ clock }: Pick<ComponentParts, "clock">,
): string | undefined {
	const now = clock.now();
	for (const [appid, at] of doubted) if (now >= at) return appid;
	return undefined;
}

function isListDue(
	{ hasGap, state }: KeptPlatform,
	{ clock }: Pick<ComponentParts, "clock">,
): boolean {
	return hasGap || clock.now() - state.listedAt() >= dayMs;
}

async function resolveDoubt(
	component: KeptPlatform,
	token: string,
	parts: ComponentParts,
): Promise<boolean> {
	const now = parts.clock.now();
	const appid = doubtfulIn(component, parts);
	if (appid === undefined) return false;
	component.doubted.set(appid, now + doubtRetryMs);
	try {
		const { secret } = await parts.calls().authorizerInfo(token, appid);
		component.doubted.delete(appid);
		// The same one again, or none: its keeper tells what is wrong, and waits for an hour.
		if (secret !== undefined && isNewsOf(component, { id: appid, secret })) {
			await authorize(component, [{ id: appid, secret }]);
			parts.onMended(appid);
		}
	} catch (error) {
		if (!isRefusal(error, 61003)) throw error;
		component.doubted.delete(appid);
		await component.withdraw(appid);
		parts.log.info(
			{ event: "component.withdrawn", ...component.fields(appid) },
			`${appid} has withdrawn its authorisation of ${component.id}, as WeChat says on demand: the event was lost`,
		);
	}
	return true;
}

async function compare(
	component: KeptPlatform,
	token: string,
	parts: ComponentParts,
): Promise<boolean> {
	const { clock, log, stopping, calls } = parts;
	const { state } = component;
	const now = clock.now();
	if (!isListDue(component, parts)) return false;
	component.changed.clear();
	const told = await readList(calls(), token, stopping);
	const news = [...told.values()].filter(
		(one) =>
			one.secret !== undefined &&
			!component.changed.has(one.id) &&
			isNewsOf(component, one),
	);
	await authorize(component, news);
	let missing = 0;
	for (const [appid, { retiredAt }] of state.authorizations()) {
		const isOurs = retiredAt === undefined && !told.has(appid);
		if (!isOurs || component.changed.has(appid)) continue;
		// An account that is withdrawn shifts the pages: it may be there all the same.
		component.doubt(appid);
		missing += 1;
	}
	component.hasGap = false;
	await state.putListedAt(now);
	log.info(
		{
			event: "component.listed",
			...component.fields(),
			accounts: told.size,
			news: news.length,
			missing,
		},
		`${told.size} accounts have authorised ${component.id}: ${news.length} of them are news, ${missing} are not on the list any more`,
	);
	return true;
}

async function startPushes(
	component: KeptPlatform,
	{ calls, log }: ComponentParts,
): Promise<void> {
	const said = await calls().startPushTicket();
	const hadStopped = said.startsWith("ok");
	log.warn(
		{
			event: "push.missing",
			...component.fields(),
			hint: hadStopped
				? "nothing to do if a push comes within 10 minutes"
				: "WeChat does push: see that the 授权事件接收URL leads here (DNS, TLS, nginx), and that it is answered in 5 s",
		},
		`no push to ${component.id} since ${new Date(component.heardAt()).toISOString()}: ${hadStopped ? "WeChat had given up, and was asked to push again" : "WeChat says that it has not stopped"}`,
	);
}

function isNewsOf(
	{ state }: KeptPlatform,
	{ id, secret }: ToldMember,
): boolean {
	const known = state.authorization(id);
	return known?.secret !== secret || known?.retiredAt !== undefined;
}

/** All pages. Throws `IssuerError`. */
async function readList(
	calls: ComponentCalls,
	token: string,
	stopping: AbortSignal,
): Promise<ReadonlyMap<string, ToldMember>> {
	const told = new Map<string, ToldMember>();
	for (let offset = 0; !stopping.aborted; ) {
		const page = await calls.list(token, offset);
		for (const one of page.authorizers) told.set(one.id, one);
		offset += page.authorizers.length;
		if (page.authorizers.length === 0 || offset >= page.total) break;
	}
	return told;
}
