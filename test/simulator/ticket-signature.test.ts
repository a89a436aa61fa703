import { describe, expect, test } from "vitest";
import type { PlatformOptions } from "../../src/simulator/platform.ts";
import {
	type PageSignature,
	signatureOf,
} from "../../src/simulator/ticket-signature.ts";
import { at, mini, mp, sample, scene } from "./scene.ts";

const { ticket, page } = sample;
const { signature } = page;

/** A platform whose account has the sample ticket since second 0. */
function sampled(options: Partial<PlatformOptions> = {}) {
	const all = scene(options);
	all.platform.putTicket(mp.appid, "jsapi", ticket, at(0));
	const judge = (given: Partial<PageSignature> = {}, seconds = 0) =>
		all.platform.verifySignature({ ...page, ...given }, at(seconds));
	return { ...all, judge };
}

describe("S57: the signature of a page", () => {
	test.each([
		[page.url, signature],
		[
			"http://mp.weixin.qq.com?params=value",
			"0f9de62fce790f9a083d5c99e95740ceb90c27ed",
		],
	])("for %s is %s with the sample ticket", (url, expected) => {
		expect(signatureOf(ticket, { ...page, url })).toBe(expected);
		expect(sampled().judge({ url, signature: expected })).toBe("alive");
	});

	test("covers the address without the part after #", () => {
		const { judge } = sampled();
		const url = `${page.url}#/home#2`;
		expect(judge({ url })).toBe("alive");
		const wrong = signatureOf(ticket, { ...page, url });
		expect(judge({ url, signature: wrong })).toBe("invalid");
	});

	test.each<Partial<PageSignature>>([
		{ url: "http://mp.weixin.qq.com/" },
		{ url: "https://mp.weixin.qq.com" },
		{ noncestr: "wm3WZYTPz0wzccnW" },
		{ timestamp: "1414587458" },
		{ signature: signature.toUpperCase() },
		{ signature: "" },
		{ type: "wx_card" },
		{ appid: mini.appid },
	])("is invalid with %j", (wrong) => {
		expect(sampled().judge(wrong)).toBe("invalid");
	});

	test("is alive as long as its ticket lives, and then has a dead ticket", () => {
		const { judge, platform } = sampled();
		const verdicts = [0, 7199, 7200, 100_000].map((second) =>
			judge({ appid: mp.appid }, second),
		);
		const expected = ["alive", "alive", "dead-ticket", "dead-ticket"];
		expect(verdicts).toEqual(expected);
		// A new ticket does not bring the old signature back.
		platform.foreignTicket(mp.appid, "jsapi", at(100_000));
		expect(judge({}, 100_000)).toBe("dead-ticket");
	});

	test("is alive with the former ticket as long as U6 says", () => {
		const { judge, platform } = sampled({
			knobs: { ticketLife: "until-replaced", formerTicketSeconds: 3600 },
		});
		expect(judge({}, 9999)).toBe("alive");
		const next = platform.foreignTicket(mp.appid, "jsapi", at(10_000));
		expect(judge({}, 13_599)).toBe("alive");
		expect(judge({}, 13_600)).toBe("dead-ticket");
		const renewed = signatureOf(next, page);
		expect(judge({ signature: renewed }, 13_600)).toBe("alive");
	});

	test("with a dead ticket is recognised for 32 tickets, and invalid after that", () => {
		const { judge, platform } = sampled();
		const put = (count: number) =>
			platform.putTicket(mp.appid, "jsapi", `later-${count}`, at(10_000));
		for (let count = 0; count < 32; count += 1) put(count);
		expect(judge({}, 10_000)).toBe("dead-ticket");
		put(32);
		expect(judge({}, 10_000)).toBe("invalid");
	});

	test("is judged the same with faults, without quota and after the death of the token", () => {
		const { judge, platform } = sampled({
			limits: { getticket: { perDay: 0 } },
		});
		platform.kill(mp.appid, at(0));
		platform.faults.add({ mode: "hang" }, at(0));
		expect(judge()).toBe("alive");
	});
});
