"""queue.compression=auto: entries are compressed while the disk is what senders wait for, and only then."""
import json
import re
import threading
import time

import requests

ROWS = 20000


def body(turn):
    rows = ({"n": turn, "i": i, "path": "/api/v1/carts/%d/items" % (i % 97), "agent": "curl/8.5.0 (linux; x86_64)",
             "message": "request to the cart service took %d ms" % (i * 7919 % 1000)} for i in range(ROWS))
    return "\n".join(map(json.dumps, rows))


class Senders:
    """Two that send for so long as they are asked to; each body is another one."""

    def __init__(self, server):
        self.server, self.over, self.acked, self.turn = server, threading.Event(), [], iter(range(10**9))
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.send) for _ in range(2)]

    def send(self):
        text = body(0)
        while not self.over.is_set():
            with self.lock:
                turn = next(self.turn)
            r = requests.post(self.server.url + "/api/v1/logs/ingest?stream=slow",
                              data=text.replace('"n": 0', f'"n": {turn}'),
                              headers={"Content-Type": "application/x-ndjson"}, timeout=60)
            assert r.status_code == 202, r.text
            self.acked.append(turn)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()


def is_slow(server):
    text = requests.get(server.url + "/metrics").text
    return re.search(r"^weir_queue_disk_slow(?:\{\})? (\d)$", text, re.M).group(1) == "1"


def queue_of(server):
    return requests.get(server.url + "/api/v1/stats").json()["queue"]


def entry_bytes(server, seconds, condition=lambda: True):
    """Bytes of the queue for a body, of those that come in so long a time from when `condition` holds on."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, server.log.read_text()[-2000:]
        time.sleep(0.05)
    before = queue_of(server)
    while True:
        time.sleep(seconds)
        now = queue_of(server)
        bodies = now["appended_bodies"] - before["appended_bodies"]
        if bodies >= 6:
            return (now["appended_bytes"] - before["appended_bytes"]) / bodies
        assert time.monotonic() < deadline


def plain_bytes(server):
    """Of a body on a disk that is not slow."""
    for turn in range(3):
        server.ingest(body(turn), stream="slow")
    assert not is_slow(server)
    queue = queue_of(server)
    server.stop()
    return queue["appended_bytes"] / queue["appended_bodies"]


def check_all(server, acked):
    rows = server.query("* | stats count() by n | limit 1000000", stream="slow")
    assert {r["n"]: r["count"] for r in rows} == {n: ROWS for n in acked}


def test_a_slow_disk_has_entries_compressed(make_server):
    plain = plain_bytes(make_server("plain"))
    server = make_server(env={"WEIR_FAULT": "slow@5000"})  # 5 MB a second
    with Senders(server) as senders:
        entry_bytes(server, 1, lambda: is_slow(server))
        assert entry_bytes(server, 2) < plain / 2
    server.kill()  # what was compressed and what was not is there again
    server.env.pop("WEIR_FAULT")
    server.start()
    check_all(server, senders.acked)


def test_none_means_none(make_server):
    plain = plain_bytes(make_server("plain"))
    server = make_server(args=["--set", "queue.compression=none"], env={"WEIR_FAULT": "slow@5000"})
    with Senders(server):
        entry_bytes(server, 1, lambda: is_slow(server))
        assert abs(entry_bytes(server, 2) - plain) < plain / 10
