import json, os, sys
from wxtokend_tickets import WxtokendTickets

tickets = WxtokendTickets(os.environ["WECHAT_APPID"], os.environ["WXTOKEND_DIRECTORY"])


def sign(what, *words):
    if what == "page":
        url, nonce, timestamp = words
        return " ".join(map(str, tickets.page(url, nonce, int(timestamp)).values()))
    if what == "ask":
        return json.dumps(tickets.request_page(words[0]))
    if what == "sort":
        return tickets.signature(words)
    card_id, timestamp, nonce, code = words
    return tickets.card(card_id, timestamp=timestamp, nonce_str=nonce, code=code)["signature"]


for line in sys.stdin:
    try:
        print(sign(*line.rstrip("\n").split("\t")), flush=True)
    except Exception as error:
        print("error", error, flush=True)
