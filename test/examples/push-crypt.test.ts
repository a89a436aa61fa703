/**
 * Pushes as other programs seal and open them: the packages of npm for 企业微信, 公众号 and
 * 第三方平台, against what opens them here and what seals them in the simulator.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { installSdks, sdksDirectory } from "../../bench/sdks.ts";
import { isSigned, openPush, pushKeyOf } from "../../src/core/push-crypt.ts";
import { readPushXml } from "../../src/core/push-xml.ts";
import { seal } from "../../src/simulator/push-seal.ts";
import { createRandom } from "../../src/simulator/random.ts";

installSdks();
const load = createRequire(join(sdksDirectory, "package.json"));

const token = "sampletoken";
/** Its last character has bits that base64 does not need. */
const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const id = "ww0123456789abcdef";
const [timestamp, nonce] = ["1795401000", "12345678"];

/** What each package does with the key, the Token and the id above. */
interface Crypt {
	encrypt(message: string): string;
	sign(encrypted: string): string;
	open(encrypted: string): string;
}

const packages: Readonly<Record<string, () => Crypt>> = {
	"@wecom/crypto": () => {
		const wecom = load("@wecom/crypto");
		return {
			encrypt: (message) => wecom.encrypt(key, message, id),
			sign: (encrypted) =>
				wecom.getSignature(token, timestamp, nonce, encrypted),
			open: (encrypted) => wecom.decrypt(key, encrypted).message,
		};
	},
	"wechat-crypto": () => {
		const WXBizMsgCrypt = load("wechat-crypto");
		const crypt = new WXBizMsgCrypt(token, key, id);
		return {
			encrypt: (message) => crypt.encrypt(message),
			sign: (encrypted) => crypt.getSignature(timestamp, nonce, encrypted),
			open: (encrypted) => crypt.decrypt(encrypted).message,
		};
	},
};

/** Of each length around two blocks, and not of ASCII alone. */
const messages = Array.from(
	{ length: 70 },
	(_, length) => `${"x".repeat(length)}票据 <ticket@@@>`,
);

describe.each(Object.entries(packages))("%s", (_, createCrypt) => {
	const crypt = createCrypt();
	const keys = [pushKeyOf(key)].filter((one) => one !== undefined);
	const secrets = { token, keys };

	test("what it seals and signs is opened here", () => {
		for (const message of messages) {
			const encrypted = crypt.encrypt(message);
			const signature = crypt.sign(encrypted);
			expect(
				isSigned({ signature, timestamp, nonce, encrypted }, secrets),
			).toBe(true);
			expect(openPush(encrypted, secrets, new Set([id]))).toEqual({
				message,
				id,
			});
		}
	});

	test("it opens what the simulator seals", () => {
		const random = createRandom(1);
		for (const message of messages) {
			const { body } = seal(message, {
				...{ token, key, tail: id, outside: {}, isBare: false },
				...{ timestamp: Number(timestamp), random },
			});
			const encrypted = readPushXml(body)?.get("Encrypt") ?? "";
			expect(crypt.open(encrypted)).toBe(message);
		}
	});
});
