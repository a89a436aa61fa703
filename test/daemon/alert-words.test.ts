import { expect, test } from "vitest";
import { inChinese } from "../../src/daemon/alert-words.ts";
import { knownErrcodes } from "../../src/issuer/errcode.ts";
import { linkErrors } from "../../src/issuer/link-error.ts";
import { ticketErrcodes } from "../../src/issuer/ticket.ts";

const unknown = inChinese({ code: "errcode 1", kind: "admin", hint: "" });

test.each([...knownErrcodes, ...ticketErrcodes])(
	"errcode %i has words of its own",
	(errcode) => {
		const words = inChinese({
			...{ code: `errcode ${errcode}`, kind: "admin", hint: "" },
		});
		expect(words.meaning).toMatch(/^\p{Script=Han}|^AppSecret|^AppID|^appid/u);
		expect(words.meaning).toContain(`（errcode ${errcode}）`);
		expect(words.hint).not.toBe(unknown.hint);
	},
);

test("what has no row is told by its kind, with its code", () => {
	const kinds = new Set(Object.values(linkErrors).map(({ kind }) => kind));
	for (const kind of [...kinds, "limited", "parent", "io", "refused", "lost"]) {
		const { meaning, hint } = inChinese({ code: "ECODE", kind, hint: "" });
		expect(meaning, kind).toMatch(/^\p{Script=Han}.*（ECODE）$/u);
		expect(hint, kind).not.toBe("看 wxtokend status");
	}
});

test("every IP that WeChat saw is named", () => {
	const hint = "add 203.0.113.7 and 203.0.113.8 (last: 203.0.113.7)";
	const words = inChinese({ code: "errcode 40164", kind: "admin", hint });
	expect(words.hint).toContain("把 203.0.113.7、203.0.113.8 加进");
	expect(
		inChinese({ code: "errcode 40164", kind: "admin", hint: "" }).hint,
	).toContain("把 本服务器的公网 IP 加进");
});
