"""weir web, and a Weir with a forward input behind it."""
import http.server
import json
import subprocess
import threading
import time

import pytest
import requests

from conftest import WEIR, free_port
from inputs import port, wait_for, with_inputs


class Web:
    def __init__(self, folder, output, *args):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "web.log"
        self.process = subprocess.Popen([WEIR, "web", "--listen", f"127.0.0.1:{self.port}", "--output", output, *args],
                                        stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                requests.get(self.url + "/healthz", timeout=30)
                return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError(self.log.read_text())

    def produce(self, expect=200, **params):
        r = requests.post(self.url + "/produceEventsToPipeline", data=params, timeout=60)
        assert r.status_code == expect, r.text
        return r.json()


@pytest.fixture
def make_web(tmp_path):
    made = []

    def make(output, *args):
        made.append(Web(tmp_path, output, *args))
        return made[-1]

    yield make
    for w in made:
        w.process.terminate()
        assert w.process.wait(20) == 0, w.log.read_text()
        assert "Sanitizer" not in w.log.read_text()


@pytest.fixture
def pipeline(make_server, make_web):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    return lambda *args: (server, make_web(f"forward://127.0.0.1:{port(server, 'forward')}?tag=app.nginx", *args))


def test_the_form_and_generated_events(pipeline):
    server, web = pipeline()
    page = requests.get(web.url, timeout=30)
    assert page.headers["Content-Type"].startswith("text/html") and 'action="/produceEventsToPipeline"' in page.text
    answer = web.produce(count=1200)
    assert answer["sent"] == 1200 and answer["failed"] == 0
    rows = wait_for(server, 1200, stream="forward")
    assert set(rows[0]) == {"time", "remote_ip", "remote_user", "request", "response", "bytes", "referrer", "agent", "tag",
                            "_time", "_id", "_stream"}
    assert {r["tag"] for r in rows} == {"app.nginx"} and len({r["remote_ip"] for r in rows}) > 1000
    # As JSON and in the query; asset and region are the records'.
    r = requests.post(web.url + "/produceEventsToPipeline?region=eu-west-1", json={"count": 3, "asset": "a\"1"}, timeout=30)
    assert r.json()["sent"] == 3
    rows = [r for r in server.query("assetid:*", stream="forward")]
    assert len(rows) == 3 and {(r["assetid"], r["region"]) for r in rows} == {("a\"1", "eu-west-1")}


def test_rate(pipeline):
    server, web = pipeline()
    began = time.monotonic()
    assert web.produce(count=30, rate=20)["sent"] == 30
    assert 1.3 < time.monotonic() - began < 20
    wait_for(server, 30, stream="forward")


def test_bad_requests(pipeline):
    _, web = pipeline()
    for params, text in (({"count": "x"}, "count: a whole number"), ({"count": 0}, "at least 1"), ({"count": 10**7}, "up to"),
                         ({"count": 100000, "rate": 1}, "longer than 300 s"), ({"region": "r" * 300}, "at most 256 bytes")):
        answer = web.produce(expect=400, **params)
        assert text in answer["error"] and answer["stage"] == "request"
    r = requests.post(web.url + "/produceEventsToPipeline", data="[1", headers={"Content-Type": "application/json"}, timeout=30)
    assert r.status_code == 400 and "no JSON object" in r.json()["error"]
    assert requests.get(web.url + "/produceEventsToPipeline", timeout=30).status_code == 405


def test_a_file_line_by_line(pipeline, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    good = files / "good.json"
    good.write_text("".join(json.dumps({"n": i, "region": "own"}) + "\n" for i in range(5000)) + '{"n": 5000}')
    bad = files / "bad.json"
    bad.write_text('{"n": 1}\n{"n": 2\n\n[3]\n"x"\n{"n": 4}\n' + '{"long":"' + "x" * 1100000 + '"}\n{"n": 5}')
    (tmp_path / "secret.json").write_text('{"n": 6}')
    (files / "link.json").symlink_to(tmp_path / "secret.json")
    (files / "none.json").write_text("no\nrecords\n")
    server, web = pipeline("--allow", f"{files}/")
    assert web.produce(source=str(good), region="eu-west-1")["sent"] == 5001
    rows = wait_for(server, 5001, stream="forward")
    assert sorted(r["n"] for r in rows) == list(range(5001)) and {r["region"] for r in rows} == {"eu-west-1"}
    assert web.produce(source=str(good), count=7)["sent"] == 7
    answer = web.produce(source=str(bad))
    assert answer["sent"] == 3 and answer["failed"] == 4
    assert [e["line"] for e in answer["errors"]] == [2, 4, 5, 7] and "longer than 1 MiB" in answer["errors"][3]["error"]
    answer = web.produce(expect=422, source=str(files / "none.json"))
    assert answer["stage"] == "parse" and answer["errors"][0]["line"] == 1
    for path, status in ((tmp_path / "secret.json", 403), (files / ".." / "secret.json", 403), (files / "link.json", 403),
                         ("/etc/hostname", 403), (files / "missing.json", 404)):
        assert web.produce(expect=status, source=str(path))["stage"] == "fetch"


class Source(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path != "/nginx_logs":
            return self.send_error(404)
        self.send_response(200)
        self.end_headers()
        for i in range(2500):
            self.wfile.write(b'{"n":%d}\n' % i)
        if self.server.breaks:
            self.wfile.write(b'{"n":')


def test_a_url_line_by_line(pipeline):
    source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Source)
    source.breaks = False
    threading.Thread(target=source.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{source.server_port}"
    server, web = pipeline("--allow", url + "/")
    assert web.produce(source=url + "/nginx_logs")["sent"] == 2500
    assert sorted(r["n"] for r in wait_for(server, 2500, stream="forward")) == list(range(2500))
    assert web.produce(source=url + "/nginx_logs", count=10)["sent"] == 10
    source.breaks = True
    answer = web.produce(source=url + "/nginx_logs")
    assert answer["sent"] == 2500 and answer["failed"] == 1 and answer["errors"][0]["line"] == 2501
    answer = web.produce(expect=502, source=url + "/other")
    assert answer["stage"] == "fetch" and "404" in answer["error"] and answer["sent"] == 0
    source.shutdown()
    source.server_close()
    assert web.produce(expect=502, source=url + "/nginx_logs")["stage"] == "fetch"
    assert web.produce(expect=403, source="http://127.0.0.1:1/x")["stage"] == "fetch"


def test_forward_errors(make_web):
    web = make_web(f"forward://127.0.0.1:{free_port()}?tag=t")
    answer = web.produce(expect=502, count=5)
    assert answer["stage"] == "forward" and "Connection refused" in answer["error"] and answer["sent"] == 0


def test_bad_command_line(weir):
    r = weir("web", "--output", "forward://", check=False)
    assert r.returncode == 2 and b"HOST:PORT is wanted" in r.stderr
