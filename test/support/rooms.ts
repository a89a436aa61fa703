/**
 * The rooms of src/ and the walls between them: what a room may import, and what
 * it may touch. This table is the architecture. test/architecture.test.ts holds
 * the sources to it, test/documents.test.ts the documents.
 */

export interface Room {
	/** Rooms whose files it may import, types included; it may always import itself. */
	readonly rooms: readonly string[];
	/** Single files of other rooms that it may import. */
	readonly files?: readonly string[];
	/** Modules of Node.js and packages that it may import. */
	readonly modules: readonly string[];
	/** Globals that it may use, of those that the test guards. */
	readonly globals: readonly string[];
	/** The same two lists in words, for the documents. */
	readonly touches: Said;
	/** What is in it, for the documents. */
	readonly holds: Said;
}

/** A text of the documents in both of their languages. */
type Said = Readonly<Record<Language, string>>;
export type Language = "en" | "zh";

/** Functions like any other: they compute, and touch nothing outside. */
const pureModules = ["node:crypto", "node:path", "node:util"];
const network = [
	"node:http",
	"node:https",
	"node:net",
	"node:tls",
	"node:zlib",
	"undici",
];
const disk = ["node:fs", "node:fs/promises", "node:os"];
const waiting = ["node:timers/promises"];

export const rooms: Readonly<Record<string, Room>> = {
	core: {
		rooms: [],
		modules: pureModules,
		globals: [],
		touches: {
			en: "nothing; only `core/clock.ts` asks for the time",
			zh: "什么都不碰；只有 `core/clock.ts` 读时钟",
		},
		holds: {
			en: "types, decisions, what follows from an answer, errors, the contracts of issuer and store",
			zh: "类型、决策、响应之后的状态变化、错误、issuer 与 store 的接口约定",
		},
	},
	issuer: {
		rooms: ["core"],
		modules: [...pureModules, ...network, ...waiting],
		globals: ["setTimeout", "setImmediate"],
		touches: { en: "the network", zh: "网络" },
		holds: {
			en: "one call to WeChat → a token or a typed error; failover, HTTP, proxy",
			zh: "调用一次微信 → 一个 token 或一个有类型的错误；线路切换、HTTP、代理",
		},
	},
	store: {
		rooms: ["core"],
		modules: [
			...pureModules,
			...disk,
			...waiting,
			"node:http",
			"node:https",
			"proper-lockfile",
			"@redis/client",
		],
		globals: [
			"process.pid",
			"process.kill",
			"process.geteuid",
			"setTimeout",
			"setImmediate",
		],
		touches: {
			en: "the disk, a Redis or central wxtokend, and whether a process lives",
			zh: "磁盘、Redis 或中心 wxtokend，以及某个进程是否活着",
		},
		holds: {
			en: "where tokens and shared records are: lock, atomic write, file watch",
			zh: "token 和共享记录存放在哪里：锁、原子写入、文件监视",
		},
	},
	keeper: {
		rooms: ["core"],
		// Giving way to sockets and timers is no effect on the world.
		modules: ["node:timers/promises"],
		globals: ["setTimeout", "setImmediate"],
		touches: {
			en: "only what it is handed, and timers to give way",
			zh: "只用传进来的东西，另有让出执行的定时器",
		},
		holds: {
			en: "one refresh, one credential, all credentials",
			zh: "一次刷新、一个凭据、全部凭据",
		},
	},
	config: {
		rooms: ["core"],
		modules: [
			...pureModules,
			...disk,
			"node:child_process",
			"node-cron",
			"smol-toml",
			"valibot",
		],
		globals: [],
		touches: {
			en: "reads files, the environment and group names (`getent`)",
			zh: "读文件、环境变量、组名（`getent`）",
		},
		holds: {
			en: "text → a `Config`, or all of its problems at once",
			zh: "文本 → `Config`，或一次列出全部问题",
		},
	},
	daemon: {
		rooms: ["core", "keeper", "issuer", "store", "config"],
		modules: ["*"],
		globals: ["*"],
		touches: {
			en: "the process: signals, timers, sockets, systemd, V8, log",
			zh: "进程：信号、定时器、套接字、systemd、V8、日志",
		},
		holds: {
			en: "the daemon from start to stop, wiring, control socket, metrics",
			zh: "守护进程从启动到停止、组装、控制套接字、指标",
		},
	},
	cli: {
		rooms: [
			"core",
			"keeper",
			"issuer",
			"store",
			"config",
			"daemon",
			"simulator",
		],
		modules: ["*"],
		globals: ["*"],
		touches: {
			en: "arguments, stdin, stdout, stderr, exit code",
			zh: "命令行参数、stdin、stdout、stderr、退出码",
		},
		holds: { en: "the commands and their help", zh: "各个命令及其帮助" },
	},
	simulator: {
		rooms: [],
		files: ["core/clock.ts"],
		modules: [
			...pureModules,
			"node:http",
			"node:https",
			"node:net",
			"node:zlib",
			"node:events",
			"node:timers/promises",
		],
		globals: ["*"],
		touches: { en: "loopback", zh: "本机回环地址" },
		holds: {
			en: "a WeChat for tests, apart from the product",
			zh: "测试用的模拟微信，与产品代码分开",
		},
	},
};

const words = {
	en: { all: "every room", none: "nothing", only: "only" },
	zh: { all: "全部", none: "无", only: "仅" },
} as const;

/** The rows of the table as the documents must show them, without its head. */
export function roomRows(language: Language): readonly string[] {
	return Object.entries(rooms).map(
		([name, room]) =>
			`| \`${name}/\` | ${importsOf(room, language)} | ${room.touches[language]} | ${room.holds[language]} |`,
	);
}

function importsOf({ rooms: others, files = [] }: Room, language: Language) {
	const { all, none, only } = words[language];
	if (others.length === Object.keys(rooms).length - 1) return all;
	if (files.length > 0)
		return `${only} ${files.map((file) => `\`${file}\``).join(" ")}`;
	return others.length === 0
		? none
		: others.map((name) => `\`${name}\``).join(" ");
}
