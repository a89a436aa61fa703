#!/bin/sh
# wechat-jssdk 5.1.0: a signature is handed out for 119 minutes from its own making,
# whatever becomes of the ticket in it.
#
# A page's signature is good as long as its jsapi_ticket. So one would guess that a cache
# of signatures ends with the ticket. This one counts anew for each URL: a page that was
# signed in the ticket's last minutes gets that signature for two hours more, also when
# the SDK itself has a new ticket meanwhile. The page fails with "invalid signature",
# and only that page.
#
# Seen: after 110 minutes a page is signed by ticket one; after 120 another page by ticket
# two, but the first one still by ticket one. The remedy is `getSignature(url, true)`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund wechat-jssdk@5.1.0
cat >look.cjs <<'END'
const { createHash } = require("node:crypto");
const { Wechat } = require("wechat-jssdk");
const RealDate = Date;
let passed = 0;
const now = () => RealDate.now() + passed;
globalThis.Date = class extends RealDate {
	constructor(...given) {
		super(...(given.length === 0 ? [now()] : given));
	}
	static now() {
		return now();
	}
};
const { jssdk } = new Wechat({
	appId: "wx0123456789abcdef",
	appSecret: "secret",
	wechatRedirectUrl: "http://app.example",
	storeOptions: { fileStorePath: "store.json" },
});
let ticket = "one";
jssdk.getAccessToken = async () => ({ access_token: "token" });
jssdk.getJsApiTicket = async () => ({ ticket });
const signedBy = async (page) => {
	const { nonceStr, timestamp, url, signature } = await jssdk.getSignature(page);
	return ["one", "two"].find((by) => {
		const text = `jsapi_ticket=${by}&noncestr=${nonceStr}&timestamp=${timestamp}&url=${url}`;
		return createHash("sha1").update(text).digest("hex") === signature;
	});
};
const minutes = (count) => {
	passed = count * 60_000;
};
(async () => {
	await signedBy("http://app.example/first");
	minutes(110);
	console.log(`after 110 minutes: ${await signedBy("http://app.example/page")}`);
	minutes(120);
	ticket = "two";
	console.log(`after 120 minutes, another page: ${await signedBy("http://app.example/other")}`);
	console.log(`the page of before: ${await signedBy("http://app.example/page")}`);
	process.exit();
})();
END
seen=$(node look.cjs)
echo "$seen"
[ "$seen" = "after 110 minutes: one
after 120 minutes, another page: two
the page of before: one" ]
