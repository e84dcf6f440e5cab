#!/usr/bin/env python3
"""How cost grows: CPU of the server a record, bytes on disk a record, and the time to find one request id, at 1, 10 and 50
million application records, one after the other into the same server. Writes an SVG and JSON.

  "$(scripts/python.sh)" bench/growth.py --millions 1,10,50 --svg docs/growth.svg"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import data as sets
from server import Weir, disk_bytes
from wire import Client

SEARCHES = 25


def produce(weir, seed, path):
    """A million records; returns the request id of one of them."""
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1750000000 + seed * 200))
    with open(path, "wb") as out:
        subprocess.run([weir, "produce", "--count", "1000000", "--seed", str(seed + 1), "--start", start, "--quiet"],
                       stdout=out, check=True)
    with open(path, "rb") as f:
        f.seek(path.stat().st_size // 2)
        f.readline()
        return json.loads(f.readline())["metadata"]["request_id"]


def filter_bytes(weir, folder):
    total = 0
    for path in pathlib.Path(folder).glob("*.seg"):
        about = json.loads(subprocess.run([weir, "segment", "inspect", "--json", path], capture_output=True, check=True).stdout)
        total += sum(c["filter_bytes"] for s in about["sections"] for c in s["columns"])
    return total


def needle_times(server, ids):
    """Milliseconds over HTTP, a kept connection, each id several times."""
    times = []
    for _ in range(SEARCHES):
        for one in ids:
            target = "/api/v1/logs/query?" + urllib.parse.urlencode({"q": f'metadata.request_id:="{one}"', "stream": "app"})
            started = time.perf_counter()
            body = server.client.call("GET", target)
            times.append((time.perf_counter() - started) * 1000)
            assert body.count(b"\n") == 1 and one.encode() in body, (one, body[:200])
    return times


def measure(server, weir, millions, ids):
    server.client = Client(server.port)  # the old connection may have been idle for too long
    server.flush()
    server.client.call("POST", "/api/v1/admin/compact?full=0")
    cpu, spread = server.cpu(), ids[:: max(1, len(ids) // 8)]
    first = needle_times(server, spread[:1])[0]
    times = needle_times(server, spread)
    _, kinds = disk_bytes(server.data)
    bytes_now = sum(n for kind, n in kinds.items() if kind != "queue")  # what the queue keeps spare does not grow
    files = len(list((server.data / "segments").glob("*.seg")))
    one = {"records": millions * 1000000, "cpu_us": cpu / millions, "bytes": bytes_now / millions / 1e6,
           "needle_ms": statistics.median(times), "needle_min_ms": min(times), "needle_first_ms": first, "segments": files,
           "filters": filter_bytes(weir, server.data / "segments") / millions / 1e6,
           "hwm_mb": server.memory("VmHWM") / 1e6}
    print(f"{millions:3d} million: {one['cpu_us']:.2f} us CPU and {one['bytes']:.1f} bytes a record (filters {one['filters']:.2f}), "
          f"needle {one['needle_ms']:.2f} ms (first {first:.2f}), {files} segments, peak {one['hwm_mb']:.0f} MB", flush=True)
    return one


def panel(x, title, unit, points, key):
    """One small plot: records on a logarithmic axis, the value from zero up."""
    import math
    top = max(p[key] for p in points) * 1.25
    left, right = math.log10(points[0]["records"]), math.log10(points[-1]["records"]) or 1
    place = lambda p: (x + 20 + (math.log10(p["records"]) - left) / max(right - left, 1e-9) * 170, 150 - p[key] / top * 100)
    dots = [place(p) for p in points]
    out = [f'<text x="{x + 8}" y="20" class="t">{title}</text>', f'<path class="a" d="M{x + 8} 40V150H{x + 210}"/>',
           '<polyline class="l" points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in dots) + '"/>']
    for p, (a, b) in zip(points, dots):
        out.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3"/><text x="{a:.1f}" y="{b - 8:.1f}" class="v">{p[key]:.3g}{unit}</text>'
                   f'<text x="{a:.1f}" y="166" class="v">{p["records"] // 10 ** 6} M</text>')
    return "".join(out)


def svg(points):
    style = ("text{font:12px sans-serif;fill:#666}.t{font-weight:bold}.v{text-anchor:middle}.a{fill:none;stroke:#999}"
             ".l{fill:none;stroke:#2a7de1;stroke-width:2}circle{fill:#2a7de1}")
    body = (panel(0, "CPU a record, microseconds", "", points, "cpu_us") + panel(230, "bytes on disk a record", "", points, "bytes")
            + panel(460, "one request id, over HTTP", " ms", points, "needle_ms"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 690 176" role="img" '
            f'aria-label="CPU, bytes and search time as records grow"><style>{style}</style>{body}</svg>\n')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=str(sets.ROOT / "build/release/weir"))
    p.add_argument("--millions", default="1,10,50")
    p.add_argument("--svg", default=str(sets.CACHE / "growth.svg"))
    p.add_argument("--out", default=str(sets.CACHE / "growth.json"))
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = p.parse_args()
    stops = sorted(int(m) for m in options.millions.split(","))
    sets.CACHE.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="growth-", dir=sets.CACHE))
    server = Weir(options.weir, work / "data", [a for s in options.set for a in ("--set", s)])
    points, ids, file = [], [], work / "million.ndjson"
    try:
        server.start()
        for million in range(1, stops[-1] + 1):
            ids.append(produce(options.weir, million, file))
            server.sender(sets.DataSet("app", sets.SOURCES["app"], file, 0, 0), 2).send(sets.bodies(file, 8 << 20))
            if million in stops:
                points.append(measure(server, options.weir, million, ids))
    finally:
        server.remove()
        shutil.rmtree(work, ignore_errors=True)
    pathlib.Path(options.svg).write_text(svg(points))
    pathlib.Path(options.out).write_text(json.dumps(points, indent=1))


if __name__ == "__main__":
    sys.exit(main())
