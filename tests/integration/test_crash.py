"""kill -9 at any instant: everything acknowledged is found exactly once, nothing twice, retries land once.

A server is killed again and again while clients send, flushes and compactions run; each body is retried under
its Idempotency-Key until it is acknowledged, so that at the end every record must be there once. Half of the
rounds end at a random I/O step (losing what was not synced) instead of by a signal.
SOAK_KILLS sets the number of kills (default 100)."""
import json
import os
import random
import threading
import time
from collections import Counter

import requests

KILLS = int(os.environ.get("SOAK_KILLS", "100"))


class Client(threading.Thread):
    """Sends bodies one after another; a body not acknowledged is sent again, unchanged, for ever."""

    def __init__(self, server, name, with_ids, stop):
        super().__init__(daemon=True)
        self.server, self.name_, self.with_ids, self.stop_ = server, name, with_ids, stop
        self.sent = self.acked = 0
        self.problems = []
        self.rng = random.Random(name)

    def body(self, number):
        rng = random.Random(f"{self.name_}-{number}")
        lines = []
        for i in range(rng.choice([1, 3, 20, 90])):
            record = {"client": self.name_, "n": f"{number}.{i}", "text": "x" * rng.randint(0, 200)}
            if self.with_ids:
                record["log_id"] = f"{self.name_}-{number}-{i}"
            lines.append(json.dumps(record))
        return "\n".join(lines)

    def run(self):
        session = requests.Session()
        number = 0
        while True:
            if self.sent == self.acked:
                if self.stop_.is_set():
                    return
                number += 1
                body = self.body(number)
                self.sent = number
            headers = {"Content-Type": "application/x-ndjson"}
            if not self.with_ids:
                headers["Idempotency-Key"] = f"{self.name_}-{number}"
            try:
                r = session.post(self.server.url + "/api/v1/logs/ingest?stream=crash", data=body, headers=headers, timeout=20)
            except requests.RequestException:
                time.sleep(0.02)
                continue
            if r.status_code == 202:
                self.acked = number
                time.sleep(0.03)
            elif r.status_code not in (409, 503, 507, 500):
                self.problems.append((r.status_code, r.text))
                return
            else:
                time.sleep(0.02)


def nudge(server, rng):
    try:
        requests.post(server.url + rng.choice(["/api/v1/admin/flush"] * 4 + ["/api/v1/admin/compact"]),
                      timeout=20)
    except requests.RequestException:
        pass


def run_rounds(make_server, kills, seed):
    rng = random.Random(seed)
    args = ["--set", "store.block_rows=300", "--set", "store.cut_bytes=64KiB", "--set", "queue.file_bytes=1MiB"]
    server = make_server(args=args, start=False)
    server.start()
    stop = threading.Event()
    clients = [Client(server, f"c{i}", i % 2 == 0, stop) for i in range(4)]
    for c in clients:
        c.start()
    for _ in range(kills):
        end = time.monotonic() + rng.uniform(0.05, 0.4)
        while time.monotonic() < end:
            if rng.random() < 0.3:
                nudge(server, rng)
            time.sleep(0.03)
        if server.process.poll() is None:
            server.kill()
        crash_at = rng.randint(1, 600) if rng.random() < 0.5 else 0
        if crash_at:
            server.env["WEIR_FAULT"] = f"crash@{crash_at}:seed={rng.randint(1, 10**6)}"
            server.start(ready=False)
            deadline = time.monotonic() + 1
            while server.process.poll() is None and time.monotonic() < deadline:
                nudge(server, rng)
            if server.process.poll() is None:
                server.kill()
            server.env.pop("WEIR_FAULT")
        server.start()
    stop.set()
    for c in clients:
        c.join(60)
        assert not c.is_alive(), "a client never got its answer"
        assert not c.problems, c.problems
    return server, clients


def check(server, clients):
    want = Counter()
    for c in clients:
        for number in range(1, c.acked + 1):
            for line in c.body(number).split("\n"):
                want[(c.name_, json.loads(line)["n"])] += 1
    got = Counter((r["client"], r["n"]) for r in server.query("* | fields client, n", stream="crash"))
    lost = want - got
    doubled = got - want
    assert not lost, (len(lost), list(lost)[:5])
    assert not doubled, (len(doubled), list(doubled)[:5])


def test_kill_nine(make_server):
    server, clients = run_rounds(make_server, KILLS, 7)
    assert sum(c.acked for c in clients) > 0
    check(server, clients)
    server.flush()
    check(server, clients)
    server.compact()
    check(server, clients)
    server.stop()
    server.start()
    check(server, clients)


def test_retry_after_answer_lands_once(server):
    body = json.dumps({"a": 1}) + "\n" + json.dumps({"a": 2})
    first = server.ingest(body, **{"Idempotency-Key": "k1"})
    again = server.ingest(body, **{"Idempotency-Key": "k1"})
    assert first["accepted"] == again["accepted"] == 2
    server.flush()
    server.ingest(body, **{"Idempotency-Key": "k1"})
    server.kill()
    server.start()
    server.ingest(body, **{"Idempotency-Key": "k1"})
    server.stop()
    server.start()
    server.ingest(body, **{"Idempotency-Key": "k1"})
    assert len(server.query("a:*")) == 2


def test_ids_land_once(server):
    records = [{"log_id": f"id-{i}", "a": i} for i in range(100)]
    body = "\n".join(map(json.dumps, records))
    assert server.ingest(body)["accepted"] == 100
    for step in (lambda: None, server.flush, server.compact, lambda: (server.kill(), server.start()), server.stop):
        step()
        if server.process.poll() is not None:
            server.start()
        answer = server.ingest(body)
        assert answer["duplicates"] == 100 and answer["accepted"] == 0, answer
        assert len(server.query("a:*")) == 100
    # Another stream is another name space; an id twice in one body lands once.
    assert server.ingest(body, stream="other")["accepted"] == 100
    assert server.ingest('{"log_id":"z"}\n{"log_id":"z"}')["duplicates"] == 1
