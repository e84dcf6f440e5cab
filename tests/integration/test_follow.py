"""The live tail: every record once, in the order of its landing, whatever breaks in between."""
import itertools
import json
import random
import signal
import socket
import subprocess
import threading
import time

import conftest
import pytest
import requests


class Proxy:
    """Between client and server; drops its connections when told."""

    def __init__(self, port):
        self.target, self.sockets = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
                b = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                if self.listener.fileno() < 0:
                    return
                a.close()
                continue
            self.sockets += [a, b]
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.pump, args=(x, y), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(4096):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def drop(self):
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets = []


class Follower:
    def __init__(self, url, *args):
        self.process = subprocess.Popen([conftest.WEIR, "search", "--url", url, "--follow", "--output", "json", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rows = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def wait_for(self, n, seconds=60):
        until = time.monotonic() + seconds
        while len(self.rows) < n and time.monotonic() < until:
            time.sleep(0.02)
        assert len(self.rows) >= n, (len(self.rows), n, self.process.poll())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def follow():
    made = []

    def make(*args):
        made.append(Follower(*args))
        return made[-1]
    yield make
    for f in made:
        f.close()


def wait_for_tails(server, n):
    until = time.monotonic() + 60
    while f"weir_tails_running {n}\n" not in requests.get(server.url + "/metrics").text:
        assert time.monotonic() < until, f"there are not {n} tails"
        time.sleep(0.05)


def lines(numbers, **more):
    return "".join(json.dumps({"i": i, "level": "ERROR" if i % 3 == 0 else "INFO", **more}) + "\n" for i in numbers)


def test_each_once_through_breaks_cuts_and_restarts(make_server, follow):
    server = make_server(args=["--set", "store.block_rows=64"])
    proxy = Proxy(server.port)
    rng = random.Random(5)
    server.ingest(lines(range(20)), stream="a")
    f = follow(f"http://127.0.0.1:{proxy.port}", "--limit", "5", "level:ERROR")
    f.wait_for(5)
    assert [r["i"] for r in f.rows] == [6, 9, 12, 15, 18]
    n = 20
    for step in range(40):
        more = rng.randrange(1, 40)
        server.ingest(lines(range(n, n + more)), stream=rng.choice("ab"))
        n += more
        if step % 5 == 1:
            proxy.drop()
        if step % 7 == 2:
            server.flush()
        if step % 13 == 5:
            server.compact()
        if step in (15, 30):
            (server.kill if step == 15 else server.stop)()
            proxy.drop()
            server.start()
    want = [i for i in range(20, n) if i % 3 == 0]
    f.wait_for(5 + len(want))
    time.sleep(0.3)
    assert [r["i"] for r in f.rows[5:]] == want, "in order, none lost, none twice"


def test_rows_are_those_of_query(server, follow):
    f = follow(server.url, "--stream", "s", "* | where i:>2 | fields i, _stream")
    wait_for_tails(server, 1)
    server.ingest(lines(range(6)), stream="s")
    server.ingest(lines(range(100, 106)), stream="t")
    f.wait_for(3)
    assert f.rows == [{"i": i, "_stream": "s"} for i in (3, 4, 5)]


def test_endpoint(server):
    tail = server.url + "/api/v1/logs/tail"
    assert requests.get(tail, params={"q": "(a"}).status_code == 400
    r = requests.get(tail, params={"q": "* | stats count()"})
    assert r.status_code == 400 and "live tail" in r.json()["error"]
    assert requests.get(tail, params={"after": "x"}).status_code == 400
    r = requests.get(tail, params={"after": "999999"})
    assert r.status_code == 400 and "ahead" in r.json()["error"]
    server.ingest(lines(range(3)))
    with requests.get(tail, params={"q": "*", "limit": 2, "meta": 1}, stream=True) as r:
        rows = r.iter_lines()
        assert [json.loads(next(rows))["i"] for _ in range(2)] == [1, 2]
        cursor = json.loads(next(rows))["_meta"]["cursor"]
        server.ingest(lines([7]))
        assert json.loads(next(rows))["i"] == 7
        assert int(json.loads(next(rows))["_meta"]["cursor"]) > int(cursor)
        assert "weir_tails_running 1" in requests.get(server.url + "/metrics").text
    # From that cursor on again, and from before everything.
    with requests.get(tail, params={"after": "0"}, stream=True) as r:
        rows = (json.loads(x)["i"] for x in r.iter_lines() if x)
        assert list(itertools.islice(rows, 4)) == [0, 1, 2, 7]
        server.ingest(lines([9]))
        assert next(rows) == 9, "and nothing between"
    with requests.get(tail, params={"after": cursor}, stream=True) as r:
        assert json.loads(next(r.iter_lines()))["i"] == 7
    # As search has them, where that is asked for.
    server.ingest('{"msg":"named otherwise","i":8}')
    r = requests.get(tail, params={"q": "i:8", "limit": 1, "aliases": 1, "timeout": "300ms"})
    assert json.loads(r.text.splitlines()[0]) == server.search("i:8")["logs"][0]
    wait_for_tails(server, 0)  # clients have left, their tails end


def test_what_is_much_comes_in_parts(server):
    """More than a round may hold in memory: all of it, once and in order."""
    many, pad = 60, "x" * 1000
    for k in range(many):
        server.ingest(lines(range(k * 1000, k * 1000 + 1000), pad=pad), stream="ab"[k % 2])
        if k % 20 == 7:
            server.flush()
    with requests.get(server.url + "/api/v1/logs/tail", stream=True, params={"after": "0", "meta": 1, "timeout": "60s"}) as r:
        got, cursors = [], 0
        for line in r.iter_lines():
            row = json.loads(line)
            cursors += "_meta" in row
            got += [row["i"]] if "i" in row else []
            if len(got) == many * 1000:
                break
    assert got == list(range(many * 1000))
    assert cursors >= 2


def test_many_tails_leave_room_for_queries_and_end_with_the_server(server):
    tail = server.url + "/api/v1/logs/tail"
    open_tails = [requests.get(tail, stream=True) for _ in range(32)]
    assert all(r.status_code == 200 for r in open_tails)
    assert requests.get(tail).status_code == 503
    server.ingest(lines([1]))
    assert server.search("i:1")["total_hits"] == 1
    for r in open_tails:
        assert json.loads(next(r.iter_lines()))["i"] == 1
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert time.monotonic() - began < 25, "stop_timeout is not waited out"


def test_refusals_are_explained(server):
    r = subprocess.run([conftest.WEIR, "search", "--url", server.url, "--follow", "(a"], capture_output=True, timeout=60)
    assert r.returncode == 2 and b"^" in r.stderr
