/** The receiver behind the real nginx, with the configuration of the documents. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { freePort } from "./support/free-port.ts";
import {
	componentAppid,
	liveToken,
	newPlatform,
	type PlatformScene,
} from "./support/platform.ts";
import { projectRoot, startDaemon } from "./support/program.ts";

const hasNginx = (() => {
	try {
		execFileSync("nginx", ["-v"], { stdio: "ignore" });
		return true;
	} catch {
		return false;
	}
})();

/** The block of the documents, with the port of this test. */
function documented({ port }: PlatformScene): string {
	const page = readFileSync(join(projectRoot, "docs/platform.md"), "utf8");
	const [, block = ""] = /```nginx\n([\s\S]*?)```/.exec(page) ?? [];
	expect(block).toContain("127.0.0.1:7801");
	return block.replace("127.0.0.1:7801", `127.0.0.1:${port}`);
}

async function startNginx(scene: PlatformScene): Promise<number> {
	const port = await freePort();
	const place = join(scene.place, "nginx");
	mkdirSync(place, { mode: 0o777 });
	const file = join(place, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
		.map((name) => `${name}_temp_path ${place}/${name};`)
		.join("\n");
	writeFileSync(
		file,
		`daemon off;
pid ${place}/pid;
error_log ${place}/error.log;
events {}
http {
access_log off;
${temporary}
server {
listen 127.0.0.1:${port};
${documented(scene)}
}
}
`,
	);
	const child = spawn("nginx", ["-p", place, "-c", file], { stdio: "ignore" });
	onTestFinished(() => void child.kill("SIGTERM"));
	await eventually(() => answers(port), { what: "nginx" });
	return port;
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const connection = connect(port, "127.0.0.1");
		connection.on("connect", () => {
			connection.destroy();
			resolve(true);
		});
		connection.on("error", () => resolve(false));
	});
}

test.skipIf(!hasNginx && !process.env.CI)(
	"pushes arrive through nginx, one connection after the other, and nothing else does",
	async () => {
		const scene = await newPlatform();
		await startDaemon(scene.config);
		const port = await startNginx(scene);
		const { push } = scene.component;
		if (push === undefined) throw new Error("no target");
		const url = `http://127.0.0.1:${port}/component/${componentAppid}`;
		scene.component.push = { ...push, url };
		expect((await scene.push()).outcome).toBe("success");
		await liveToken(scene, scene.componentFile);
		// More than one connection to the receiver may carry.
		for (let count = 0; count < 120; count += 1)
			expect((await scene.event("notify_something")).outcome).toBe("success");
		expect((await scene.push("bad-signature")).outcome).toBe("status 403");
		expect((await scene.push("large")).outcome).toBe("status 413");
		scene.component.push = {
			...push,
			url: `http://127.0.0.1:${port}/v1/reload`,
		};
		expect((await scene.push()).outcome).toBe("status 404");
	},
);
