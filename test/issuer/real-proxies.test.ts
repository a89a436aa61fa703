/**
 * Plain http through the proxies that Debian ships, with the rules that they have
 * there: CONNECT is for port 443 alone. Those that are not installed are left out.
 */
import { spawn } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdtempSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createHttp } from "../../src/issuer/http.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { rawAnswer, startRaw } from "../support/raw-server.ts";

interface Place {
	readonly port: number;
	/** Where it may write. */
	readonly directory: string;
	/** Of WeChat, for those that only ever call one server. */
	readonly server: string;
}

interface Proxy {
	readonly program: string;
	readonly args: readonly string[];
	readonly config: (place: Place) => string;
	/** It names itself in the requests that it passes on. */
	readonly leavesVia: boolean;
}

const proxies: Readonly<Record<string, Proxy>> = {
	squid: {
		program: "/usr/sbin/squid",
		args: ["-N", "-f"],
		leavesVia: true,
		config: ({ port }) => `
http_port 127.0.0.1:${port}
acl SSL_ports port 443
acl Safe_ports port 80 443 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost
http_access deny all
access_log none
cache_log /dev/null
pid_filename none
shutdown_lifetime 0 seconds
`,
	},
	tinyproxy: {
		program: "/usr/bin/tinyproxy",
		args: ["-d", "-c"],
		leavesVia: true,
		config: ({ port }) => `
Port ${port}
Listen 127.0.0.1
Timeout 600
Allow 127.0.0.1
ConnectPort 443
ConnectPort 563
`,
	},
	haproxy: {
		program: "/usr/sbin/haproxy",
		args: ["-db", "-f"],
		leavesVia: false,
		config: ({ port, server }) => `
defaults
	mode http
	timeout connect 60s
	timeout client 60s
	timeout server 60s
frontend in
	bind 127.0.0.1:${port}
	default_backend out
backend out
	server wechat ${server}
`,
	},
	nginx: {
		program: "/usr/sbin/nginx",
		args: ["-c"],
		leavesVia: false,
		config: ({ port, directory }) => `
daemon off;
master_process off;
pid ${directory}/pid;
error_log /dev/null;
events {}
http {
	access_log off;
	client_body_temp_path ${directory}/body;
	proxy_temp_path ${directory}/proxy;
	fastcgi_temp_path ${directory}/fastcgi;
	uwsgi_temp_path ${directory}/uwsgi;
	scgi_temp_path ${directory}/scgi;
	server {
		listen 127.0.0.1:${port};
		location / { proxy_pass http://$http_host$request_uri; proxy_set_header Host $http_host; }
	}
}
`,
	},
};

/** This machine, by an address that is no loopback: that would go around any proxy. */
const address =
	Object.values(networkInterfaces())
		.flat()
		.find((one) => one?.family === "IPv4" && !one.internal)?.address ?? "";

describe.each(Object.entries(proxies))("%s", (name, proxy) => {
	const reason = !existsSync(proxy.program)
		? `${name} is not installed`
		: address === ""
			? "this machine has no address but loopback"
			: "";

	test("passes on plain http, asked and answered as without it", async ({
		skip,
	}) => {
		skip(reason !== "", reason);
		const wechat = await startRaw(
			({ socket }) => socket.write(rawAnswer({ body: '{"errcode":0}' })),
			{ address },
		);
		const server = `${address}:${wechat.port}`;
		const http_proxy = await start(proxy, server);
		const http = createHttp({ connectTimeoutMs: 60_000, env: { http_proxy } });
		onTestFinished(() => http.close());
		const ask = { baseUrl: `http://${server}/below`, timeoutMs: 60_000 };
		const path = "/cgi-bin/token?secret=a%2Fb%20c";
		const body = '{"force_refresh":false}';
		for (const request of [{ path }, { path, body }, { path }])
			expect(await http.send({ ...ask, ...request })).toMatchObject({
				status: 200,
				text: '{"errcode":0}',
			});
		const texts = wechat.requests.map(({ text }) => text);
		expect(texts.map((text) => text.split("\r\n")[0])).toEqual([
			expect.stringContaining("GET "),
			expect.stringContaining("POST "),
			expect.stringContaining("GET "),
		]);
		for (const text of texts) {
			expect(text).toContain(`/below${path} HTTP/1.`);
			expect(text.toLowerCase()).toContain(`\r\nhost: ${server}\r\n`);
			expect(/^via: /im.test(text)).toBe(proxy.leavesVia);
		}
		expect(texts[1]?.endsWith(body)).toBe(true);
	});
});

/** Its URL, when it listens. Ended after the test. */
async function start(proxy: Proxy, server: string): Promise<string> {
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-proxy-"));
	// Started by root, some become another user.
	chmodSync(directory, 0o755);
	const port = await freePort();
	const file = join(directory, "proxy.conf");
	writeFileSync(file, proxy.config({ port, directory, server }));
	const child = spawn(proxy.program, [...proxy.args, file], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream.on("data", (text) => {
			output += text;
		});
	const ended = new Promise((resolve) => child.on("close", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
		rmSync(directory, { recursive: true, force: true });
	});
	await eventually(
		() => {
			if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
			return listens(port);
		},
		{ what: "the proxy's port" },
	);
	return `http://127.0.0.1:${port}`;
}

function listens(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = createConnection(port, "127.0.0.1");
		socket.on("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.on("error", () => resolve(false));
	});
}
