#!/usr/bin/env python3
"""Holds queue.compression none, auto and lz4 against each other, in turn, on a disk that the kernel lets take so many
bytes a second from the server (the blkio controller of cgroup v1, as root), and on the disk as it is.

  bench/slow_disk.py --device 254:0 --mb 40"""
import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import data as sets
from bench import BODY_BYTES
from server import Weir

GROUP = pathlib.Path("/sys/fs/cgroup/blkio/weir-bench")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"), help="the binary")
    p.add_argument("--device", help="major:minor of the disk below the work folder; none: it is not limited")
    p.add_argument("--mb", type=float, default=40, help="megabytes a second it takes (default 40)")
    p.add_argument("--work", default=str(sets.CACHE), help="where the data folders are")
    p.add_argument("--turns", type=int, default=3)
    return p.parse_args()


def limit(device, megabytes):
    GROUP.mkdir(exist_ok=True)
    (GROUP / "blkio.throttle.write_bps_device").write_text(f"{device} {int(megabytes * 1e6)}")


def run(options, mode, data, work):
    """Records a second, CPU microseconds a record."""
    server = Weir(options.weir, work / mode, ["--set", f"queue.compression={mode}"])
    server.start()
    try:
        if options.device:
            (GROUP / "cgroup.procs").write_text(str(server.process.pid))
        started = time.monotonic()
        server.sender(data, 2).send(sets.bodies(data.path, BODY_BYTES))
        return data.records / (time.monotonic() - started), server.cpu() / data.records * 1e6
    finally:
        server.remove()


def main():
    options = arguments()
    data = sets.prepare("app", None, options.weir)
    if options.device:
        limit(options.device, options.mb)
    found = {}
    try:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            for _ in range(options.turns):
                for mode in ("none", "auto", "lz4"):
                    found.setdefault(mode, []).append(run(options, mode, data, pathlib.Path(work)))
    finally:
        if options.device:
            GROUP.rmdir()
    print("disk as it is" if not options.device else f"{options.mb:g} MB/s")
    for mode, results in found.items():
        rate, cpu = (statistics.median(r[i] for r in results) for i in range(2))
        print(f"  {mode:5} {rate:10,.0f} records/s {cpu:6.2f} us of CPU a record")


if __name__ == "__main__":
    sys.exit(main())
