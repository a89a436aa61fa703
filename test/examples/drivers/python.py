from loop import API, APPID, DIRECTORY, serve
from wxtokend import Wxtokend

wechat = Wxtokend(APPID, DIRECTORY, API)
serve(lambda method, path: wechat.call(path, {"name": "中文"} if method == "POST" else None, reader=APPID))
