#!/usr/bin/env python3
"""Measures Weir: ingest by CPU second, bytes on disk, queries, memory, replay; beside zstd, and beside the peers
whose binaries VICTORIA_LOGS and CLP_S name, in turn, in the same run.

  make bench                                   every default set
  make bench BENCH="--quick"                   a smoke run, under a minute
  make bench BENCH="--sets app,k8s --compare .cache/bench/last.json"
  make bench BENCH="--sets app --replay 5"     also: kill -9 with 5 GB of queue, time of the restart

Machines are noisy: compare ratios of one run, never seconds of two days. The result is also written as JSON."""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time

import data as sets
import peers
import queries
import report
from server import VictoriaLogs, Weir, disk_bytes, linked_libraries_rss

BODY_BYTES = 8 << 20


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sets", help="comma list of: " + ", ".join(sets.SOURCES))
    p.add_argument("--quick", action="store_true", help="100,000 records, few sets, zstd -3 only")
    p.add_argument("--records", type=int, help="at most so many records a set")
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"), help="the binary")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for Weir's server")
    p.add_argument("--connections", type=int, default=2, help="connections that send (default 2)")
    p.add_argument("--zstd", default="3,9,19", help="levels to compare sizes with")
    p.add_argument("--replay", type=float, metavar="GB", help="queue left by a kill -9 (default 0.25, 0: none)")
    p.add_argument("--no-queries", action="store_true")
    p.add_argument("--cold", action="store_true", help="each query's first answer from a server just started, its files not in memory")
    p.add_argument("--keep", metavar="DIR", help="work there and keep the data folders")
    p.add_argument("--compare", metavar="OLD.json", help="an earlier result to hold against")
    p.add_argument("--out", default=str(sets.CACHE / "last.json"), help="where the JSON goes")
    return p.parse_args()


def ask_all(server, data, options, notes):
    results = {}
    for query in queries.queries_of(data, notes):
        results[query.name] = dict(queries.measure(server, query, options.cold), anchor=query.anchor)
    return results


def export(server, data):
    """The least CPU of three exports of everything, and what comes out."""
    least = float("inf")
    for _ in range(3):
        before = server.cpu()
        out = server.export(data)
        least = min(least, server.cpu() - before)
    return {"cpu": least, "bytes": out}


def run_server(server, data, options, notes):
    """Ingest, flush | compact | queries: three lives of one data folder, so that each size is a stopped server's."""
    run = {}
    server.remove()
    server.start()
    sender = server.sender(data, options.connections)
    started = time.monotonic()
    sender.send(sets.bodies(data.path, BODY_BYTES))
    server.flush()
    run["wall"] = time.monotonic() - started
    run["cpu"], run["hwm"], run["retries"] = server.cpu(), server.memory("VmHWM"), sender.retries
    server.stop()
    run["disk_flushed"], _ = disk_bytes(server.data)
    server.start()
    server.compact()
    run["cpu_compacted"] = run["cpu"] + server.cpu()
    run["hwm_compact"] = server.memory("VmHWM")
    server.stop()
    run["disk"], run["disk_kinds"] = disk_bytes(server.data)
    if isinstance(server, Weir):
        server.start()
        run["export"] = export(server, data)
        server.stop()
    if not options.no_queries:
        server.start()
        run["queries"] = ask_all(server, data, options, notes)
        run["hwm_query"] = server.memory("VmHWM")
        server.stop()
    if not options.keep:
        server.remove()
    return run


def run_set(name, options, binaries, work, notes):
    data = sets.prepare(name, options.records, options.weir)
    if not data:
        return None
    sets.say(f"{name}: {data.records:,} records, {data.raw / 1e6:.1f} MB")
    result = {"raw": data.raw, "records": data.records, "runs": {}}
    levels = [int(level) for level in options.zstd.split(",") if level]
    result["zstd"] = sets.zstd_sizes(data, levels, notes)
    result["zstd_cpu"] = sets.zstd_run(data, 3)[1]
    servers = [Weir(options.weir, work / f"weir-{name}", [a for s in options.set for a in ("--set", s)])]
    if "VICTORIA_LOGS" in binaries:
        servers.append(VictoriaLogs(binaries["VICTORIA_LOGS"], work / f"victoria-{name}"))
    for server in servers:
        try:
            result["runs"][server.name] = run_server(server, data, options, notes)
        finally:
            if not options.keep:
                server.remove()
    if "CLP_S" in binaries:
        result["runs"]["clp-s"] = peers.clp_s(binaries["CLP_S"], data, work)
    return result


def idle(options, work):
    server = Weir(options.weir, work / "idle")
    server.start()
    time.sleep(1)
    rss = server.memory("VmRSS")
    server.stop()
    server.remove()
    return rss


class QueueKeeper(threading.Thread):
    """Copies each file of the queue aside when it is full, before it is trimmed (its blocks may be used again).
    The server is held meanwhile."""

    def __init__(self, server, aside):
        super().__init__(daemon=True)
        self.server, self.aside, self.over = server, aside, threading.Event()
        self.queue = server.data / "queue"
        self.failure = None
        aside.mkdir()

    def full(self):
        return [f for f in sorted(self.queue.glob("*.wal"))[:-1] if not (self.aside / f.name).exists()]

    def copy_full(self):
        if not self.full():
            return
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            for file in self.full():
                shutil.copyfile(file, self.aside / file.name)
        finally:
            self.server.process.send_signal(signal.SIGCONT)

    def run(self):
        try:
            while not self.over.wait(0.02):
                self.copy_full()
        except Exception as e:
            self.failure = e

    def stop(self):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure

    def put_back(self):
        for copy in self.aside.glob("*.wal"):
            if not (self.queue / copy.name).exists():
                copy.rename(self.queue / copy.name)
        shutil.rmtree(self.aside)


def replay(options, work, gigabytes):
    """Leaves a queue of which nothing is published, as if no cut had ever come through (all its files, no catalog,
    no segments), kills the server, and times the restart."""
    data = sets.prepare("app", options.records, options.weir)
    server = Weir(options.weir, work / "replay")
    server.remove()
    server.start()
    spans, sent = sets.bodies(data.path, BODY_BYTES), 0
    keeper = QueueKeeper(server, work / "replay-queue")
    keeper.start()
    while disk_bytes(keeper.aside)[0] < gigabytes * 1e9:
        server.sender(data, options.connections).send(spans)
        sent += data.records
    keeper.stop()
    server.kill()
    keeper.put_back()
    for path in server.data.iterdir():
        if path.name.startswith("catalog.db"):
            path.unlink()
    shutil.rmtree(server.data / "segments", ignore_errors=True)
    size = disk_bytes(keeper.queue)[0]
    seconds = server.start()
    result = {"queue": size, "seconds": seconds, "hwm": server.memory("VmHWM"), "cpu": server.cpu(), "sent": sent}
    rows = server.client.call("POST", "/api/v1/logs/query?q=*%20%7C%20stats%20count()%20as%20n&stream=app&nocache=1")
    result["found"] = json.loads(rows)["n"]
    server.stop()
    server.remove()
    return result


def main():
    options = arguments()
    if not pathlib.Path(options.weir).exists():
        sys.exit(f"{options.weir} is not there: make build")
    old = json.loads(pathlib.Path(options.compare).read_text()) if options.compare else None
    if options.quick:
        options.records = options.records or sets.QUICK_RECORDS
        options.zstd = "3"
    names = options.sets.split(",") if options.sets else sets.QUICK_SETS if options.quick else sets.DEFAULT_SETS
    if unknown := [n for n in names if n not in sets.SOURCES]:
        sys.exit(f"no such set: {', '.join(unknown)}; there are {', '.join(sets.SOURCES)}")
    gigabytes = options.replay if options.replay is not None else 0.05 if options.quick else 0.25
    binaries = peers.binaries()
    notes = sets.Notes() if sets.CACHE.exists() or not sets.CACHE.mkdir(parents=True) else None
    work = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="weir-bench-", dir=sets.CACHE))
    work.mkdir(parents=True, exist_ok=True)
    result = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": platform.machine(), "sets": {}}
    try:
        result["idle_rss"], result["libraries_rss"] = idle(options, work), linked_libraries_rss(options.weir)
        if gigabytes:
            result["replay"] = replay(options, work, gigabytes)
        for name in names:
            if one := run_set(name, options, binaries, work, notes):
                result["sets"][name] = json.loads(json.dumps(one))
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
        pathlib.Path(options.out).write_text(json.dumps(result, indent=1))
        print(report.whole(result))
    if old:
        print(report.compare_table(old, result))
    print(f"\n{options.out}")
    wrong = [q for s in result["sets"].values() for q, m in s["runs"]["weir"].get("queries", {}).items()
             if m.get("wrong") or m.get("error")]
    if wrong:
        sys.exit(f"wrong answers: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
