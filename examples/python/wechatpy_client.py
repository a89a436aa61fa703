"""wechatpy with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.

    client = WxtokendClient("wx0123456789abcdef")
    client.user.get_followers()
"""
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException
from wxtokend import Wxtokend


class WxtokendClient(WeChatClient):
    def __init__(self, appid, secret=None, keeper=None, **options):
        self.keeper = keeper or Wxtokend(appid)
        # Without auto_retry: the SDK's own retry has no end while a token stays refused.
        super().__init__(appid, secret, auto_retry=False, **options)

    @property
    def access_token(self):
        return self.keeper.token()

    def fetch_access_token(self):
        raise RuntimeError("wxtokend fetches the token; this client never does")

    def _request(self, method, url_or_endpoint, **options):
        params = options.get("params") or {}
        if not isinstance(params, dict):
            return super()._request(method, url_or_endpoint, **options)
        stale = params.get("access_token") or self.keeper.token()
        options["params"] = {**params, "access_token": stale}
        try:
            return super()._request(method, url_or_endpoint, **options)
        except WeChatClientException as refusal:
            other = self.keeper.replacement(stale) if refusal.errcode in Wxtokend.DEAD else None
            if not other or not rewind(options.get("files")):
                raise
        options["params"] = {**params, "access_token": other}
        return super()._request(method, url_or_endpoint, **options)


def rewind(files):
    """Whether the files of an upload can be sent again."""
    for _, file in files.items() if isinstance(files, dict) else files or ():
        content = file[1] if isinstance(file, (tuple, list)) else file
        if hasattr(content, "read"):
            if not content.seekable():
                return False
            content.seek(0)
    return True
