import { openWxtokend } from "../../../examples/node/wxtokend.mjs";
import { api, appid, serve } from "./loop.mjs";

// The directory comes from the environment.
const wechat = openWxtokend(appid, { api });
serve((method, path) =>
	wechat.call(
		path,
		{ reader: appid },
		method === "POST" ? { name: "中文" } : undefined,
	),
);
