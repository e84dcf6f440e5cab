"""The HTTP face: formats, encodings, limits, errors, operations."""
import gzip
import json
import os
import re
import socket
import subprocess
import threading
import time
import zlib

import pytest
import requests
import zstandard

SEED_BODY = {"logs": [
    {"timestamp": "2025-02-15T12:00:00.123Z", "level": "ERROR",
     "message": "Payment failed: timeout connecting to stripe",
     "metadata": {"request_id": "req_abc123", "user_id": "u_456", "latency_ms": 5000}}]}


def test_seed_round(server):
    r = requests.post(server.url + "/api/v1/logs/ingest", json=SEED_BODY,
                      headers={"X-Service-Id": "payment-service", "X-Host": "host-042"})
    assert r.status_code == 202 and r.json()["accepted"] == 1
    answer = server.search("payment failed timeout", service="payment-service", level="ERROR",
                           **{"from": "2025-02-15T11:00:00Z", "to": "2025-02-15T12:00:01Z", "limit": 50, "offset": 0})
    assert answer["total_hits"] == 1
    log = answer["logs"][0]
    for key, value in SEED_BODY["logs"][0].items():
        assert log[key] == value
    assert log["service"] == "payment-service" and log["host"] == "host-042" and log["log_id"]
    assert server.search("payment", **{"from": "2025-02-15T12:00:01Z"})["total_hits"] == 0


def test_own_service_beats_header(server):
    server.ingest('{"service":"own","a":1}\n{"a":2}', **{"X-Service-Id": "header"})
    assert {r["a"]: r["service"] for r in server.query("a:*")} == {1: "own", 2: "header"}


def test_text_and_encodings(server):
    text = "first line\nsecond line\r\n\nlast"
    plain = text.encode()
    encoded = {None: plain, "gzip": gzip.compress(plain), "deflate": zlib.compress(plain),
               "zstd": zstandard.ZstdCompressor().compress(plain)}
    for name, body in encoded.items():
        headers = {"Content-Encoding": name} if name else {}
        assert server.ingest(body, "text/plain", **headers)["accepted"] == 3
    assert len(server.query('message:="second line"')) == 4
    server.ingest(b"not gzip", "text/plain", expect=400, **{"Content-Encoding": "gzip"})


def test_bad_records_are_named_and_kept(server):
    answer = server.ingest('{"ok":1}\nnot json\n{"ok":2}\n[1,2]\n{"x":01}')
    assert answer["accepted"] == 2 and answer["rejected"] == 3
    assert [e["position"] for e in answer["errors"]] == [1, 3, 4]
    assert all(e["reason"] for e in answer["errors"])
    assert len(server.query("*")) == 2
    dead = server.query("*", stream="_dead_letters")
    assert sorted(d["raw"] for d in dead) == sorted(["not json", "[1,2]", '{"x":01}'])
    assert all(d["reason"] and d["stream"] == "default" for d in dead)


def raw_post(server, head, pieces, pause=0):
    """One request on a connection of its own, its body in pieces; the connection, to be read."""
    c = socket.create_connection(("127.0.0.1", server.port))
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    c.sendall(f"POST /api/v1/logs/ingest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n".encode())
    for piece in pieces:
        c.sendall(piece)
        time.sleep(pause)
    return c


def answer_of(c):
    data = b""
    while more := c.recv(1 << 16):
        data += more
    c.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


NDJSON = "Content-Type: application/x-ndjson\r\nContent-Length: %d"


def test_large_bodies_are_taken_as_they_come(server):
    """Lines of all lengths, bad ones among them, cut anywhere: as a body that is gathered (for it has a key)."""
    lines = [json.dumps({"n": i, "text": "x" * (i * 7919 % (90_000 if i % 97 == 0 else 900))}) for i in range(3000)]
    for bad in (0, 5, 1500, 2999):
        lines[bad] = "bad" + lines[bad]
    body = "\n".join(lines).encode()
    assert len(body) > 1 << 20
    status, whole = answer_of(raw_post(server, "Idempotency-Key: k\r\n" + NDJSON % len(body), [body]))
    assert status == 202 and whole["accepted"] == 2996 and whole["rejected"] == 4
    for size, pause in ((len(body), 0), (70_001, 0.001), (333_333, 0.01)):
        pieces = [body[i:i + size] for i in range(0, len(body), size)]
        assert answer_of(raw_post(server, NDJSON % len(body), pieces, pause)) == (202, whole)
    rows = server.query("*")
    assert len(rows) == 4 * 2996
    want = {i: json.loads(lines[i])["text"] for i in range(3000) if i not in (0, 5, 1500, 2999)}
    seen = {}
    for r in rows:
        assert want[r["n"]] == r["text"]
        seen[r["n"]] = seen.get(r["n"], 0) + 1
    assert set(seen.values()) == {4}
    assert len(server.query("*", stream="_dead_letters")) == 16


def test_large_bodies_that_break_off_leave_nothing(server):
    body = b"".join(b'{"half":%d}\n' % i for i in range(100_000))
    for share in (1, 2, 3):
        c = raw_post(server, NDJSON % len(body), [body[:len(body) * share // 4]])
        time.sleep(0.2)
        c.close()
    server.ingest('{"whole":1}')
    assert [r for r in server.query("*")] == server.query("whole:1")
    assert len(server.query("*")) == 1
    server.kill()
    server.start()
    assert len(server.query("*")) == 1


def test_large_bodies_with_ids_land_once(server):
    """Be the ids in every record, or in the last ones alone; sent at once, again, and one within another."""
    every = "".join(json.dumps({"_id": f"e{i}", "a": "y" * 100}) + "\n" for i in range(6000)).encode()
    late = "".join(json.dumps({"b": i, "pad": "y" * 100}) + "\n" for i in range(6000)) + \
        "".join(json.dumps({"_id": f"l{i}", "c": i}) + "\n" for i in range(10)) + '{"_id":"l3"}\n'
    for body, new, old in ((every, 6000, 0), (every, 0, 6000), (late.encode(), 6010, 1), (late.encode(), 6000, 11)):
        status, answer = answer_of(raw_post(server, NDJSON % len(body), [body]))
        assert status == 202 and (answer["accepted"], answer["duplicates"]) == (new, old)
    again = late.replace('"l', '"p').encode()
    again = late.replace('"l', '"p').encode()  # ids are claimed when all of their body is there
    open_one = raw_post(server, NDJSON % (len(again) + 10_000), [again])
    time.sleep(0.2)
    status, answer = answer_of(raw_post(server, NDJSON % len(again), [again]))
    assert status == 202 and (answer["accepted"], answer["duplicates"]) == (6010, 1)
    open_one.sendall(b" " * 10_000)
    status, answer = answer_of(open_one)
    assert status == 202 and (answer["accepted"], answer["duplicates"]) == (6000, 11)
    assert len(server.query("_id:p3")) == 1 and len(server.query("_id:l3")) == 1


def test_large_bodies_with_the_same_ids_at_once(server):
    """Several end at once, with ids late in them: each waits for those that another has under way, as small ones do."""
    pad = "".join(json.dumps({"b": i, "pad": "y" * 100}) + "\n" for i in range(3000))
    for turn in range(8):
        body = (pad + "".join(json.dumps({"_id": f"t{turn}-{i}", "c": i, "pad": "x" * 200}) + "\n" for i in range(4000))).encode()
        open_ones = [raw_post(server, NDJSON % len(body), [body[:-1]]) for _ in range(4)]
        time.sleep(0.1)
        for c in open_ones:
            c.sendall(b"\n")
        answers = [answer_of(c) for c in open_ones]
        assert [status for status, _ in answers] == [202] * 4, answers
        assert sorted((a["accepted"], a["duplicates"]) for _, a in answers) == [(3000, 4000)] * 3 + [(7000, 0)]
    assert server.query("c:* | stats count()") == [{"count": 8 * 4000}]


def test_clients_that_stop_amid_large_bodies_cost_others_nothing(server):
    """As many as may be, each with as much as may be: what was kept for them is others', soon."""
    line = b'{"half":"%s"}\n' % (b"x" * 1000)
    half = line * (32 << 20 >> 10)
    stopped = [raw_post(server, NDJSON % (64 << 20), [half]) for _ in range(2)]
    time.sleep(1.2)
    stopped += [raw_post(server, NDJSON % (1 << 20), [line * 300]) for _ in range(4 * os.cpu_count())]
    time.sleep(1.2)
    body = b'{"whole":"%s"}\n' % (b"y" * 1000) * 20000
    for _ in range(5):
        status, answer = answer_of(raw_post(server, NDJSON % len(body), [body]))
        assert status == 202 and answer["accepted"] == 20000, answer
    n = (1 << 20) - 300 * len(line)  # one of them goes on, with bad lines among the good ones
    rest = b"bad\n" + (line * 2000)[:n - 8] + b"\nbad"
    stopped[-1].sendall(rest)
    status, answer = answer_of(stopped[-1])
    assert status == 202 and answer["rejected"] == 3, answer
    assert answer["errors"][0]["position"] == 300
    assert answer["accepted"] == 300 + (n - 8) // len(line)
    for c in stopped[:-1]:
        c.close()
    assert server.query("whole:* | stats count()") == [{"count": 5 * 20000}]


def test_limits_are_named(make_server):
    server = make_server(args=["--set", "limits.body_bytes=100KiB", "--set", "limits.record_bytes=1KiB"])
    r = requests.post(server.url + "/api/v1/logs/ingest", data=b"x" * 200000)
    assert r.status_code == 413 and "100" in r.text, r.text
    bomb = gzip.compress(b'{"a":1}\n' * 1000000)
    r = requests.post(server.url + "/api/v1/logs/ingest", data=bomb, headers={"Content-Encoding": "gzip"})
    assert r.status_code == 413, r.text
    answer = server.ingest('{"a":"%s"}\n{"a":1}' % ("x" * 2000))
    assert answer["accepted"] == 1 and answer["rejected"] == 1
    assert "1" in answer["errors"][0]["reason"]
    deep = "[" * 200 + "]" * 200
    assert server.ingest('{"a":%s}\n{"a":2}' % deep)["rejected"] == 1


@pytest.mark.parametrize("q,column", [("level:ERROR )", 13), ('"open', 1), ("a:[1 TO", None), ("* | stat count()", 5),
                                      ("/[/", None), ("a AND", None)])
def test_query_errors_point(server, q, column):
    answer = server.query(q, expect=400)
    assert "^" in answer["error"], answer
    if column:
        assert f"column {column}" in answer["error"], answer
    assert "^" in server.search(q, expect=400)["error"]


def test_unknown_paths_and_methods(server):
    r = requests.get(server.url + "/api/v1/log/search")
    assert r.status_code == 404 and r.json()["error"]
    assert requests.put(server.url + "/api/v1/logs/search").status_code == 405
    assert requests.get(server.url + "/api/v1/logs/search", params={"from": "tomorrowish"}).status_code == 400
    assert requests.get(server.url + "/api/v1/logs/search", params={"limit": "x"}).status_code == 400


def test_times_are_sorted_as_times(server):
    """Not as texts, in which a fraction of a second would come before its beginning."""
    server.ingest("\n".join('{"timestamp":"2025-02-15T12:00:%s","n":%d}' % (t, n) for n, t in enumerate(
        ["00Z", "00.000000001Z", "00.5Z", "01Z", "01.25Z"])))
    assert [r["n"] for r in server.query("* | sort _time | fields n")] == [0, 1, 2, 3, 4]
    assert [r["n"] for r in server.query("* | sort -_time | limit 3 | fields n")] == [4, 3, 2]
    assert [r["n"] for r in server.query("* | limit 4 | sort _time | fields n")] == [1, 2, 3, 4]
    assert server.query("n:<3 | stats min(_time) as a, max(_time) as b") == [
        {"a": "2025-02-15T12:00:00Z", "b": "2025-02-15T12:00:00.500Z"}]


def test_operations(server):
    for path in ("/healthz", "/health", "/readyz"):
        assert requests.get(server.url + path).status_code == 200
        head = requests.head(server.url + path)
        assert head.status_code == 200 and not head.content
    server.ingest('{"a":1}')
    page = requests.get(server.url + "/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 200 and "text/html" in page.headers["Content-Type"] and "Weir" in page.text
    text = requests.get(server.url + "/metrics").text
    assert re.search(r"^weir_ingest_records_total\S* 1$", text, re.M), text[:3000]
    families = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(families) == len(set(families)) > 10
    stats = requests.get(server.url + "/api/v1/stats").json()
    assert stats


def test_histogram(server):
    lines = [json.dumps({"timestamp": f"2025-02-15T12:{m:02d}:30Z", "n": m}) for m in range(60) for _ in range(m % 3)]
    server.ingest("\n".join(lines))
    r = requests.get(server.url + "/api/v1/logs/histogram", params={
        "q": "n:>=0", "from": "2025-02-15T12:00:00Z", "to": "2025-02-15T13:00:00Z", "buckets": 60}).json()
    assert sum(b["count"] for b in r["buckets"]) == len(lines)
    assert [b["count"] for b in r["buckets"]][:6] == [0, 1, 2, 0, 1, 2]


def test_relative_times(server):
    now = time.time_ns()
    for ago in (10, 100, 1000, 10000):
        server.ingest(json.dumps({"time": (now // 10**9) - ago, "ago": ago}))
    assert sorted(r["ago"] for r in server.query("*", **{"from": "-15m"})) == [10, 100]
    assert sorted(r["ago"] for r in server.query("_time:>now-1h")) == [10, 100, 1000]


TIMES = [("2025-02-15T12:00:00.123456789Z", "2025-02-15T12:00:00.123456789Z"),
         ("2025-02-15T14:00:00+02:00", "2025-02-15T12:00:00Z"),
         ("2025-02-15 12:00:00,250", "2025-02-15T12:00:00.25Z"),
         (1739620800, "2025-02-15T12:00:00Z"), (1739620800123, "2025-02-15T12:00:00.123Z"),
         (1739620800123456, "2025-02-15T12:00:00.123456Z"), (1739620800.5, "2025-02-15T12:00:00.5Z"),
         ("15/Feb/2025:12:00:00 +0000", "2025-02-15T12:00:00Z")]


def ns_of(text):
    import datetime
    whole, _, fraction = text.rstrip("Z").partition(".")
    t = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(t.timestamp()) * 10**9 + int((fraction + "000000000")[:9])


@pytest.mark.parametrize("name", ["timestamp", "@timestamp", "time", "ts"])
def test_own_times(server, name):
    server.ingest("\n".join(json.dumps({name: t, "n": i}) for i, (t, _) in enumerate(TIMES)))
    for row in server.query("*"):
        given, want = TIMES[row["n"]]
        assert ns_of(row["_time"]) == ns_of(want), row
        assert row[name] == given


def test_no_or_bad_time_is_arrival(server):
    before = time.time_ns()
    server.ingest('{"n":1}\n{"n":2,"timestamp":"yesterday"}\n{"n":3,"timestamp":"9999-99-99T00:00:00Z"}')
    after = time.time_ns()
    rows = server.query("*")
    assert len(rows) == 3
    assert all(before - 10**6 <= ns_of(r["_time"]) <= after for r in rows)


def test_deadline_and_memory(make_server):
    server = make_server(args=["--set", "query.memory=1MiB"])
    lines = "\n".join(json.dumps({"k": f"key-{i}", "m": "word " * 5}) for i in range(60000))
    server.ingest(lines)
    r = requests.post(server.url + "/api/v1/logs/query", params={"q": "* | stats count() by k"})
    assert r.status_code in (400, 413, 503) and "memory" in r.text, (r.status_code, r.text[:300])
    assert server.query("* | stats count()") == [{"count": 60000}]


def test_memory_is_reported(server):
    """What a query held of its memory is said: groups and hits, too."""
    server.ingest("\n".join(json.dumps({"k": f"key-{i}", "n": i}) for i in range(30000)))
    server.flush()
    peak = lambda q: server.query(q, meta=1)[-1]["_meta"]["memory_peak"]
    few = peak("* | stats count() by level")
    assert peak("* | stats count() by k | limit 1") > few + 30000 * 40
    assert peak("* | sort n | limit 20000") > few + 20000 * 20


def test_export_is_whole(server):
    n = 120000
    for at in range(0, n, 20000):
        server.ingest("\n".join('{"i":%d,"m":"line %d"}' % (i, i) for i in range(at, at + 20000)))
    server.flush()
    seen = set()
    with requests.post(server.url + "/api/v1/logs/query", params={"q": "", "meta": 1}, stream=True) as r:
        rows = [json.loads(line) for line in r.iter_lines()]
    assert rows[-1]["_meta"]["complete"] is True
    seen = {row["i"] for row in rows[:-1]}
    assert len(rows) == n + 1 and seen == set(range(n))


def test_client_leaves(server):
    """A client that leaves in the middle of an export costs nothing afterwards."""
    for at in range(5):
        server.ingest("\n".join('{"i":%d,"m":"%s"}' % (i, "x" * 200) for i in range(30000)))
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall(b"GET /api/v1/logs/query?q= HTTP/1.1\r\nHost: x\r\n\r\n")
    assert s.recv(1000)
    s.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = requests.get(server.url + "/metrics").text
        busy = re.search(r"^weir_queries_running\S* (\d+)", text, re.M)
        if busy and int(busy.group(1)) == 0:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the query still runs")


def test_concurrent_clients(server):
    def send(k):
        for i in range(20):
            server.ingest("\n".join(json.dumps({"client": k, "i": i, "j": j}) for j in range(50)))
    threads = [threading.Thread(target=send, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    seen = 0
    while any(t.is_alive() for t in threads):
        now = server.query("* | stats count() as n")[0]["n"]
        assert now >= seen
        seen = now
    for t in threads:
        t.join()
    assert server.query("* | stats count() as n")[0]["n"] == 8 * 20 * 50


def test_second_server_is_refused(server, weir):
    r = weir("server", "--data", str(server.data), "--listen", "127.0.0.1:0", check=False)
    assert r.returncode != 0 and b"another" in r.stderr.lower()


def test_off_loopback_needs_credentials(make_server, weir, tmp_path):
    r = weir("server", "--data", str(tmp_path / "open"), "--listen", "0.0.0.0:0", check=False)
    assert r.returncode != 0 and b"WEIR_ROOT_USER" in r.stderr
    server = make_server("closed", env={"WEIR_ROOT_USER": "root@x", "WEIR_ROOT_PASSWORD": "correct horse"}, start=False)
    server.start(ready=True)
    assert requests.get(server.url + "/api/v1/logs/search").status_code == 401
    assert requests.get(server.url + "/api/v1/logs/search", auth=("root@x", "wrong")).status_code == 401
    assert requests.get(server.url + "/api/v1/logs/search", auth=("root@x", "correct horse")).status_code == 200
    assert requests.get(server.url + "/healthz").status_code == 200


def test_stop_is_graceful_and_fast(make_server):
    server = make_server()
    server.ingest('{"a":1}')
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 25
    server.start()
    assert len(server.query("a:1")) == 1


def test_half_a_body_does_not_hold_the_stop(make_server):
    server = make_server()
    clients = []
    for _ in range(20):
        c = socket.create_connection(("127.0.0.1", server.port))
        c.sendall(b'POST /api/v1/logs/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"a":')
        clients.append(c)
    server.ingest('{"b":1}')
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 25
    server.start()
    assert [r["b"] for r in server.query("*")] == [1]


def test_damaged_queue_is_quarantined(make_server):
    server = make_server()
    for i in range(50):
        server.ingest(json.dumps({"i": i, "pad": "y" * 500}))
    server.kill()
    wal = max((server.data).rglob("*.wal"), key=lambda p: p.stat().st_size)
    data = bytearray(wal.read_bytes())
    at = data.index(b'y' * 100, 8000)
    data[at] ^= 0xff
    wal.write_bytes(data)
    server.start()
    rows = server.query("*")
    assert len(rows) == 49, len(rows)
    assert "quarantin" in server.log.read_text()


def test_promtool(server, tmp_path):
    """promtool reads what /metrics says, where the prometheus package can be had."""
    tool = promtool(tmp_path)
    text = requests.get(server.url + "/metrics").content
    r = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True)
    assert r.returncode == 0, r.stderr.decode() + r.stdout.decode()


def promtool(tmp_path):
    import pathlib
    import shutil
    found = shutil.which("promtool")
    if found:
        return found
    cache = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "prometheus"
    tool = cache / "usr" / "bin" / "promtool"
    if not tool.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
        subprocess.run(["apt-get", "download", "prometheus"], cwd=tmp_path, check=True, capture_output=True)
        package = next(tmp_path.glob("prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(cache)], check=True)
    return str(tool)
