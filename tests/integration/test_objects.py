"""Where segments are at rest: a folder that several servers reach, and S3."""
import json
import os
import pathlib
import time

import pytest
import requests

from parts.s3 import s3  # noqa: F401


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
    """A bucket of its own, and how a server is told of it."""

    def __init__(self, s3, name):
        self.s3, self.name, self.client = s3, name, s3.client()
        self.client.create_bucket(Bucket=name)
        self.env = {k: v for k, v in s3.env().items() if k != "AWS_ENDPOINT_URL_S3"}

    def url(self, prefix="logs", endpoint=None, **more):
        params = {"endpoint": endpoint or self.s3.url, "region": "eu-test-1", **more}
        return f"s3://{self.name}/{prefix}?" + "&".join(f"{k}={v}" for k, v in params.items())

    def keys(self, prefix="logs/"):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(o["Key"] for page in pages for o in page.get("Contents", []))

    def segments(self):
        return [k for k in self.keys("logs/segments/") if k.endswith(".seg")]

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])


@pytest.fixture
def bucket(s3, request):  # noqa: F811
    n = sum(ord(c) * (i + 1) for i, c in enumerate(request.node.name))
    return Bucket(s3, f"b{n}-{os.getpid()}")


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
