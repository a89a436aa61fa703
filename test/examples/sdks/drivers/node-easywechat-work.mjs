import { Work } from "node-easywechat";
import { plugInto } from "../node-easywechat.mjs";
import { openWxtokend } from "../wxtokend.mjs";
import { api as base, appid as name, serve } from "./loop.mjs";

const [corp_id] = name.split("_");
const app = new Work({
	corp_id,
	secret: process.env.WECHAT_SECRET,
	token: "",
	aes_key: "",
	http: { baseURL: base },
	file_cache: { path: `./cache-${process.pid}` },
});
const client = plugInto(app, openWxtokend(name)).getClient();

serve(async () => (await client.get("/cgi-bin/department/list")).toObject());
