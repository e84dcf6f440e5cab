"""Outputs with real peers at the other end: OpenSearch, rsyslog, an OTLP collector, and Weir's own endpoints, which
speak with the clients of each protocol (test_push.py, test_forward.py, test_syslog.py). Every record has a number;
at the end those that arrived are counted, also after the peer was killed while records flowed."""
import gzip
import http.server
import json
import os
import pathlib
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
import requests

from conftest import free_port
from inputs import make_certificates, port, with_inputs
from test_agent import make_agent, wait_for  # noqa: F401 (a fixture)

TIME = "2025-02-{:02d}T12:00:00.{:06d}Z"


def record(i, **more):
    return {"n": i, "timestamp": TIME.format(15 + i % 2, i % 1000000), "level": "ERROR" if i % 3 else "info",
            "service": f"svc{i % 2}", "message": f"text of {i} \"quoted\" \\ ]é", "nested": {"a": [1, i], "c": 0.5},
            **more}


def put(path, first, n, **more):
    with open(path, "a") as f:
        for i in range(first, first + n):
            f.write(json.dumps(record(i, **more)) + "\n")


def route_of(agent):
    status = agent.status()
    return status["routes"][0] if status and status["routes"] else {"sent": 0, "dead": 0, "waiting": 1}


def all_sent(agent):
    return route_of(agent)["waiting"] == 0


def await_(condition, agent, seconds=60):
    try:
        wait_for(condition, seconds)
    except AssertionError:
        raise AssertionError(agent.log.read_text()[-3000:]) from None


def follow(make_agent, folder, log, output, name="agent"):  # noqa: F811
    """An agent that does not wait for bulks to fill."""
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps({"files": [str(log)], "routes": [{"output": output, "wait": "200ms"}]}))
    return make_agent(name, "--config", str(config), output=[]).start()


def carry(make_agent, tmp_path, output, n=300, **more):  # noqa: F811
    """Sends n records by a fresh agent and answers its routes' state when it is done."""
    log = tmp_path / "app.log"
    put(log, 0, n, **more)
    agent = follow(make_agent, tmp_path, log, output)
    await_(lambda: route_of(agent)["sent"] + route_of(agent)["dead"] == n, agent)
    agent.stop()
    return route_of(agent)


def outage(make_agent, tmp_path, output, peer, got, doubles):  # noqa: F811
    """Records flow while the peer is stopped, killed and started again: none is lost, and none doubled where the
    protocol can tell."""
    log = tmp_path / "app.log"
    put(log, 0, 200)
    agent = follow(make_agent, tmp_path, log, output)
    writing, n = True, [200]

    def write():
        while writing:
            put(log, n[0], 20)
            n[0] += 20
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(1.5)
        peer.kill()
        time.sleep(1)
        peer.start()
        time.sleep(1)
        agent.kill()
        agent.start()
        time.sleep(1)
    finally:
        writing = False
        writer.join()
    want = set(range(n[0]))
    await_(lambda: all_sent(agent) and set(got()) >= want, agent, 60)
    agent.stop()
    counts = Counter(got())
    assert counts.keys() == want
    if not doubles:
        assert set(counts.values()) == {1}
    return counts


# ---- OpenSearch ----

def test_opensearch(opensearch, make_agent, tmp_path):  # noqa: F811
    route = carry(make_agent, tmp_path, f"opensearch://127.0.0.1:{opensearch.port}/daily-{{date}}")
    assert route["dead"] == 0
    for day in (0, 1):
        hits = opensearch.documents(f"daily-2025.02.{15 + day}")
        assert sorted(h["_source"]["n"] for h in hits) == list(range(day, 300, 2))
        assert all(h["_source"]["@timestamp"].rstrip("Z") in h["_source"]["timestamp"] for h in hits)
        source = {k: v for k, v in hits[0]["_source"].items() if k not in ("@timestamp", "host", "file")}
        assert source == record(source["n"])
    template = opensearch.call("GET", "/_index_template/weir-daily-any")["index_templates"][0]["index_template"]
    assert template["index_patterns"] == ["daily-*"]
    properties = opensearch.call("GET", "/daily-2025.02.15/_mapping")["daily-2025.02.15"]["mappings"]["properties"]
    assert properties["message"] == {"type": "text", "analyzer": "standard"} or properties["message"] == {"type": "text"}
    for name in ("level", "service", "host", "log_id", "tags"):
        assert properties[name] == {"type": "keyword"}
    for name in ("timestamp", "ingested_at", "@timestamp"):
        assert properties[name] == {"type": "date"}
    assert properties["metadata"] == {"type": "object", "dynamic": "true"}


def test_opensearch_refuses_alone(opensearch, make_agent, tmp_path):  # noqa: F811
    """A document that the mapping cannot hold is a dead letter; its neighbours arrive; a template that is there
    already stays."""
    opensearch.call("PUT", "/_index_template/weir-strict", json={
        "index_patterns": ["strict"], "template": {"mappings": {"properties": {"n": {"type": "integer"}}}}})
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps({"n": "no number" if i % 10 == 3 else i}) + "\n" for i in range(50)))
    agent = follow(make_agent, tmp_path, log, f"opensearch://127.0.0.1:{opensearch.port}/strict")
    await_(lambda: route_of(agent)["dead"] == 5, agent)
    agent.stop()
    assert route_of(agent)["sent"] == 45
    assert sorted(h["_source"]["n"] for h in opensearch.documents("strict")) == [i for i in range(50) if i % 10 != 3]
    dead = [json.loads(x) for x in next((tmp_path / "agent" / "dead").iterdir()).read_text().splitlines()]
    assert all("failed to parse field [n]" in d["reason"] and d["record"]["n"] == "no number" for d in dead)


def test_opensearch_outage(make_opensearch, make_agent, tmp_path):  # noqa: F811
    node = make_opensearch()
    outage(make_agent, tmp_path, f"opensearch://127.0.0.1:{node.port}/flow", node,
           lambda: [h["_source"]["n"] for h in node.documents("flow")], doubles=False)


# ---- forward ----

@pytest.mark.parametrize("options", ["", "&compress=gzip", "&ack=no"])
def test_forward(make_server, make_agent, tmp_path, options):  # noqa: F811
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    tag = "tag=app.{service}" + options
    carry(make_agent, tmp_path, f"forward://127.0.0.1:{port(server, 'forward')}?{tag}")
    wait_for(lambda: len(server.query("", stream="forward")) == 300)
    rows = server.query("", stream="forward")
    assert sorted(r["n"] for r in rows) == list(range(300))
    for r in rows:
        assert r["tag"] == f"app.svc{r['n'] % 2}" and r["_time"].rstrip("Z") in record(r["n"])["timestamp"]
        assert r["nested"] == record(r["n"])["nested"] and r["message"] == record(r["n"])["message"]


def test_forward_tag_of_the_record_and_of_the_stream(make_server, make_agent, tmp_path):  # noqa: F811
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    log = tmp_path / "app.log"
    log.write_text('{"tag":"app.nginx","n":1}\n{"n":2}\n')
    agent = make_agent("agent", "--file", str(log), "--stream", "shop",
                       output=f"forward://127.0.0.1:{port(server, 'forward')}").start()
    wait_for(lambda: all_sent(agent) and len(server.query("", stream="forward")) == 2)
    agent.stop()
    assert {r["n"]: r["tag"] for r in server.query("", stream="forward")} == {1: "app.nginx", 2: "shop"}
    assert all("_tag" not in r for r in server.query("", stream="forward"))


def test_forward_with_key_user_and_tls(make_server, make_agent, tmp_path):  # noqa: F811
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"forward+tls://bob:s3cret@127.0.0.1:0?tls_cert={pem['server.pem']}"
                                      f"&tls_key={pem['server.key']}&tls_ca={pem['ca.pem']}&shared_key=k%26y")
    p = port(server, "forward+tls")
    good = f"forward+tls://bob:s3cret@127.0.0.1:{p}?shared_key=k%26y&tls_ca={pem['ca.pem']}" \
           f"&tls_cert={pem['client.pem']}&tls_key={pem['client.key']}"
    carry(make_agent, tmp_path, good)
    assert sorted(r["n"] for r in server.query("", stream="forward")) == list(range(300))
    for name, url, text in (
            ("key", good.replace("k%26y", "other"), "the shared key does not match"),
            ("password", good.replace("s3cret", "guess"), "the user name or password is wrong"),
            ("trust", good.replace(f"tls_ca={pem['ca.pem']}&", ""), "certificate verify failed"),
            ("none", f"forward+tls://127.0.0.1:{p}?tls_ca={pem['ca.pem']}&tls_cert={pem['client.pem']}"
                     f"&tls_key={pem['client.key']}&timeout=2s", "the peer asks for a shared key")):
        bad = follow(make_agent, tmp_path, tmp_path / "app.log", url, name)
        await_(lambda: text in bad.log.read_text(), bad)
        bad.kill()
    assert len(server.query("", stream="forward")) == 300


def test_forward_outage(make_server, make_agent, tmp_path):  # noqa: F811
    server = with_inputs(make_server, f"forward://127.0.0.1:{free_port()}")
    outage(make_agent, tmp_path, f"forward://127.0.0.1:{port(server, 'forward')}", server,
           lambda: [r["n"] for r in server.query("", stream="forward")], doubles=False)


class Fluentd:
    """A real one, where FLUENTD says how it is called: no registry that the tests use has it."""

    def __init__(self, folder):
        self.port, self.folder, self.process = free_port(), folder, None
        (folder / "fluentd.conf").write_text(f"""
<source>
  @type forward
  port {self.port}
  bind 127.0.0.1
</source>
<match app.**>
  @type file
  path {folder}/out
  <format>
    @type json
  </format>
  <buffer []>
    flush_interval 1s
  </buffer>
</match>
""")

    def start(self):
        self.process = subprocess.Popen([*shlex.split(os.environ["FLUENTD"]), "-c", str(self.folder / "fluentd.conf")],
                                        stdout=open(self.folder / "fluentd.log", "ab"), stderr=subprocess.STDOUT,
                                        start_new_session=True)

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for(listens)
        return self

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)  # its worker too: the group is its own
        self.process.wait()

    def rows(self):
        """What it has in files and buffers; a buffer may become a file meanwhile."""
        def files():
            return {f for f in self.folder.rglob("*.log") if f.name.startswith(("out", "buffer"))}

        while True:
            try:
                before = files()
                rows = [json.loads(x) for f in before for x in f.read_text().splitlines()]
            except FileNotFoundError:
                continue
            if files() == before:
                return rows


@pytest.mark.skipif("FLUENTD" not in os.environ, reason="FLUENTD names no program")
@pytest.mark.parametrize("options", ["", "&compress=gzip", "&ack=no"])
def test_forward_to_fluentd(make_agent, tmp_path, options):  # noqa: F811
    fluentd = Fluentd(tmp_path).start()
    try:
        carry(make_agent, tmp_path, f"forward://127.0.0.1:{fluentd.port}?tag=app.x{options}")
        wait_for(lambda: sorted(r["n"] for r in fluentd.rows()) == list(range(300)))
        assert all(r["nested"] == record(r["n"])["nested"] for r in fluentd.rows())
    finally:
        fluentd.kill()


@pytest.mark.skipif("FLUENTD" not in os.environ, reason="FLUENTD names no program")
def test_forward_outage_of_fluentd(make_agent, tmp_path):  # noqa: F811
    fluentd = Fluentd(tmp_path).start()
    try:
        outage(make_agent, tmp_path, f"forward://127.0.0.1:{fluentd.port}?tag=app.x&timeout=5s", fluentd,
               lambda: [r["n"] for r in fluentd.rows()], doubles=True)
    finally:
        fluentd.kill()


# ---- Loki, OTLP, OpenObserve, any HTTP ----

@pytest.mark.parametrize("options", ["", "&format=json", "&format=json&compress=none", "&line=message",
                                     "&line=message&format=json"])
def test_loki(make_server, make_agent, tmp_path, options):  # noqa: F811
    server = make_server()
    carry(make_agent, tmp_path, f"loki://127.0.0.1:{server.port}?labels=level,job=shop,component={{service}}{options}")
    rows = server.query("", stream="loki")
    if "line=message" in options:
        assert {r["message"] for r in rows} == {record(i)["message"] for i in range(300)}
        assert all(r["nested_c"] == "0.5" and json.loads(r["nested_a"])[0] == 1 for r in rows)
    else:
        lines = [json.loads(r["message"]) for r in rows]
        assert sorted(line["n"] for line in lines) == list(range(300))
        assert {k: v for k, v in lines[0].items() if k not in ("host", "file")} == record(lines[0]["n"])
    assert {(r["level"], r["job"], r["component"]) for r in rows} == {
        (level, "shop", service) for level in ("ERROR", "info") for service in ("svc0", "svc1")}
    assert len({r["_time"] for r in rows}) == 300


def test_otlp(make_server, make_agent, tmp_path):  # noqa: F811
    server = make_server()
    carry(make_agent, tmp_path, f"otlp://127.0.0.1:{server.port}")
    rows = server.query("", stream="otlp")
    assert sorted(r["attributes"]["n"] for r in rows) == list(range(300))
    for r in rows:
        want = record(r["attributes"]["n"])
        assert r["body"] == want["message"] and r["severity_text"] == want["level"]
        assert r["severity_number"] == (17 if want["level"] == "ERROR" else 9)
        assert r["attributes"]["nested"] == want["nested"] and r["resource"]["service.name"] == want["service"]


def test_openobserve(make_server, make_agent, tmp_path):  # noqa: F811
    server = make_server()
    carry(make_agent, tmp_path, f"openobserve://127.0.0.1:{server.port}/default/shop?compress=gzip")
    rows = server.query("", stream="shop")
    assert sorted(r["n"] for r in rows) == list(range(300))
    assert all(r["_timestamp"] // 1000000 in (1739620800, 1739620800 + 86400) for r in rows)


class Peer(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; answers what its server's `answer` says."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_PUT(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status, answer = self.server.answer(self, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def http_peer():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize("scheme", ["http+ndjson", "http+json"])
def test_any_http(make_agent, tmp_path, http_peer, scheme):  # noqa: F811
    """What is refused whole is halved until the bad record is alone; a repeated body has the same key."""
    got, heads = [], []

    def answer(request, body):
        rows = json.loads(body) if scheme == "http+json" else [json.loads(x) for x in body.splitlines()]
        heads.append(request.headers)
        if len(heads) == 1:
            return 503, b""
        if any(r["n"] == 77 for r in rows):
            return 400, b"no 77 here"
        got.extend((r["n"], r["at"]) for r in rows)
        return 200, b""

    http_peer.answer = answer
    route = carry(make_agent, tmp_path, f"{scheme}://u:p@127.0.0.1:{http_peer.server_port}/in?header=X-Team:shop&compress=gzip"
                                        "&_time=at")
    assert sorted(n for n, _ in got) == [i for i in range(300) if i != 77] and route["dead"] == 1 and route["sent"] == 299
    assert all(at.rstrip("Z") in record(n)["timestamp"] for n, at in got)
    assert heads[0]["X-Team"] == "shop" and heads[0]["Authorization"] == "Basic dTpw"
    keys = [h["Idempotency-Key"] for h in heads]
    assert keys[0] == keys[1] and len(set(keys[1:])) == len(keys) - 1
    dead = json.loads(next((tmp_path / "agent" / "dead").iterdir()).read_text())
    assert dead["reason"] == "the server answered 400: no 77 here" and dead["record"]["n"] == 77


def test_opensearch_items_are_retried_alone_and_bodies_shrink(make_agent, tmp_path, http_peer):  # noqa: F811
    """429 for some items: they alone come again. A slow or busy server gets smaller bodies."""
    documents, sizes = Counter(), []

    def answer(request, body):
        if request.path.startswith("/_index_template"):
            return 200, b"{}"
        lines = body.split(b"\n")
        heads = [json.loads(x)["create"] for x in lines[0:-1:2]]
        sizes.append(len(heads))
        items = []
        for i, head in enumerate(heads):
            busy = len(sizes) <= 2 and i % 3 == 0
            documents[head["_id"]] += not busy
            items.append({"create": {"status": 429 if busy else 201}})
        return 200, json.dumps({"errors": len(sizes) <= 2, "items": items}).encode()

    http_peer.answer = answer
    route = carry(make_agent, tmp_path, f"opensearch://127.0.0.1:{http_peer.server_port}/logs", n=900)
    assert len(documents) == 900 and set(documents.values()) == {1} and route["sent"] == 900
    assert sizes[1] == (sizes[0] + 2) // 3 and max(sizes[2:]) < sizes[0]


def test_pauses_do_not_grow_while_some_is_taken(make_agent, tmp_path, http_peer):  # noqa: F811
    """A peer that limits the rate takes a small body and refuses the next: it is asked again soon, however often it says
    so."""
    refused, taken = [], []

    def answer(request, body):
        rows = [v for s in json.loads(body)["streams"] for v in s["values"]]
        if len(rows) > 20:
            refused.append(time.monotonic())
            return 429, b"slow down"
        taken.extend(rows)
        return 204, b""

    http_peer.answer = answer
    route = carry(make_agent, tmp_path, f"loki://127.0.0.1:{http_peer.server_port}?format=json", n=400)
    assert route["sent"] == 400 == len(taken)
    assert len(refused) > 12 and refused[-1] - refused[8] < 10


def test_otlp_partial_success(make_agent, tmp_path, http_peer):  # noqa: F811
    http_peer.answer = lambda request, body: (200, b"\x0a\x0c\x08\x03\x12\x08no room!")
    route = carry(make_agent, tmp_path, f"otlp://127.0.0.1:{http_peer.server_port}", n=10)
    assert route["dead"] == 10 and route["sent"] == 0
    dead = [json.loads(x) for x in next((tmp_path / "agent" / "dead").iterdir()).read_text().splitlines()]
    assert {d["reason"] for d in dead} == {"no room! (3 of 10 records)"}


def test_otlp_through_a_collector(make_server, make_agent, tmp_path):  # noqa: F811
    """rotel, a collector of others: Weir to it by OTLP, and it to Weir again."""
    rotel = next(pathlib.Path(sys.prefix).glob("lib/python*/site-packages/rotel/rotel-agent"))
    server, grpc, web = make_server(), free_port(), free_port()
    with open(tmp_path / "rotel.log", "wb") as log:
        collector = subprocess.Popen(
            [str(rotel), "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint",
             f"127.0.0.1:{web}", "--exporter", "otlp", "--otlp-exporter-endpoint", server.url,
             "--otlp-exporter-protocol", "http"], stdout=log, stderr=log)
    try:
        carry(make_agent, tmp_path, f"otlp://127.0.0.1:{web}")
        wait_for(lambda: len(server.query("", stream="otlp")) >= 300)
    finally:
        collector.send_signal(signal.SIGTERM)
        collector.wait(20)
    rows = server.query("", stream="otlp")
    assert sorted(r["attributes"]["n"] for r in rows) == list(range(300))
    assert all(r["body"] == record(r["attributes"]["n"])["message"] for r in rows)


def over_tls(peer, pem):
    """Clients must show a certificate, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem["server.pem"], pem["server.key"])
    context.load_verify_locations(pem["ca.pem"])
    context.verify_mode = ssl.CERT_REQUIRED
    peer.socket = context.wrap_socket(peer.socket, server_side=True)
    return f"127.0.0.1:{peer.server_port}", f"tls_ca={pem['ca.pem']}&tls_cert={pem['client.pem']}&tls_key={pem['client.key']}"


def test_http_tls(make_agent, tmp_path, http_peer):  # noqa: F811
    where, tls = over_tls(http_peer, make_certificates(tmp_path))
    got = []

    def answer(request, body):
        got.extend(json.loads(x)["n"] for x in body.splitlines())
        return 200, b""

    http_peer.answer = answer
    carry(make_agent, tmp_path, f"https+ndjson://{where}/?{tls}", n=10)
    assert sorted(got) == list(range(10))


def test_a_weir_behind_tls(make_server, make_agent, tmp_path, http_peer):  # noqa: F811
    server = make_server()
    where, tls = over_tls(http_peer, make_certificates(tmp_path))

    def answer(request, body):
        r = requests.post(server.url + request.path, data=body, headers={"Content-Type": request.headers["Content-Type"]},
                          timeout=60)
        return r.status_code, r.content

    http_peer.answer = answer
    carry(make_agent, tmp_path, f"https://{where}?{tls}&timeout=20s")
    assert sorted(r["n"] for r in server.query("")) == list(range(300))


@pytest.mark.parametrize("scheme", ["loki", "otlp", "openobserve"])
def test_http_outage(make_server, make_agent, tmp_path, scheme):  # noqa: F811
    server = make_server()
    path = "/default/openobserve" if scheme == "openobserve" else ""

    def got():
        rows = server.query("", stream=scheme)
        return [r["attributes"]["n"] if scheme == "otlp" else json.loads(r["message"])["n"] if scheme == "loki" else r["n"]
                for r in rows]

    outage(make_agent, tmp_path, f"{scheme}://127.0.0.1:{server.port}{path}", server, got, doubles=True)


# ---- syslog ----

class Rsyslog:
    def __init__(self, folder, listen):
        self.folder, self.out, self.process = folder, folder / "out.log", None
        folder.mkdir(exist_ok=True)
        (folder / "r.conf").write_text(
            f'global(workDirectory="{folder}" maxMessageSize="64k")\n{listen}\n'
            'template(name="j" type="list") { property(name="jsonmesg") constant(value="\\n") }\n'
            f'*.* action(type="omfile" file="{self.out}" template="j")\n')

    def start(self):
        log = open(self.folder / "rsyslog.log", "ab")
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", str(self.folder / "r.conf"), "-i",
                                         str(self.folder / "pid")], stdout=log, stderr=log)
        time.sleep(0.5)
        assert self.process.poll() is None, (self.folder / "rsyslog.log").read_text()
        return self

    def kill(self):
        """Stops it in order: what rsyslog has read and not written when it is killed is lost for every sender."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def rows(self):
        return [json.loads(x) for x in self.out.read_text().splitlines()] if self.out.exists() else []


@pytest.fixture
def make_rsyslog(tmp_path):
    made = []

    def make(listen):
        made.append(Rsyslog(tmp_path / "rsyslog", listen).start())
        return made[-1]

    yield make
    for r in made:
        if r.process.poll() is None:
            r.kill()


def number_of(row):
    return int(row["structured-data"].split(' n="')[1].split('"')[0])


@pytest.mark.parametrize("options", ["", "?framing=newline", "?confirm=no"])
def test_syslog_to_rsyslog(make_rsyslog, make_agent, tmp_path, options):  # noqa: F811
    p = free_port()
    rsyslog = make_rsyslog(f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{p}")')
    carry(make_agent, tmp_path, f"syslog+tcp://127.0.0.1:{p}{options}", pid=42)
    wait_for(lambda: len(rsyslog.rows()) >= 300)
    rows = rsyslog.rows()
    assert sorted(number_of(r) for r in rows) == list(range(300))
    for r in rows:
        want = record(number_of(r))
        assert r["msg"].strip() == want["message"] and r["programname"] == want["service"]
        assert r["syslogfacility"] == "1" and r["procid"] == "42"
        assert r["syslogseverity"] == ("3" if want["level"] == "ERROR" else "6")
        assert r["timereported"].startswith(want["timestamp"][:19])


def test_syslog_to_weir(make_server, make_agent, tmp_path):  # noqa: F811
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"syslog+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}",
                         "syslog+udp://127.0.0.1:0")
    carry(make_agent, tmp_path, f"syslog+tls://127.0.0.1:{port(server, 'syslog+tls')}?tls_ca={pem['ca.pem']}"
                                "&facility=local3&sd_id=app@1")
    rows = server.query("", stream="syslog")
    assert sorted(int(r["structured_data"]["app@1"]["n"]) for r in rows) == list(range(300))
    assert all(r["message"] == record(int(r["structured_data"]["app@1"]["n"]))["message"] and r["facility"] == "local3"
               for r in rows)
    agent = make_agent("udp", "--file", str(tmp_path / "app.log"),
                       output=f"syslog+udp://127.0.0.1:{port(server, 'syslog+udp')}?message=json").start()
    wait_for(lambda: len(server.query("", stream="syslog")) > 300)
    agent.stop()
    assert any(json.loads(r["message"])["n"] == 5 for r in server.query("message:text", stream="syslog")
               if r["message"].startswith("{"))


def test_syslog_outage(make_server, make_agent, tmp_path):  # noqa: F811
    """A Weir at the other end closes when all is durable: it may be killed."""
    server = with_inputs(make_server, f"syslog+tcp://127.0.0.1:{free_port()}")
    outage(make_agent, tmp_path, f"syslog+tcp://127.0.0.1:{port(server, 'syslog+tcp')}", server,
           lambda: [int(r["structured_data"]["weir@32473"]["n"]) for r in server.query("", stream="syslog")], doubles=True)


def test_syslog_outage_of_rsyslog(make_rsyslog, make_agent, tmp_path):  # noqa: F811
    p = free_port()
    rsyslog = make_rsyslog(f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{p}")')
    outage(make_agent, tmp_path, f"syslog+tcp://127.0.0.1:{p}", rsyslog, lambda: [number_of(r) for r in rsyslog.rows()],
           doubles=True)
