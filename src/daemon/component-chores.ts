/**
 * What must be asked of WeChat for a 第三方平台 besides tokens: codes are exchanged,
 * doubtful accounts looked at, the list of accounts compared once a day and after gaps,
 * and pushes started again. Each of them waits for a living component token, and one
 * call at a time is under way for each component.
 */
import type { Clock } from "../core/clock.ts";
import { IssuerError, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ComponentCalls, ToldAuthorizer } from "../issuer/component.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { gapMs, type KeptComponent } from "./kept-component.ts";

export interface ChoresParts {
	readonly clock: Clock;
	readonly log: Log;
	/** Once aborted, nothing is begun. */
	readonly stopping: AbortSignal;
	readonly onBug: (error: unknown) => void;
	/** The component's token. */
	readonly token: (component: KeptComponent) => ManagedCredential | undefined;
	readonly calls: (component: KeptComponent) => ComponentCalls;
	/** The account was refused, and has another refresh token now: it is tried once more. */
	readonly onMended: (appid: string) => void;
}

export interface Chores {
	/** Begins what is due and not under way. */
	tick(): void;
	/** Resolves when nothing is under way. */
	settle(): Promise<void>;
}

const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** WeChat's codes live for an hour. */
const codeLifeMs = hourMs;
/** After a failure that is none of the account's. */
const retryMs = 60_000;
/** A doubtful account that could not be looked at is looked at again after so long. */
const doubtRetryMs = 600_000;

/** The chores of one component. */
export function createChores(
	component: KeptComponent,
	parts: ChoresParts,
): Chores {
	const { clock, log, stopping } = parts;
	const { state } = component;
	let running: Promise<void> | undefined;
	let notBefore = 0;
	let startedPushesAt = Number.NEGATIVE_INFINITY;

	const exchange = async (token: string) => {
		const { entry, appid } = component;
		const [pending] = entry.exchange ? state.codes() : [];
		if (pending === undefined) return false;
		const { code, id, arrivedAt } = pending;
		try {
			const told = await parts.calls(component).queryAuth(token, code);
			await authorize([told]);
			log.info(
				{ event: "component.authorized", component: appid, appid: told.appid },
				`${told.appid} has authorised ${appid}`,
			);
		} catch (error) {
			const isUsed = isCode(error, 61009, 61010, 61003);
			const isOver = clock.now() - arrivedAt > codeLifeMs;
			if (!isUsed && !isOver) throw error;
			// Somebody else has exchanged it, or nobody in time. The account may be ours.
			if (id !== undefined) component.doubt(id);
			else component.hasGap = true;
		}
		await state.dropCode(code);
		return true;
	};

	const authorize = async (told: readonly ToldAuthorizer[]) => {
		const secrets = told.flatMap(({ appid, refreshToken }) =>
			refreshToken === undefined ? [] : [[appid, refreshToken] as const],
		);
		if (secrets.length === 0) return;
		await component.authorize(secrets);
	};

	const resolveDoubt = async (token: string) => {
		const now = clock.now();
		const due = [...component.doubted].find(([, at]) => now >= at);
		if (due === undefined) return false;
		const [appid] = due;
		component.doubted.set(appid, now + doubtRetryMs);
		try {
			const told = await parts.calls(component).authorizerInfo(token, appid);
			component.doubted.delete(appid);
			const known = state.authorization(appid);
			const isNews =
				told.refreshToken !== known?.secret || known?.retiredAt !== undefined;
			// The same one again: its keeper tells what is wrong, and waits for an hour.
			if (isNews) {
				await authorize([{ ...told, appid }]);
				parts.onMended(appid);
			}
		} catch (error) {
			if (!isCode(error, 61003)) throw error;
			component.doubted.delete(appid);
			await withdraw(appid);
		}
		return true;
	};

	const withdraw = async (appid: string) => {
		await component.withdraw(appid);
		log.info(
			{ event: "component.withdrawn", component: component.appid, appid },
			`${appid} has withdrawn its authorisation of ${component.appid}, as WeChat says on demand: the event was lost`,
		);
	};

	const compare = async (token: string) => {
		const now = clock.now();
		const isDue = component.hasGap || now - state.listedAt() >= dayMs;
		if (!isDue) return false;
		component.changed.clear();
		const told = await readList(parts.calls(component), token, stopping);
		const news = [...told.values()].filter(
			({ appid, refreshToken }) =>
				refreshToken !== undefined &&
				!component.changed.has(appid) &&
				isNewsOf(component, appid, refreshToken),
		);
		await authorize(news);
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
				component: component.appid,
				accounts: told.size,
				news: news.length,
				missing,
			},
			`${told.size} accounts have authorised ${component.appid}: ${news.length} of them are news, ${missing} are not on the list any more`,
		);
		return true;
	};

	const startPushes = async () => {
		const now = clock.now();
		if (now - component.heardAt() < gapMs || now - startedPushesAt < hourMs)
			return;
		startedPushesAt = now;
		const said = await parts.calls(component).startPushTicket();
		const hadStopped = said.startsWith("ok");
		log.warn(
			{
				event: "push.missing",
				component: component.appid,
				hint: hadStopped
					? "nothing to do if a push comes within 10 minutes"
					: "WeChat does push: see that the 授权事件接收URL leads here (DNS, TLS, nginx), and that it is answered in 5 s",
			},
			`no push to ${component.appid} since ${new Date(component.heardAt()).toISOString()}: ${hadStopped ? "WeChat had given up, and was asked to push again" : "WeChat says that it has not stopped"}`,
		);
	};

	const work = async () => {
		await startPushes();
		for (;;) {
			const managed = parts.token(component);
			const token = managed?.living(clock.now())?.value;
			if (token === undefined || stopping.aborted) return;
			try {
				const hasMore =
					(await exchange(token)) ||
					(await resolveDoubt(token)) ||
					(await compare(token));
				if (!hasMore) return;
			} catch (error) {
				if (error instanceof IssuerError && error.kind === "parent")
					void managed?.keeper.report(token).catch(parts.onBug);
				throw error;
			}
		}
	};

	const failed = createFailureLog(component, log);
	const run = async () => {
		try {
			await work();
			failed.over();
		} catch (error) {
			if (!(error instanceof IssuerError || error instanceof StoreError))
				return parts.onBug(error);
			notBefore = clock.now() + retryMs;
			failed.tell(error);
		}
	};

	return {
		tick: () => {
			if (stopping.aborted || running !== undefined) return;
			// Set back, the clock says nothing of the pause.
			const now = clock.now();
			if (now < notBefore && notBefore - now <= retryMs) return;
			running = run().finally(() => {
				running = undefined;
			});
		},
		settle: async () => running,
	};
}

/** One line when a failure begins, and none for each repetition. */
function createFailureLog(component: KeptComponent, log: Log) {
	let last = "";
	return {
		over: () => {
			last = "";
		},
		tell: (error: IssuerError | StoreError) => {
			const { message, code, hint } = error;
			const fields = { event: "component.failed", component: component.appid };
			if (last === code) log.debug({ ...fields, code, hint }, message);
			else log.warn({ ...fields, code, hint }, message);
			last = code;
		},
	};
}

function isCode(error: unknown, ...codes: readonly number[]): boolean {
	return (
		error instanceof IssuerError &&
		codes.some((code) => error.code === `errcode ${code}`)
	);
}

function isNewsOf(
	{ state }: KeptComponent,
	appid: string,
	refreshToken: string,
): boolean {
	const known = state.authorization(appid);
	return known?.secret !== refreshToken || known.retiredAt !== undefined;
}

/** All pages. Throws `IssuerError`. */
async function readList(
	calls: ComponentCalls,
	token: string,
	stopping: AbortSignal,
): Promise<ReadonlyMap<string, ToldAuthorizer>> {
	const told = new Map<string, ToldAuthorizer>();
	for (let offset = 0; !stopping.aborted; ) {
		const page = await calls.list(token, offset);
		for (const one of page.authorizers) told.set(one.appid, one);
		offset += page.authorizers.length;
		if (page.authorizers.length === 0 || offset >= page.total) break;
	}
	return told;
}
