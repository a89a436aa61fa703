"""The cache class of a tutorial, as it is copied from blog to blog.

It knows nothing of wxtokend. Arguments: directory, appid, and how many different
tokens it shall see before it ends well.
"""

import json
import os
import sys
import time


class WelCache:
    def __init__(self, path):
        self.path = path

    def get(self, key):
        path = os.path.join(self.path, key)
        if not os.path.exists(path):
            return None
        with open(path) as f:
            data = json.loads(f.read())
        if data["expire"] > time.time():
            return data["value"]
        return None


directory, appid, wanted = sys.argv[1:]
cache = WelCache(directory)
seen = set()
misses = 0
while len(seen) < int(wanted):
    token = cache.get("wx_access_token_" + appid)
    if token is None:
        # A miss is when the tutorial's app would fetch by itself.
        misses += 1
    elif token not in seen:
        seen.add(token)
        print("%d tokens, %d misses" % (len(seen), misses), flush=True)
