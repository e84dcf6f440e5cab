"""The outputs of an agent, each with the real thing at the other end; opensearch:// with Weir's own _bulk, and with
a server that is busy, refuses and forgets to answer."""
import http.server
import json
import subprocess
import threading
import time
from collections import Counter

import pytest

from conftest import WEIR
from test_agent import make_agent, wait_for, write  # noqa: F401 (a fixture)


def lines_of(path):
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout
    return [json.loads(line) for line in data.splitlines()]


def test_stdout(tmp_path):
    log = tmp_path / "app.log"
    write(log, 0, 3)
    r = subprocess.run([WEIR, "agent", "--data", str(tmp_path / "a"), "--file", str(log), "--output", "stdout://",
                        "--once", "--log-level", "error"], capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert [json.loads(x)["message"] for x in r.stdout.splitlines()] == [f"n{i} some text of a line" for i in range(3)]


@pytest.mark.parametrize("name", ["archive.ndjson", "archive.ndjson.zst"])
def test_file(make_agent, tmp_path, name):  # noqa: F811
    log, to = tmp_path / "app.log", tmp_path / "deep" / "er" / name
    write(log, 0, 100)
    a = make_agent("agent", "--file", str(log), output=f"file://{to}?max={2 if to.suffix == '.zst' else 16}KiB").start()
    wait_for(lambda: to.exists() and to.stat().st_size > 0)
    for turn in range(1, 4):
        write(log, turn * 1000 - 900, 1000)
        time.sleep(1.2)
    a.stop()
    files = sorted(to.parent.iterdir())
    assert len(files) > 1 and all(f.name.endswith(".zst") == name.endswith(".zst") for f in files)
    got = Counter(r["message"].split()[0] for f in files for r in lines_of(f))
    assert got == Counter(f"n{i}" for i in range(3100))


def test_opensearch_is_weir(make_server, make_agent, tmp_path):  # noqa: F811
    server = make_server()
    log = tmp_path / "app.log"
    write(log, 0, 500)
    a = make_agent("agent", "--file", str(log), output=f"opensearch://127.0.0.1:{server.port}/app-logs").start()

    def got():
        return Counter(r["message"].split()[0] for r in server.query("* | fields message", stream="app-logs"))

    wait_for(lambda: sum(got().values()) == 500)
    row = server.query("n7", stream="app-logs")[0]
    assert row["@timestamp"].endswith("Z") and row["file"] == str(log) and row["_id"].count("-") == 4
    # Killed on both sides; what is sent again has the same _id.
    write(log, 500, 500)
    time.sleep(0.3)
    a.kill()
    server.kill()
    a.start()
    time.sleep(0.5)
    server.start()
    wait_for(lambda: sum(got().values()) >= 1000)
    a.stop()
    assert got() == Counter(f"n{i}" for i in range(1000))


class Busy(http.server.BaseHTTPRequestHandler):
    """_bulk that answers as OpenSearch does when it is busy (once), and refuses every document with a 7."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_PUT(self):  # the index template
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {})

    def do_POST(self):
        lines = self.rfile.read(int(self.headers["Content-Length"])).split(b"\n")
        docs = [(json.loads(lines[i])["create"], json.loads(lines[i + 1])) for i in range(0, len(lines) - 1, 2)]
        self.server.calls += 1
        if self.server.calls == 1:
            return self.answer(503, {"error": "busy"})
        items = []
        for head, doc in docs:
            if self.server.calls == 2 and len(items) == 3:
                items.append({"create": {"status": 429, "error": {"reason": "queue is full"}}})
            elif "7" in doc["message"].split()[0]:
                items.append({"create": {"status": 400, "error": {"reason": "no sevens"}}})
            elif head["_id"] in self.server.docs:
                items.append({"create": {"status": 409, "error": {"reason": "exists"}}})
            else:
                self.server.docs[head["_id"]] = (head["_index"], doc)
                items.append({"create": {"status": 201}})
        self.answer(200, {"errors": any("error" in i["create"] for i in items), "items": items})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def test_opensearch_busy_and_refusing(make_agent, tmp_path):  # noqa: F811
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    server.calls, server.docs = 0, {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log = tmp_path / "app.log"
    with open(log, "w") as f:
        for i in range(100):
            f.write(json.dumps({"message": f"n{i} x", "timestamp": f"2025-02-{i % 2 + 15}T12:00:00Z"}) + "\n")
    a = make_agent("agent", "--file", str(log), output=f"opensearch://127.0.0.1:{server.server_port}/logs-{{date}}").start()
    sevens = sum("7" in str(i) for i in range(100))
    wait_for(lambda: len(server.docs) == 100 - sevens)
    wait_for(lambda: a.status()["routes"] and a.status()["routes"][0]["waiting"] == 0)
    a.stop()
    route = a.status()["routes"][0]
    assert route["sent"] == 100 - sevens and route["dead"] == sevens
    dead = [json.loads(x) for x in next((tmp_path / "agent" / "dead").iterdir()).read_text().splitlines()]
    assert len(dead) == sevens and {d["reason"] for d in dead} == {"no sevens"}
    assert Counter(index for index, _ in server.docs.values()).keys() == {"logs-2025.02.15", "logs-2025.02.16"}
    server.shutdown()


def test_bad_outputs(weir, tmp_path):
    for url, text in [
        ("file:///", b"file:///FOLDER/NAME"),
        ("file://host/a", b"file:///FOLDER/NAME"),
        ("file:///a?mx=1", b"max"),
        ("opensearch://h:1", b"opensearch://HOST:PORT/INDEX is wanted"),
        ("opensearch://h:1/Logs", b"small letters"),
        ("http://h:1/path", b"without the path"),
    ]:
        r = weir("agent", "--data", str(tmp_path / "a"), "--file", "/x", "--output", url, check=False)
        assert r.returncode == 2 and text in r.stderr, (url, r.stderr)
