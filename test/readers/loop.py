"""An app that reads token files in a loop and uses what it finds.

Arguments: directory, URL of the simulator, appids separated by commas. It ends
when its standard input does, and prints what it saw as one line of JSON.
"""

import hashlib
import http.client
import json
import os
import random
import select
import sys
import time

directory, url, appids = sys.argv[1:]
appids = appids.split(",")
api = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
seen = {appid: [] for appid in appids}
# Which tokens had ended, and how long ago: for whoever must find out why.
late = []
found = {"reads": 0, "uses": 0, "absent": 0, "empty": 0, "torn": 0, "ended": 0, "dead": 0}


def read(appid):
    path = os.path.join(directory, "wx_access_token_" + appid)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        # Before the first token there is none; afterwards always.
        if seen[appid]:
            found["absent"] += 1
        return None
    found["reads"] += 1
    if not content:
        found["empty"] += 1
        return None
    try:
        token = json.loads(content)
        value, expire = token["value"], token["expire"]
        whole = content.endswith(b"}\n") and set(token) == {"value", "expire"}
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        found["torn"] += 1
        return None
    if expire <= time.time():
        found["ended"] += 1
        late.append("%s, %.3f s" % (appid, time.time() - expire))
    # Names the token without giving it away.
    name = hashlib.sha256(value.encode()).hexdigest()[:16]
    if name not in seen[appid]:
        seen[appid].append(name)
    return value


def is_refused(value):
    api.request("GET", "/sim/use?access_token=" + value)
    found["uses"] += 1
    return json.loads(api.getresponse().read())["errcode"] != 0


def asked_to_stop(seconds):
    return select.select([sys.stdin], [], [], seconds)[0]


while not asked_to_stop(random.uniform(0.02, 0.1)):
    for appid in random.sample(appids, min(10, len(appids))):
        value = read(appid)
    # Dead is a token that is refused and still in the file: whoever was slow
    # between reading and using would just read again.
    if value and is_refused(value) and read(appid) == value:
        found["dead"] += 1

print(json.dumps({**found, "late": late, "seen": seen}))
