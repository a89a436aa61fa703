import io

from loop import API, APPID, DIRECTORY, serve
from wechatpy.exceptions import WeChatClientException
from wechatpy_client import WxtokendClient
from wxtokend import Wxtokend

client = WxtokendClient(APPID, "a-secret", Wxtokend(APPID, DIRECTORY))
client.API_BASE_URL = API


class Pipe(io.BytesIO):
    def seekable(self):
        return False


def call(method, path):
    try:
        if method != "GET":
            media = (io.BytesIO if method == "POST" else Pipe)("中文".encode())
            return client.post(path, params={"reader": APPID}, files={"media": media})
        # As those methods of the SDK do it that put the token in by themselves.
        return client.get(path, params={"reader": APPID, "access_token": client.access_token})
    except WeChatClientException as refusal:
        return {"errcode": refusal.errcode}


serve(call)
