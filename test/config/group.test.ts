import {
	chmodSync,
	renameSync,
	rmSync,
	statSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type TestConfig, writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { runProgram, startDaemon } from "../support/program.ts";
import { tokenOtherThan } from "../support/token-file.ts";

const isRoot = process.getuid?.() === 0;
const group = "wxt-in-ldap";
/** Only root can give files to a group in which it is not. */
const gid = isRoot ? 12_345 : (process.getgid?.() ?? 0);

test("a group that only a hanging getent knows: a reload renews and repairs at once, and the old group stays", async () => {
	const system = newSystem();
	system.answer(gid);
	const config = await configWithGroup();
	const daemon = await startDaemon(config.file, { env: system.env });
	const path = config.tokenFile("wx1");
	const { value } = await tokenOtherThan("", path);
	expect(statSync(path).gid).toBe(gid);
	system.hang();
	daemon.kill("SIGHUP");
	const renewed = await tokenOtherThan(value, path);
	unlinkSync(path);
	expect(await tokenOtherThan("", path)).toEqual(renewed);
	const warning = await daemon.event("group.silent");
	expect(warning).toMatchObject({ level: "warn", group });
	expect(warning.msg).toContain(`its number of before, ${gid}, stays`);
	expect(statSync(path).gid).toBe(gid);
	expect((await daemon.stop()).code).toBe(0);
});

test("at a start while getent hangs the daemon keeps tokens, and they get the group as soon as it is known", async () => {
	const system = newSystem();
	system.hang();
	const config = await configWithGroup();
	const daemon = await startDaemon(config.file, { env: system.env });
	const path = config.tokenFile("wx1");
	const token = await tokenOtherThan("", path);
	expect(await daemon.event("group.silent")).toMatchObject({ group });
	system.answer(gid);
	await eventually(() => statSync(path).gid === gid, {
		what: "the group of the token file",
	});
	expect(await tokenOtherThan("", path)).toEqual(token);
	const isSilent = ({ event }: { event: string }) => event === "group.silent";
	expect(daemon.events().filter(isSilent).length).toBe(1);
});

test.each([["run"], ["check"], ["once"]])(
	"%s refuses a group that does not exist",
	async (command) => {
		const system = newSystem();
		system.answer("absent");
		const config = await configWithGroup();
		const { code, stderr } = await runProgram(
			[command, "--config", config.file],
			{ env: system.env },
		);
		expect(code).toBe(78);
		expect(stderr).toMatch(
			/group: is "wxt-in-ldap"; expected the name or id of a group on this machine/,
		);
	},
);

test("a reload with a new group that does not exist is refused, and the old configuration stays", async () => {
	const system = newSystem();
	system.answer("absent");
	const issuer = await startIssuer();
	const config = writeConfig(issuer);
	const daemon = await startDaemon(config.file, { env: system.env });
	const other = writeConfig({ ...issuer, ...config, top: { group } });
	renameSync(other.file, config.file);
	daemon.kill("SIGHUP");
	const refused = await daemon.event("config.refused");
	expect(refused.msg).toContain("the old configuration stays");
	expect(refused.problems).toMatchObject([{ path: "group" }]);
});

test("check ends though getent hangs, and says that it does", async () => {
	const system = newSystem();
	system.hang();
	const config = await configWithGroup();
	const { code, stderr } = await runProgram(
		["check", "--config", config.file],
		{
			env: system.env,
		},
	);
	expect(code).toBe(78);
	expect(stderr).toMatch(
		/group: is "wxt-in-ldap", which could not be looked up within 5 s/,
	);
});

async function configWithGroup(): Promise<TestConfig> {
	return writeConfig({ ...(await startIssuer()), top: { group } });
}

/** A system whose groups are not in /etc/group. */
function newSystem() {
	const place = newDirectory();
	const script = join(place, "getent");
	const answer = join(place, "answer");
	writeFileSync(
		script,
		`#!/bin/sh
[ -e ${answer} ] || exec sleep 1000
read -r id < ${answer}
[ "$id" = absent ] && exit 2
echo "$2:x:$id:"
`,
	);
	chmodSync(script, 0o755);
	return {
		env: { PATH: `${place}:${process.env.PATH}` },
		answer: (id: number | "absent") => writeFileSync(answer, `${id}\n`),
		hang: () => rmSync(answer, { force: true }),
	};
}
