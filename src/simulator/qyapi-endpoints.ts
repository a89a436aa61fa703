/**
 * The endpoints of qyapi.weixin.qq.com (企业微信). There are none yet, only what its
 * gateway answers. Endpoints and errcodes of this host belong into this file.
 */
import type { Call } from "./accounts.ts";
import { type HostAnswer, statusOnly } from "./http-messages.ts";

/** Captured: plain HTTP is redirected to https, and an unknown path gets 404 without a body. */
export function answerAtQyapi({ request }: Call): HostAnswer {
	return request.secure
		? statusOnly(404)
		: statusOnly(301, {
				Location: `https://qyapi.weixin.qq.com${request.path}`,
			});
}
