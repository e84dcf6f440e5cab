"""A disk that fills up under a running server, on a small file system of its own.

While it is full: ingest is refused with Retry-After and a text that says what to do, searches answer with everything
that was acknowledged and nothing else, also after a kill and a restart. When there is space again, ingest opens by
itself. store.max_disk keeps a server on the same small disk going for ever."""
import json
import os
import random
import threading
import time

import pytest
import requests

from conftest import Disk

DISK_MIB = 96
ARGS = ["--set", "queue.file_bytes=4MiB", "--set", "store.cut_bytes=2MiB", "--set", "store.cut_queue_bytes=8MiB",
        "--set", "store.reserve_bytes=8MiB"]


@pytest.fixture
def disk(tmp_path, request):
    """The data folder of the server to come, as a disk of its own."""
    disk = Disk(tmp_path / "data", getattr(request, "param", DISK_MIB))
    yield disk.path
    disk.remove()


class Sender:
    """Sends bodies of random text, which hardly compress, and knows what was acknowledged."""

    def __init__(self, server):
        self.server, self.rng, self.number, self.acked, self.refusals = server, random.Random(1), 0, [], []

    def send(self):
        self.number += 1
        lines = [json.dumps({"n": self.number, "i": i, "text": self.rng.randbytes(500).hex()}) for i in range(100)]
        r = requests.post(self.server.url + "/api/v1/logs/ingest?stream=full", data="\n".join(lines),
                          headers={"Content-Type": "application/x-ndjson"}, timeout=30)
        if r.status_code == 202:
            self.acked.append(self.number)
        else:
            self.refusals.append(r)
        return r

    def send_until(self, status_is, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if status_is(self.send().status_code):
                return
            if self.refusals:
                time.sleep(0.05)
        raise AssertionError(("no such answer", [r.text for r in self.refusals[-3:]],
                              self.server.log.read_text()[-3000:]))

    def check(self):
        """Every acknowledged body is there, whole and once; no other is."""
        rows = self.server.query("* | stats count() by n | limit 1000000", stream="full")
        assert {r["n"]: r["count"] for r in rows} == {n: 100 for n in self.acked}


def free_bytes(path):
    st = os.statvfs(path)
    return st.f_bavail * st.f_frsize


def write_ballast(path, leave):
    with open(path, "ab", buffering=0) as f:
        try:
            while (n := free_bytes(path.parent) - leave) > 0:
                f.write(b"x" * min(n, 1 << 20))
        except OSError:
            assert leave == 0


class Searching(threading.Thread):
    """Searches all the time; each answer must be whole."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.done, self.count, self.problems = server, threading.Event(), 0, []

    def run(self):
        while not self.done.wait(0.02):
            try:
                r = requests.get(self.server.url + "/api/v1/logs/search", params={"q": "n:>0", "stream": "full",
                                                                                  "limit": 5}, timeout=60)
                if r.status_code != 200 or not r.json()["logs"] or r.json().get("partial"):
                    self.problems.append((r.status_code, r.text[:500]))
                self.count += 1
            except requests.RequestException as e:
                self.problems.append(repr(e))

    def finish(self):
        self.done.set()
        self.join(30)
        assert self.count > 5 and not self.problems, (self.count, self.problems[:3])


@pytest.mark.parametrize("disk", [64], indirect=True)
def test_small_disk(disk, make_server):
    """64 MiB, and nothing set: what is in memory always gets into a segment, until these fill the disk."""
    server = make_server()
    sender = Sender(server)
    sender.send_until(lambda status: len(sender.refusals) > 20)
    deadline, rows = time.monotonic() + 60, 1000
    while rows >= 1000 and time.monotonic() < deadline:  # the server's own log goes on
        time.sleep(0.1)
        rows = requests.get(server.url + "/api/v1/stats", timeout=30).json()["store"]["memtable_rows"]
    assert rows < 1000 < len(sender.acked) * 100, server.log.read_text()[-2000:]
    sender.check()
    server.kill()
    server.start()
    sender.check()


def test_full_disk(disk, make_server):
    server = make_server(args=ARGS)
    assert (disk / "reserve").stat().st_size == 8 << 20
    sender = Sender(server)
    for _ in range(20):
        assert sender.send().status_code == 202
    searching = Searching(server)
    searching.start()
    write_ballast(disk / "ballast", 24 << 20)

    # It fills up: a refusal says for how long and what to do.
    sender.send_until(lambda status: status != 202)
    for _ in range(20):
        sender.send()
        time.sleep(0.1)
    for r in sender.refusals:
        assert r.status_code in (503, 507) and r.headers.get("Retry-After"), (r.status_code, r.text)
        assert "the disk is full" in r.text and "free some space" in r.text, r.text
    sender.check()

    # Not a byte is left: searches answer all the same, and so does a server that starts anew.
    write_ballast(disk / "ballast", 0)
    sender.send_until(lambda status: status in (503, 507)) # what a queue file had taken before may still be filled
    sender.check()
    searching.finish()
    server.kill()
    write_ballast(disk / "ballast", 0)
    server.start()
    sender.check()
    assert sender.send().status_code in (503, 507)
    assert server.stop() == 0
    server.start()
    sender.check()

    # Space again: it opens by itself, and what it kept for such a time is kept again.
    (disk / "ballast").unlink()
    sender.refusals.clear()
    sender.send_until(lambda status: status == 202, 15)
    assert (disk / "reserve").stat().st_size == 8 << 20
    for _ in range(10):
        assert sender.send().status_code == 202
    server.flush()
    sender.check()


def test_disk_budget_keeps_it_going(disk, make_server):
    """Three times the disk goes through it: the oldest records make room for the newest."""
    server = make_server(args=ARGS + ["--set", "store.max_disk=48MiB"])
    sender = Sender(server)
    sent = 0
    deadline = time.monotonic() + 300
    while sent < 3 * DISK_MIB << 20:
        assert time.monotonic() < deadline
        if sender.send().status_code == 202:
            sent += 100 * 1000
        else:
            time.sleep(0.05)
    server.flush()
    rows = server.query("* | stats count() by n | limit 1000000", stream="full")
    kept = {r["n"]: r["count"] for r in rows}
    assert sender.acked[-1] in kept and sender.acked[0] not in kept
    assert set(kept) <= set(sender.acked)
