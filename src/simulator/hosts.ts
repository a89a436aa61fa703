/**
 * The hosts of WeChat. A new host is one endpoints file and one row in the table
 * below. Pushes go the other way, from WeChat to the app: they are no host, and
 * the operator would order them.
 */
import type { Call } from "./accounts.ts";
import type { HostAnswer } from "./http-messages.ts";
import {
	answerAtQyapi,
	type QyapiEndpoint,
	qyapiEndpointNames,
	qyapiEndpointOf,
	qyapiErrmsg,
} from "./qyapi-endpoints.ts";
import { signedErrmsg } from "./weixin-answers.ts";
import {
	answerAtWeixin,
	type WeixinEndpoint,
	weixinEndpointNames,
	weixinEndpointOf,
} from "./weixin-endpoints.ts";

/** Documented names of the general API. They share all accounts and endpoints. */
export const apiHosts = [
	"api.weixin.qq.com",
	"api2.weixin.qq.com",
	"sh.api.weixin.qq.com",
	"sz.api.weixin.qq.com",
	"hk.api.weixin.qq.com",
] as const;

/** The default host of a request, and the host whose port the simulator reports first. */
export const mainHost = apiHosts[0];

/** The API of 企业微信. */
export const wecomHost = "qyapi.weixin.qq.com";

/** The name of an endpoint of any host. `other` is every path that a host does not have. */
export type Endpoint = WeixinEndpoint | QyapiEndpoint;

/** Every name that a fault can select by. */
export const endpointNames: readonly Endpoint[] = [
	...weixinEndpointNames,
	...qyapiEndpointNames,
];

/** How a host answers. Each host has endpoints, errcodes and error texts of its own. */
export interface Host {
	/** The endpoint at a path, which comes without its query. */
	endpointOf(path: string): Endpoint;
	/** The answer if no fault interferes. */
	answer(call: Call): HostAnswer;
	/** The text of an error as this host sends it, for errcodes that a fault causes. */
	errmsgOf(call: Call, errcode: number): string;
}

const weixin: Host = {
	endpointOf: weixinEndpointOf,
	answer: answerAtWeixin,
	errmsgOf: signedErrmsg,
};

/** Hosts that differ from the general API. */
const otherHosts: Readonly<Record<string, Host>> = {
	[wecomHost]: {
		endpointOf: qyapiEndpointOf,
		answer: answerAtQyapi,
		errmsgOf: qyapiErrmsg,
	},
};

/** The host with this name. A name that is not in the table answers as the general API. */
export function hostOf(name: string): Host {
	return Object.hasOwn(otherHosts, name)
		? (otherHosts[name] ?? weixin)
		: weixin;
}
