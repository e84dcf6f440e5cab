"""A data folder written by an earlier build is read by this one: catalog, a segment of level 1 and one of level 0,
and a queue with records that are in no segment. tests/golden/data-v1 is such a folder; expected.ndjson is what
`* ` answered then. A format change must come with code that still reads it, and a folder of its own.

`python tests/integration/test_golden.py data-vN` writes a new folder by this build."""
import json
import pathlib
import shutil
import sys
import tempfile

import pytest

from conftest import ROOT, Server

GOLDEN = ROOT / "tests" / "golden"
FOLDERS = sorted(p.name for p in GOLDEN.glob("data-v*"))


def records(first, n):
    for i in range(first, first + n):
        r = {"timestamp": f"2025-02-15T12:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z", "seq": i,
             "level": ["INFO", "WARN", "ERROR"][i % 3], "service": f"service-{i % 5}",
             "message": f"request {i} took {i * 7 % 1000} ms", "trace": "%032x" % (i * 0x9e3779b97f4a7c15f39cc0605cedc835 % 2**128),
             "price": float(f"{i}.{i % 100:02d}"), "user": f"u_{i * 31 % 997}", "ok": i % 2 == 0}
        if i % 7 == 0:
            r["tags"] = ["a", i, {"b": None}]
        if i % 11 == 0:
            r["nested"] = {"a.b": {"c": i}, "empty": {}, "null": None, "big": 12345678901234567890, "tiny": 1e-9}
        if i % 13 == 0:
            r["log_id"] = f"id-{i}"
        yield r


def write(server):
    for first in (0, 400):
        server.ingest("\n".join(json.dumps(r) for r in records(first, 400)), stream="golden")
        server.flush()
    server.compact()
    server.ingest("\n".join(json.dumps(r) for r in records(800, 300)), stream="golden")
    server.flush()
    server.ingest("\n".join(json.dumps(r, ensure_ascii=False) for r in records(1100, 100)), stream="golden")
    server.ingest("plain text\nzwei Zeilen, ÄÖÜ", "text/plain", stream="text")


def answer(server):
    rows = server.query("* | fields seq, timestamp, level, service, message, trace, price, user, ok, tags, nested, log_id, _id",
                        stream="golden")
    return sorted((json.dumps(r, sort_keys=True) for r in rows), key=lambda t: json.loads(t)["seq"])


@pytest.mark.parametrize("name", FOLDERS)
def test_old_folder_is_read(make_server, tmp_path, name):
    data = tmp_path / "data"
    shutil.copytree(GOLDEN / name, data, ignore=shutil.ignore_patterns("expected.ndjson"))
    expected = (GOLDEN / name / "expected.ndjson").read_text().splitlines()
    server = make_server("data")
    for step in (lambda: None, server.flush, server.compact):
        step()
        assert answer(server) == expected
        assert server.query("* | stats count() as n", stream="golden") == [{"n": len(expected)}]
        assert [r["message"] for r in server.query("zwei", stream="text")] == ["zwei Zeilen, ÄÖÜ"]
        assert len(server.query("trace:%032x" % (777 * 0x9e3779b97f4a7c15f39cc0605cedc835 % 2**128))) == 1


def test_there_is_a_golden_folder():
    assert FOLDERS and all(pathlib.Path(GOLDEN / f / "segments").is_dir() for f in FOLDERS)


def make_folder(name):
    with tempfile.TemporaryDirectory() as tmp:
        server = Server(pathlib.Path(tmp) / "data").start()
        write(server)
        lines = answer(server)
        server.stop()
        shutil.copytree(server.data, GOLDEN / name, ignore=shutil.ignore_patterns("weir.lock"))
        (GOLDEN / name / "expected.ndjson").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    make_folder(sys.argv[1])
