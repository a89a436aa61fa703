"""Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT", all at once."""
import json
import os
import sys
import threading

APPID, DIRECTORY, API = (os.environ[name] for name in ("WECHAT_APPID", "WXTOKEND_DIRECTORY", "WECHAT_API"))
writing = threading.Lock()


def serve(call):
    def run(name, method, path):
        try:
            line = f"{name}\tanswer\t{json.dumps(call(method, path))}\n"
        except Exception as error:
            line = f"{name}\terror\t{type(error).__name__}: {error}\n".replace("\n", " ").strip() + "\n"
        with writing:
            sys.stdout.write(line)
            sys.stdout.flush()

    for line in sys.stdin:
        threading.Thread(target=run, args=line.split()).start()
