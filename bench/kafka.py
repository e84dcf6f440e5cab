#!/usr/bin/env python3
"""Kafka in -> store beside the same records over HTTP, and a topic as the queue beside the disk, in turn.

usage: .cache/venv/bin/python bench/kafka.py [RECORDS] [ROUNDS]      (1600000 3)

http     bodies of 4 MiB over one connection          json, auto   a record a message, read from three partitions
queue    the same bodies with --queue kafka://        frames       what an agent's output format=frames writes
Rates are records by wall second, and by CPU second of the server; the broker's own work is not counted."""
import json
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
import conftest  # noqa: E402
from forward import cpu, record  # noqa: E402
from inputs import inputs  # noqa: E402
from parts.kafka import Kafka  # noqa: E402
from wire import Client  # noqa: E402

BODY = 4 << 20


def bodies(lines):
    body, size = [], 0
    for line in lines:
        body.append(line)
        size += len(line)
        if size >= BODY:
            yield b"".join(body)
            body, size = [], 0
    if body:
        yield b"".join(body)


class Run:
    """One server on a fresh folder: seconds by the wall and of CPU between two moments."""

    def __init__(self, folder, args=()):
        self.server = conftest.Server(pathlib.Path(folder) / "data", args)

    def __enter__(self):
        self.server.start()
        self.cpu, self.wall = sum(cpu(self.server.process.pid).values()), time.monotonic()
        return self

    def spent(self):
        return time.monotonic() - self.wall, sum(cpu(self.server.process.pid).values()) - self.cpu

    def __exit__(self, *_):
        self.server.stop()


def by_http(folder, lines, args=()):
    with Run(folder, args) as run:
        client = Client(run.server.port)
        run.wall = time.monotonic()
        for body in bodies(lines):
            client.call("POST", "/api/v1/logs/ingest?stream=app", body, {"Content-Type": "application/x-ndjson"})
        return run.spent()


def by_input(folder, kafka, topic, form, n):
    url = f"kafka://{kafka.address}/{topic}?format={form}&stream=app&group=g-{time.monotonic_ns()}"
    with Run(folder, ["--input", url]) as run:
        while not inputs(run.server)[0]["connections"]:  # joining the group takes seconds that no record costs
            time.sleep(0.005)
        run.wall = time.monotonic()
        while inputs(run.server)[0]["accepted"] < n:  # an answer costs the server as much as 2,000 records
            time.sleep(0.1)
        return run.spent()


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1600000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    lines = [json.dumps(record(i)).encode() + b"\n" for i in range(n)]
    results = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kafka = Kafka(pathlib.Path(folder) / "kafka").start()
        try:
            topic, queue = kafka.topic(partitions=3), kafka.topic(partitions=3)
            kafka.produce(topic, (line[:-1] for line in lines))
            ways = {
                "http": lambda to: by_http(to, lines),
                "json": lambda to: by_input(to, kafka, topic, "json", n),
                "auto": lambda to: by_input(to, kafka, topic, "auto", n),
                "queue": lambda to: by_http(to, lines, ["--queue", f"kafka://{kafka.address}/{kafka.topic(partitions=3)}"]),
                "frames": lambda to: by_input(to, kafka, queue, "frames", n),
            }
            with tempfile.TemporaryDirectory() as to:
                by_http(to, lines, ["--queue", f"kafka://{kafka.address}/{queue}", "--set", "log.self_ingest=false"])
            for _ in range(rounds):
                for name, way in ways.items():
                    with tempfile.TemporaryDirectory() as to:
                        results.setdefault(name, []).append(way(to))
        finally:
            kafka.stop()
    base = [statistics.median(n / r[i] for r in results["http"]) for i in (0, 1)]
    print(f"{'':8} {'records/s':>12} {'of http':>8} {'records/CPU s':>14} {'of http':>8}")
    for name, runs in results.items():
        wall, busy = (statistics.median(n / max(r[i], 0.01) for r in runs) for i in (0, 1))
        print(f"{name:8} {wall:12.0f} {wall / base[0]:8.2f} {busy:14.0f} {busy / base[1]:8.2f}")


if __name__ == "__main__":
    main()
