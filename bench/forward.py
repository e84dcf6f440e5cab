#!/usr/bin/env python3
"""CPU per record of the forward input, beside Fluent Bit's in_forward -> null where FLUENT_BIT names its program.

usage: .cache/venv/bin/python bench/forward.py [RECORDS]      (200000)

The same messages are sent in each mode of the protocol. Weir's figure is told for its thread in-forward (receiving,
decoding, making frames) and for the whole process, which also writes them to disk, syncs and encodes them."""
import glob
import os
import pathlib
import socket
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
    for task in glob.glob(f"/proc/{pid}/task/*/stat"):
        stat = pathlib.Path(task).read_text()
        name, fields = stat[stat.index("(") + 1:stat.rindex(")")], stat.rsplit(")", 1)[1].split()
        spent[name] = spent.get(name, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


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
        time.sleep(3)
        return (sum(cpu(bit.pid).values()) - before) / n * 1e6
    finally:
        bit.terminate()
        bit.wait()


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    program = os.environ.get("FLUENT_BIT")
    print("microseconds of CPU per record")
    print(f"{'mode':8} {'weir, input':>12} {'weir, all':>10} {'fluent-bit':>11}")
    for mode in ("packed", "forward", "message"):
        data = messages(mode, n)
        own, everything = measure_weir(data, n)
        peer = f"{measure_fluent_bit(program, data, n):11.2f}" if program else f"{'-':>11}"
        print(f"{mode:8} {own:12.2f} {everything:10.2f} {peer}")


if __name__ == "__main__":
    main()
