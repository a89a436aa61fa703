/**
 * An issuer that shares no code with the simulator: it answers `GET /cgi-bin/token`,
 * counts the requests, and a test can make it give any other answer.
 */
import { randomBytes } from "node:crypto";
import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { noteToken } from "./leaks.ts";

export interface IssuerRequest {
	readonly method: string;
	readonly path: string;
	readonly query: Readonly<Record<string, string>>;
	/** Epoch ms. */
	readonly at: number;
}

export interface IssuedHere {
	readonly value: string;
	readonly issuedAt: number;
}

/** Answers in place of the issuer; `give` gives the usual answer. */
export type Twist = (
	request: IssuerRequest,
	response: ServerResponse,
	give: () => void,
) => void;

export interface FakeIssuer {
	readonly url: string;
	/** Every request, in the order of arrival. */
	readonly requests: readonly IssuerRequest[];
	/** Every token that was given away, oldest first. */
	readonly issued: readonly IssuedHere[];
	/** Answers by `twist` from now on; undefined: as usual. */
	twist(twist: Twist | undefined): void;
	/** Requests for that account. */
	countOf(appid: string): number;
}

export interface IssuerOptions {
	/** `expires_in` of what it issues. */
	readonly lifetimeSeconds?: number;
	readonly twist?: Twist;
}

/** Closed after the test, with all its connections. */
export async function startIssuer({
	lifetimeSeconds = 7200,
	twist: firstTwist,
}: IssuerOptions = {}): Promise<FakeIssuer> {
	const requests: IssuerRequest[] = [];
	const issued: IssuedHere[] = [];
	let twist = firstTwist;
	const server = createServer((message, response) => {
		const request = requestOf(message);
		requests.push(request);
		const give = () => {
			const value = noteToken(newToken());
			issued.push({ value, issuedAt: Date.now() });
			response.setHeader("Content-Type", "application/json");
			response.end(
				JSON.stringify({ access_token: value, expires_in: lifetimeSeconds }),
			);
		};
		if (twist === undefined) give();
		else twist(request, response, give);
	});
	await new Promise<void>((resolve) =>
		server.listen(0, "127.0.0.1", () => resolve()),
	);
	onTestFinished(
		() =>
			new Promise<void>((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	);
	const { port } = server.address() as AddressInfo;
	return {
		url: `http://127.0.0.1:${port}`,
		requests,
		issued,
		twist: (next) => {
			twist = next;
		},
		countOf: (appid) =>
			requests.filter(({ query }) => query.appid === appid).length,
	};
}

/** In the form of WeChat's: 136 characters, new at each call. */
export function newToken(): string {
	return `${randomBytes(68).toString("hex")}`;
}

function requestOf({ method = "", url = "/" }: IncomingMessage): IssuerRequest {
	const { pathname, searchParams } = new URL(url, "http://issuer");
	return {
		method,
		path: pathname,
		query: Object.fromEntries(searchParams),
		at: Date.now(),
	};
}
