/**
 * A process that has an example in it and calls WeChat whenever it is told to:
 * each line "ID METHOD PATH" on its stdin is one call, answered by a line on its
 * stdout, "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT".
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export type Result =
	/** WeChat's answer, as it came to the app; 0: it worked. */
	| { readonly errcode: number }
	/** An error that is not WeChat's. */
	| { readonly error: string };

export interface Driver {
	/** STREAM: a POST whose body can be read only once. */
	call(method?: "GET" | "POST" | "STREAM"): Promise<Result>;
	stop(): Promise<void>;
}

export interface DriverOptions {
	readonly command: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly cwd?: string;
	/** What to call. */
	readonly path: string;
}

export function startDriver(options: DriverOptions): Driver {
	const { path, env } = options;
	const [file = "", ...rest] = options.command;
	const child = spawn(file, rest, {
		env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
		stdio: ["pipe", "pipe", "pipe"],
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
	});
	const waiting = new Map<
		string,
		{
			readonly resolve: (result: Result) => void;
			readonly reject: (error: Error) => void;
		}
	>();
	let lastId = 0;
	let errors = "";
	let why: string | undefined;
	child.stderr.setEncoding("utf8").on("data", (text) => {
		errors += text;
	});
	// A driver that is gone says so in "close".
	child.stdin.on("error", () => {});
	createInterface({ input: child.stdout }).on("line", (line) => {
		const [id = "", kind, text = ""] = line.split("\t");
		waiting.get(id)?.resolve(resultOf(kind, text, line));
		waiting.delete(id);
	});
	const ended = new Promise<void>((resolve) => {
		const end = (reason: string) => {
			why = `${options.command.join(" ")} ended (${reason}): ${errors}`;
			for (const { reject } of waiting.values()) reject(new Error(why));
			waiting.clear();
			resolve();
		};
		child.on("error", (error) => end(error.message));
		child.on("close", (code) => end(`exit code ${code}`));
	});
	return {
		call: (method = "GET") =>
			new Promise((resolve, reject) => {
				if (why !== undefined) return reject(new Error(why));
				lastId += 1;
				waiting.set(String(lastId), { resolve, reject });
				child.stdin.write(`${lastId} ${method} ${path}\n`);
			}),
		stop: () => {
			child.kill("SIGKILL");
			return ended;
		},
	};
}

function resultOf(
	kind: string | undefined,
	text: string,
	line: string,
): Result {
	if (kind === "error") return { error: text };
	if (kind !== "answer") return { error: `not a line of a driver: ${line}` };
	try {
		return { errcode: JSON.parse(text)?.errcode ?? 0 };
	} catch {
		return { error: `no answer of WeChat's: ${text}` };
	}
}
