"""Workers that all notice within a second that their token is dead.

usage: reporters.py COUNT SOCKET APPID USE_URL   (the dead token comes on stdin)

Forks COUNT processes. Each one waits for the start, reports the token, takes
the token that it is told, and calls a business API with it. Prints a line of
JSON for each: the outcome, the status, and the errcode of that call.
"""
import json
import os
import socket
import sys
import urllib.request

count, path, appid, use_url = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
stale = sys.stdin.readline().strip()
go_out, go_in = os.pipe()
said_out, said_in = os.pipe()


def report():
    body = json.dumps({"stale": stale}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        connection.sendall(
            b"POST /v1/accounts/%s/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (appid.encode(), len(body), body)
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def worker():
    os.close(go_in)
    os.read(go_out, 1)  # Returns when the parent closes its end.
    try:
        status, told = report()
        token = told.get("value", "")
        with urllib.request.urlopen(f"{use_url}?access_token={token}", timeout=60) as used:
            errcode = json.load(used)["errcode"]
        line = {"status": status, "outcome": told.get("outcome"), "renewed": token != stale, "errcode": errcode}
    except Exception as error:
        line = {"error": repr(error)}
    # Shorter than PIPE_BUF: lines do not mix.
    os.write(said_in, (json.dumps(line) + "\n").encode())


for _ in range(count):
    if os.fork() == 0:
        worker()
        os._exit(0)
os.close(go_out)
os.close(said_in)
os.close(go_in)
with os.fdopen(said_out) as said:
    sys.stdout.write(said.read())
for _ in range(count):
    os.wait()
