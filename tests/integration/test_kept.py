"""What is kept of blocks (src/query/partial.h) answers as a scan does: in memory, flushed, compacted, restarted, and while
records go on arriving."""
import datetime
import json
import math
import random
import re
import threading

import pytest
import requests
from test_oracle import make_records, states

QUERIES = [f"{f} | stats {s}" for f in ("*", "level:ERROR", "message:*ti* -service:pay", "latency:>100 OR tags:red", "nothing:7")
           for s in ("count() by service", "count(), sum(latency), avg(latency), min(latency), max(message)",
                     "p50(latency), p99(latency) by level, bin(1h)", "distinct(message) as d, distinct(id) as i by http.status",
                     "first(message), last(seq), min(_time), max(_time) by tags", "count() by pattern(message), bin(latency, 50)")]
QUERIES += [f"{f} | stats {s}" for f in ("*", "level:ERROR")
            for s in ("count() as n by latency | sort -n | limit 3", "count() as n, max(seq) as m by service, level | sort -n, m | limit 2",
                      "count() as n by seq | sort -n, seq | limit 4", "count() as n by level | sort n | limit 1")]
QUERIES += ["level:ERROR | timechart span=1h count() by service", "* | top 5 message", "level:WARN | values service",
            "level:ERROR | stats values(service)", "* | extract /(?<n>[0-9]+)/ | stats count() by n"]
RANGES = [{}, {"from": "2025-02-15T06:30:00Z"}, {"from": "2025-02-15T06:30:00Z", "to": "2025-02-15T17:00:00Z"}]


def answer(server, q, **params):
    return sorted(json.dumps(r, sort_keys=True) for r in server.query(q, **params))


def hits(server):
    text = requests.get(server.url + "/metrics", timeout=30).text
    found = re.search(r'weir_query_kept_blocks_total\{result="hit"\} (\d+)', text)
    return int(found[1]) if found else 0


@pytest.fixture
def filled(make_server):
    server = make_server(args=["--set", "store.block_rows=700"])
    lines = [json.dumps(r, ensure_ascii=False) for r in make_records(4000, 31)]
    for at in range(0, len(lines), 400):
        server.ingest("\n".join(lines[at:at + 400]).encode())
        if at in (400, 1600, 2800):
            server.flush()
    return server


def test_as_a_scan_does(filled):
    for state in states(filled):
        scanned = {(q, i): answer(filled, q, nocache=1, **r) for q in QUERIES for i, r in enumerate(RANGES)}
        before = hits(filled)
        for _ in range(3):
            for (q, i), want in scanned.items():
                assert answer(filled, q, **RANGES[i]) == want, (state, q, RANGES[i])
        assert hits(filled) > before, state


def test_while_records_arrive(filled):
    q = "level:ERROR | stats count() as n, sum(seq) as s"
    lines = [json.dumps(r, ensure_ascii=False) for r in make_records(3000, 32)]
    stop = threading.Event()

    def send():
        for at in range(0, len(lines), 100):
            filled.ingest("\n".join(lines[at:at + 100]).encode())
            if at % 1000 == 500:
                filled.flush()
        filled.compact()
        stop.set()

    thread = threading.Thread(target=send)
    thread.start()
    last = 0
    while not stop.is_set():
        now = filled.query(q)[0]["n"]
        assert now >= last
        last = now
    thread.join()
    assert filled.query(q) == filled.query(q, nocache=1)


def test_times_that_move(filled):
    """A bound relative to now is none to be kept: the same text is another question later."""
    for q in ("_time:>now-1h | stats count()", "timestamp:<now-1d | stats count()"):
        before = hits(filled)
        for _ in range(3):
            assert answer(filled, q) == answer(filled, q, nocache=1)
        assert hits(filled) == before, q


MOVING = ["* | stats count() by service", "* | stats count() by bin(1s), level", "* | stats p50(ms) as a, p99(ms) as b, p90(share) as c by service",
          "level:ERROR | stats sum(ms), avg(share), min(n), max(ms), distinct(host) by service", "* | top 3 host",
          "* | stats first(n), last(n) by level"]


def moving(start, n, rng):
    out = []
    for i in range(n):
        at = datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(milliseconds=start + i // 3 + rng.randrange(20))
        out.append(json.dumps({"timestamp": at.isoformat(), "n": i, "level": rng.choice(["INFO", "WARN", "ERROR"]),
                               "service": f"s{rng.randrange(11)}", "host": f"h{rng.randrange(400)}", "ms": rng.randrange(1, 2000),
                               "share": rng.choice([rng.randrange(1000) / 1000, rng.random(), -0.0, 7])}))
    return "\n".join(out).encode()


def test_percentiles_of_counted_values(make_server):
    """Integers near each other are counted before they are ranked."""
    server, rng = make_server(args=["--set", "store.block_rows=12000"]), random.Random(34)
    values = {}
    for i in range(3):
        body = moving(1_700_000_000_000 + i * 4000, 12000, rng)
        server.ingest(body)
        for row in map(json.loads, body.splitlines()):
            values.setdefault(row["service"], []).append(row["ms"])
    server.flush()
    for service in values.values():
        service.sort()
    rank = lambda v, phi: v[math.ceil(phi * len(v)) - 1]
    want = sorted((s, len(v), rank(v, 0.5), rank(v, 0.99)) for s, v in values.items())
    for nocache in (1, 0, 0):
        rows = server.query("* | stats count(ms) as n, p50(ms) as a, p99(ms) as b by service", nocache=nocache)
        assert sorted((r["service"], r["n"], r["a"], r["b"]) for r in rows) == want


def test_ranges_that_slide(make_server):
    """Blocks of many rows that the range cuts, blocks and frames that come and go while it slides, and the sum of all that."""
    server, rng = make_server(args=["--set", "store.block_rows=12000"]), random.Random(33)
    start = 1_700_000_000_000
    for i in range(6):
        server.ingest(moving(start + i * 2000, 6000, rng))
    server.flush()
    before = hits(server)
    for step in range(12):
        low = start + 1500 + step * 197
        time_range = {"from": low, "to": low + 9000} if step % 3 == 0 else {"from": low}
        for q in MOVING:
            want = answer(server, q, nocache=1, **time_range)
            for _ in range(2):
                assert answer(server, q, **time_range) == want, (step, q)
        server.ingest(moving(start + 12_000 + step * 400, 700, rng))
        if step == 6:
            server.compact()
    assert hits(server) - before > 12 * len(MOVING)
