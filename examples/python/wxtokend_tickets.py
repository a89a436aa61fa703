"""Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside wxtokend.py.

    tickets = WxtokendTickets("wx0123456789abcdef")
    config = tickets.page(url)  # location.href.split("#")[0] of the browser
    card_ext = json.dumps(tickets.card("pXch-jnOlGtbuWwIO2NDftZeynRE", code="1234"))
"""
import hashlib, http.client, json, os.path, secrets, socket, time
from wxtokend import Wxtokend


class WxtokendTickets:
    def __init__(self, appid, directory=None):
        self.appid = appid
        self.directory = os.path.dirname(Wxtokend(appid, directory).file)

    def ticket(self, kind):
        """"jsapi" or "card". Read it at every use: it may be another one at any moment."""
        reader = Wxtokend(self.appid, self.directory)
        reader.file = f"{self.directory}/wx_{kind}_ticket_{self.appid}"
        return reader.token()

    def page(self, url, nonce=None, timestamp=None):
        """What wx.config takes. The name is nonceStr there, and noncestr in the text that is signed."""
        nonce = nonce or secrets.token_hex(8)
        timestamp = timestamp or int(time.time())
        url = url.split("#")[0]
        text = f"jsapi_ticket={self.ticket('jsapi')}&noncestr={nonce}&timestamp={timestamp}&url={url}"
        signature = hashlib.sha1(text.encode()).hexdigest()
        return {"appId": self.appid, "timestamp": timestamp, "nonceStr": nonce, "signature": signature}

    def request_page(self, url):
        """As page, but wxtokend signs, and the ticket does not leave it."""
        path, body = f"/v1/accounts/{self.appid}/jssdk", json.dumps({"url": url})
        keeper = http.client.HTTPConnection("wxtokend")
        with socket.socket(socket.AF_UNIX) as keeper.sock:
            keeper.sock.settimeout(10)
            keeper.sock.connect(f"{self.directory}/control.sock")
            keeper.request("POST", path, body, {"Content-Type": "application/json"})
            answer = json.load(keeper.getresponse())
        if "signature" not in answer:
            raise RuntimeError(f"could not sign a page: {answer['message']}")
        return answer

    def card(self, card_id, **fields):
        """cardExt of a card. fields: code and openid, if they are used; timestamp and nonce_str are added."""
        fields = {"timestamp": str(int(time.time())), "nonce_str": secrets.token_hex(8), **fields}
        return {**fields, "signature": self.signature([self.ticket("card"), card_id, *fields.values()])}

    @staticmethod
    def signature(values):
        """Sorted by bytes."""
        return hashlib.sha1(b"".join(sorted(value.encode() for value in values))).hexdigest()
