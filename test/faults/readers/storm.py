"""Reads token files as fast as it can, until told to stop; tells what it found."""

import json
import os
import sys

stop, paths = sys.argv[1], sys.argv[2:]
reads = missing = empty = torn = back = changes = 0
last = {}


def tell(end):
    print(json.dumps({"reads": reads, "missing": missing, "empty": empty, "torn": torn,
                      "back": back, "changes": changes, "end": end}), flush=True)


while True:
    for path in paths:
        reads += 1
        try:
            with open(path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            missing += 1
            continue
        if not text:
            empty += 1
            continue
        try:
            token = json.loads(text)
            assert text.endswith(b"}\n") and sorted(token) == ["expire", "value"]
            value, expire = token["value"], token["expire"]
            assert len(value) == 136 and isinstance(expire, int)
        except (ValueError, AssertionError):
            torn += 1
            continue
        if path in last and last[path] != text:
            changes += 1
            if expire < json.loads(last[path])["expire"]:
                back += 1
        last[path] = text
    if reads % (100 * len(paths)) == 0:
        stopped = os.path.exists(stop)
        tell(stopped)
        if stopped:
            break
