"""What is broken on the disk costs what it holds and nothing else, and says so.

A missing or damaged segment: the rest is served, and every answer that lacks something says that it is partial. A
server that cannot start ends with one line that names what is in the way."""
import json
import os
import random
import shutil
import signal
import time

import pytest
import requests

from conftest import Disk

BODIES, ROWS = 4, 1500 # sections large enough for a chunk a column


def fill(server):
    """Four segments of one stream, each with its own value of `part`."""
    for part in range(BODIES):
        rng = random.Random(part)
        server.ingest("\n".join(json.dumps({"part": part, "i": i, "word": f"w{part}x{i}", "text": rng.randbytes(30).hex()})
                                for i in range(ROWS)), stream="d")
        server.flush()


def segments(server):
    return sorted((server.data / "segments").glob("*.seg"))


def counts(server, **params):
    rows = server.query("* | stats count() by part", stream="d", **params)
    meta = [r["_meta"] for r in rows if "_meta" in r]
    return {r["part"]: r["count"] for r in rows if "_meta" not in r}, meta[0] if meta else None


def log_of(server):
    return server.log.read_text(errors="replace")


def stats(server):
    return requests.get(server.url + "/api/v1/stats", timeout=30).json()


def expect_partial(server, lost, seen_at_start):
    """Everything but part `lost` is found, and each kind of answer says what it lacks."""
    found, meta = counts(server)
    assert found == {p: ROWS for p in range(BODIES) if p != lost}
    assert meta["complete"] is False and meta["unreadable"] >= 1 and meta["warning"], meta
    answer = server.search("text:*", stream="d", limit=10000)
    assert {r["part"] for r in answer["logs"]} == set(found) and len(answer["logs"]) == ROWS * (BODIES - 1)
    assert answer["partial"] is True and answer["warning"]
    assert server.query("* | sort text | limit 20000 | stats count()", stream="d")[0]["count"] == ROWS * (BODIES - 1)
    buckets = requests.get(server.url + "/api/v1/logs/histogram", params={"q": "text:*", "stream": "d"}, timeout=30).json()
    assert buckets["partial"] is True and sum(b["count"] for b in buckets["buckets"]) == ROWS * (BODIES - 1)
    assert "the answer is partial" in log_of(server) or "searches will be partial" in log_of(server)
    assert (stats(server)["store"]["unreadable_segments"] == 1) == seen_at_start
    # The server lives on: what comes is stored, merged and found.
    server.ingest('{"part": 99, "i": 0, "text": "new"}', stream="d")
    server.compact()
    assert counts(server)[0] == {**found, 99: 1}


def test_undamaged(server):
    fill(server)
    found, meta = counts(server)
    assert found == {p: ROWS for p in range(BODIES)} and meta is None
    assert counts(server, meta=1)[1]["complete"] is True
    assert "partial" not in server.search("text:*", stream="d")


def test_command_line_says_so(server, weir):
    fill(server)
    server.stop()
    segments(server)[1].unlink()
    server.start()
    for query in ("text:*", "* | stats count()"):
        r = weir("search", "--url", server.url, "--stream", "d", query)
        assert b"not complete" in r.stderr and b"_meta" not in r.stdout, (r.stderr, r.stdout[-300:])


def test_missing_segment(server):
    fill(server)
    server.stop()
    segments(server)[1].unlink()
    server.start()
    assert "segment cannot be read" in log_of(server)
    expect_partial(server, 1, True)


@pytest.mark.parametrize("where", ["footer", "tail"])
def test_truncated_segment(server, where):
    fill(server)
    server.stop()
    path = segments(server)[2]
    keep = path.stat().st_size - 10 if where == "footer" else 20
    os.truncate(path, keep)
    server.start()
    expect_partial(server, 2, True)


def test_flipped_byte_in_a_block(server, weir):
    """The file opens; its block does not."""
    fill(server)
    server.stop()
    path = segments(server)[0]
    data = bytearray(path.read_bytes())
    for at in range(64, len(data), 97): # the first byte whose damage costs the column `text`
        data[at] ^= 0x40
        path.write_bytes(data)
        r = weir("segment", "verify", str(path), check=False)
        if r.returncode and b"column text" in r.stdout + r.stderr:
            break
        data[at] ^= 0x40
    else:
        raise AssertionError("no byte of the file belongs to the column `text`")
    server.start()
    answer = server.search("text:*", stream="d", limit=10000)
    assert answer["partial"] is True and path.name in answer["warning"] and "text" in answer["warning"], answer["warning"]
    assert {r["part"] for r in answer["logs"]} == {1, 2, 3}
    # A query that needs other columns only is not touched by it.
    found, meta = counts(server)
    assert found == {p: ROWS for p in range(BODIES)} and meta is None
    streamed = server.query("*", stream="d")
    assert streamed[-1]["_meta"]["complete"] is False
    assert sum("part" in r for r in streamed) == ROWS * (BODIES - 1)
    assert server.query("* | sort text | limit 20000 | stats count() as n", stream="d")[0] == {"n": ROWS * (BODIES - 1)}
    explained = server.query("text:*", stream="d", explain=1)[0]["explain"]
    assert explained["complete"] is False
    assert 'weir_query_unreadable_blocks_total' in requests.get(server.url + "/metrics", timeout=30).text
    # A merge leaves it alone and takes the others.
    server.compact()
    assert path.exists()
    assert counts(server)[0] == {p: ROWS for p in range(BODIES)}


def test_ids_beside_a_damaged_block(server):
    """Records with ids are taken in although a segment that may hold them cannot be read."""
    body = "\n".join(json.dumps({"log_id": f"id{i}", "i": i}) for i in range(200))
    server.ingest(body)
    server.flush()
    server.stop()
    path = segments(server)[0]
    data = bytearray(path.read_bytes())
    for at in range(40, len(data) // 2):
        data[at] ^= 0xff
    path.write_bytes(data)
    server.start()
    assert server.ingest(body)["accepted"] == 200


def test_missing_queue(server):
    """Without its queue a server starts; what was in segments is there, and positions go on."""
    server.ingest("\n".join(json.dumps({"i": i}) for i in range(50)))
    server.flush()
    server.stop()
    shutil.rmtree(server.data / "queue")
    server.start()
    server.ingest('{"i": 50}')
    assert server.query("* | stats count() as n") == [{"n": 51}]
    server.kill()
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 51}]


def test_lost_catalog(server):
    fill(server)
    server.stop()
    for path in server.data.glob("catalog.db*"):
        path.unlink()
    server.start()
    assert len(list((server.data / "lost").glob("*.seg"))) == BODIES
    assert "unknown to the catalog" in log_of(server)


MARK_BYTES = 40 # what stands behind an entry that was synced


def last_queue_file(server):
    return sorted((server.data / "queue").glob("*.wal"))[-1]


def flip(path, what):
    data = bytearray(path.read_bytes())
    data[data.index(what)] ^= 1
    path.write_bytes(data)


def test_torn_end_of_the_queue(server):
    server.ingest("\n".join(json.dumps({"i": i}) for i in range(50)))
    server.ingest('{"i": 50}')
    server.kill()
    path = last_queue_file(server)
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-MARK_BYTES - 3])
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 50}]
    q = stats(server)["queue"]
    assert q["torn_bytes"] > 0 and q["quarantined_entries"] == 0
    assert f'weir_queue_torn_bytes {q["torn_bytes"]}' in requests.get(server.url + "/metrics", timeout=30).text
    assert [p.suffix for p in (server.data / "queue" / "quarantine").iterdir()] == [".torn"]
    assert "unfinished write" in log_of(server)
    server.ingest('{"i": 50}')
    assert server.query("* | stats count() as n") == [{"n": 51}]


def test_damage_to_the_last_body(server):
    """It was acknowledged, so it is no torn tail: it is missing, counted and told."""
    for i in range(3):
        server.ingest(json.dumps({"i": i, "text": f"{i}" * 500}))
    server.kill()
    flip(last_queue_file(server), b"2" * 400)
    server.start()
    assert sorted(r["i"] for r in server.query("i:*")) == [0, 1]
    q = stats(server)["queue"]
    assert q["quarantined_entries"] == 1 and q["torn_bytes"] == 0
    assert "weir_queue_quarantined_entries 1" in requests.get(server.url + "/metrics", timeout=30).text
    copy, = (server.data / "queue" / "quarantine").iterdir()
    assert b"2" * 300 in copy.read_bytes()


def test_unreadable_page_of_the_queue(server):
    """A disk that does not give a page costs the body it belongs to, and the file is kept."""
    for i in range(3):
        server.ingest(json.dumps({"i": i, "text": random.Random(i).randbytes(5000).hex()}))
    server.kill()
    server.env["WEIR_FAULT"] = "unreadable@20000"
    server.start()
    found = sorted(r["i"] for r in server.query("* | fields i"))
    assert len(found) == 2 and found[0] == 0, found
    assert stats(server)["queue"]["unreadable_bytes"] == 4096
    assert "cannot be read in places" in log_of(server)
    server.flush()
    server.ingest('{"i": 3}')
    server.stop()
    assert any(p.suffix != ".bin" for p in (server.data / "queue" / "quarantine").iterdir())


def test_queue_on_a_dead_disk(server):
    server.ingest("\n".join(json.dumps({"i": i, "text": random.Random(i).randbytes(500).hex()}) for i in range(3000)))
    server.kill()
    server.env["WEIR_FAULT"] = "unreadable@8192:sticky=1"
    start_fails(server, "Input/output error", "nothing was changed", "copy the data folder")
    server.env.pop("WEIR_FAULT")
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 3000}]


def test_queue_removed_while_running(server):
    """What was acknowledged is in memory still: it is stored at once, and the queue begins anew."""
    server.ingest("\n".join(json.dumps({"i": i}) for i in range(50)))
    shutil.rmtree(server.data / "queue")
    r = requests.post(server.url + "/api/v1/logs/ingest", data='[{"i": 50}]', timeout=30)
    if r.status_code != 202: # else it was noticed at rest just before
        assert r.status_code == 503 and "removed" in r.text and "Retry-After" in r.headers, r.text
        server.ingest('{"i": 50}')
    assert "has lost its file" in log_of(server)
    deadline = time.monotonic() + 60
    while stats(server)["store"]["cuts"] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    server.kill()
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 51}]


def test_damage_within_the_queue(server):
    for i in range(3):
        server.ingest(json.dumps({"i": i, "text": f"{i}" * 500}))
    server.kill()
    flip(last_queue_file(server), b"1" * 400)
    server.start()
    assert sorted(r["i"] for r in server.query("i:*")) == [0, 2]
    assert stats(server)["queue"]["quarantined_entries"] == 1
    assert list((server.data / "queue" / "quarantine").iterdir())


# ---- a server that cannot start says why ----

def start_fails(server, *words):
    server.start(ready=False)
    assert server.process.wait(30) == 1
    said = log_of(server)
    server.process = None
    for word in words:
        assert word in said, said
    return said


def test_garbled_catalog(server):
    server.ingest('{"a": 1}')
    server.flush()
    server.stop()
    whole = (server.data / "catalog.db").read_bytes()
    (server.data / "catalog.db").write_bytes(b"not a database" * 1000)
    start_fails(server, "catalog.db", "file is not a database", "backup")
    (server.data / "catalog.db").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    start_fails(server, "catalog.db", "malformed", "backup")
    assert segments(server) # nothing was removed
    (server.data / "catalog.db").write_bytes(whole)
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 1}]


def test_port_in_use(server, make_server):
    other = make_server("other", start=False)
    other.port = server.port
    start_fails(other, f"127.0.0.1:{server.port}", "another program has this port")


def test_folder_in_use(server, make_server):
    other = make_server("other", start=False)
    other.data = server.data
    start_fails(other, "another weir server is running")


def test_read_only_folder(tmp_path, make_server):
    disk = Disk(tmp_path / "data", 96)
    try:
        server = make_server()
        server.ingest('{"a": 1}')
        server.stop()
        disk.remount("ro")
        start_fails(server, str(disk.path), "Read-only file system")
        # It comes back as soon as it may write.
        disk.remount("rw")
        server.start()
        assert server.query("* | stats count() as n") == [{"n": 1}]
        server.stop()
    finally:
        disk.remove()


def test_stop_during_replay(make_server):
    """SIGTERM while the queue is read back: over at once, and nothing is lost."""
    server = make_server(args=["--set", "log.level=debug"])
    rng = random.Random(5)
    body = "\n".join(json.dumps({"i": i, "text": rng.randbytes(200).hex()}) for i in range(20000))
    for _ in range(10):
        server.ingest(body)
    server.kill()
    server.start(ready=False)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(server.url + "/healthz", timeout=30).status_code == 200:
                break
        except requests.ConnectionError:
            time.sleep(0.001)
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert server.process.wait(30) == 0 and time.monotonic() - began < 20
    server.start()
    assert server.query("* | stats count() as n") == [{"n": 200000}]
