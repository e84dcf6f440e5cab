#!/usr/bin/env python3
"""How many records a second one sender gets stored durably, for a minute, and what that costs with compaction running beside;
then whether a slow client, a giant record or a wide schema slows others, and clients that stop amid a large body.

  "$(scripts/python.sh)" bench/sustained.py                              as fast as it goes, over one connection
  "$(scripts/python.sh)" bench/sustained.py --rate 500000 --connections 2
  "$(scripts/python.sh)" bench/sustained.py --neighbours"""
import argparse
import json
import os
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

def head_of(stream, length):
    return (f"POST {STREAM}{stream} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n").encode()


def connect(port):
    """As HTTP clients do: what is behind a head does not wait until that is acknowledged."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def post(sock, stream, body):
    """How often it was told to wait."""
    for told in range(10000):
        sock.sendall(head_of(stream, len(body)))
        sock.sendall(body)
        status, answer = read_answer(sock)
        if status // 100 == 2:
            return told
        assert status in (429, 503), answer
        time.sleep(0.05)
    raise RuntimeError("refused for ever: " + answer.decode())


class Neighbour(threading.Thread):
    def __init__(self, port, work):
        super().__init__(daemon=True)
        self.port, self.work, self.over, self.failure = port, work, threading.Event(), None

    def run(self):
        try:
            with connect(self.port) as sock:
                while not self.over.is_set():
                    self.work(sock)
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
        self.next = head_of("slow", 1000000)

    def __call__(self, sock):
        sock.sendall(self.next)
        self.next = b" "


class Half:
    """The first half of a body, and nothing more; again where the connection is closed."""

    def __init__(self, body):
        self.next, self.rest = head_of("half", len(body)), memoryview(body)[:len(body) // 2]

    def __call__(self, sock):
        sock.sendall(self.next)
        sock.sendall(self.rest)
        self.next, self.rest = b"", b""


GIANT = b'{"message":"' + b"giant words " * (7 << 20 >> 4) + b'"}\n'
WIDE = b"".join(json.dumps({f"field_{i}_{k}": k for k in range(10000)}).encode() + b"\n" for i in range(2))


def latencies(server, body, seconds):
    """What it is to send durable bodies, one after the other."""
    times, told = [], 0
    with connect(server.port) as sock:
        until = time.monotonic() + seconds
        while time.monotonic() < until or not times:
            started = time.perf_counter()
            told += post(sock, "app", body)
            times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return {"bodies": len(times), "p50_ms": statistics.median(times), "p99_ms": times[len(times) * 99 // 100],
            "told_to_wait": told}


def neighbours(server, options):
    data = sets.prepare("app", None, options.weir)
    with open(data.path, "rb") as f:
        text = f.read(64 << 20)
    small = b"".join(text[:1 << 20].splitlines(True)[:100])
    large = text[:text.rindex(b"\n", 0, BODY_BYTES) + 1]
    largest = text[:text.rindex(b"\n") + 1]
    halves = 4 * os.cpu_count()
    kinds = [("small: alone", small, []),
             ("small: 50 slow clients", small, [Drip() for _ in range(50)]),
             ("small: giant records", small, [lambda sock: post(sock, "giant", GIANT)]),
             ("small: 10,000 fields a record", small, [lambda sock: post(sock, "wide", WIDE)]),
             ("small: alone again", small, []),
             ("large: alone", large, []),
             ("large: 50 slow clients", large, [Drip() for _ in range(50)]),
             (f"large: {halves} stop amid 4 MiB", large, [Half(large) for _ in range(halves)]),
             (f"large: {halves} stop amid {len(largest) >> 20} MiB", large, [Half(largest) for _ in range(halves)]),
             ("large: alone again", large, [])]
    server.start()
    result = {}
    for name, body, works in kinds:
        if options.only and options.only not in name:
            continue
        others = [Neighbour(server.port, work) for work in works]
        for o in others:
            o.start()
        if others:
            time.sleep(2)
        result[name] = latencies(server, body, options.seconds / 5)
        for o in others:
            o.stop()
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"))
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--rate", type=float, default=0, help="records a second; 0: no bound")
    p.add_argument("--connections", type=int, default=1)
    p.add_argument("--neighbours", action="store_true")
    p.add_argument("--only", help="of the neighbours, those with this in their name")
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
