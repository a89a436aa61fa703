"""What wechatpy_client.py needs of wechatpy 1.8 and 2.0, with the same names, arguments and habits, and no more."""
import json
import urllib.parse
import urllib.request

from wechatpy.exceptions import WeChatClientException


class WeChatClient:
    API_BASE_URL = "https://api.weixin.qq.com/cgi-bin/"

    def __init__(self, appid, secret, access_token=None, session=None, timeout=None, auto_retry=True):
        self.appid, self.secret, self.auto_retry = appid, secret, auto_retry
        self.fetched = access_token

    @property
    def access_token(self):
        if not self.fetched:
            self.fetch_access_token()
        return self.fetched

    def fetch_access_token(self):
        query = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        self.fetched = self.ask("GET", "/cgi-bin/token", query, None)["access_token"]

    def get(self, url, **kwargs):
        return self._request(method="get", url_or_endpoint=url, **kwargs)

    def post(self, url, **kwargs):
        return self._request(method="post", url_or_endpoint=url, **kwargs)

    def _request(self, method, url_or_endpoint, **kwargs):
        kwargs.setdefault("params", {})
        if "access_token" not in kwargs["params"]:
            kwargs["params"]["access_token"] = self.access_token
        # As the HTTP client underneath: a file is read from where it stands.
        files = {name: file.read() for name, file in kwargs.get("files", {}).items()}
        result = self.ask(method.upper(), url_or_endpoint, kwargs["params"], files.get("media"))
        if result["errcode"] in (40001, 40014, 42001) and self.auto_retry:
            self.fetch_access_token()
            kwargs["params"]["access_token"] = self.fetched
            return self._request(method, url_or_endpoint, **kwargs)
        if result["errcode"] != 0:
            raise WeChatClientException(result["errcode"], result["errmsg"])
        return result

    def ask(self, method, path, query, body):
        url = f"{self.API_BASE_URL}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=10) as answer:
            return json.load(answer)
