import type { TokenLine } from "./tokens.ts";

export type AccountKind = "mp" | "mini" | "test";

/** An account to start with. */
export interface SimulatedAccount {
	readonly appid: string;
	readonly secret: string;
	/** 公众号/服务号 (default), 小程序, or 接口测试号. */
	readonly kind?: AccountKind;
}

export interface Account {
	readonly appid: string;
	readonly kind: AccountKind;
	secret: string;
	readonly classic: TokenLine;
	readonly stable: TokenLine;
}

export function createAccount(given: SimulatedAccount): Account {
	return {
		appid: given.appid,
		kind: given.kind ?? "mp",
		secret: given.secret,
		classic: { current: undefined, former: [] },
		stable: { current: undefined, former: [] },
	};
}
