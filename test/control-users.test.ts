/**
 * What real users can do with tokens, the socket and the secret: one in the group, one
 * outside, and the daemon's own user.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, lstatSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { programPath, startDaemon } from "./support/program.ts";
import { socketIn } from "./support/socket.ts";
import { readTokenFile } from "./support/token-file.ts";
import { fetchesOf, startWeChat } from "./support/wechat.ts";

const isRoot = process.getuid?.() === 0;

beforeAll(() => {
	if (!isRoot) console.warn("only root can make users: skipped");
});

test.skipIf(!isRoot)(
	"a user in the group reads tokens and asks for a refresh; one outside can do neither; only the daemon's user reads the secret",
	async () => {
		const { group, keeper, member, outsider } = makeUsers();
		const accounts = newAccounts();
		const wechat = await startWeChat({ accounts });
		const secretFile = join(newDirectory(), "secret");
		const config = writeConfig({
			accounts: accounts.map(({ appid }) => ({
				appid,
				secret_file: secretFile,
			})) as never,
			url: wechat.url,
			top: { group },
		});
		writeFileSync(secretFile, `${accounts[0]?.secret}\n`);
		for (const path of [secretFile, config.file, dirname(config.file)])
			chownSync(path, keeper.uid, keeper.gid);
		chmodSync(secretFile, 0o600);
		await startDaemon(config.file, {
			launcher: ["setpriv", ...identity(keeper)],
		});
		const socket = socketIn(config.directory);
		const file = config.tokenFile("wx1");
		expect(lstatSync(socket)).toMatchObject({ uid: keeper.uid });
		const token = readTokenFile(file);
		const url = "http://wxtokend/v1/accounts/wx1";
		const curl = ["curl", "-sS", "--unix-socket", socket];

		const asMember = (...command: readonly string[]) => runAs(member, command);
		expect(JSON.parse((await asMember("cat", file)).stdout)).toEqual(token);
		const refreshed = await asMember(...curl, "-X", "POST", `${url}/refresh`);
		expect(JSON.parse(refreshed.stdout)).toMatchObject({
			outcome: "refreshed",
		});
		expect(fetchesOf(wechat, "wx1")).toBe(2);
		const { value, expire } = readTokenFile(file);
		expect(
			JSON.parse((await asMember(...curl, `${url}/token`)).stdout),
		).toEqual({
			value,
			expire,
		});
		// A user who may not read the configuration finds file and socket by the directory.
		const guess = ["env", `WXTOKEND_DIRECTORY=${config.directory}`];
		const wxtokend = [...guess, process.execPath, programPath];
		const flags = ["--config", config.file];
		const got = await asMember(...wxtokend, "get", "wx1", ...flags);
		expect(got).toMatchObject({ status: 0, stdout: `${value}\n`, stderr: "" });
		const status = await asMember(...wxtokend, "status", "--json", ...flags);
		expect(status.status).toBe(0);
		expect(JSON.parse(status.stdout)).toMatchObject({ source: "daemon" });
		const again = await asMember(
			...[...wxtokend, "refresh", "wx1", "--stale", "70_old", ...flags],
		);
		expect(again).toMatchObject({ status: 0, stderr: "" });
		expect(again.stdout).toContain("already fresh");

		const asOutsider = (...command: readonly string[]) =>
			runAs(outsider, command);
		expect(await asOutsider("cat", file)).toMatchObject({
			status: 1,
			stdout: "",
		});
		const refused = await asOutsider(...curl, "-X", "POST", `${url}/refresh`);
		expect(refused.stderr).toMatch(/curl: \(7\)/);
		const missed = await asOutsider(...wxtokend, "get", "wx1", ...flags);
		expect(missed).toMatchObject({ status: 69, stdout: "" });
		expect(missed.stderr).toMatch(/EACCES.*add this user to the group/);
		const shut = await asOutsider(...wxtokend, "refresh", "wx1", ...flags);
		expect(shut.status).toBe(69);
		expect(shut.stderr).toMatch(/EACCES.*so this path is a guess.*group/s);
		expect(fetchesOf(wechat, "wx1")).toBe(2);

		for (const user of [member, outsider])
			expect(await runAs(user, ["cat", secretFile])).toMatchObject({
				status: 1,
				stdout: "",
			});
		expect((await runAs(keeper, ["cat", secretFile])).status).toBe(0);
	},
);

interface User {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
}

/** Three users and a group, removed after the test. */
function makeUsers() {
	const tag = randomBytes(3).toString("hex");
	const group = `wxt-${tag}`;
	const make = (name: string, ...more: readonly string[]): User => {
		const user = `wxt-${tag}-${name}`;
		execFileSync("useradd", ["--no-create-home", "--system", ...more, user]);
		onTestFinished(() => {
			execFileSync("userdel", [user]);
		});
		const [uid, gid] = ["-u", "-g"].map((flag) =>
			Number(execFileSync("id", [flag, user], { encoding: "utf8" })),
		);
		return { name: user, uid: uid ?? -1, gid: gid ?? -1 };
	};
	execFileSync("groupadd", ["--system", group]);
	onTestFinished(() => {
		execFileSync("groupdel", [group]);
	});
	return {
		group,
		keeper: make("keeper", "--groups", group),
		member: make("member", "--groups", group),
		outsider: make("outsider"),
	};
}

function identity({ uid, gid }: User): readonly string[] {
	return [`--reuid=${uid}`, `--regid=${gid}`, "--init-groups"];
}

/** Asynchronous, because the simulator in this process has to answer meanwhile. */
function runAs(user: User, command: readonly string[]) {
	return new Promise<{
		readonly status: number | null;
		readonly stdout: string;
		readonly stderr: string;
	}>((resolve, reject) => {
		const child = spawn("setpriv", [...identity(user), ...command]);
		let [stdout, stderr] = ["", ""];
		child.stdout.setEncoding("utf8").on("data", (text) => {
			stdout += text;
		});
		child.stderr.setEncoding("utf8").on("data", (text) => {
			stderr += text;
		});
		child.on("error", reject);
		child.on("close", (status) => resolve({ status, stdout, stderr }));
	});
}
