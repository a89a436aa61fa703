import { expect, test } from "vitest";
import { inChinese, stateInChinese } from "../../src/daemon/alert-words.ts";
import {
	knownComponentErrcodes,
	secretCallMeaningOf,
} from "../../src/issuer/component-errcode.ts";
import { knownErrcodes } from "../../src/issuer/errcode.ts";
import { linkErrors } from "../../src/issuer/link-error.ts";
import {
	knownSuiteErrcodes,
	suiteMeaningOf,
} from "../../src/issuer/suite-errcode.ts";
import { ticketErrcodes } from "../../src/issuer/ticket.ts";
import { knownWecomErrcodes } from "../../src/issuer/wecom-errcode.ts";

const token = "access_token";
const unknown = inChinese({
	...{ code: "errcode 1", kind: "admin", hint: "", of: token },
});

test.each([
	...[...knownErrcodes, ...ticketErrcodes].map((one) => [one, token] as const),
	...knownWecomErrcodes.map((one) => [one, "wecom_access_token"] as const),
	...knownComponentErrcodes
		// Others have a code of our own instead, see below.
		.filter((one) => secretCallMeaningOf(one, 0).code === undefined)
		.map((one) => [one, "component_access_token"] as const),
	...knownSuiteErrcodes
		.filter((one) => suiteMeaningOf(one).code === undefined)
		.map((one) => [one, "wecom_suite_access_token"] as const),
])("errcode %i of %s has words of its own", (errcode, of) => {
	const words = inChinese({
		...{ code: `errcode ${errcode}`, kind: "admin", hint: "", of },
	});
	expect(words.meaning).toMatch(/\p{Script=Han}{2}/u);
	expect(words.meaning).toContain(`（errcode ${errcode}）`);
	expect(words.hint).not.toBe(unknown.hint);
});

test("what has no row is told by its kind, with its code", () => {
	const kinds = new Set(Object.values(linkErrors).map(({ kind }) => kind));
	for (const kind of [
		...kinds,
		...["limited", "parent", "io", "refused", "lost", "unreachable"],
	]) {
		const { meaning, hint } = inChinese({
			...{ code: "ECODE", kind, hint: "", of: token },
		});
		expect(meaning, kind).toMatch(/^\p{Script=Han}.*（ECODE）$/u);
		expect(hint, kind).not.toBe("看 wxtokend status");
	}
});

test("every IP that WeChat saw is named", () => {
	const hint = "add 203.0.113.7 and 203.0.113.8 (last: 203.0.113.7)";
	const words = inChinese({
		...{ code: "errcode 40164", kind: "admin", hint, of: token },
	});
	expect(words.hint).toContain("把 203.0.113.7、203.0.113.8 加进");
	expect(
		inChinese({ code: "errcode 40164", kind: "admin", hint: "", of: token })
			.hint,
	).toContain("把 本服务器的公网 IP 加进");
});

test("the same errcode has other words on another host", () => {
	const of = (kind: string, errcode: number) =>
		inChinese({
			...{ code: `errcode ${errcode}`, kind: "config", hint: "", of: kind },
		});
	expect(of(token, 40001).hint).toContain("公众号");
	expect(of("wecom_access_token", 40001).hint).toContain("出口 IP 会被封");
	expect(of("wecom_access_token", 45009).meaning).toContain("出口 IP");
	expect(of("wecom_jsapi_ticket", 45009).meaning).toContain("ticket");
	expect(of("component_access_token", 40125).meaning).toContain("第三方平台");
	expect(of("authorizer_access_token", 61003).hint).toContain("授权页");
	expect(of("wecom_suite_access_token", 40080).meaning).toContain("suite");
	expect(of("wecom_corp_access_token", 40001).meaning).toContain("永久授权码");
	// What has no row there means the same as for other accounts.
	expect(of("component_access_token", 45009)).toEqual(of(token, 45009));
});

test.each([
	"no-ticket",
	"unauthorized",
	"ticket-expired",
	"ticket-invalid",
	"ban-budget",
])("the code %s has words of its own", (code) => {
	const words = inChinese({ code, kind: "admin", hint: "", of: "" });
	expect(words.meaning).toContain(`（${code}）`);
	expect(words.hint).not.toBe(unknown.hint);
});

test.each([
	["no-ticket", "wecom_suite_access_token", "suite_ticket"],
	["ticket-invalid", "wecom_suite_access_token", "suite_ticket"],
	["unauthorized", "wecom_corp_access_token", "永久授权码"],
	["no-ticket", "component_access_token", "component_verify_ticket"],
])("the code %s of %s names its own ticket or secret", (code, of, word) => {
	const words = inChinese({ code, kind: "admin", hint: "", of });
	expect(words.meaning).toContain(word);
});

test("what has no value, and no failure, is told by its state", () => {
	for (const state of ["missing", "expired", "unusable"] as const)
		expect(stateInChinese({ state, foreignFetcher: false }).meaning).toMatch(
			/守护进程/,
		);
	expect(
		stateInChinese({ state: "valid", foreignFetcher: true }).hint,
	).toContain("找出那个程序");
});
