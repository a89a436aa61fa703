// Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT", all at once.
import { createInterface } from "node:readline";

export const {
	WECHAT_APPID: appid,
	WXTOKEND_DIRECTORY: directory,
	WECHAT_API: api,
} = process.env;

/** @param call (method, path) → WeChat's answer; throws what is no answer of WeChat's */
export function serve(call) {
	createInterface({ input: process.stdin }).on("line", async (line) => {
		const [id, method, path] = line.split(" ");
		let result;
		try {
			result = `answer\t${JSON.stringify(await call(method, path))}`;
		} catch (error) {
			result = `error\t${String(error).replaceAll("\n", " ")}`;
		}
		process.stdout.write(`${id}\t${result}\n`);
	});
}
