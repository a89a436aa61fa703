/**
 * Members of platforms (accounts of a component, corps of a suite) that would publish the
 * file of another entry, as far as the configuration names them, and suites without their
 * 服务商. Types may be wrong. What WeChat tells of later is looked at by the daemon.
 */
import type { ConfigProblem } from "../core/errors.ts";
import {
	defaultTokenFile,
	namesIn,
	suiteCorpFile,
	ticketFile,
	ticketNames,
	wecomTicketFile,
	wecomTicketNames,
} from "./entry-names.ts";
import { show } from "./shape.ts";

type Table = Readonly<Record<string, unknown>>;

/** The file that a member takes, and the key that says so. */
interface Taken {
	readonly file: string;
	/** `component[0].authorizer[1]`, or `component[0].authorizers`. */
	readonly path: string;
	readonly id: string;
	/** What can be done if it is another one's. */
	readonly remedy: string;
}

/** With the paths of their keys. */
export function findMemberProblems(content: Table): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = [...findProviderless(content)];
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
	for (const { file, path, id, remedy } of [
		...takenByAuthorizers(content),
		...takenByCorps(content),
	]) {
		const owner = owners.get(file);
		if (owner !== undefined)
			problems.push({
				path,
				message: `would publish ${show(file)} for ${show(id, "appid")}, the file of ${owner} already; expected ${remedy}`,
			});
		owners.set(file, path);
	}
	return problems;
}

/** WeChat signs the check of a suite's URL with the corpid of its 服务商. */
function findProviderless({
	suite,
	provider,
}: Table): readonly ConfigProblem[] {
	const known = listed(provider).map((one) => Object(one).corpid);
	return listed(suite).flatMap((one, index) => {
		const { provider: named } = Object(one);
		if (typeof named !== "string" || known.includes(named)) return [];
		return {
			path: `suite[${index}].provider`,
			message: `is ${show(named, "corpid")}, and there is no such [[provider]]; expected the corpid of one: add [[provider]] with corpid = ${show(named, "corpid")} and its ProviderSecret (服务商管理端 → 标准应用服务 → 通用开发参数)`,
		};
	});
}

function takenByAuthorizers({ component }: Table): readonly Taken[] {
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
	const kept = ticketNames.filter((name) => listed(tickets).includes(name));
	const remedy =
		"each account once, or a `file` of its own below [[component.authorizer]] (a ticket has none)";
	return [token, ...kept.map((name) => ticketFile(name, appid))].map(
		(name) => ({ file: name, path, id: appid, remedy }),
	);
}

function takenByCorps({ suite }: Table): readonly Taken[] {
	return listed(suite).flatMap((one, index) => {
		const { suite_id: suiteId, corps, corp_tickets: tickets } = Object(one);
		const path = `suite[${index}].corps`;
		const kept = wecomTicketNames.filter((name) =>
			listed(tickets).includes(name),
		);
		const remedy = `each corp once; an app in [[wecom]] must have another name than ${show(suiteId, "suite_id")}, or a \`file\` of its own`;
		return listed(corps).flatMap((id) => {
			if (typeof id !== "string" || typeof suiteId !== "string") return [];
			const app = `${id}_${suiteId}`;
			return [
				suiteCorpFile(id, suiteId),
				...kept.map((name) => wecomTicketFile(name, app)),
			].map((file) => ({ file, path, id, remedy }));
		});
	});
}

function listed(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}
