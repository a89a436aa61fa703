/** What a scene of a 第三方平台 and one of a suite have in common: directories, secrets, sockets. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { stringify } from "smol-toml";
import { newDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./free-port.ts";
import { noteSecret } from "./leaks.ts";
import { callSocket, socketIn } from "./socket.ts";
import { hasFile, readTokenFile } from "./token-file.ts";

export const pushKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
export const otherPushKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

type Keys = Readonly<Record<string, unknown>>;

/** `route`: where pushes to it arrive, as `/component/wx…`; `pushToken`: the Token that signs them. */
export async function newPlatformPlace(route: string, pushToken: string) {
	const place = newDirectory();
	const [directory, state] = [join(place, "run"), join(place, "state")];
	mkdirSync(directory, { mode: 0o750 });
	const port = await freePort();
	const token = noteSecret(pushToken);
	for (const key of [pushKey, otherPushKey]) noteSecret(key);
	const url = `http://127.0.0.1:${port}${route}`;
	const config = join(place, "config.toml");
	const file = (name: string, text: string) => {
		const path = join(place, name);
		writeFileSync(path, `${text}\n`, { mode: 0o600 });
		return path;
	};
	return {
		...{ place, directory, state, port, url, config, file },
		/** To whom the simulator pushes. */
		target: { url, token, key: pushKey, formerKey: otherPushKey },
		path: (name: string) => join(directory, name),
		/** The keys of its entry that say how pushes are checked. */
		pushFiles: () => ({
			token_file: file("token", token),
			aes_key_file: file("aes-key", pushKey),
		}),
		writeConfig: (content: Keys) => {
			writeFileSync(
				config,
				stringify({
					directory,
					state_directory: state,
					schedule: "* * * * * *",
					log_level: "trace",
					...content,
				}),
			);
			chmodSync(config, 0o600);
		},
	};
}

/** What the daemon says of the credential with that file, by its name or path. */
export async function statusOf(
	{ directory }: { readonly directory: string },
	file: string,
) {
	const path = `/v1/credentials/${basename(file)}`;
	const answer = await callSocket(socketIn(directory), path);
	return answer.json() as Record<string, never>;
}

/** A request to the admin socket. */
export function callAdmin(
	{ directory }: { readonly directory: string },
	path: string,
	body?: object,
	method = "POST",
) {
	return callSocket(join(directory, "admin.sock"), path, {
		method,
		...(body && { body: JSON.stringify(body) }),
	});
}

/** Waits for a published token that lives, and is another than `before`. */
export function tokenThat(
	isAlive: (value: string) => boolean,
	path: string,
	before: string,
): Promise<string> {
	return eventually(
		() => {
			if (!hasFile(path)) return undefined;
			const { value } = readTokenFile(path);
			return value !== before && isAlive(value) ? value : undefined;
		},
		{ what: `a living token at ${path}` },
	);
}
