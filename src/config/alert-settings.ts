/** Where alerts are sent, and how: `[alert]` of the configuration, with its defaults. */

/** The robots whose messages are known; "json" is for any other receiver. */
export const alertFormats = ["wecom", "dingtalk", "feishu", "json"] as const;
export type AlertFormat = (typeof alertFormats)[number];

/** The languages in which an alert can be written. */
export const alertLanguages = ["zh", "en"] as const;
export type AlertLanguage = (typeof alertLanguages)[number];

/** `[alert]` without mistakes. */
export interface AlertSettings {
	/** Of the robot; a secret. http or https. */
	readonly url: string;
	/** With which messages are signed; undefined: they are not. */
	readonly secret: string | undefined;
	readonly format: AlertFormat;
	/** How long a failure that may pass by itself must last before it is told. */
	readonly afterMs: number;
	readonly language: AlertLanguage;
}

/** What of it has a default, before the defaults are filled in. */
export interface AlertKeys {
	readonly format?: AlertFormat | undefined;
	/** Seconds. */
	readonly after?: number | undefined;
	readonly language?: AlertLanguage | undefined;
}

/** With the defaults. Without `format` it is that of the robot's host. */
export function settingsFor(
	{ format, after = 300, language = "zh" }: AlertKeys,
	url: string,
	secret: string | undefined,
): AlertSettings {
	return {
		url,
		secret,
		format: format ?? formatOf(url) ?? "json",
		afterMs: after * 1000,
		language,
	};
}

const formatsByHost: Readonly<Record<string, AlertFormat>> = {
	"qyapi.weixin.qq.com": "wecom",
	"oapi.dingtalk.com": "dingtalk",
	"open.feishu.cn": "feishu",
	"open.larksuite.com": "feishu",
};

/** The format of the robots of that host; undefined: it is none of theirs. */
export function formatOf(url: string): AlertFormat | undefined {
	return formatsByHost[new URL(url).hostname];
}
