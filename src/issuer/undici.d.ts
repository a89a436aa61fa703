// undici ships types for its entry only; these are the parts that are imported
// by path, because the whole library costs 15 MB more.
declare module "undici/lib/dispatcher/pool.js" {
	import type { Pool } from "undici";

	const pool: typeof Pool;
	export default pool;
}
declare module "undici/lib/core/connect.js" {
	import type { buildConnector } from "undici";

	const connect: typeof buildConnector;
	export default connect;
}
