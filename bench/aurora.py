#!/usr/bin/env python3
"""The collector on a scaled fleet: 316 instances whose slow and error logs are rotated each hour, 24 rotated files of each
(bench/rds.py serves them). First all that lies there is read, then the clock runs, quickly, while everything is collected; at
the end each instance's records are counted in the store and must be as many as were written, no more and no less.

  "$(scripts/python.sh)" bench/aurora.py                           2 GB offered
  "$(scripts/python.sh)" bench/aurora.py --gb 100 --hour 300       as much as the fleet writes in a day or two

Last, discovery alone: requests by round with the cache off, on, and shared by two discoverers (where a Redis can be had)."""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import data as sets
import rds
from server import Server, Weir, free_port
from wire import Client

sys.path.insert(0, str(sets.ROOT / "tests" / "integration"))
from parts.redis import Redis  # noqa: E402

ENTRIES = 60000
STREAMS = ("slow_search_logs", "error_logs")


def produce(weir, kind):
    run = subprocess.run([weir, "produce", "--kind", kind, "--count", str(ENTRIES), "--start", "2025-08-03T12:00:00Z"],
                         capture_output=True, check=True)
    return run.stdout


def rings(weir):
    """Entries as Aurora 3 writes them, from those of `weir produce`."""
    slow = []
    for line in produce(weir, "mysql-slow").splitlines():
        entry = json.loads(line)
        slow.append(f"# Time: {entry['time']}\n{entry['message']}\n".encode())
    error = produce(weir, "mysql-error").splitlines(True)
    return (rds.Ring(slow, slow_head), rds.Ring(error, error_head))


def slow_head(number):
    return (f"# Time: 2025-08-03T12:00:00.000000Z\n# User@Host: head[head] @  [10.0.0.1]  Id: {number}\n# Query_time: 1.0  "
            f"Lock_time: 0.0 Rows_sent: 1  Rows_examined: 1\nSET timestamp=1754222400;\nSELECT {number};\n").encode()


def error_head(number):
    return f"2025-08-03T12:00:00.000000Z 1 [Note] [MY-010000] [Server] file {number}\n".encode()


class Collector(Server):
    """weir aurora VERB, watched like a server."""
    name, ready_path = "aurora", "/healthz"

    def __init__(self, options, fleet, folder, name, *args):
        super().__init__(options.weir, pathlib.Path(folder) / name)
        os.environ.update(AWS_ENDPOINT_URL_RDS=fleet.url, AWS_REGION="eu-test-1", AWS_ACCESS_KEY_ID="AKIDBENCH",
                          AWS_SECRET_ACCESS_KEY="bench", RDS_API_RATE_LIMIT="10000", MAX_CONCURRENCY=str(options.concurrency))
        self.args, self.fleet, self.options = list(args), fleet, options

    def command(self):
        return [self.binary, "aurora", *self.args, "--listen", f"127.0.0.1:{self.port}", "--poll", f"{self.options.poll}s"]

    def metrics(self):
        text = Client(self.port, 30).call("GET", "/metrics").decode()
        found = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.M):
            found[name] = found.get(name, 0) + float(value)
        return found


def wait_records(collector, n, on_tick=lambda m: None, seconds=3600 * 12):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        m = collector.metrics()
        on_tick(m)
        if m["weir_aurora_records_total"] >= n:
            return m
        time.sleep(0.5)
    raise RuntimeError(f"{m['weir_aurora_records_total']:.0f} of {n} records came")


class Phase:
    """CPU, time, bytes and requests between two moments."""

    def __init__(self, collector, store, fleet):
        self.collector, self.store, self.fleet = collector, store, fleet
        fleet.ask("take")
        self.before, self.cpu, self.store_cpu = collector.metrics(), collector.cpu(), store.cpu()
        self.began = time.monotonic()

    def end(self, name):
        wall, m = time.monotonic() - self.began, self.collector.metrics()
        calls, sent, ages = self.fleet.ask("take")
        mb = (m["weir_aurora_bytes_total"] - self.before.get("weir_aurora_bytes_total", 0)) / 1e6
        cpu, store = self.collector.cpu() - self.cpu, self.store.cpu() - self.store_cpu
        rounds = m["weir_aurora_rounds_total"] - self.before.get("weir_aurora_rounds_total", 0)
        print(f"{name}: {mb:.0f} MB of logs in {wall:.1f} s ({sent / 1e6:.0f} MB served); collector {cpu:.1f} s CPU "
              f"({mb / max(cpu, 0.01):.0f} MB/s of CPU, {cpu / wall:.2f} cores), store {store:.1f} s CPU; peak "
              f"{self.collector.memory('VmHWM') / 1e6:.0f} MB resident, store {self.store.memory('VmHWM') / 1e6:.0f} MB")
        print(f"  {rounds:.0f} rounds; requests {json.dumps(calls, sort_keys=True)}", flush=True)
        return {"mb": mb, "wall": wall, "cpu": cpu, "store_cpu": store, "rounds": rounds, "calls": calls, "ages": ages,
                "hwm_mb": self.collector.memory("VmHWM") / 1e6}


def run_clock(options, fleet, collector, store, total):
    """The fleet writes and rotates while it is collected."""
    phase, lags = Phase(collector, store, fleet), []
    fleet.ask("start", options.hours)
    wait_records(collector, total, lambda m: lags.append(m["weir_aurora_lag_seconds"]), options.hours * options.hour + 600)
    result = phase.end("clock running")
    ages = sorted(result.pop("ages"))
    result.update(lag_max_s=max(lags), age_median_s=statistics.median(ages), age_p99_s=ages[len(ages) * 99 // 100], age_max_s=ages[-1])
    print(f"  poll every {options.poll:g} s: files waited {statistics.median(lags):.1f} s (median), {max(lags):.1f} s at most; a line was "
          f"{result['age_median_s']:.1f} s old when it was fetched (median), {result['age_p99_s']:.1f} s (p99), {ages[-1]:.1f} s at most")
    return result


def verify(fleet, store, hours):
    for stream, expected in zip(STREAMS, fleet.ask("expected", hours)):
        query = urllib.parse.urlencode({"q": "* | stats count() as n by instance | limit 100000", "stream": stream})
        rows = store.client.call("GET", "/api/v1/logs/query?" + query).splitlines()
        have = {r["instance"]: r["n"] for r in map(json.loads, rows)}
        wrong = {i: (have.get(i, 0), n) for i, n in expected.items() if have.get(i, 0) != n}
        if wrong or len(have) != len(expected):
            raise RuntimeError(f"{stream}: {len(wrong)} instances are wrong (have, should): {list(wrong.items())[:3]}")
        print(f"  {stream}: {sum(have.values())} records of {len(have)} instances, as many as were written")


def round_once(collector):
    subprocess.run([*collector.command(), "--once"], check=True, timeout=600, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rounds_of(collector, wanted):
    """Requests of so many whole rounds of one process."""
    def wait(n):
        while collector.metrics().get("weir_aurora_rounds_total", 0) < n:
            time.sleep(0.05)

    collector.start()
    try:
        wait(1)
        collector.fleet.ask("take")
        wait(1 + wanted)
        return collector.fleet.ask("take")[0]
    finally:
        collector.stop()


def discovery(options, fleet, folder):
    """Requests to RDS by round of discovery, of a fleet that rests."""
    results = {}

    def discoverer(name, cache):
        c = Collector(options, fleet, folder, name, "discover", "--state", f"sqlite:{folder}/{name}.db", "--cache", cache)
        c.port = free_port()
        return c

    def tell(name, calls, rounds):
        results[name] = {action: n / rounds for action, n in sorted(calls.items())}
        print(f"  {name}: " + ", ".join(f"{n:.1f} {action}" for action, n in results[name].items()) + f" ({rounds} rounds)", flush=True)

    print("requests by round of discovery:")
    fleet.ask("take")
    round_once(discoverer("off", "none:"))
    tell("cache off", fleet.ask("take")[0], 1)
    tell("cache on, one discoverer", rounds_of(discoverer("on", "memory:"), 3), 3)
    redis = Redis().start()
    try:
        options.poll = 300
        for _ in range(2):
            round_once(discoverer("shared", redis.url))
        tell("shared by two", fleet.ask("take")[0], 2)
    finally:
        redis.remove()
    return results


def collect(options, fleet, folder):
    store = Weir(options.weir, folder / "store")
    store.start()
    collector = Collector(options, fleet, folder, "aurora", "run", "--state", f"sqlite:{folder}/state.db",
                          "--output", f"http://127.0.0.1:{store.port}")
    results = {}
    try:
        collector.start()
        there, total = (sum(sum(kind.values()) for kind in fleet.ask("expected", h)) for h in (0, options.hours))
        phase = Phase(collector, store, fleet)
        wait_records(collector, there)
        results["backlog"] = phase.end("what lay there")
        results["backlog"].pop("ages")
        results["clock"] = run_clock(options, fleet, collector, store, total)
        time.sleep(2 * options.poll)  # nothing comes twice
        verify(fleet, store, options.hours)
    finally:
        collector.stop()
        store.remove()
    return results


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"))
    p.add_argument("--gb", type=float, default=2, help="offered in all")
    p.add_argument("--instances", type=int, default=316)
    p.add_argument("--hours", type=int, default=3, help="how many of the clock pass while it is collected")
    p.add_argument("--hour", type=float, default=60, help="seconds of one")
    p.add_argument("--poll", type=float, default=15, help="seconds between two rounds")
    p.add_argument("--concurrency", type=int, default=4)
    p.add_argument("--out", default=str(sets.CACHE / "aurora.json"))
    options = p.parse_args()
    sets.CACHE.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aurora-", dir=sets.CACHE))
    each = options.gb * 1e9 / options.instances / (rds.KEEP_HOURS + options.hours)
    fleet = rds.Served(rings(options.weir), options.instances, (int(each * 0.98), int(each * 0.02)), options.hour)
    try:
        offered = fleet.ask("offered", options.hours)
        files = options.instances * 2 * (rds.KEEP_HOURS + options.hours)
        print(f"{options.instances} instances, {files} files, {offered / 1e9:.2f} GB offered", flush=True)
        results = collect(options, fleet, folder)
        options.poll = max(options.poll, 15)
        results.update(offered=offered, files=files, rounds=discovery(options, fleet, folder))
        pathlib.Path(options.out).write_text(json.dumps(results, indent=1))
    finally:
        fleet.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
