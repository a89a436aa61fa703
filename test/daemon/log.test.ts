import { expect, test } from "vitest";
import { withoutSecrets } from "../../src/daemon/log.ts";

test.each([
	['{"secret":"s3cr3t"}', '{"secret":"***"}'],
	[JSON.stringify({ secret: 'a"b\\c' }), '{"secret":"***"}'],
	['{"a":{"access_token":"70_x","b":1}}', '{"a":{"access_token":"***","b":1}}'],
	[
		"GET /token?appid=wx1&secret=s3cr3t&x=1",
		"GET /token?appid=wx1&secret=***&x=1",
	],
	['{"body":"{\\"secret\\":\\"s3cr3t\\"}"}', '{"body":"{\\"secret\\":\\"***"}'],
	["the secret is not shown", "the secret is not shown"],
])(
	"text that looks like a credential is not written to the log: %s",
	(line, written) => {
		expect(withoutSecrets(line)).toBe(written);
	},
);
