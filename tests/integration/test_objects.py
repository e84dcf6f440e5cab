"""Where segments are at rest: a folder that several servers reach, and S3."""
import json
import os
import pathlib
import time

import pytest
import requests


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
