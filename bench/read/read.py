# Each line "WAY COUNT" on stdin: reads the token so often in that way; answers with microseconds per read.
import http.client, json, os, socket, sys, time

directory, appid = os.environ["WXTOKEND_DIRECTORY"], os.environ["BENCH_APPID"]
file = f"{directory}/wx_access_token_{appid}"
sys.path.insert(0, "examples/python")
sys.dont_write_bytecode = True
from wxtokend import Wxtokend  # noqa: E402

reader = Wxtokend(appid)


def bare():
    with open(file, "rb") as opened:
        return json.loads(opened.read())["value"]


def redis():
    connection = socket.create_connection(("127.0.0.1", int(os.environ["BENCH_REDIS"])))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get():
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$5\r\ntoken\r\n")
        answer = b""
        while answer.count(b"\r\n") < 2:
            answer += connection.recv(4096)
        return json.loads(answer.split(b"\r\n")[1])["value"]

    return get


def server():
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_SERVER"]))

    def get():
        connection.request("GET", "/token")
        return json.loads(connection.getresponse().read())["value"]

    return get


openings = {"reader": lambda: reader.token, "bare": lambda: bare, "redis": redis, "server": server}
ways = {}
for line in sys.stdin:
    way, count = line.split()
    read = ways.get(way) or ways.setdefault(way, openings[way]())
    assert len(read()) == 136
    started = time.perf_counter_ns()
    for _ in range(int(count)):
        read()
    print((time.perf_counter_ns() - started) / 1000 / int(count), flush=True)
