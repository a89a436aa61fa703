/** errmsg texts as captured from WeChat, else as documented; without the `rid`. */
const wording: Readonly<Record<number, string>> = {
	[-1]: "system error",
	40001:
		"invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	40002: "invalid grant_type",
	40013: "invalid appid",
	40014: "invalid access_token",
	40066: "invalid url",
	40097: "invalid args",
	40125: "invalid appsecret",
	40164: "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist",
	40243: "appsecret is frozen",
	41001: "access_token missing",
	41002: "appid missing",
	41004: "appsecret missing",
	42001: "access_token expired",
	43001: "require GET method",
	43002: "require POST method",
	44002: "empty post data",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit, must slower, retry next minute",
	47001: "data format error",
	48001: "api unauthorized",
	48006: "forbid to clear quota because of reaching the limit",
	50002: "user limited",
	50004: "user not allow to use accesstoken, maybe for punishment",
	50007: "account is frozen",
	61024: "must use api(api_component_token) to  get token for component acct",
	76003: "cgi_path not found, please check",
	76021: "could not use this cgi_path,no permission",
	89501: "此IP正在等待管理员确认，请联系管理员",
	89503: "此次调用需要管理员确认，请耐心等候",
	89506:
		"该IP调用求请求已被公众号管理员拒绝，请24小时后再试，建议调用前与管理员沟通确认",
	89507:
		"该IP调用求请求已被公众号管理员拒绝，请1小时后再试，建议调用前与管理员沟通确认",
};

/** The errmsg of an errcode. */
export function wordingOf(errcode: number): string {
	return wording[errcode] ?? "unknown error";
}
