// What is in the packages, as CycloneDX 1.6: the npm packages that are bundled into
// dist/, and Node.js. Tools that read node_modules would list what is installed here,
// and not what was bundled: so the list is that of the licences, which the bundler made.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeFor, nodeVersion } from "./node-binary.mjs";
import { manifest, sourceDate, sources } from "./tree.mjs";

/** The document, for packages of this version and these architectures. */
export function billOfMaterials(version, architectures) {
	const self = {
		type: "application",
		"bom-ref": `pkg:npm/wxtokend@${version}`,
		name: "wxtokend",
		version,
		description: manifest.description,
		licenses: licensesOf(manifest.license),
		purl: `pkg:npm/wxtokend@${version}`,
	};
	const components = [...bundled(), ...architectures.map(nodeComponent)];
	const document = {
		$schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
		bomFormat: "CycloneDX",
		specVersion: "1.6",
		version: 1,
		metadata: {
			timestamp: new Date(sourceDate() * 1000).toISOString(),
			component: self,
		},
		components,
		dependencies: [
			{
				ref: self["bom-ref"],
				dependsOn: components.map((component) => component["bom-ref"]),
			},
			...components.map((component) => ({ ref: component["bom-ref"] })),
		],
	};
	return `${JSON.stringify(document, null, "\t")}\n`;
}

function bundled() {
	const licences = readFileSync(
		join(sources, "dist/THIRD-PARTY-LICENCES.txt"),
		"utf8",
	);
	return licences.split(`\n${"-".repeat(72)}\n\n`).map((entry) => {
		const [, name, version, licence] =
			/^(\S+) (\S+) \((.+)\)\n/.exec(entry) ?? [];
		if (name === undefined)
			throw new Error(
				`could not list what is bundled: dist/THIRD-PARTY-LICENCES.txt has an entry that begins with ${JSON.stringify(entry.slice(0, 40))}`,
			);
		const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
		return {
			type: "library",
			"bom-ref": purl,
			name,
			version,
			scope: "required",
			licenses: licensesOf(licence),
			purl,
		};
	});
}

function nodeComponent(arch) {
	const node = nodeFor(arch);
	const purl = `pkg:npm/${node.package}@${nodeVersion}`;
	return {
		type: "application",
		"bom-ref": purl,
		name: "node",
		version: nodeVersion,
		description: `Node.js for linux ${arch}, without symbols`,
		scope: "required",
		hashes: [
			{
				alg: "SHA-256",
				content: createHash("sha256")
					.update(readFileSync(node.binary))
					.digest("hex"),
			},
		],
		licenses: licensesOf("MIT"),
		purl,
		properties: [{ name: "wxtokend:npm-package:sha512", value: node.sha512 }],
	};
}

function licensesOf(id) {
	return [/^[\w.+-]+$/.test(id) ? { license: { id } } : { expression: id }];
}
