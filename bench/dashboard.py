#!/usr/bin/env python3
"""A dashboard's mix: ten queries over the last 15 minutes, so many a second, while records arrive at a rate. Latency from the
moment a query was due (a late start counts; what is more than a second late at the end is not asked any more), the share of blocks answered from what is kept, and what the queries cost ingest.
The dashboard has been open: each query was asked once before, which is told as first_ms.

  "$(scripts/python.sh)" bench/dashboard.py --stored 10 --searches 1000 --arrive 100000 --seconds 30
  "$(scripts/python.sh)" bench/dashboard.py --nocache ...                      the same with nothing kept"""
import argparse
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import data as sets
from server import Weir
from wire import Client, Sender

MINUTES = 15
QUERIES = ["* | stats count() by service", 'level:="ERROR" | stats count() by service', 'level:="ERROR" | stats count() by bin(1m)',
           "* | stats count() by bin(1m), level", "* | stats p99(metadata.latency_ms) as p by service",
           'message:"timeout connecting" | stats count()', "metadata.latency_ms:>400 | stats count() by service",
           "* | stats avg(metadata.latency_ms) as a by bin(1m)", "* | top 10 host", "level:(ERROR OR WARN) | stats count() by metadata.region"]


def target(query, nocache):
    parameters = {"q": query, "stream": "app", "from": f"now-{MINUTES}m"}
    if nocache:
        parameters["nocache"] = 1
    return "/api/v1/logs/query?" + urllib.parse.urlencode(parameters)


def is_whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, length = head.partition(b"Content-Length: ")
    return len(body) == int(length.split(b"\r")[0]) if found else body.endswith(b"0\r\n\r\n")


class Asker(threading.Thread):
    """Takes the next query that is due, from a schedule that all share. Over a bare socket: a client's own work is not to be
    what is measured."""

    def __init__(self, server, schedule, nocache, until=0):
        super().__init__(daemon=True)
        self.sock, self.schedule, self.until = socket.create_connection(("127.0.0.1", server.port)), schedule, until
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = {q: f"GET {target(q, nocache)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for q in QUERIES}
        self.times, self.failure = [], None

    def ask(self, query):
        self.sock.sendall(self.request[query])
        answer = b""
        while not is_whole(answer):
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("the server closed the connection: " + answer[:200].decode(errors="replace"))
            answer += more
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer[:500].decode(errors="replace"))

    def run(self):
        try:
            for due, query in self.schedule:
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                began = time.perf_counter()
                if began > self.until:  # it cannot keep up
                    break
                self.ask(query)
                self.times.append((due, began, time.perf_counter(), query))
        except Exception as e:
            self.failure = e


class Shared:
    """An iterator for many threads."""

    def __init__(self, items):
        self.items, self.lock = iter(items), threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.items)


def records(weir, n, seed, start, path):
    with open(path, "wb") as out:
        subprocess.run([weir, "produce", "--count", str(n), "--seed", str(seed), "--start", start, "--quiet"], stdout=out, check=True)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Arrivals(threading.Thread):
    """Sends a file of records again and again at a rate, a body each tenth of a second; they have the times at which they were
    made, which is about now."""

    def __init__(self, server, weir, rate, folder):
        super().__init__(daemon=True)
        self.path, self.rate, self.stop = folder / "arriving.ndjson", rate, threading.Event()
        records(weir, rate, 999, stamp(time.time()), self.path)
        self.spans = sets.bodies(self.path, self.path.stat().st_size // 10)
        self.sender = Sender(server.port, self.path, "/api/v1/logs/ingest?stream=app", connections=1)
        self.sent, self.late = 0, 0.0

    def run(self):
        began = time.monotonic()
        for second in range(10 ** 6):
            for i, span in enumerate(self.spans):
                due = began + second + i / len(self.spans)
                time.sleep(max(0, due - time.monotonic()))
                self.late = max(self.late, time.monotonic() - due)
                if self.stop.is_set():
                    return
                self.sender.send([span])
                self.sent += self.rate / len(self.spans)


def kept(server):
    text = Client(server.port).call("GET", "/metrics").decode()
    found = dict(re.findall(r'weir_query_kept_blocks_total\{result="(\w+)"\} (\d+)', text))
    return int(found.get("hit", 0)), int(found.get("miss", 0))


class Watcher(threading.Thread):
    """What the server does meanwhile, ten times a second: CPU by the threads' names in ms, cuts, merges, blocks kept or not."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.stop, self.lines = server, threading.Event(), []

    def look(self):
        cpu, folder = {}, pathlib.Path(f"/proc/{self.server.process.pid}/task")
        for task in folder.iterdir():
            try:
                text = (task / "schedstat").read_text(), (task / "comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            cpu[text[1]] = cpu.get(text[1], 0) + int(text[0].split()[0]) / 1e6
        text = Client(self.server.port).call("GET", "/metrics").decode()
        for name in ("cuts", "merges"):
            cpu[name] = int(re.search(rf"weir_store_{name}_total (\d+)", text)[1])
        cpu.update((k, int(v)) for k, v in re.findall(r'weir_query_kept_blocks_total\{result="(\w+)"\} (\d+)', text))
        return cpu

    def run(self):
        before = self.look()
        while not self.stop.wait(0.1):
            now = self.look()
            self.lines.append((time.perf_counter(), {k: round(v - before.get(k, 0), 1) for k, v in now.items() if v != before.get(k, 0)}))
            before = now


def write_trace(path, askers, lines):
    """A line of JSON a request ("ms" from when it was due, "late" of them before it was sent, "q" which query) and one a look."""
    out = [(due, {"ms": (end - due) * 1000, "late": (began - due) * 1000, "q": QUERIES.index(query)})
           for a in askers for due, began, end, query in a.times] + lines
    zero = min(at for at, _ in out)
    with open(path, "w") as f:
        for at, line in sorted(out, key=lambda x: x[0]):
            f.write(json.dumps({"at": round(at - zero, 4)} | {k: round(v, 2) for k, v in line.items()}) + "\n")


def quantile(times, q):
    return sorted(times)[min(len(times) - 1, int(len(times) * q))] if times else 0


def first_answers(server, options):
    """How long each query takes that was not asked before, the longest."""
    asker, longest = Asker(server, [], options.nocache), 0.0
    for query in QUERIES:
        began = time.perf_counter()
        asker.ask(query)
        longest = max(longest, time.perf_counter() - began)
    return longest * 1000


def run(server, options, work):
    arrivals = Arrivals(server, options.weir, options.arrive, work)
    arrivals.start()
    time.sleep(3)
    sent, cpu, began = arrivals.sent, server.cpu(), time.monotonic()
    time.sleep(options.seconds / 3)
    alone = (arrivals.sent - sent) / (time.monotonic() - began), (server.cpu() - cpu) / (time.monotonic() - began)
    first = first_answers(server, options)
    rng, now = random.Random(1), time.perf_counter() + 0.5
    schedule = Shared([(now + i / options.searches, rng.choice(QUERIES)) for i in range(int(options.searches * options.seconds))])
    hits, misses = kept(server)
    time.sleep(max(0, now - time.perf_counter()))
    sent, cpu, began = arrivals.sent, server.cpu(), time.monotonic()
    askers = [Asker(server, schedule, options.nocache, now + options.seconds + 1) for _ in range(options.clients)]
    endless = Shared((0, QUERIES[i % len(QUERIES)]) for i in range(10 ** 9))
    beside = [Asker(server, endless, True, now + options.seconds) for _ in range(options.beside)]
    for a in beside:
        a.start()
    watcher = Watcher(server)
    if options.trace:
        watcher.start()
    for a in askers:
        a.start()
    for a in askers:
        a.join(options.seconds * 4)
    watcher.stop.set()
    seconds = time.monotonic() - began
    busy = (arrivals.sent - sent) / seconds, (server.cpu() - cpu) / seconds
    arrivals.stop.set()
    for a in askers + beside:
        if a.failure:
            raise a.failure
    if options.trace:
        write_trace(options.trace, askers, watcher.lines)
    times, (hits_now, misses_now) = [(t[2] - t[0]) * 1000 for a in askers for t in a.times], kept(server)
    share = (hits_now - hits) / max(1, hits_now - hits + misses_now - misses)
    return {"first_ms": first, "searches_per_s": len(times) / seconds, "p50_ms": quantile(times, 0.5), "p99_ms": quantile(times, 0.99),
            "kept_share": share, "beside_per_s": sum(len(a.times) for a in beside) / seconds, "arrive_per_s": busy[0], "arrive_alone_per_s": alone[0],
            "cpu_cores": busy[1], "cpu_alone_cores": alone[1], "hwm_mb": server.memory("VmHWM") / 1e6}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"))
    p.add_argument("--stored", type=int, default=10, help="million records before, 5,000 a second up to now")
    p.add_argument("--searches", type=float, default=1000, help="a second")
    p.add_argument("--arrive", type=int, default=100000, help="records a second")
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--nocache", action="store_true")
    p.add_argument("--beside", type=int, default=0, help="clients that ask the same with nothing kept, one after the other")
    p.add_argument("--trace", metavar="FILE", help="each request, and what the server did meanwhile")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = p.parse_args()
    sets.CACHE.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="dashboard-", dir=sets.CACHE))
    server = Weir(options.weir, work / "data", [a for s in options.set for a in ("--set", s)])
    try:
        server.start()
        for i in range(options.stored):  # each covers 200 seconds, up to now
            start = time.time() - 200 * (options.stored - i)
            records(options.weir, 1000000, i + 1, stamp(start), work / "million")
            Sender(server.port, work / "million", "/api/v1/logs/ingest?stream=app").send(sets.bodies(work / "million", 8 << 20))
        Client(server.port).call("POST", "/api/v1/admin/compact?full=0")
        result = run(server, options, work)
    finally:
        server.remove()
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({k: round(v, 3) for k, v in result.items()}))


if __name__ == "__main__":
    sys.exit(main())
