import {
	type Delivery,
	htmlHeaders,
	jsonHeaders,
	wholeDelivery,
} from "./answer.ts";
import type { Fault } from "./faults.ts";
import { wordingOf } from "./wording.ts";

/** What differs from the true answer, of which the rest stays. */
export interface Spoilt {
	readonly status?: number;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: string;
	readonly delivery: Delivery;
}

/** What the fault makes of the true body, if there is one; `rid` is for errcodes. */
export function spoil(
	fault: Fault,
	trueBody: string | undefined,
	rid: string,
): Spoilt {
	const truth = trueBody ?? "{}";
	switch (fault.mode) {
		case "refuse":
		case "reset":
		case "cut":
		case "hang":
			return { delivery: { how: fault.mode } };
		case "delay":
			return { delivery: { how: "delay", seconds: fault.seconds ?? 5 } };
		case "drip":
			return { delivery: { how: "drip", seconds: fault.seconds ?? 60 } };
		case "status":
			return page(fault.status ?? 502);
		case "redirect":
			return {
				...page(fault.status ?? 301),
				headers: {
					...htmlHeaders,
					Location: fault.location ?? "https://example.invalid/",
				},
			};
		case "html":
			return { ...page(200), body: "<html><body>请登录 Wi-Fi</body></html>" };
		case "empty":
			return json("");
		case "big":
			return json(bigBody());
		case "gzip-big":
			return { ...json(bigBody()), delivery: { how: "gzip" } };
		case "body":
			return { ...json(fault.body ?? ""), status: fault.status ?? 200 };
		case "truncated":
			return json(truth.slice(0, Math.floor(truth.length / 2)));
		case "bom":
			return json(`\ufeff${truth}`);
		case "no-fields":
			return json("{}");
		case "empty-token":
			return altered(truth, { access_token: "" });
		case "expires-absent":
			return altered(truth, { expires_in: undefined });
		case "expires-zero":
			return altered(truth, { expires_in: 0 });
		case "expires-negative":
			return altered(truth, { expires_in: -1 });
		case "expires-text":
			return altered(truth, { expires_in: "7200" });
		case "expires-huge":
			return altered(truth, { expires_in: 1e12 });
		case "errcode":
			return errcode(fault.errcode ?? -1, fault, rid);
		case "errcode-text":
			return errcode(String(fault.errcode ?? -1), fault, rid);
		default:
			throw new TypeError(`unknown fault mode ${fault.mode satisfies never}`);
	}
}

function json(body: string): Spoilt {
	return { status: 200, headers: jsonHeaders, body, delivery: wholeDelivery };
}

function page(status: number): Spoilt {
	return {
		status,
		headers: htmlHeaders,
		body: `<html><head><title>${status}</title></head><body><center><h1>${status}</h1></center></body></html>`,
		delivery: wholeDelivery,
	};
}

function errcode(
	code: number | string,
	{ errmsg }: Fault,
	rid: string,
): Spoilt {
	const signed = errmsg ?? `${wordingOf(Number(code))} rid: ${rid}`;
	return json(JSON.stringify({ errcode: code, errmsg: signed }));
}

function altered(body: string, change: object): Spoilt {
	return json(JSON.stringify({ ...JSON.parse(body), ...change }));
}

/** 2 MB of JSON that would be a token, if anybody read that far. */
function bigBody(): string {
	return `{"padding":"${"x".repeat(2 * 1024 * 1024)}","access_token":"big","expires_in":7200}`;
}
