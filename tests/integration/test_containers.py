"""weir agent on log files as container runtimes write them: CRI's below /var/log/pods, docker's json-file; an HTTPS
server stands in for the API server's two endpoints that matter (no API server can be had without a cluster)."""
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import WEIR
from test_agent import check, count, make_agent, wait_for  # noqa: F401  (a fixture)

ID = "0123456789abcdef" * 4
PODS = {
    ("shop", "cart-7d9f"): {
        "metadata": {"name": "cart-7d9f", "uid": "6f6b8c1e-0000-4000-8000-000000000001",
                     "labels": {"app.kubernetes.io/name": "cart", "tier": "front"}},
        "spec": {"nodeName": "node-3"},
        "status": {"containerStatuses": [{"name": "web", "containerID": "containerd://" + ID}]},
    },
}


class Api:
    """GET /api/v1/namespaces/NS/pods/NAME, over TLS, for who has the token."""

    def __init__(self, folder):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", folder / "key.pem", "-out", folder / "ca.crt", "-days", "2", "-subj", "/CN=kubernetes",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        (folder / "token").write_text("the-token\n")
        self.folder, self.asked, self.broken = folder, Counter(), False
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                api.asked[self.path] += 1
                parts = self.path.split("/")
                pod = PODS.get((parts[4], parts[6])) if len(parts) == 7 else None
                status = 503 if api.broken else 401 if self.headers["Authorization"] != "Bearer the-token" else \
                    200 if pod else 404
                body = json.dumps(pod if status == 200 else {"kind": "Status", "code": status}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def params(self):
        port = self.server.server_address[1]
        return f"?api=https://127.0.0.1:{port}&token={self.folder}/token&ca={self.folder}/ca.crt"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api(tmp_path):
    (tmp_path / "api").mkdir()
    a = Api(tmp_path / "api")
    yield a
    a.close()


def pod_file(root, space, pod, container, name="0.log", uid="6f6b8c1e-0000-4000-8000-000000000001"):
    folder = root / f"{space}_{pod}_{uid}" / container
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def cri(text, stream="stdout", tag="F", at="2025-02-15T12:00:00.123456789Z"):
    return f"{at} {stream} {tag} {text}\n"


def rows_by_message(server):
    return {r["message"]: r for r in server.query("*")}


def test_kubernetes(server, make_agent, tmp_path, api):
    """What path, link and API server say; pieces of the two streams mixed."""
    pods, links = tmp_path / "pods", tmp_path / "containers"
    links.mkdir()
    log = pod_file(pods, "shop", "cart-7d9f", "web")
    log.write_text(cri("a long ", tag="P") + cri("oops ", "stderr", "P") + cri("line", tag="P") + cri("again", "stderr") +
                   cri("!") + cri('{"level":"warn","message":"as JSON","n":1,"time":"2025-01-01T00:00:00Z"}') +
                   "no runtime wrote this\n")
    other = pod_file(pods, "ops", "lonely", "job", "3.log", uid="11111111-0000-4000-8000-000000000002")
    other.write_text(cri("nobody knows my labels"))
    os.symlink(log, links / f"cart-7d9f_shop_web-{ID}.log")
    make_agent("agent", "--input", f"kubernetes://{links}{api.params}", "--input", f"kubernetes://{pods}{api.params}",
               output=server.url).start()
    wait_for(lambda: count(server) == 5)
    rows = rows_by_message(server)
    assert set(rows) == {"a long line!", "oops again", "as JSON", "no runtime wrote this", "nobody knows my labels"}
    assert rows["a long line!"] == {
        "message": "a long line!", "stream": "stdout", "host": "node-3", "service": "cart", "file": str(log),
        "_stream": "default", "_time": "2025-02-15T12:00:00.123456789Z", "_id": rows["a long line!"]["_id"],
        "kubernetes": {"pod_name": "cart-7d9f", "namespace_name": "shop", "container_name": "web", "container_id": ID,
                       "pod_id": "6f6b8c1e-0000-4000-8000-000000000001", "host": "node-3",
                       "labels": {"app.kubernetes.io/name": "cart", "tier": "front"}}}
    assert rows["oops again"]["stream"] == "stderr"
    assert rows["as JSON"]["n"] == 1 and rows["as JSON"]["_time"] == "2025-01-01T00:00:00Z"
    assert rows["as JSON"]["kubernetes"]["labels"]["tier"] == "front"
    assert len(server.query("host:node-3 AND service:cart")) == 4
    lonely = rows["nobody knows my labels"]
    assert lonely["service"] == "job" and "labels" not in lonely["kubernetes"] and lonely["kubernetes"]["pod_name"] == "lonely"
    assert set(api.asked.values()) == {1}, api.asked


def test_api_server_away(server, make_agent, tmp_path, api):
    """The log flows without it; whoever has no right to ask is told so once in a while."""
    api.broken = True
    log = pod_file(tmp_path / "pods", "shop", "cart-7d9f", "web")
    log.write_text(cri("n0 x"))
    a = make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods{api.params}", output=server.url).start()
    wait_for(lambda: count(server) == 1)
    assert "labels" not in server.query("*")[0]["kubernetes"]
    assert "the API server answers 503" in a.log.read_text()


def test_multiline_of_each_stream(server, make_agent, tmp_path):
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods", "--multiline", "java", output=server.url).start()
    lines = [("Boom", "stdout"), ("other", "stderr"), ("  at a.B(C.java:1)", "stdout"), ("  at x.Y", "stderr"),
             ("  at d.E(F.java:2)", "stdout"), ("next", "stdout")]
    with open(log, "w") as f:
        for text, stream in lines:
            f.write(cri(text[:4], stream, "P") + cri(text[4:], stream))
            f.flush()
            time.sleep(0.15)
    wait_for(lambda: count(server) == 3)
    assert set(rows_by_message(server)) == {"Boom\n  at a.B(C.java:1)\n  at d.E(F.java:2)", "other\n  at x.Y", "next"}


def write_mixed(log, first, n, rng, rotate_to=None):
    """Lines of both streams in pieces, mixed as a runtime mixes them; in the middle the file is rotated."""
    open_lines = {"stdout": None, "stderr": None}
    todo = [f"n{i} " + "x" * rng.randrange(60) for i in range(first, first + n)]
    f = open(log, "a")
    while todo or any(open_lines.values()):
        stream = rng.choice(["stdout", "stderr"])
        if not open_lines[stream] and todo:
            open_lines[stream] = todo.pop()
        text = open_lines[stream]
        if not text:
            continue
        cut = rng.randrange(1, len(text) + 1)
        f.write(cri(text[:cut], stream, "P" if cut < len(text) else "F"))
        open_lines[stream] = text[cut:]
        if rng.random() < 0.02:
            f.flush()
        if rotate_to and len(todo) == n // 2:
            f.close()
            log.rename(rotate_to)
            rotate_to = None
            f = open(log, "a")
    f.close()


def test_kill_while_streams_are_mixed(make_server, make_agent, tmp_path):
    """Killed again and again while lines of two streams are open: each line once, and whole."""
    server = make_server()
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    rng = random.Random(7)
    a = make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods?api=none", output=server.url).start()
    written = 0
    for turn in range(6):
        write_mixed(log, written, 400, rng, log.with_name(f"0.log.20250215-12000{turn}"))
        written += 400
        time.sleep(rng.random() * 0.3)
        a.kill()
        a.start()
    check(server, written)
    assert all(re.fullmatch(r"n\d+ x*", r["message"]) for r in server.query("* | fields message"))


def test_a_piece_waits_without_a_clock(server, make_agent, tmp_path):
    """A piece whose rest comes late stays one line with it, over restarts; the other stream flows meanwhile."""
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    log.write_text(cri("begun ", tag="P") + cri("meanwhile", "stderr"))
    a = make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods?api=none", output=server.url).start()
    wait_for(lambda: count(server) == 1)
    time.sleep(2.5)
    a.stop()
    assert ",stderr=" in (a.data / "positions").read_text()
    a.start()
    with open(log, "a") as f:
        f.write(cri("more", "stderr") + cri("and ended"))
    wait_for(lambda: count(server) == 3)
    assert Counter(r["message"] for r in server.query("*")) == Counter(["begun and ended", "meanwhile", "more"])


def test_reload(server, make_agent, tmp_path):
    """Containers that are not followed any more are read to their end, as containers."""
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    log.write_text(cri("one ", tag="P"))
    config = tmp_path / "agent.yaml"
    config.write_text(f"inputs: ['kubernetes://{tmp_path}/pods?api=none']\nroutes: [output: '{server.url}']\n")
    a = make_agent("agent", "--config", str(config), output=[]).start()
    wait_for(lambda: a.status() and len(a.status()["files"]) >= 0 and "following" in a.log.read_text())
    config.write_text(f"inputs: ['kubernetes://{tmp_path}/elsewhere?api=none']\nservice: new\nroutes: [output: '{server.url}']\n")
    a.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "configuration reloaded" in a.log.read_text())
    with open(log, "a") as f:
        f.write(cri("line"))
    wait_for(lambda: count(server) == 1)
    row = server.query("*")[0]
    assert row["message"] == "one line" and row["kubernetes"]["pod_name"] == "cart" and row["service"] == "new"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_line_over_a_rotation(server, make_agent, tmp_path, restarted):
    """The old file ends with pieces of lines of both streams, and the new one goes on with them."""
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    log.write_text(cri("whole") + cri("begun ", tag="P") + cri("err ", "stderr", "P"))
    a = make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods?api=none", output=server.url).start()
    wait_for(lambda: count(server) == 1)
    if restarted:
        a.stop()
    log.rename(log.with_name("0.log.20250215-120000"))
    log.write_text(cri("and ", tag="P") + cri("more", "stderr"))
    if restarted:
        a.start()
    wait_for(lambda: count(server) == 2)
    a.kill()
    a.start()
    with open(log, "a") as f:
        f.write(cri("ended") + cri("next"))
    wait_for(lambda: count(server) == 4)
    time.sleep(1.5)
    assert Counter(r["message"] for r in server.query("*")) == Counter(["whole", "err more", "begun and ended", "next"])


def test_last_words_without_an_end(server, make_agent, tmp_path):
    """A runtime writes what a container ends with as a piece: it goes out when the next instance begins."""
    log = pod_file(tmp_path / "pods", "shop", "cart", "web")
    log.write_text(cri("panic: no line feed", "stderr", "P"))
    make_agent("agent", "--input", f"kubernetes://{tmp_path}/pods?api=none", output=server.url).start()
    time.sleep(2)
    assert count(server) == 0
    log.with_name("1.log").write_text(cri("started again"))
    wait_for(lambda: count(server) == 2)
    assert set(rows_by_message(server)) == {"panic: no line feed", "started again"}


def test_stdin_flows(make_agent, tmp_path):
    """As fast as it comes: a hundred times what a pipe holds in far less than a tick for each."""
    a = make_agent("agent", output=[])
    began = time.monotonic()
    r = subprocess.run(f"'{WEIR}' produce --count 20000 | '{WEIR}' agent --stdin --output file://{tmp_path}/out.ndjson "
                       f"--data {a.data} --log-level error", shell=True, timeout=60)
    assert r.returncode == 0 and len((tmp_path / "out.ndjson").read_bytes().splitlines()) == 20000
    assert time.monotonic() - began < 30


def docker_line(text, stream="stdout"):
    return json.dumps({"log": text, "stream": stream, "time": "2025-02-15T12:00:00.5Z"}) + "\n"


def test_docker(server, make_agent, tmp_path):
    folder = tmp_path / "docker" / ID
    folder.mkdir(parents=True)
    (folder / "config.v2.json").write_text(json.dumps({
        "ID": ID, "Name": "/shop-web-1", "Config": {"Image": "nginx:1.27", "Labels": {"com.docker.compose.service": "web"}}}))
    log = folder / f"{ID}-json.log"
    log.write_text(docker_line("a long ") + docker_line("error\n", "stderr") + docker_line("line\n") + docker_line("\n"))
    make_agent("agent", "--input", f"docker://{tmp_path}/docker", output=server.url).start()
    wait_for(lambda: count(server) == 2)
    rows = rows_by_message(server)
    row = rows["a long line"]
    assert row["container"] == {"id": ID, "name": "shop-web-1", "image": "nginx:1.27",
                                "labels": {"com.docker.compose.service": "web"}}
    assert row["service"] == "web" and row["stream"] == "stdout" and row["_time"] == "2025-02-15T12:00:00.500Z"
    assert rows["error"]["stream"] == "stderr"
    log.rename(log.with_name(log.name + ".1"))
    log.write_text(docker_line("after the rotation\n"))
    wait_for(lambda: count(server) == 3)


def test_stdin(server, make_agent, tmp_path):
    """Lines and groups of them, to the end; then the agent ends by itself."""
    a = make_agent("agent", "--stdin", "--service", "build", "--multiline", "java", output=server.url)
    a.start_with = subprocess.Popen(["sh", "-c", "printf 'one\\n at x\\n'; sleep 1.5; printf '{\"message\":\"two\"}\\nlast'"],
                                    stdout=subprocess.PIPE)
    with open(a.log, "ab") as log:
        a.process = subprocess.Popen([WEIR, "agent", "--data", str(a.data),
                                      "--output", server.url, *a.args], stdin=a.start_with.stdout, stdout=log, stderr=log)
    assert a.process.wait(20) == 0
    assert Counter(r["message"] for r in server.query("*")) == Counter(["one\n at x", "two", "last"])
    assert all(r["service"] == "build" and "file" not in r for r in server.query("*"))
    assert a.status()["records"] == 3


def export(n, cursor_base, **fields):
    out = b""
    for i in range(n):
        entry = {"__REALTIME_TIMESTAMP": 1739620800000000 + (cursor_base + i) * 1000, "__MONOTONIC_TIMESTAMP": 1000 + cursor_base + i,
                 "_BOOT_ID": "0" * 31 + "1", "_MACHINE_ID": "0" * 31 + "2", "_HOSTNAME": "host-7",
                 "MESSAGE": f"n{cursor_base + i} of the journal", **fields}
        out += b"".join(f"{k}={v}\n".encode() for k, v in entry.items() if not isinstance(v, bytes))
        for k, v in entry.items():
            if isinstance(v, bytes):
                out += k.encode() + b"\n" + len(v).to_bytes(8, "little") + v + b"\n"
        out += b"\n"
    return out


def to_journal(folder, data):
    """systemd's own writer of journal files."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["/lib/systemd/systemd-journal-remote", "-o", str(folder / "own.journal"), "-"], input=data, check=True,
                   capture_output=True)


def test_journald(make_server, make_agent, tmp_path):
    server = make_server()
    folder = tmp_path / "journal"
    to_journal(folder, export(300, 0, PRIORITY="3", _SYSTEMD_UNIT="ssh.service", SYSLOG_IDENTIFIER="sshd", _PID="77",
                              BINARY=b"two\nlines"))
    a = make_agent("agent", "--input", f"journald://{folder}", output=server.url).start()
    check(server, 300)
    row = server.query('message:"n7 of"')[0]
    assert row["level"] == "ERROR" and row["service"] == "ssh" and row["host"] == "host-7" and row["_PID"] == "77"
    assert row["_time"] == "2025-02-15T12:00:00.007Z" and row["BINARY"] == "two\nlines" and "_BOOT_ID" not in row
    a.kill()
    to_journal(folder, export(200, 300, PRIORITY="6", SYSLOG_IDENTIFIER="cron", _SYSTEMD_UNIT="session-3.scope"))
    a.start()
    check(server, 500)
    assert server.query('message:"n400 of"')[0]["service"] == "cron"
    a.stop()
    s = a.status()
    assert s["records"] == s["journal_records"] == 500 and s["routes"][0]["sent"] == 500
    a.start()
    time.sleep(1)
    check(server, 500)


def test_refused_urls(weir, tmp_path):
    for url, text in [("docker://host/x", "not the host"), ("kubernetes:///x?apis=1", "did you mean"),
                      ("kubernetes:///x?api=127.0.0.1", "http://HOST:PORT"), ("stdin://x", "not the host")]:
        r = weir("agent", "--input", url, "--output", "stdout://", "--data", str(tmp_path / "d"), check=False)
        assert r.returncode == 2 and text in r.stderr.decode(), (url, r.stderr)
