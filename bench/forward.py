#!/usr/bin/env python3
"""CPU per record of the forward input, beside Fluent Bit's in_forward -> null where FLUENT_BIT names its program.

usage: .cache/venv/bin/python bench/forward.py [RECORDS [ROUNDS]]      (200000 5)

The same messages are sent in each mode of the protocol, to the two in turn, and the median of the rounds is told. Weir's
figure is that of its thread in-forward (receiving, decoding, making frames) and of the whole process, which also writes
them to disk, syncs and encodes them; Fluent Bit drops what it has received."""
import glob
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import msgpack

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
import conftest  # noqa: E402
from inputs import inputs, port, with_inputs  # noqa: E402

ENTRIES = 1000


def record(i):
    return {"message": f"Payment failed: timeout connecting to stripe after {i % 5000} ms", "level": "ERROR",
            "service": "payment", "host": "host-042", "request_id": f"req_{i:08x}", "latency_ms": i % 5000,
            "user": {"id": i % 777, "plan": "pro"}, "status": 500, "path": "/api/v1/pay", "ok": False}


def messages(mode, n):
    entry = [[1739620800 + i // 1000, record(i)] for i in range(n)]
    if mode == "message":
        return b"".join(msgpack.packb(["app.pay", *e]) for e in entry)
    parts = [entry[i:i + ENTRIES] for i in range(0, n, ENTRIES)]
    if mode == "packed":
        parts = [b"".join(map(msgpack.packb, p)) for p in parts]
    return b"".join(msgpack.packb(["app.pay", p]) for p in parts)


def cpu(pid):
    """Seconds by thread name."""
    spent = {}
    for task in map(pathlib.Path, glob.glob(f"/proc/{pid}/task/*")):
        name = (task / "comm").read_text().strip()
        spent[name] = spent.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return spent


def cpu_when_idle(pid):
    """The sum, once a second has passed in which it hardly grew."""
    last, now = 0, sum(cpu(pid).values())
    while now > last + 0.005:
        time.sleep(1)
        last, now = now, sum(cpu(pid).values())
    return now


def send(where, data):
    with socket.create_connection(("127.0.0.1", where)) as s:
        s.sendall(data)


def measure_weir(data, n):
    with tempfile.TemporaryDirectory() as folder:
        server = with_inputs(lambda name, args: conftest.Server(pathlib.Path(folder) / name, args).start(),
                             "forward://127.0.0.1:0")
        try:
            before = cpu(server.process.pid)
            send(port(server, "forward"), data)
            deadline = time.monotonic() + 120
            while inputs(server)[0]["accepted"] < n:
                assert time.monotonic() < deadline, inputs(server)
                time.sleep(0.05)
            time.sleep(0.5)
            after = cpu(server.process.pid)
        finally:
            server.stop()
    own = after["in-forward"] - before.get("in-forward", 0)
    return own / n * 1e6, (sum(after.values()) - sum(before.values())) / n * 1e6


def measure_fluent_bit(program, data, n):
    where = conftest.free_port()
    bit = subprocess.Popen([program, "-f", "1", "-i", "forward", "-p", "listen=127.0.0.1", "-p", f"port={where}", "-o",
                            "null", "-m", "*"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        before = sum(cpu(bit.pid).values())
        send(where, data)
        return (cpu_when_idle(bit.pid) - before) / n * 1e6
    finally:
        bit.terminate()
        bit.wait()


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    program = os.environ.get("FLUENT_BIT")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print("microseconds of CPU per record")
    print(f"{'mode':8} {'weir, input':>12} {'weir, all':>10} {'fluent-bit':>11}")
    for mode in ("packed", "forward", "message"):
        data = messages(mode, n)
        ours, others = [], []
        for _ in range(rounds):
            ours.append(measure_weir(data, n))
            if program:
                others.append(measure_fluent_bit(program, data, n))
        own, everything = (statistics.median(column) for column in zip(*ours))
        peer = f"{statistics.median(others):11.2f}" if others else f"{'-':>11}"
        print(f"{mode:8} {own:12.2f} {everything:10.2f} {peer}")


if __name__ == "__main__":
    main()
