/** The address in `http.listen`. */

/** Where HTTP is listened for. */
export interface HttpAddress {
	/** An IP address, or `localhost`. */
	readonly host: string;
	/** 0: any free one. */
	readonly port: number;
	/** Only programs of this machine reach it. */
	readonly isLoopback: boolean;
}

/** What `listen` must be. */
export const listenRule =
	'an address and a port, such as "127.0.0.1:9470" or "[::]:9470"';

/** Of `listen`; undefined: it is none. */
export function addressIn(listen: string): HttpAddress | undefined {
	const [, six, four, digits] =
		/^(?:\[([0-9A-Fa-f:.]+)\]|(localhost|\d+\.\d+\.\d+\.\d+)):(\d{1,5})$/.exec(
			listen,
		) ?? [];
	const port = Number(digits);
	const host = six ?? four;
	if (host === undefined || port > 65_535) return undefined;
	if (!URL.canParse(`http://${six === undefined ? host : `[${host}]`}:1`))
		return undefined;
	const isLoopback = /^(localhost|127\..*|::1)$/.test(host);
	return { host, port, isLoopback };
}
