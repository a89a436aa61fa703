/**
 * The way to a Redis or Valkey: two connections, one for commands and one for messages,
 * opened again for as long as it takes. With sentinels the primary is asked for at each
 * opening, and each second after it.
 *
 * A session ends at its first doubt: an error of a socket, an answer that does not come,
 * another primary, a primary that takes no writes. Nothing is sent again by itself: what
 * was under way is rejected, and the caller decides.
 */
import {
	setTimeout as sleep,
	setImmediate as turnOfTheLoop,
} from "node:timers/promises";
import { createClient, ErrorReply } from "@redis/client";
import type { RedisScript } from "./redis-scripts.ts";

/** Where a Redis is. */
export type RedisNode =
	| { readonly host: string; readonly port: number }
	| { readonly path: string };

export interface RedisTarget {
	/** The one server, or the sentinels. */
	readonly nodes: readonly RedisNode[];
	/** What the sentinels call the primary; undefined: there are none. */
	readonly sentinelName: string | undefined;
	readonly database: number;
	readonly username: string | undefined;
	readonly password: string | undefined;
	readonly sentinelPassword: string | undefined;
	readonly isTls: boolean;
	/** PEM. */
	readonly ca: string | undefined;
}

/** Why it cannot be used, for a person; neither holds a password. */
export interface LinkProblem {
	readonly message: string;
	readonly hint: string;
}

/** A call that was not done, as far as is known. */
export class LinkError extends Error {
	readonly hint: string;
	constructor({ message, hint }: LinkProblem) {
		super(message);
		this.name = "LinkError";
		this.hint = hint;
	}
}

export interface RedisLink {
	/** One command. Rejects with `LinkError`. */
	call(args: readonly string[]): Promise<unknown>;
	/** One script. Rejects with `LinkError`. */
	run(
		script: RedisScript,
		keys: readonly string[],
		args: readonly string[],
	): Promise<unknown>;
	/** Resolves when all messages up to now were passed on. Rejects with `LinkError`. */
	heardAll(): Promise<void>;
	isUp(): boolean;
	/** Undefined: it is up, or nobody knows yet. */
	problem(): LinkProblem | undefined;
	/** `host:port` of the server, or the path of its socket; "" if it is not up. */
	address(): string;
	close(): Promise<void>;
}

export interface LinkParts {
	readonly target: RedisTarget;
	readonly channel: string;
	readonly onMessage: (message: string) => void;
	/** A session has begun; what was missed meanwhile is to be looked for. */
	readonly onUp: () => void;
	readonly onDown: (problem: LinkProblem) => void;
	/** Each second while it is up. Rejects with `LinkError` if the server does not answer. */
	readonly onPoll: () => Promise<void>;
	/** Milliseconds from an arbitrary start. */
	readonly monotonic: () => number;
	/** 0 to 1. */
	readonly random: () => number;
	/** What no error class stands for. */
	readonly onBug: (error: unknown) => void;
}

const connectTimeoutMs = 4_000;
/** Of the client, which counts a time in which this process did not run as well. */
const socketTimeoutMs = 10_000;
/** How long the server may be silent: the deadlines of the client do not end what was sent. */
const callTimeoutMs = 1_500;
const pollEveryMs = 1_000;

/** Connects at once, and goes on until it is closed. */
export function openRedisLink(parts: LinkParts): RedisLink {
	const closing = new AbortController();
	let session: Session | undefined;
	let problem: LinkProblem | undefined;

	const live = async () => {
		while (!closing.signal.aborted) {
			try {
				session = await openSession(parts, closing.signal);
				problem = undefined;
				parts.onUp();
				session.poll();
				problem = await session.ended;
			} catch (error) {
				problem = problemOf(error, parts.target);
			}
			const former = session;
			session = undefined;
			former?.destroy();
			if (closing.signal.aborted) return;
			parts.onDown(problem);
			const pauseMs = 200 + 200 * parts.random();
			await sleep(pauseMs, undefined, { signal: closing.signal }).catch(
				() => {},
			);
		}
	};
	const lived = live().catch(parts.onBug);

	const call = async (args: readonly string[]): Promise<unknown> => {
		if (session === undefined) throw new LinkError(problem ?? notYet);
		return session.call(args);
	};

	return {
		call,
		run: async ({ sha, text }, keys, args) => {
			const rest = [String(keys.length), ...keys, ...args];
			try {
				return await call(["EVALSHA", sha, ...rest]);
			} catch (error) {
				if (!(error instanceof UnknownScript)) throw error;
				return call(["EVAL", text, ...rest]);
			}
		},
		heardAll: async () => {
			if (session === undefined) throw new LinkError(problem ?? notYet);
			await session.heardAll();
		},
		isUp: () => session !== undefined,
		problem: () => (session === undefined ? problem : undefined),
		address: () => session?.address ?? "",
		close: async () => {
			closing.abort();
			session?.end(notYet);
			await lived;
		},
	};
}

const notYet: LinkProblem = {
	message: "Redis was not reached yet",
	hint: "wait a moment; wxtokend status --fleet says more",
};

/** The server does not know the script: it was restarted, or its scripts were flushed. */
class UnknownScript extends LinkError {}

/** Two connections to one server, from their opening to the first doubt. */
interface Session {
	readonly address: string;
	call(args: readonly string[]): Promise<unknown>;
	/** Resolves when what was told before was heard, too. Rejects with `LinkError`. */
	heardAll(): Promise<unknown>;
	/** Resolves with the reason. */
	readonly ended: Promise<LinkProblem>;
	/** From now on it is looked after. */
	poll(): void;
	end(why: LinkProblem): void;
	destroy(): void;
}

type Client = ReturnType<typeof newClient>;

async function openSession(
	parts: LinkParts,
	closing: AbortSignal,
): Promise<Session> {
	const { target } = parts;
	let end: (why: LinkProblem) => void = () => {};
	const ended = new Promise<LinkProblem>((resolve) => {
		end = resolve;
	});
	const clients: Client[] = [];
	const destroyAll = () => {
		for (const client of clients.splice(0)) if (client.isOpen) client.destroy();
	};
	const connect = async (node: RedisNode, role: Role): Promise<Client> => {
		const client = newClient(target, node, role);
		client.on("error", (error) => end(problemOf(error, target)));
		clients.push(client);
		await within(connectTimeoutMs, client.connect(), parts);
		return client;
	};
	try {
		const sentinel =
			target.sentinelName === undefined
				? undefined
				: await connectSentinel(parts, connect);
		const node = sentinel?.primary ?? target.nodes[0];
		if (node === undefined) throw new Error("a Redis without an address");
		const [commands, messages] = await Promise.all([
			connect(node, "commands"),
			connect(node, "messages"),
		]);
		await subscribe(messages, parts);
		if (closing.aborted) throw new LinkError(notYet);
		const callsOf = (client: Client) => {
			const patience = createPatience(parts, end);
			return (args: readonly string[]) =>
				callOf(client, args, { ...parts, patience, end });
		};
		const ping = callsOf(messages);
		const session: Session = {
			address: addressOf(node),
			call: callsOf(commands),
			// Its answer comes behind them, as it does on the same connection.
			heardAll: () => ping(["PING"]),
			ended,
			end,
			poll: () => {
				void poll(parts, sentinel, node, end, ended).catch(parts.onBug);
			},
			destroy: destroyAll,
		};
		return session;
	} catch (error) {
		destroyAll();
		throw error;
	}
}

/** Listens to the channel. Some proxies end the connection at that, and say nothing. */
async function subscribe(client: Client, parts: LinkParts): Promise<void> {
	const subscribed = client.subscribe(parts.channel, (message) => {
		try {
			parts.onMessage(message);
		} catch (error) {
			parts.onBug(error);
		}
	});
	try {
		await within(callTimeoutMs, subscribed, parts);
	} catch (error) {
		if (error instanceof ErrorReply || error instanceof LinkError) throw error;
		throw new LinkError({
			message: `Redis at ${placeOf(parts.target)}: the connection ended at SUBSCRIBE`,
			hint: "look whether it runs; if this is a proxy that does not know SUBSCRIBE, such as twemproxy, name Redis itself in url",
		});
	}
}

type Role = "commands" | "messages" | "sentinel";

function newClient(target: RedisTarget, node: RedisNode, role: Role) {
	const { username, password, sentinelPassword, isTls, ca } = target;
	const isSentinel = role === "sentinel";
	const secret = isSentinel ? sentinelPassword : password;
	const basic = {
		connectTimeout: socketTimeoutMs,
		socketTimeout: socketTimeoutMs,
		// A session that has a doubt ends; the next one is a new client.
		reconnectStrategy: false as const,
	};
	const tls = { tls: true as const, ...(ca === undefined ? {} : { ca }) };
	return createClient({
		RESP: 2,
		disableOfflineQueue: true,
		disableClientInfo: true,
		maintNotifications: "disabled",
		// The other two are asked something each second anyway.
		...(role === "messages" && { pingInterval: pollEveryMs }),
		// It would end what waits to be sent, whatever the server answers meanwhile.
		commandOptions: { timeout: 0 },
		database: isSentinel ? 0 : target.database,
		...(username === undefined || isSentinel ? {} : { username }),
		...(secret === undefined ? {} : { password: secret }),
		socket:
			"path" in node
				? { ...basic, path: node.path }
				: { ...basic, ...node, ...(isTls ? tls : {}) },
	});
}

/** A sentinel that answers, and the primary that it names. */
interface Sentinel {
	readonly client: Client;
	readonly primary: RedisNode;
}

async function connectSentinel(
	parts: Measured,
	connect: (node: RedisNode, role: Role) => Promise<Client>,
): Promise<Sentinel> {
	let last: unknown;
	for (const node of parts.target.nodes) {
		try {
			const client = await connect(node, "sentinel");
			const primary = await primaryBy(client, parts);
			return { client, primary };
		} catch (error) {
			last = error;
		}
	}
	throw last;
}

async function primaryBy(client: Client, parts: Measured): Promise<RedisNode> {
	const name = parts.target.sentinelName ?? "";
	const command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name];
	const answer = await within(
		callTimeoutMs,
		client.sendCommand(command),
		parts,
	);
	const [host, port] = Array.isArray(answer) ? answer.map(String) : [];
	if (host === undefined)
		throw new LinkError({
			message: `the sentinels know no primary ${JSON.stringify(name)}`,
			hint: "set `name` below [fleet] to the name in `sentinel monitor`",
		});
	return { host, port: Number(port) };
}

/** Each second: does the server answer, and is it still the primary? */
async function poll(
	parts: LinkParts,
	sentinel: Sentinel | undefined,
	node: RedisNode,
	end: (why: LinkProblem) => void,
	ended: Promise<LinkProblem>,
): Promise<void> {
	const { target } = parts;
	let isOver = false;
	void ended.then(() => {
		isOver = true;
	});
	for (;;) {
		const beganAt = parts.monotonic();
		try {
			await parts.onPoll();
			if (sentinel !== undefined) {
				const primary = await primaryBy(sentinel.client, parts);
				if (addressOf(primary) !== addressOf(node))
					end({
						message: `the primary of Redis is ${addressOf(primary)} now`,
						hint: "nothing to do: it is connected to next",
					});
			}
		} catch (error) {
			end(problemOf(error, target));
		}
		const leftMs = pollEveryMs - (parts.monotonic() - beganAt);
		await Promise.race([sleep(Math.max(leftMs, 100)), ended]);
		if (isOver) return;
	}
}

interface CallParts {
	readonly target: RedisTarget;
	readonly patience: Patience;
	readonly end: (why: LinkProblem) => void;
}

async function callOf(
	client: Client,
	args: readonly string[],
	parts: CallParts,
): Promise<unknown> {
	const { patience, end } = parts;
	try {
		return await patience.wait(client.sendCommand(args));
	} catch (error) {
		const problem = problemOf(error, parts.target);
		if (error instanceof ErrorReply) {
			if (error.message.startsWith("NOSCRIPT"))
				throw new UnknownScript(problem);
			// It serves others, or will soon: another session may find a better one.
			if (/^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN)/.test(error.message))
				end(problem);
		} else end(problem);
		throw new LinkError(problem);
	}
}

type Measured = Pick<LinkParts, "target" | "monotonic">;

/** Waits for the answers of one connection, which come in the order of the calls. */
interface Patience {
	/** The same, or a rejection if the server is silent for too long. */
	wait<T>(answer: Promise<T>): Promise<T>;
}

/**
 * The server is silent if it owes answers, and gave none for so long. Of a thousand calls
 * at once the last one waits for all the others, and each answer shows that it comes.
 */
function createPatience(
	{ target, monotonic }: Measured,
	end: (why: LinkProblem) => void,
): Patience {
	/** Those who wait, in the order of their calls. */
	const waiting = new Set<(error: LinkError) => void>();
	let isWatching = false;
	let heardAt = 0;

	const watch = async () => {
		let extensions = 0;
		while (waiting.size > 0) {
			const beganAt = monotonic();
			const leftMs = Math.max(heardAt + callTimeoutMs - beganAt, 1);
			// This timer need not keep the process alive: the socket does.
			await sleep(leftMs, undefined, { ref: false });
			// What has come meanwhile is read first.
			await turnOfTheLoop();
			const now = monotonic();
			if (now - heardAt < callTimeoutMs) {
				extensions = 0;
				continue;
			}
			// If this process itself was slow, the answer may be there, unread.
			const isLate = now - beganAt - leftMs > lateMs;
			if (!isLate || extensions >= maxExtensions) break;
			extensions += 1;
			heardAt = now;
		}
		isWatching = false;
		if (waiting.size === 0) return;
		const problem = silenceOf(target, callTimeoutMs);
		end(problem);
		for (const reject of [...waiting]) reject(new LinkError(problem));
	};

	return {
		wait: (answer) =>
			new Promise((resolve, reject) => {
				if (waiting.size === 0) heardAt = monotonic();
				waiting.add(reject);
				const heard = () => {
					waiting.delete(reject);
					heardAt = monotonic();
				};
				answer.finally(heard).then(resolve, reject);
				if (isWatching) return;
				isWatching = true;
				void watch();
			}),
	};
}

function silenceOf(target: RedisTarget, afterMs: number): LinkProblem {
	return {
		message: `Redis at ${placeOf(target)} did not answer in ${afterMs / 1_000} s`,
		hint: "look whether it hangs, and whether a firewall drops what is sent",
	};
}

/** A timer that comes so late tells of a process that got no time to run. */
const lateMs = 250;
const maxExtensions = 4;

/**
 * Rejects after that time, whatever the client does. If this process itself was slow, the
 * answer may be there, unread, and it waits for some more.
 */
async function within<T>(
	timeoutMs: number,
	promise: Promise<T>,
	{ target, monotonic }: Measured,
): Promise<T> {
	const timer = new AbortController();
	const { signal } = timer;
	const waitOnce = async () => {
		const beganAt = monotonic();
		await sleep(timeoutMs, undefined, { signal });
		await turnOfTheLoop();
		return monotonic() - beganAt - timeoutMs > lateMs;
	};
	const wait = async (): Promise<never> => {
		for (let times = 0; times < maxExtensions; times += 1)
			if (!(await waitOnce())) break;
		throw new LinkError(silenceOf(target, timeoutMs));
	};
	const late = wait();
	// It lost the race, and nobody waits for it.
	late.catch(() => {});
	promise.catch(() => {});
	try {
		return await Promise.race([promise, late]);
	} finally {
		timer.abort();
	}
}

function addressOf(node: RedisNode): string {
	return "path" in node ? node.path : `${node.host}:${node.port}`;
}

/** Where the configuration says that it is. */
function placeOf({ nodes, sentinelName }: RedisTarget): string {
	const places = nodes.map(addressOf).join(", ");
	return sentinelName === undefined
		? places
		: `${sentinelName} behind the sentinels ${places}`;
}

/** In words that name the remedy. */
function problemOf(error: unknown, target: RedisTarget): LinkProblem {
	if (error instanceof LinkError)
		return { message: error.message, hint: error.hint };
	const text = error instanceof Error ? error.message : String(error);
	const code = String(Object(error).code ?? "");
	const [, hint] =
		remedies.find(([pattern]) => pattern.test(`${code} ${text}`)) ?? [];
	// A reply of a server begins with a word in capitals, and may quote what was sent.
	const what =
		error instanceof ErrorReply
			? text.slice(0, 160)
			: code || text.slice(0, 160) || "the connection ended";
	return {
		message: `Redis at ${placeOf(target)}: ${what}`,
		hint:
			hint ??
			"look whether it runs, and whether this host reaches it: redis-cli PING",
	};
}

/** What an error says → what to do. */
const remedies: readonly (readonly [RegExp, string])[] = [
	[
		/WRONGPASS|invalid (username-)?password/i,
		"correct password_file or username below [fleet]",
	],
	[
		/NOAUTH|called without any password|AUTH <password>/i,
		"the server wants a password, or wants none: see password_file below [fleet]",
	],
	[/NOPERM/, "give the user of [fleet] the rights that docs/fleet.md lists"],
	[
		/NOREPLICAS/,
		"min-replicas-to-write of the server is not met: look at its replicas",
	],
	[
		/\b(MOVED|ASK|CROSSSLOT|CLUSTERDOWN) /,
		"this is a Redis Cluster, of which each node has only some of the keys, and redirections are not followed: name a server without cluster mode in url, or sentinels, or a proxy that hides the nodes",
	],
	[
		/unknown (sub)?command|unsupported command|not supported/i,
		"the server, or a proxy before it, lacks a command that docs/fleet.md lists: name another server in url",
	],
	[
		/WRONGTYPE/,
		"another program has a key of that name: set another prefix below [fleet], or delete the key",
	],
	[/OOM/, "the server has no memory left: raise maxmemory"],
	[/MISCONF/, "the server cannot write its snapshot: look at its log"],
	[
		/READONLY/,
		"this server is a replica: name the primary in url, or set sentinels",
	],
	[
		/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/i,
		"set ca_file below [fleet] to the certificate of the authority, and use the name that is in the server's certificate",
	],
	[/WRONG_VERSION_NUMBER|EPROTO/, "the server speaks no TLS: use redis://"],
	[
		/ENOTFOUND|EAI_AGAIN/,
		"correct the name of the server below [fleet], or look at DNS",
	],
	[/ENOENT|EACCES/, "look at the path and the rights of the server's socket"],
];
