"""Calls WeChat with the token that wxtokend keeps, and never fetches one. Python 3.8+.

    wechat = Wxtokend("wx0123456789abcdef")
    wechat.call("/cgi-bin/user/get", next_openid="")     # GET
    wechat.call("/cgi-bin/menu/create", {"button": []})  # POST
"""
import http.client, json, os, socket, time
from urllib import parse, request


class Wxtokend:
    DEAD = (40001, 40014, 42001)

    def __init__(self, appid, directory=None, api="https://api.weixin.qq.com"):
        self.appid, self.api = appid, api
        directory = directory or os.environ.get("WXTOKEND_DIRECTORY") or "/run/wxtokend"
        self.file = f"{directory}/wx_access_token_{appid}"
        self.socket = f"{directory}/control.sock"
        self.url = os.environ.get("WXTOKEND_URL")  # of wxtokend on another host, instead of both

    def token(self):
        """Read it before every call: it may be another one at any moment."""
        token = self._read()
        if token["expire"] <= time.time():
            raise RuntimeError(f"could not use {self.file}: its token has expired; see wxtokend status")
        return token["value"]

    def replacement(self, stale):
        """The token to use instead of one that WeChat refused; None if there is no other."""
        try:
            value = self._read()["value"]
            if value == stale:
                value = self._report(stale)["value"]
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return None  # WeChat's own answer tells more than this error
        return value if value != stale else None

    def call(self, path, body=None, **query):
        """WeChat's answer as a dict, or as bytes if it is a file."""
        token = self.token()
        answer = self._send(path, body, query, token)
        dead = isinstance(answer, dict) and answer.get("errcode") in self.DEAD
        other = self.replacement(token) if dead else None
        return self._send(path, body, query, other) if other else answer

    def _read(self):
        if self.url:
            return self._ask("token")
        with open(self.file, "rb", buffering=0) as file:  # read in one piece: a buffer only costs time
            text = file.read()
        try:
            token = json.loads(text.decode())
            return {key: token[key] for key in ("value", "expire")}
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"could not use {self.file}: it holds no token; see wxtokend status") from None

    def _send(self, path, body, query, token):
        url = f"{self.api}{path}?" + parse.urlencode({**query, "access_token": token})
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        with request.urlopen(request.Request(url, data, {"Content-Type": "application/json"}), timeout=10) as answer:
            content = answer.read()
        return json.loads(content) if content.startswith(b"{") else content

    def _ask(self, what, body=None):
        with open(os.environ["WXTOKEND_BEARER_FILE"]) as file:
            headers = {"Authorization": "Bearer " + file.read().strip(), "Content-Type": "application/json"}
        url = f"{self.url}/v1/credentials/{os.path.basename(self.file)}/{what}"
        with request.urlopen(request.Request(url, body, headers), timeout=25) as answer:
            return json.load(answer)

    def _report(self, stale):
        if self.url:
            return self._ask("refresh", json.dumps({"stale": stale}).encode())
        keeper = http.client.HTTPConnection("wxtokend")
        with socket.socket(socket.AF_UNIX) as keeper.sock:
            keeper.sock.settimeout(25)  # it may ask WeChat before it answers
            keeper.sock.connect(self.socket)
            keeper.request("POST", f"/v1/accounts/{self.appid}/refresh", json.dumps({"stale": stale}))
            return json.load(keeper.getresponse())
