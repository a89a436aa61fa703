// Stands in for WeChat's jweixin.js outside of a phone: the simulator judges the signature as a phone does.
window.wx = (() => {
	const listeners = { ready: [], error: [] };
	const tell = (what, value) => {
		for (const listener of listeners[what]) listener(value);
	};
	return {
		ready: (listener) => listeners.ready.push(listener),
		error: (listener) => listeners.error.push(listener),
		config: async ({ appId, timestamp, nonceStr, signature }) => {
			const page = { appid: appId, url: location.href, noncestr: nonceStr };
			const body = JSON.stringify({
				...page,
				timestamp: String(timestamp),
				signature,
			});
			const answer = await fetch("/verify", { method: "POST", body });
			const { result } = await answer.json();
			if (result === "alive") tell("ready");
			else
				tell("error", { errMsg: `config:fail, invalid signature (${result})` });
		},
	};
})();
