"""Where segments are at rest: a folder that several servers reach, and S3."""
import contextlib
import json
import os
import random
import re
import sqlite3
import threading
import time
from collections import Counter

import pytest
import requests

from conftest import Disk
from inputs import make_certificates
from parts.relay import Relay, change, cut, cut_answer, hang, refuse, slow
from parts.s3 import s3  # noqa: F401
from test_crash import Client


def lines(n, at=0, **more):
    return "\n".join(json.dumps({"n": i, "message": f"record {i} of a run", **more}) for i in range(at, at + n))


def count(server, q=""):
    rows = server.query(f"{q} | stats count() as n")
    return rows[0]["n"] if rows else 0


def segments_in(folder):
    return sorted(p.name for p in (folder / "segments").glob("*.seg")) if (folder / "segments").exists() else []


def fill(server, cuts, rows=50, at=0):
    for i in range(cuts):
        server.ingest(lines(rows, at + i * rows))
        server.flush()


# ---- a folder ----


def test_segments_lie_in_a_folder(make_server, tmp_path):
    shared = tmp_path / "shared"
    server = make_server(args=["--objects", f"file://{shared}"])
    fill(server, 3)
    assert len(segments_in(shared)) == 3 and not segments_in(server.data)
    assert (shared / "weir-store").read_text().startswith("weir store ")
    server.compact()
    assert len(segments_in(shared)) == 1 and count(server) == 150
    server.kill()
    server.start()
    assert count(server) == 150
    # Another store does not write there.
    server.stop()
    other = make_server("other", args=["--objects", f"file://{shared}"], start=False)
    other.start(ready=False)
    assert other.process.wait(60) == 1 and "belongs to another store" in other.log.read_text()
    other.process = None


def test_a_stray_of_a_folder_goes_when_it_is_old(make_server, tmp_path):
    shared = tmp_path / "shared"
    server = make_server(args=["--objects", f"file://{shared}", "--set", "objects.stray_age=1s"])
    fill(server, 2)
    first = shared / "segments" / segments_in(shared)[0]
    stray = shared / "segments" / f"{40:016x}.seg"
    stray.write_bytes(first.read_bytes())
    os.utime(stray, (time.time() - 3600,) * 2)
    deadline = time.monotonic() + 60
    while stray.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not stray.exists() and len(segments_in(shared)) == 2 and count(server) == 100


# ---- S3 ----


class Bucket:
    """A part of a bucket for itself, and how a server is told of it. (SeaweedFS gives each bucket volumes of its own.)"""
    name = "weir-tests"

    def __init__(self, s3, root):
        self.s3, self.root, self.client = s3, root, s3.client()
        if self.name not in [b["Name"] for b in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=self.name)
        self.where = f"s3://{self.name}/{root}/logs"
        self.env = {k: v for k, v in s3.env().items() if k != "AWS_ENDPOINT_URL_S3"}

    def url(self, endpoint=None, **more):
        params = {"endpoint": endpoint or self.s3.url, "region": "eu-test-1", **more}
        return self.where + "?" + "&".join(f"{k}={v}" for k, v in params.items())

    def keys(self, prefix="logs/"):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{self.root}/{prefix}")
        return sorted(o["Key"][len(self.root) + 1:] for page in pages for o in page.get("Contents", []))

    def segments(self):
        return [k for k in self.keys("logs/segments/") if k.endswith(".seg")]

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=f"{self.root}/{key}")["Body"].read()

    def put(self, key, body):
        self.client.put_object(Bucket=self.name, Key=f"{self.root}/{key}", Body=body)

    def begin(self, key):
        return self.client.create_multipart_upload(Bucket=self.name, Key=f"{self.root}/{key}")["UploadId"]

    def uploads(self):
        all_of_them = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return [u["UploadId"] for u in all_of_them if u["Key"].startswith(self.root + "/")]


@pytest.fixture
def bucket(s3, request):  # noqa: F811
    return Bucket(s3, re.sub(r"\W+", "-", request.node.name))


@pytest.fixture
def s3_server(make_server, bucket):
    def make(name="data", args=(), url=None, start=True, **settings):
        sets = [x for k, v in settings.items() for x in ("--set", f"objects.{k}={v}")]
        return make_server(name, args=["--objects", url or bucket.url(), *sets, *args], env=bucket.env, start=start)
    return make


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def copies(server):
    return sorted(p.name for p in (server.data / "segments").glob("*.seg"))


def stats(server):
    return requests.get(server.url + "/api/v1/stats", timeout=60).json()


def test_segments_go_to_s3_and_come_back(s3_server, bucket, tmp_path):
    server = s3_server()
    fill(server, 3)
    assert len(bucket.segments()) == 3 and copies(server) == [k.split("/")[-1] for k in bucket.segments()]
    for key in bucket.segments():  # another client reads them byte for byte
        assert bucket.get(key) == (server.data / "segments" / key.split("/")[-1]).read_bytes()
    assert bucket.get("logs/weir-store").startswith(b"weir store ")
    before = bucket.segments()
    server.compact()
    wait_for(lambda: len(bucket.segments()) == 1)
    assert not set(before) & set(bucket.segments()) and len(copies(server)) == 1
    assert count(server) == 150 and sorted(r["n"] for r in server.query("")) == list(range(150))
    server.stop()
    # A folder that has the catalog and no segment is a complete store.
    for name in copies(server):
        (server.data / "segments" / name).unlink()
    server.start()
    assert copies(server) == []
    rows = server.query("record AND n:77", meta=1)
    assert rows[0]["n"] == 77 and rows[-1]["_meta"]["bytes_fetched"] > 0
    assert len(copies(server)) == 1
    assert "bytes_fetched" not in server.query("record AND n:78", meta=1)[-1]["_meta"]


@pytest.fixture
def relay(s3):  # noqa: F811
    r = Relay(s3.url)
    yield r
    r.close()


def empty_copies(server):
    for name in copies(server):
        (server.data / "segments" / name).unlink()


def metric(server, name, **labels):
    total = 0
    for line in requests.get(server.url + "/metrics", timeout=60).text.splitlines():
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def random_lines(n, size=700, at=0):
    return "\n".join(json.dumps({"n": at + i, "noise": os.urandom(size).hex()}) for i in range(n))


def test_large_segments_have_parts_and_come_by_ranges(s3_server, bucket):
    url = bucket.url(part_bytes="5MiB")
    server = s3_server(url=url)
    for i in range(4):
        server.ingest(random_lines(9000, at=9000 * i))
    server.flush()
    [key] = bucket.segments()
    body = (server.data / "segments" / key.split("/")[-1]).read_bytes()
    assert len(body) > 20 << 20 and bucket.get(key) == body
    assert metric(server, "weir_objects_requests_total", action="UploadPart", result="ok") >= 4
    server.stop()
    empty_copies(server)
    server.start()
    assert count(server, "noise:*") == 36000
    assert (server.data / "segments" / key.split("/")[-1]).read_bytes() == body
    assert metric(server, "weir_objects_requests_total", action="GetObject", result="ok") >= 2


def test_a_busy_service_is_asked_again(s3_server, bucket, relay):
    calls = {}

    def rule(request):  # the first of each kind fails
        what = (request.method, request.path.split("?")[0])
        calls[what] = calls.get(what, 0) + 1
        if calls[what] == 1:
            return [refuse(503), refuse(500, b""), cut(100), cut_answer(50)][len(calls) % 4]
        return None

    relay.rule = rule
    server = s3_server(url=bucket.url(endpoint=relay.url), start=False)
    server.start()
    fill(server, 2)
    assert count(server) == 100 and len(bucket.segments()) == 2
    assert metric(server, "weir_objects_requests_total", result="throttled") >= 1
    assert metric(server, "weir_store_cut_errors_total") == 0
    server.stop()
    empty_copies(server)
    calls.clear()
    server.start()
    assert count(server, "record") == 100


def test_ingest_goes_on_without_s3_and_what_waits_is_put(s3_server, bucket, relay):
    server = s3_server(url=bucket.url(endpoint=relay.url), args=["--set", "memory.budget=256MiB"])
    fill(server, 1)
    relay.shut()
    sent, deadline = 50, time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, r.text
        r = requests.post(server.url + "/api/v1/logs/ingest", data=random_lines(1000, at=sent), timeout=120,
                          headers={"Content-Type": "application/x-ndjson"})
        assert r.status_code in (202, 503), r.text
        sent += 1000 * (r.status_code == 202)
        if r.status_code == 503 and bucket.where in r.text:
            break
    assert sent > 5000 and count(server) == sent  # what is in memory is found
    r = requests.post(server.url + "/api/v1/admin/flush", timeout=120)
    assert r.status_code == 503 and bucket.where in r.text, r.text
    assert stats(server)["store"]["cut_failing"]
    relay.open()

    def let_in():
        return requests.post(server.url + "/api/v1/logs/ingest", data=json.dumps({"n": -1}), timeout=120,
                             headers={"Content-Type": "application/x-ndjson"}).status_code == 202
    wait_for(let_in)
    server.flush()
    assert count(server) == sent + 1 and not stats(server)["store"]["cut_failing"]
    assert stats(server)["store"]["copies"]["not_stored"] == 0


def test_a_server_starts_without_s3(s3_server, bucket, relay):
    server = s3_server(url=bucket.url(endpoint=relay.url))
    fill(server, 2)
    server.stop()
    (server.data / "segments" / copies(server)[0]).unlink()
    relay.shut()
    server.start()
    rows = server.query("record", meta=1)
    assert len(rows) == 51 and rows[-1]["_meta"]["complete"] is False, rows[-1]
    assert bucket.where in rows[-1]["_meta"]["warning"]
    server.ingest(lines(7, 100))
    relay.open()
    wait_for(lambda: count(server) == 107)
    server.flush()
    assert len(bucket.segments()) == 3 and server.query("record", meta=1)[-1]["_meta"]["complete"]


@pytest.mark.parametrize("what", ["secret", "bucket"])
def test_a_place_that_is_wrong_is_named(s3_server, bucket, weir, what):
    url, env = bucket.url(), dict(bucket.env)
    if what == "secret":
        env["AWS_SECRET_ACCESS_KEY"] = "wrong-and-never-shown"
    else:
        url = url.replace(bucket.name, "no-such-bucket")
    server = s3_server(url=url, start=False)
    server.env.update(env)
    server.start(ready=False)
    assert server.process.wait(60) == 1
    server.process, text = None, server.log.read_text()
    wanted = "SignatureDoesNotMatch" if what == "secret" else 'there is no bucket "no-such-bucket": make it'
    assert wanted in text and "never-shown" not in text, text
    if what == "bucket":
        return  # SeaweedFS would make it for who puts something
    r = weir("check", "--data", str(server.data), "--set", f"objects.url={url}", "--json", check=False, env=env)
    finding = next(f for f in json.loads(r.stdout)["checks"] if f["name"] == "objects")
    assert finding["status"] == "failed" and "cannot put" in finding["detail"] and wanted in finding["detail"], finding
    assert "s3:PutObject" in finding["advice"] and "never-shown" not in r.stdout.decode()


def test_check_tries_the_place(bucket, weir, tmp_path):
    def finding(url):
        r = weir("check", "--data", str(tmp_path / "d"), "--set", f"objects.url={url}", "--json", check=False, env=bucket.env)
        return next(f for f in json.loads(r.stdout)["checks"] if f["name"] == "objects")
    assert finding("file:")["status"] == "ok"
    found = finding(bucket.url())
    assert found["status"] == "ok" and "put, list, get and remove work" in found["detail"], found
    assert bucket.keys("") == []
    found = finding(f"file://{tmp_path}/shared")
    assert found["status"] == "ok" and not list((tmp_path / "shared" / "check").iterdir())
    (tmp_path / "weir.yaml").write_text("objects: {url: 's3://logs?endpont=http://h'}\n")
    r = weir("config", "check", str(tmp_path / "weir.yaml"), check=False)
    assert r.returncode == 1 and b':1:16: objects.url: s3:// knows no parameter "endpont"; did you mean "endpoint"?' in r.stderr
    found = finding("s3://logs?endpont=http://h")
    assert found["status"] == "failed" and 'did you mean "endpoint"' in found["detail"], found


def test_copies_go_and_come_under_queries(s3_server, bucket):
    server = s3_server(cache_bytes="400KiB", args=["--set", "store.compact_level_files=1000"])
    for i in range(12):
        server.ingest(random_lines(100, at=100 * i))
        server.flush()
    size = sum((server.data / "segments" / name).stat().st_size for name in copies(server))
    assert 0 < size <= 400 << 10 and len(bucket.segments()) == 12 and len(copies(server)) < 8
    problems = []

    def ask(k):
        for i in range(12):
            n = (i * 5 + k * 3) % 12
            rows = server.query(f"noise:* AND n:>={n * 100} AND n:<{n * 100 + 100}")
            if sorted(r["n"] for r in rows) != list(range(n * 100, n * 100 + 100)):
                problems.append((n, len(rows)))
            if count(server, "noise:*") != 1200:
                problems.append("count")

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems, problems
    wait_for(lambda: stats(server)["store"]["copies"]["bytes"] <= 400 << 10)
    c = stats(server)["store"]["copies"]
    assert c["evicted"] > 10 and c["fetched"] > 10 and c["segments"] == len(copies(server)), c
    server.kill()
    server.start()
    assert count(server, "noise:*") == 1200


def test_many_who_want_a_segment_fetch_it_once(s3_server, bucket):
    server = s3_server()
    server.ingest(random_lines(2000))
    server.flush()
    server.stop()
    empty_copies(server)
    server.start()
    threads = [threading.Thread(target=count, args=(server, "noise:*")) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert stats(server)["store"]["copies"]["fetched"] == 1


def test_a_search_fetches_what_it_needs(s3_server, bucket):
    server = s3_server(args=["--set", "store.compact_level_files=1000", "--set", "query.threads=1"])
    for i in range(6):
        server.ingest("\n".join(json.dumps({"_time": f"2026-01-0{i + 1}T00:00:{k:02}Z", "n": i}) for k in range(50)))
        server.flush()
    server.stop()
    empty_copies(server)
    server.start()
    assert len(server.search("", limit=10)["logs"]) == 10
    assert stats(server)["store"]["copies"]["fetched"] == 1  # the newest alone
    rows = server.query("n:* | stats count() as c", **{"from": "2026-01-03", "to": "2026-01-05"})
    assert rows[0]["c"] == 100 and stats(server)["store"]["copies"]["fetched"] == 3
    assert count(server) == 300 and stats(server)["store"]["copies"]["fetched"] == 3  # by their headers


def test_cold_segments_come_side_by_side(s3_server, bucket, relay):
    server = s3_server(url=bucket.url(endpoint=relay.url), args=["--set", "store.compact_level_files=1000"])
    for i in range(8):
        server.ingest(random_lines(50, at=50 * i))
        server.flush()
    server.stop()
    empty_copies(server)
    now, most = [0], [0]

    def late(relay, request, client):
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.2)
        now[0] -= 1
        relay.through(request, client)

    relay.rule = lambda r: late if r.headers.get("range", "").startswith("bytes=0-") else None
    server.args += ["--set", "query.threads=1"]
    server.start()
    assert server.query("noise:* | stats count() as c, max(n) as m, min(noise) as x")[0]["c"] == 400
    assert most[0] >= 3 and stats(server)["store"]["copies"]["fetched"] == 8
    server.stop()
    empty_copies(server)
    server.start()
    most[0] = 0
    server.compact()
    assert most[0] >= 3 and count(server) == 400
    wait_for(lambda: len(bucket.segments()) == 1)


def test_ids_are_not_waited_for_without_end(s3_server, bucket, relay):
    """Records with ids, whose repeats are looked for in segments that do not come: they land, after one wait for all."""
    server = s3_server(url=bucket.url(endpoint=relay.url), args=["--set", "store.compact_level_files=1000"])
    fill(server, 4)
    server.stop()
    for name in segments_in(server.data):
        (server.data / "segments" / name).unlink()
    server.start()
    relay.rule = lambda r: hang() if "/segments/" in r.path else None
    began = time.monotonic()
    server.ingest("\n".join(json.dumps({"_id": f"id-{i}", "n": i}) for i in range(20)))
    assert time.monotonic() - began < 30
    assert server.log.read_text().count("repeats may land twice") < 4
    relay.rule = lambda r: None
    wait_for(lambda: count(server) == 220)


def test_a_deadline_holds_and_what_does_not_come_is_missed(s3_server, bucket, relay):
    server = s3_server(url=bucket.url(endpoint=relay.url))
    server.ingest(random_lines(1000))
    server.flush()
    server.stop()
    empty_copies(server)
    relay.rule = lambda r: slow(50_000) if r.method == "GET" and "/segments/" in r.path else None
    server.start()
    began = time.monotonic()
    r = requests.post(server.url + "/api/v1/logs/query", params={"q": "noise:*", "timeout": "2s"}, timeout=60)
    assert time.monotonic() - began < 20 and r.status_code in (200, 504), r.text[:500]
    assert b"deadline" in r.content or b"out of time" in r.content, r.content[-500:]
    relay.rule = lambda r: change(lambda b: b.replace(b"\x00", b"\x01")) if "/segments/" in r.path else None
    rows = server.query("noise:*", meta=1)
    assert rows[-1]["_meta"]["complete"] is False and copies(server) == [], rows[-1]
    relay.rule = lambda r: None
    wait_for(lambda: count(server, "noise:*") == 1000)


def test_a_damaged_copy_is_fetched_again(s3_server, bucket):
    server = s3_server()
    server.ingest(random_lines(1000))
    server.flush()
    server.stop()
    path = server.data / "segments" / copies(server)[0]
    good = path.read_bytes()
    for spoilt in (good[:200] + b"\xff" * 300_000 + good[300_200:],  # found when it is read
                   good[:-10], b"", good[:-100] + b"\xff" * 100):  # found at the start
        path.write_bytes(spoilt)
        server.start()
        server.query("noise:*")
        assert len(server.query("noise:*", meta=1)) == 1001
        assert path.read_bytes() == good
        server.stop()


def test_retention_and_merges_reach_the_bucket(s3_server, bucket):
    server = s3_server(args=["--set", "store.compact_level_files=1000"])
    old = "\n".join(json.dumps({"_time": "2020-01-01T00:00:00Z", "n": i}) for i in range(30))
    server.ingest(old)
    server.flush()
    fill(server, 3)
    server.compact()  # what is old is timed by its arrival, unless it is imported
    wait_for(lambda: len(bucket.segments()) == 1)
    server.stop()
    server.args += ["--set", "store.max_disk=1KiB"]
    server.start()
    wait_for(lambda: not bucket.segments())
    assert count(server) == 0 and copies(server) == []


def test_a_store_moves(s3_server, make_server, bucket, tmp_path):
    server = make_server()
    fill(server, 3)
    names = copies(server)
    server.stop()
    server.args, server.env = ["--objects", bucket.url()], {**os.environ, **bucket.env}
    server.start()
    wait_for(lambda: len(bucket.segments()) == 3)
    wait_for(lambda: stats(server)["store"]["copies"]["not_stored"] == 0)
    assert copies(server) == names and count(server) == 150
    server.stop()
    server.args = []  # everything is here
    server.start()
    assert count(server) == 150
    server.stop()
    (server.data / "segments" / names[0]).unlink()
    server.start(ready=False)
    assert server.process.wait(60) == 1 and f"are at {bucket.where}" in server.log.read_text()
    server.args = ["--objects", f"file://{tmp_path}/shared"]  # only what is here comes along
    server.start()
    assert segments_in(tmp_path / "shared") == names[1:] and copies(server) == []
    assert server.query("record", meta=1)[-1]["_meta"]["complete"] is False


def test_what_a_lost_catalog_knew_is_set_aside(s3_server, bucket):
    server = s3_server()
    server.stop()
    saved = {p.name: p.read_bytes() for p in server.data.glob("catalog.db*")}
    server.start()
    fill(server, 2)
    server.stop()
    before = [bucket.get(k) for k in bucket.segments()]
    for p in server.data.glob("catalog.db*"):
        p.unlink()
    for name, text in saved.items():
        (server.data / name).write_bytes(text)
    server.start()
    assert bucket.segments() == [] and sorted(bucket.get(k) for k in bucket.keys("logs/lost/")) == sorted(before)
    assert "unknown to the catalog" in server.log.read_text()
    fill(server, 1)
    assert len(bucket.segments()) == 1 and len(bucket.keys("logs/lost/")) == 2
    # A catalog that knows nothing of the place is another store's.
    server.stop()
    for p in server.data.glob("catalog.db*"):
        p.unlink()
    server.start(ready=False)
    assert server.process.wait(60) == 1 and "belongs to another store" in server.log.read_text()
    server.process = None


def test_strays_and_uploads_without_an_end_go(s3_server, bucket):
    server = s3_server(stray_age="2s")
    fill(server, 2)
    first = bucket.segments()[0]
    bucket.put(f"logs/segments/{60:016x}.seg", bucket.get(first))
    bucket.put("logs/segments/notes.txt", b"not ours to remove")
    bucket.begin(f"logs/segments/{61:016x}.seg")
    others = {bucket.begin("other/x"), bucket.begin("logs/somebody-elses/x")}
    wait_for(lambda: len(bucket.segments()) == 2)
    wait_for(lambda: set(bucket.uploads()) == others)
    assert "logs/segments/notes.txt" in bucket.keys() and count(server) == 100


def test_several_servers_and_a_fresh_folder(s3_server, bucket, tmp_path):
    shared = ["--catalog", f"sqlite:{tmp_path}/shared.db?shared=true"]
    a, b = s3_server("a", shared), s3_server("b", shared)
    fill(a, 2)
    fill(b, 2, at=100)
    wait_for(lambda: count(a) == count(b) == 200)
    assert sorted(r["n"] for r in a.query("record")) == sorted(r["n"] for r in b.query("record")) == list(range(200))
    assert len(bucket.segments()) == len(copies(a)) == len(copies(b)) == 4
    a.compact()
    wait_for(lambda: len(copies(b)) == 0 and len(copies(a)) == 1)  # what others replaced need not be kept
    assert count(a, "record") == count(b, "record") == 200
    a.kill()
    b.kill()
    c = s3_server("c", shared)
    assert copies(c) == [] and sorted(r["n"] for r in c.query("record")) == list(range(200))
    b.start()
    fill(c, 1, at=200)
    wait_for(lambda: count(b) == 250)


def test_a_small_disk_in_front_of_a_large_bucket(s3_server, bucket, tmp_path):
    disk = Disk(tmp_path / "data", 96)
    server = s3_server(args=["--set", "store.cut_bytes=2MiB", "--set", "queue.file_bytes=4MiB", "--set", "store.reserve_bytes=8MiB",
                             "--set", "store.cut_queue_bytes=8MiB"])
    try:
        sent, refused, deadline = 0, 0, time.monotonic() + 120
        while sent < 140_000:  # 98 MB that do not compress
            assert time.monotonic() < deadline
            r = requests.post(server.url + "/api/v1/logs/ingest", data=random_lines(400, at=sent), timeout=120,
                              headers={"Content-Type": "application/x-ndjson"})
            assert r.status_code in (202, 503), r.text
            sent += 400 * (r.status_code == 202)
            refused += r.status_code == 503
        wait_for(lambda: requests.post(server.url + "/api/v1/admin/flush", timeout=120).status_code == 200)
        assert stats(server)["store"]["copies"]["evicted"] > 0 and stats(server)["store"]["segment_bytes"] > 92 << 20
        assert count(server, "noise:*") == sent
        server.kill()
        server.start()
        assert count(server, "noise:*") == sent
    finally:
        server.stop()
        disk.remove()


def test_the_disk_is_watched_while_the_place_hangs(s3_server, bucket, relay, tmp_path):
    """Neither a merge nor a cut that waits for S3 keeps ingest from being closed in time: what is in memory fits."""
    disk = Disk(tmp_path / "data", 96)
    puts, well = [], threading.Event()

    def rule(r):
        if r.method == "PUT" and "/segments/" in r.path:
            puts.append(r.path)
        return (lambda relay, request, client: well.wait(60)) if len(puts) > 4 and not well.is_set() else None

    server = s3_server(url=bucket.url(endpoint=relay.url), args=["--set", "store.compact_level_files=4"])
    try:
        relay.rule = rule
        fill(server, 4)
        wait_for(lambda: len(puts) > 4)  # the merge's
        sent, refused = 200, None
        while not refused and sent < 200000:
            body = "\n".join(json.dumps({"n": sent + i, "noise": os.urandom(300).hex()}) for i in range(100))
            r = requests.post(server.url + "/api/v1/logs/ingest", data=body, timeout=60,
                              headers={"Content-Type": "application/x-ndjson"})
            sent += 100 * (r.status_code == 202)
            refused = r.text if r.status_code != 202 else None
        assert "the disk is full" in refused and "MiB free" in refused, refused
        well.set()
        wait_for(lambda: stats(server)["store"]["memtable_rows"] < 1000)
        assert count(server) == sent
    finally:
        server.stop()
        disk.remove()


def test_tls(s3_server, bucket, tmp_path):
    pem = make_certificates(tmp_path)
    relay = Relay(bucket.s3.url, (pem["server.pem"], pem["server.key"]))
    try:
        server = s3_server(url=bucket.url(endpoint=relay.url))  # starts without the place, which it does not trust
        assert "certificate" in server.log.read_text()
        server.stop()
        server.args = ["--objects", bucket.url(endpoint=relay.url, tls_ca=pem["ca.pem"])]
        server.start()
        fill(server, 1)
        assert len(bucket.segments()) == 1 and count(server) == 50
    finally:
        relay.close()


def test_kills_with_segments_in_s3(s3_server, bucket, relay):
    rng = random.Random(7)
    relay.rule = lambda r: (slow(200_000) if rng.random() < 0.3 else refuse(503) if rng.random() < 0.1 else None)
    server = s3_server(url=bucket.url(endpoint=relay.url, part_bytes="5MiB"), stray_age="2s",
                       args=["--set", "store.cut_interval=1s", "--set", "store.compact_level_files=2"])
    stop = threading.Event()
    clients = [Client(server, f"c{i}", i % 2 == 0, stop) for i in range(3)]
    for c in clients:
        c.start()
    for i in range(12):
        time.sleep(rng.uniform(0.3, 1.2))
        server.kill()
        if i % 4 == 3:
            empty_copies(server)
        server.start()
    stop.set()
    for c in clients:
        c.join(120)
        assert not c.is_alive() and not c.problems, c.problems
    relay.rule = lambda r: None
    wanted = Counter()
    for c in clients:
        for number in range(1, c.acked + 1):
            for line in c.body(number).split("\n"):
                record = json.loads(line)
                wanted[record["client"], record["n"]] += 1

    def found():
        return Counter((r["client"], r["n"]) for r in server.query("", stream="crash"))
    assert found() == wanted
    server.compact()
    empty = [k for k, v in found().items() if v != 1]
    assert not empty and found() == wanted
    # Nothing is left in the bucket but what the catalog names.
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data / "catalog.db")) as db:
        named = sorted(f"logs/segments/{row[0]:016x}.seg" for row in db.execute("SELECT id FROM segments"))
    server.start()
    wait_for(lambda: bucket.segments() == named)
    wait_for(lambda: not bucket.uploads())
    assert found() == wanted
