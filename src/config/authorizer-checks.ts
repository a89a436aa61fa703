/**
 * Accounts of a component that would publish the file of another entry, as far as the
 * configuration names them. Types may be wrong. What WeChat tells of later is looked at by
 * the daemon.
 */
import type { ConfigProblem } from "../core/errors.ts";
import {
	defaultTokenFile,
	namesIn,
	type TicketName,
	ticketFile,
	ticketNames,
} from "./entry-names.ts";
import { show } from "./shape.ts";

type Table = Readonly<Record<string, unknown>>;

/** The file that an account takes, and the key that says so. */
interface Taken {
	readonly file: string;
	/** `component[0].authorizer[1]`, or `component[0].authorizers`. */
	readonly path: string;
	readonly appid: string;
}

/** With the paths of their keys. */
export function findAuthorizerProblems(
	content: Table,
): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = [];
	const owners = new Map<string, string>([["admin.sock", "the admin socket"]]);
	for (const { path, file, ticketFiles, copies } of namesIn(content))
		for (const name of [file ?? [], ticketFiles, copies].flat())
			owners.set(name, path);
	if (owners.get("admin.sock") !== "the admin socket")
		problems.push({
			path: `${owners.get("admin.sock")}.file`,
			message:
				'is "admin.sock", the name of the admin socket; expected another name',
		});
	for (const { file, path, appid } of takenIn(content)) {
		const owner = owners.get(file);
		if (owner !== undefined)
			problems.push({
				path,
				message: `would publish ${show(file)} for ${show(appid, "appid")}, the file of ${owner} already; expected each account once, or a \`file\` of its own below [[component.authorizer]] (a ticket has none)`,
			});
		owners.set(file, path);
	}
	return problems;
}

function takenIn({ component }: Table): readonly Taken[] {
	return listed(component).flatMap((one, index) => {
		const { authorizers, authorizer, authorizer_tickets: all } = Object(one);
		const own = listed(authorizer).map((entry) => Object(entry) as Table);
		const named = listed(authorizers).filter(
			(appid) => !own.some((entry) => entry.appid === appid),
		);
		const path = `component[${index}]`;
		return [
			...own.flatMap((entry, at) =>
				filesOf(entry, entry.tickets ?? all, `${path}.authorizer[${at}]`),
			),
			...named.flatMap((appid) =>
				filesOf({ appid }, all, `${path}.authorizers`),
			),
		];
	});
}

function filesOf(
	{ appid, file }: Table,
	tickets: unknown,
	path: string,
): readonly Taken[] {
	if (typeof appid !== "string") return [];
	const token = typeof file === "string" ? file : defaultTokenFile(appid);
	const kept = ticketNames.filter((name: TicketName) =>
		listed(tickets).includes(name),
	);
	return [token, ...kept.map((name) => ticketFile(name, appid))].map(
		(name) => ({ file: name, path, appid }),
	);
}

function listed(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}
