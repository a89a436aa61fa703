/** What `GET /sim/state` shows: accounts with their tokens, counters, faults and knobs. */
import type { Account } from "./accounts.ts";
import type { Platform } from "./platform.ts";
import { usageAt } from "./quotas.ts";
import { type TicketLine, ticketsOf } from "./tickets.ts";
import { isLive, type TokenLine } from "./tokens.ts";
import { isWecomTokenAlive, type WecomApp } from "./wecom.ts";

/** The content of `GET /sim/state`, without secrets and whole tokens. */
export function viewOf(platform: Platform, nowMs: number): object {
	return {
		now: nowMs,
		counters: nested(platform.counters),
		accounts: [...platform.accounts()].map(({ appid }) =>
			accountState(platform, appid, nowMs),
		),
		components: [...platform.components()].map((one) => ({
			appid: one.appid,
			...lineState(one.line, nowMs),
			authorizers: one.authorizers.size,
			tickets: one.tickets.length,
			pushesTo: one.push?.url ?? null,
			isStopped: one.isStopped,
		})),
		suites: [...platform.suites()].map((one) => ({
			suite_id: one.suiteId,
			provider: one.provider,
			token: wecomState(one.app, nowMs).token,
			corps: [...one.corps.values()]
				.filter(({ isCancelled }) => !isCancelled)
				.map(({ corpid }) => corpid),
			tickets: one.tickets.length,
			pushesTo: one.push?.url ?? null,
			isStopped: one.isStopped,
		})),
		wecom: platform.state.wecom.apps.map((app) => wecomState(app, nowMs)),
		faults: platform.faults.pending(nowMs),
		knobs: platform.knobs,
	};
}

/** `"token issued" → 3` as `{token: {issued: 3}}`. */
function nested(
	counters: ReadonlyMap<string, number>,
): Record<string, Record<string, number>> {
	const tree: Record<string, Record<string, number>> = {};
	for (const [key, count] of counters) {
		const gap = key.indexOf(" ");
		const endpoint = key.slice(0, gap);
		tree[endpoint] = { ...tree[endpoint], [key.slice(gap + 1)]: count };
	}
	return tree;
}

function accountState(
	platform: Platform,
	appid: string,
	nowMs: number,
): object {
	const account = platform.account(appid, nowMs);
	if (account === undefined) return { appid };
	const { kind, state, secretFrozen, whitelist, ipConfirmation } = account;
	return {
		appid,
		kind,
		state,
		frozen: secretFrozen.value,
		whitelist: whitelist.value.enabled ? whitelist.value.entries : null,
		ipConfirmation,
		confirmations: Object.fromEntries(account.confirmations),
		classic: lineState(account.classic, nowMs),
		stable: lineState(account.stable, nowMs),
		tickets: Object.fromEntries(
			[...account.tickets].map(([type, line]) => [
				type,
				ticketState(line, nowMs),
			]),
		),
		usedToday: usedToday(account, platform, nowMs),
	};
}

/** The tokens that are alive, the newest first. */
function lineState(
	{ issued, current, former }: TokenLine,
	nowMs: number,
): object {
	const live = [current, ...former].filter(
		(token) => token !== undefined && isLive(token, nowMs),
	);
	return {
		issued,
		live: live.map((token) => ({
			begins: `${token?.value.slice(0, 10)}…`,
			issuedAt: token?.issuedAt,
			expiresAt: token?.expiresAt,
			endsAt: token?.endsAt,
			isCurrent: token === current,
		})),
	};
}

function wecomState(app: WecomApp, nowMs: number) {
	const { corpid, agentId, kind, isDisabled, trustedIps, current } = app;
	return {
		...{ corpid, agentId, isDisabled },
		isProvider: kind === "provider",
		trustedIps: trustedIps ?? null,
		token:
			current === undefined
				? null
				: {
						begins: `${current.value.slice(0, 10)}…`,
						issuedAt: current.issuedAt,
						endsAt: current.endsAt,
						isAlive: isWecomTokenAlive(current, nowMs),
					},
	};
}

/** The tickets that are alive, the newest first. `endsAt` null: until it is replaced. */
function ticketState(line: TicketLine, nowMs: number): object {
	return ticketsOf(line)
		.filter(({ endsAt }) => nowMs < endsAt)
		.map(({ value, issuedAt, endsAt }) => ({
			begins: `${value.slice(0, 10)}…`,
			issuedAt,
			endsAt: Number.isFinite(endsAt) ? endsAt : null,
		}));
}

function usedToday(
	{ counters }: Account,
	{ knobs }: Platform,
	nowMs: number,
): Record<string, number> {
	return Object.fromEntries(
		[...counters.keys()].map((quota) => [
			quota,
			usageAt(counters, quota, knobs, nowMs).today,
		]),
	);
}
