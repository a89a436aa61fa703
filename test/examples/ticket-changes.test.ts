/** The examples sign pages while the ticket changes again and again; a phone judges each. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import {
	type PageSignature,
	signatureOf,
} from "../../src/simulator/ticket-signature.ts";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { noteToken } from "../support/leaks.ts";
import { startDaemon } from "../support/program.ts";
import { callSocket, socketIn } from "../support/socket.ts";
import { readTokenFile } from "../support/token-file.ts";
import { startWeChat } from "../support/wechat.ts";
import { environmentOf, missingFor, type Signer, signers } from "./readers.ts";

const changes = 50;
const file = "wx_jsapi_ticket_wx1";

// What is missing here is told by signers.test.ts, one skipped suite for each.
const present = signers.filter((signer) => missingFor(signer).length === 0);

test(`across ${changes} changes of the ticket every language signs, with the newest one soon, and no phone refuses`, async () => {
	const accounts = newAccounts(1);
	const wechat = await startWeChat({ accounts });
	const [account] = accounts;
	if (account === undefined) throw new Error("there is no account");
	const config = writeConfig({
		url: wechat.url,
		accounts: [{ ...account, tickets: ["jsapi"] } as typeof account],
		top: { schedule: "0 0 0 1 1 *" },
		wechat: { cooldown: 0, budget: 1000 },
	});
	await startDaemon(config.file);
	const { directory } = config;
	const ticketFile = join(directory, file);
	const place = { appid: "wx1", url: wechat.url, directory, secret: "" };
	/** All that were published, newest first. */
	const tickets = [noteToken(readTokenFile(ticketFile).value)];
	const stations = await Promise.all(
		present.map((signer) => begin(signer, environmentOf(place))),
	);

	let isOver = false;
	const working = stations.map(async (station) => {
		for (let page = 1; !isOver; page += 1) {
			const signed = await station.sign(page);
			station.verdicts.push(
				wechat.platform.verifySignature(signed, wechat.now()),
			);
			const ticket = tickets.find(
				(one) => signatureOf(one, signed) === signed.signature,
			);
			if (ticket !== undefined) station.used.add(ticket);
			// Or the fastest would leave nothing of the machine to the others.
			await pause(20);
		}
	});
	const allUse = (ticket: string) =>
		eventually(() => stations.every(({ used }) => used.has(ticket)), {
			what: `${ticket.slice(0, 8)} to be used by ${stations
				.filter(({ used }) => !used.has(ticket))
				.map(({ name }) => name)
				.join(", ")}`,
			everyMs: 5,
		});
	const change = async (nth: number) => {
		const next = `ticket-${nth}-`.padEnd(86, "x");
		tickets.unshift(noteToken(next));
		wechat.platform.putTicket("wx1", "jsapi", next, wechat.now());
		const answer = await callSocket(
			socketIn(directory),
			`/v1/credentials/${file}/refresh`,
			{ method: "POST" },
		);
		expect(answer.json()).toMatchObject({ value: next });
		await allUse(next);
	};
	const changing = async () => {
		await allUse(tickets[0] ?? "");
		for (let nth = 1; nth <= changes; nth += 1) await change(nth);
		isOver = true;
	};
	await Promise.all([changing(), ...working]);

	for (const { name, verdicts, used } of stations) {
		expect(verdicts.length, name).toBeGreaterThan(changes);
		expect(
			verdicts.filter((verdict) => verdict !== "alive"),
			`refused signatures of ${name}`,
		).toEqual([]);
		expect(used.size, `tickets that ${name} signed with`).toBe(changes + 1);
	}
	console.log(
		stations
			.map(({ name, verdicts }) => `${name}: ${verdicts.length} signed pages`)
			.join(", "),
	);
}, 240_000);

/** A process that signs, and what became of its signatures. */
interface Station {
	readonly name: string;
	/** Of `verifySignature`, one for each page. */
	readonly verdicts: string[];
	/** The tickets that it has signed with. */
	readonly used: Set<string>;
	sign(page: number): Promise<PageSignature>;
}

async function begin(
	signer: Signer,
	env: Readonly<Record<string, string>>,
): Promise<Station> {
	const [command = "", ...rest] = await signer.prepare();
	const { PATH, HOME } = process.env;
	const child: ChildProcess = spawn(command, rest, {
		env: { PATH, HOME, ...env },
		stdio: ["pipe", "pipe", "inherit"],
	});
	onTestFinished(() => void child.kill("SIGKILL"));
	const { stdin, stdout } = child;
	if (stdin === null || stdout === null) throw new Error("there are no pipes");
	const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
	return {
		name: signer.name,
		verdicts: [],
		used: new Set(),
		sign: async (page) => {
			const url = `https://www.example.com/%E5%BA%97?page=${page}&q=%E5%BA%97`;
			const noncestr = `nonce${page}`;
			const timestamp = String(1_700_000_000 + page);
			stdin.write(`page\t${url}#top\t${noncestr}\t${timestamp}\n`);
			const { value = "" } = await lines.next();
			const [, , , signature = ""] = value.split(" ");
			expect(signature, `${signer.name}: ${value}`).toMatch(/^[0-9a-f]{40}$/);
			return { url, noncestr, timestamp, signature };
		},
	};
}
