/** A long configuration is parsed in parts: with the same result, or the same error. */
import fc from "fast-check";
import { parse } from "smol-toml";
import { expect, test } from "vitest";
import { tomlInSteps } from "../../src/config/toml-parts.ts";
import { atOnce } from "../../src/core/steps.ts";

/** So long that some blocks fill a part. */
const filler = `# ${"x".repeat(5_000)}\n`;

const blocks = [
	'directory = "/run/wxtokend"\n',
	"account = []\n",
	'account = [{ appid = "wx0" }]\n',
	'[wechat]\ninterface = "stable"\n',
	'[[account]]\nappid = "wx1"\n',
	'[[account]] # the second one\nappid = "wx2"\n',
	'[[ account ]]\r\nappid = "wx3"\r\n',
	'[[account]]\r\nappid = "wx4"\r\n',
	'[["account"]]\nappid = "wx5"\n',
	'[account.more]\nkey = "of the last account"\n',
	"[account]\n",
	'[[wecom]]\ncorpid = "ww1"\n',
	'[[component]]\nappid = "wx6"\n',
	'[[component.authorizer]]\nappid = "wx7"\n',
	'list = [\n[["wx8"]],\n[[1]]\n]\n',
	'note = "[[account]]"\n',
	'text = """\n[[account]]\n"""\n',
	"text = '''\n[[account]]\n'''\n",
	"[[account]\n",
	"appid = wx9\n",
	"appid = 1\nappid = 2\n",
	"[[__proto__]]\nkey = 1\n",
	"[wechat.deep]\n[wechat.deep.er]\n",
];

const outcomeOf = (parsed: () => unknown) => {
	try {
		return { content: JSON.stringify(parsed()) };
	} catch (error) {
		return { error: String(error) };
	}
};

test("the parts of a text say what the whole of it says", () => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.constantFrom(...blocks), fc.boolean()), {
				maxLength: 16,
			}),
			(chosen) => {
				const text =
					filler.repeat(4) +
					chosen
						.map(([block, isLong]) => block + (isLong ? filler : ""))
						.join("") +
					filler.repeat(4);
				expect(outcomeOf(() => atOnce(tomlInSteps(text)))).toEqual(
					outcomeOf(() => parse(text)),
				);
			},
		),
		{ numRuns: 2_000 },
	);
});

test("ten thousand accounts are parsed in many steps, those of a short text in one", () => {
	const account = (index: number) =>
		`[[account]]\nappid = "wx${index}"\nsecret_file = "/etc/wxtokend/secrets/wx${index}"\n`;
	const text = Array.from({ length: 10_000 }, (_, index) =>
		account(index),
	).join("");
	const steps = tomlInSteps(
		`[wechat]\ntimeout = 5\n\n${text}[http]\nlisten = "x"\n`,
	);
	let taken = 0;
	let content: ReturnType<typeof parse> | undefined;
	for (;;) {
		const { done, value } = steps.next();
		if (done) {
			content = value as ReturnType<typeof parse>;
			break;
		}
		taken += 1;
	}
	expect(taken).toBeGreaterThan(30);
	expect(content.account).toHaveLength(10_000);
	expect(content.wechat).toEqual({ timeout: 5 });
	expect(content.http).toEqual({ listen: "x" });
	expect(tomlInSteps(account(1)).next().done).toBe(true);
});
