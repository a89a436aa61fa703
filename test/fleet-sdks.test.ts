/**
 * What SDKs find under the keys of `publish_as`, by the libraries that they read Redis
 * with: Symfony's cache in PHP, which EasyWeChat 6 uses, and redis-py, as the storage of
 * wechatpy uses it.
 */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { startHosts } from "./support/hosts.ts";
import { noRedis, startRedis } from "./support/redis.ts";

/** With another value in between: a cache that believed its own memory would not see it. */
const phpReader = `<?php
foreach (['Psr/SimpleCache/CacheInterface.php', 'Psr/SimpleCache/CacheException.php', 'Psr/SimpleCache/InvalidArgumentException.php', 'Symfony/Component/Cache/autoload.php'] as $file)
    require '/usr/share/php/' . $file;
use Symfony\\Component\\Cache\\Adapter\\RedisAdapter;
use Symfony\\Component\\Cache\\Psr16Cache;
$cache = new Psr16Cache(new RedisAdapter(RedisAdapter::createConnection($argv[1])));
echo json_encode($cache->get($argv[2]));
`;

/** As wechatpy/session/redisstorage.py reads: to_text, then json.loads. */
const pythonReader = `
import json, redis, sys
value = redis.Redis.from_url(sys.argv[1]).get(sys.argv[2])
print(json.dumps(json.loads(value.decode("utf-8"))))
`;

function whyNot(command: string, args: readonly string[]): string | undefined {
	try {
		execFileSync(command, args, { stdio: "ignore" });
		return undefined;
	} catch {
		return `${command} ${args.join(" ")} fails`;
	}
}

const noPhp = existsSync("/usr/share/php/Symfony/Component/Cache/autoload.php")
	? whyNot("php", ["-r", "exit(extension_loaded('redis') ? 0 : 1);"])
	: "apt-get install php-symfony-cache php-redis php-psr-simple-cache";
const noPython = whyNot("/usr/bin/python3", ["-c", "import redis"]);

async function publishedAs(sdk: string) {
	const redis = await startRedis();
	const { agreement, hosts } = await startHosts({
		count: 1,
		wechat: { cooldown: 0 },
		fleet: () => ({ url: redis.url, publish_as: [sdk] }),
	});
	const value = await agreement();
	return { redis, value, agreement, hosts, url: redis.url.replace("/0", "") };
}

/** Also after the next one has taken the place of the first. */
async function expectRead(
	{ value, agreement, hosts }: Awaited<ReturnType<typeof publishedAs>>,
	read: () => string,
): Promise<void> {
	await eventually(() => read() === JSON.stringify(value), {
		what: "the token by the SDK's own reader",
		everyMs: 200,
	});
	hosts[0]?.daemon.kill("SIGHUP");
	const next = await agreement(value);
	await eventually(() => read() === JSON.stringify(next), {
		what: "the next token",
		everyMs: 200,
	});
}

test.skipIf(noRedis !== undefined || noPhp !== undefined)(
	`Symfony's cache, which EasyWeChat 6 reads with, gets the token (${noPhp ?? "as Debian packages it"})`,
	async () => {
		const scene = await publishedAs("php");
		const script = join(newDirectory(), "read.php");
		writeFileSync(script, phpReader);
		await expectRead(scene, () =>
			execFileSync("php", [script, scene.url, "wx_access_token_wx1"], {
				encoding: "utf8",
			}),
		);
	},
);

test.skipIf(noRedis !== undefined || noPython !== undefined)(
	`redis-py, as wechatpy's storage uses it, gets the token (${noPython ?? "as Debian packages it"})`,
	async () => {
		const scene = await publishedAs("wechatpy");
		await expectRead(scene, () => {
			try {
				return execFileSync(
					"/usr/bin/python3",
					["-c", pythonReader, scene.url, "wechatpy:wx1_access_token"],
					{ encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
				).trim();
			} catch {
				return ""; // The key is not there yet.
			}
		});
	},
);
