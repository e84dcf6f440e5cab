#!/usr/bin/env python3
"""How many records a second one sender gets stored durably, for a minute, and what that costs with compaction running beside;
then whether a slow client, a giant record or a wide schema slows others.

  "$(scripts/python.sh)" bench/sustained.py                              as fast as it goes, over one connection
  "$(scripts/python.sh)" bench/sustained.py --rate 500000 --connections 2
  "$(scripts/python.sh)" bench/sustained.py --neighbours"""
import argparse
import json
import pathlib
import resource
import shutil
import socket
import statistics
import tempfile
import threading
import time

import data as sets
from server import TICK, Weir
from wire import Client, Sender, read_answer

BODY_BYTES = 4 << 20
STREAM = "/api/v1/logs/ingest?stream="


class Paced(Sender):
    """Spans of the file again and again, no faster than `rate` records a second (0: no bound), until the time is over."""

    def __init__(self, *args, rate, seconds, counts, **more):
        super().__init__(*args, **more)
        self.rate, self.until, self.counts = rate, time.monotonic() + seconds, counts
        self.started, self.sent, self.bodies = time.monotonic(), 0, 0

    def next(self):
        with self.lock:
            ahead = self.sent / self.rate - (time.monotonic() - self.started) if self.rate else 0
            span = self.spans[self.bodies % len(self.spans)]
            self.bodies += 1
            self.sent += self.counts[span[0]]
        if ahead > 0:
            time.sleep(ahead)
        return span if time.monotonic() < self.until and not self.failure else None


def thread_cpu(pid):
    """CPU seconds by the name of the threads."""
    total = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(")")
        fields, name = rest.split(), head.partition("(")[2]
        total[name] = total.get(name, 0) + (int(fields[11]) + int(fields[12])) / TICK
    return total


def count_records(path, spans):
    counts = {}
    with open(path, "rb") as f:
        for offset, length in spans:
            f.seek(offset)
            counts[offset] = f.read(length).count(b"\n")
    return counts


def sustained(server, options):
    data = sets.prepare("app", None, options.weir)
    spans = sets.bodies(data.path, BODY_BYTES)
    server.start()
    sender = Paced(server.port, data.path, STREAM + "app", connections=options.connections, rate=options.rate,
                   seconds=options.seconds, counts=count_records(data.path, spans))
    own = resource.getrusage(resource.RUSAGE_SELF)
    wall = sender.send(spans)
    cpu, threads = server.cpu(), thread_cpu(server.process.pid)
    now = resource.getrusage(resource.RUSAGE_SELF)
    records = sum(json.loads(a)["accepted"] for a in sender.answers)
    behind = len(list((server.data / "segments").glob("*.seg")))
    server.client = Client(server.port)
    started = time.monotonic()
    server.flush()
    server.client.call("POST", "/api/v1/admin/compact?full=0")
    return {"records_per_second": records / wall, "seconds": wall, "records": records, "cpu": cpu,
            "cpu_us_per_record": cpu / records * 1e6, "cpu_compaction": threads.get("compact", 0),
            "cpu_sender": now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime, "segments_at_end": behind,
            "seconds_to_catch_up": time.monotonic() - started, "cpu_with_the_rest": server.cpu(),
            "peak_mb": server.memory("VmHWM") / 1e6, "told_to_wait": sender.retries}


# -- neighbours --

def post(sock, port, stream, body):
    sock.sendall(f"POST {STREAM}{stream} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    status, answer = read_answer(sock)
    assert status // 100 == 2, answer


class Neighbour(threading.Thread):
    def __init__(self, port, work):
        super().__init__(daemon=True)
        self.port, self.work, self.over, self.failure = port, work, threading.Event(), None

    def run(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as sock:
                while not self.over.is_set():
                    self.work(sock, self.port)
                    self.over.wait(0.1)
        except Exception as e:
            self.failure = e

    def stop(self):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure


class Drip:
    """A body of which a byte comes every tenth of a second; it never ends."""

    def __init__(self):
        self.next = f"POST {STREAM}slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()

    def __call__(self, sock, port):
        sock.sendall(self.next)
        self.next = b" "


GIANT = b'{"message":"' + b"giant words " * (7 << 20 >> 4) + b'"}\n'
WIDE = b"".join(json.dumps({f"field_{i}_{k}": k for k in range(10000)}).encode() + b"\n" for i in range(2))


def latencies(server, lines, seconds):
    """Milliseconds of small durable bodies, one after the other."""
    times, body = [], b"".join(lines[:100])
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            started = time.perf_counter()
            post(sock, server.port, "app", body)
            times.append((time.perf_counter() - started) * 1000)
    return times


def neighbours(server, options):
    data = sets.prepare("app", None, options.weir)
    with open(data.path, "rb") as f:
        lines = [next(f) for _ in range(100)]
    kinds = {"alone": [], "50 slow clients": [Drip() for _ in range(50)],
             "giant records": [lambda sock, port: post(sock, port, "giant", GIANT)],
             "10,000 fields a record": [lambda sock, port: post(sock, port, "wide", WIDE)], "alone again": []}
    server.start()
    result = {}
    for name, works in kinds.items():
        others = [Neighbour(server.port, work) for work in works]
        for o in others:
            o.start()
        times = sorted(latencies(server, lines, options.seconds / 5))
        for o in others:
            o.stop()
        result[name] = {"bodies": len(times), "p50_ms": statistics.median(times), "p99_ms": times[len(times) * 99 // 100]}
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"))
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--rate", type=float, default=0, help="records a second; 0: no bound")
    p.add_argument("--connections", type=int, default=1)
    p.add_argument("--neighbours", action="store_true")
    options = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="weir-sustained-"))
    server = Weir(options.weir, work / "data")
    try:
        print(json.dumps((neighbours if options.neighbours else sustained)(server, options), indent=1))
        server.stop()
    finally:
        server.remove()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
