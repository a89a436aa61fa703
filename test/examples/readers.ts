/** Every example that can be run here: what it needs, how it is built and started, and in what it differs. */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	renameSync,
	rmSync,
	statSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "../support/program.ts";

export interface Reader {
	readonly name: string;
	readonly needs: readonly Need[];
	/** Builds it, if that is its way, and gives the command line of its driver. */
	prepare(): Promise<readonly string[]>;
	/** PHP and shell answer one call after the other: many at once are many processes. */
	readonly oneCallAtATime?: true;
	/**
	 * Calls of WeChat while it refuses and there is no other token. Two: the SDK's
	 * own retry cannot be told that there is none.
	 */
	readonly callsWhenHopeless: 1 | 2;
	/** Default 1. */
	readonly reportsWhenHopeless?: 2;
	/** Codes that the SDK does not take for a dead token. */
	readonly deafTo?: readonly number[];
	/** It sends streams, too. */
	readonly sendsStreams?: true;
}

/** An example that signs with tickets. */
export type Signer = Pick<Reader, "name" | "needs" | "prepare">;

/** A Debian package, and how to see that it is there. */
export interface Need {
	readonly name: string;
	found(): boolean;
}

/** Where a driver finds its account. */
export interface Place {
	readonly appid: string;
	readonly url: string;
	readonly directory: string;
	/** What an SDK would fetch with. */
	readonly secret: string;
}

/** The names of Debian's packages to install. */
export function missingFor({
	needs,
}: Pick<Reader, "needs">): readonly string[] {
	return needs.filter((need) => !need.found()).map(({ name }) => name);
}

export function environmentOf({
	appid,
	url,
	directory,
	secret,
}: Place): Readonly<Record<string, string>> {
	return {
		WECHAT_APPID: appid,
		WECHAT_API: url,
		WECHAT_SECRET: secret,
		WXTOKEND_DIRECTORY: directory,
		EXAMPLES: examples,
		STUBS: stubs,
		PYTHONPATH: [join(examples, "python"), join(stubs, "python")].join(
			delimiter,
		),
		PYTHONDONTWRITEBYTECODE: "1",
	};
}

export const examples = join(projectRoot, "examples");
const here = join(projectRoot, "test/examples");
const stubs = join(here, "stubs");
const drivers = join(here, "drivers");

const commandOf = (name: string, command: string): Need => ({
	name,
	found: () =>
		(process.env.PATH ?? "")
			.split(delimiter)
			.some((directory) => existsSync(join(directory, command))),
});

const fileOf = (name: string, path: string): Need => ({
	name,
	found: () => existsSync(path),
});

const python = commandOf("python3", "python3");
const php = commandOf("php-cli", "php");
const phpCurl: Need = {
	name: "php-curl",
	found: () =>
		php.found() &&
		execFileSync("php", ["-m"], { encoding: "utf8" }).includes("curl"),
};
const symfony = [
	fileOf(
		"php-symfony-http-client",
		"/usr/share/php/Symfony/Component/HttpClient/autoload.php",
	),
	fileOf(
		"php-symfony-mime",
		"/usr/share/php/Symfony/Component/Mime/autoload.php",
	),
];
const psr7 = fileOf(
	"php-nyholm-psr7",
	"/usr/share/php/Nyholm/Psr7/autoload.php",
);
const laravel = fileOf(
	"php-illuminate-container",
	"/usr/share/php/Illuminate/Container/autoload.php",
);
const ruby = commandOf("ruby", "ruby");
const go = commandOf("golang-go", "go");
const java = commandOf("default-jdk-headless", "javac");
const curl = commandOf("curl", "curl");
const jq = commandOf("jq", "jq");
const mono = [
	commandOf("mono-mcs", "mcs"),
	commandOf("mono-runtime", "mono"),
	fileOf(
		"libmono-system-net-http4.0-cil",
		"/usr/lib/mono/4.5/System.Net.Http.dll",
	),
];

/** The readers without an SDK. */
export const plainReaders: readonly Reader[] = [
	{
		name: "Python",
		needs: [python],
		prepare: pythonScript("python.py"),
		callsWhenHopeless: 1,
	},
	{
		name: "PHP",
		needs: [php, phpCurl],
		prepare: script("php", "php.php"),
		oneCallAtATime: true,
		callsWhenHopeless: 1,
	},
	{
		name: "Node",
		needs: [],
		prepare: script(process.execPath, "node.mjs"),
		callsWhenHopeless: 1,
	},
	{
		name: "Go",
		needs: [go],
		prepare: async () => [await buildGo(), "transport"],
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "Ruby",
		needs: [ruby],
		prepare: script("ruby", "ruby.rb"),
		callsWhenHopeless: 1,
	},
	{
		name: "Java",
		needs: [java],
		prepare: () => javaCommand("ReaderDriver"),
		callsWhenHopeless: 1,
	},
	{
		name: "C#",
		needs: mono,
		prepare: async () => ["mono", await buildCsharp()],
		callsWhenHopeless: 1,
	},
	{
		name: "shell with jq",
		needs: [curl, jq],
		prepare: shell("wxtokend-jq.sh"),
		oneCallAtATime: true,
		callsWhenHopeless: 1,
	},
	{
		name: "shell without jq",
		needs: [curl],
		prepare: shell("wxtokend.sh"),
		oneCallAtATime: true,
		callsWhenHopeless: 1,
	},
];

/**
 * The glue for SDKs that no registry here has: against stubs with the SDK's own
 * names, types and habits.
 */
export const gluedReaders: readonly Reader[] = [
	{
		name: "EasyWeChat 6",
		needs: [php, phpCurl, ...symfony],
		prepare: script("php", "easywechat6.php"),
		oneCallAtATime: true,
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "laravel-wechat",
		needs: [php, phpCurl, ...symfony, laravel],
		prepare: script("php", "laravel-wechat.php"),
		oneCallAtATime: true,
		callsWhenHopeless: 1,
	},
	{
		name: "EasyWeChat 5",
		needs: [php, phpCurl, psr7],
		prepare: script("php", "easywechat5.php"),
		oneCallAtATime: true,
		callsWhenHopeless: 2,
	},
	{
		name: "wechatpy",
		needs: [python],
		prepare: pythonScript("with_wechatpy.py"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "chanxuehong/wechat",
		needs: [go],
		prepare: async () => [await buildGo(), "chanxuehong"],
		callsWhenHopeless: 2,
		deafTo: [40014],
	},
	{
		name: "WxJava",
		needs: [java],
		prepare: () => javaCommand("WxJavaDriver"),
		callsWhenHopeless: 2,
		reportsWhenHopeless: 2,
	},
	{
		name: "the gem wechat",
		needs: [ruby],
		prepare: script("ruby", "wechat_gem.rb"),
		callsWhenHopeless: 1,
	},
];

/** What signs pages and cards. Their drivers answer lines in order: see signers.test.ts. */
export const signers: readonly Signer[] = [
	{
		name: "Python",
		needs: [python],
		prepare: pythonScript("with_tickets.py"),
	},
	{ name: "PHP", needs: [php], prepare: script("php", "tickets.php") },
	{
		name: "Node",
		needs: [],
		prepare: script(process.execPath, "tickets.mjs"),
	},
	{
		name: "Go",
		needs: [go],
		prepare: async () => [await buildGo(), "tickets"],
	},
	{ name: "Ruby", needs: [ruby], prepare: script("ruby", "tickets.rb") },
	{
		name: "Java",
		needs: [java],
		prepare: () => javaCommand("TicketDriver"),
	},
	{
		name: "C#",
		needs: mono,
		prepare: async () => ["mono", await buildCsharp(), "tickets"],
	},
	{
		name: "shell",
		needs: [curl],
		prepare: async () => [
			join(drivers, "tickets.sh"),
			join(examples, "shell/wxtokend-tickets.sh"),
		],
	},
];

/** The glue for the ticket hooks of SDKs: see ticket-glue.test.ts. */
export const gluedSigners: readonly Signer[] = [
	{
		name: "EasyWeChat 6",
		needs: [php, ...symfony],
		prepare: script("php", "easywechat6-tickets.php"),
	},
	{
		name: "WxJava",
		needs: [java],
		prepare: () => javaCommand("WxJavaTicketDriver"),
	},
	{
		name: "silenceper/wechat",
		needs: [go],
		prepare: async () => [await buildGo(), "js-ticket"],
	},
];

function script(interpreter: string, file: string): Reader["prepare"] {
	return async () => [interpreter, join(drivers, file)];
}

/**
 * The interpreter itself. A launcher in its place, which looks for the version that is
 * wanted, takes much longer than the interpreter does.
 */
function pythonScript(file: string): Reader["prepare"] {
	return async () => {
		pythonFound ??= execFileSync(
			"python3",
			["-c", "import sys; print(sys.executable)"],
			{ encoding: "utf8" },
		).trim();
		return [pythonFound, join(drivers, file)];
	};
}

let pythonFound: string | undefined;

function shell(file: string): Reader["prepare"] {
	return async () => [join(drivers, "loop.sh"), join(examples, "shell", file)];
}

const run = promisify(execFile);

/** Compiled drivers; beside the packages, so that they go when these go. */
const builds = join(projectRoot, "node_modules/.cache/wxtokend-drivers");

/** What this process uses already. */
const built = new Map<string, Promise<string>>();

/**
 * Compiles once for all test files and all runs, until a source or the compiler
 * changes. `make` writes to its target; another process that compiles the same
 * meanwhile does no harm, as the first one to be ready puts its own in place.
 */
function build(
	compiler: string,
	sources: readonly string[],
	make: (target: string) => Promise<unknown>,
): Promise<string> {
	const known = built.get(compiler);
	if (known !== undefined) return known;
	const made = buildOnce(compiler, sources, make);
	built.set(compiler, made);
	return made;
}

async function buildOnce(
	compiler: string,
	sources: readonly string[],
	make: (target: string) => Promise<unknown>,
): Promise<string> {
	const hash = createHash("sha256").update(identityOf(compiler));
	for (const source of sources)
		hash.update(`\n${source}\n`).update(readFileSync(source));
	const place = join(builds, `${compiler}-${hash.digest("hex").slice(0, 20)}`);
	const target = join(place, "driver");
	if (existsSync(place)) return target;
	mkdirSync(builds, { recursive: true });
	const beside = mkdtempSync(join(builds, ".building-"));
	try {
		await make(join(beside, "driver"));
		renameSync(beside, place);
	} catch (error) {
		if (!existsSync(place)) throw error;
	} finally {
		rmSync(beside, { recursive: true, force: true });
	}
	return target;
}

/** Which file it is, and since when: another version is another one. */
function identityOf(compiler: string): string {
	const [path] = (process.env.PATH ?? "")
		.split(delimiter)
		.map((directory) => join(directory, compiler))
		.filter((one) => existsSync(one));
	if (path === undefined) throw new Error(`there is no ${compiler}`);
	const file = realpathSync(path);
	return `${file} ${statSync(file).mtimeMs}`;
}

function buildGo(): Promise<string> {
	const directory = join(drivers, "go");
	const sources = [
		...filesIn(directory, ""),
		...filesIn(join(examples, "go"), ""),
	];
	return build("go", sources, (target) =>
		run("go", ["build", "-o", target, "."], {
			cwd: directory,
			env: { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off" },
		}),
	);
}

function buildJava(): Promise<string> {
	const sources = [
		...filesIn(join(examples, "java"), ".java"),
		...filesIn(join(drivers, "java"), ".java"),
		...filesIn(join(stubs, "java"), ".java"),
	];
	return build("javac", sources, (target) =>
		run("javac", ["-encoding", "UTF-8", "-d", target, ...sources]),
	);
}

function filesIn(directory: string, ending: string): readonly string[] {
	return readdirSync(directory, { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(ending))
		.map((name) => join(directory, name))
		.filter((path) => statSync(path).isFile())
		.sort();
}

function buildCsharp(): Promise<string> {
	const sources = [
		...filesIn(join(drivers, "csharp"), ".cs"),
		...filesIn(join(examples, "csharp"), ".cs"),
	];
	return build("mcs", sources, (target) =>
		run("mcs", [
			"-langversion:7.2",
			"-r:System.Net.Http",
			`-out:${target}`,
			...sources,
		]),
	);
}

/** A JVM that starts soon, and leaves the machine to others: nothing here runs hot. */
async function javaCommand(main: string): Promise<readonly string[]> {
	const modest = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
	return ["java", ...modest, "-cp", await buildJava(), main];
}
