"""The command line against real servers, and what the server refuses at its start."""
import gzip
import json
import re
import ssl
import subprocess
import threading
import time

import conftest
import requests
import zstandard

from inputs import make_certificates
from test_output_peers import http_peer  # noqa: F401 (a fixture)


def test_help_teaches(weir):
    text = weir("--help").stdout.decode()
    for name in ("server", "ingest", "search", "status", "config", "produce", "segment"):
        assert re.search(rf"^  {name} ", text, re.M)
        own = weir(name, "--help").stdout.decode()
        assert f"usage: weir {name}" in own
    assert re.match(r"weir \d+\.\d+", weir("--version").stdout.decode())


def test_slips_are_answered(weir):
    r = weir("serch", check=False)
    assert r.returncode == 2 and b'did you mean "weir search"' in r.stderr
    r = weir("server", "--lisen", "x", check=False)
    assert r.returncode == 2 and b"did you mean --listen" in r.stderr
    r = weir("ingest", check=False)
    assert r.returncode == 2 and b"something is missing" in r.stderr
    r = weir("search", "--limit", check=False)
    assert r.returncode == 2 and b"wants a value" in r.stderr
    r = weir("server", "--set", "store.retenton=1d", check=False)
    assert r.returncode == 2 and b"store.retention" in r.stderr


def test_other_machines_need_credentials(weir, make_server, tmp_path):
    r = weir("server", "--data", str(tmp_path / "open"), "--listen", "0.0.0.0:0", check=False)
    assert r.returncode != 0 and b"WEIR_ROOT_PASSWORD" in r.stderr
    server = make_server(env={"WEIR_ROOT_USER": "root", "WEIR_ROOT_PASSWORD": "s3cret:x"})
    for path in ("/", "/metrics", "/api/v1/logs/search", "/nowhere"):
        r = requests.get(server.url + path)
        assert r.status_code == 401 and "Basic" in r.headers["WWW-Authenticate"], path
    assert requests.get(server.url + "/api/v1/logs/search", auth=("root", "wrong")).status_code == 401
    assert requests.get(server.url + "/api/v1/logs/search", auth=("root", "s3cret:x")).status_code == 200
    assert requests.get(server.url + "/healthz").status_code == 200
    r = weir("search", "--url", server.url, "*", check=False)
    assert r.returncode == 2 and b"credentials" in r.stderr
    r = weir("search", "--url", server.url, "--user", "root:s3cret:x", "*", check=False)
    assert r.returncode == 1
    r = weir("status", "--url", server.url, env={"WEIR_ROOT_USER": "root", "WEIR_ROOT_PASSWORD": "s3cret:x"})
    assert b"memory" in r.stdout


def test_ingest_files(server, weir, tmp_path):
    lines = "".join('{"i":%d,"m":"line %d"}\n' % (i, i) for i in range(5000)).encode()
    halves = lines[:len(lines) // 2], lines[len(lines) // 2:]
    (tmp_path / "a.ndjson").write_bytes(lines)
    (tmp_path / "b.gz").write_bytes(b"".join(map(gzip.compress, halves)))
    (tmp_path / "c.zst").write_bytes(b"".join(map(zstandard.ZstdCompressor().compress, halves)))
    (tmp_path / "d.log").write_text("plain one\nplain two\r\n\nlast without an end")
    (tmp_path / "e.json").write_text(json.dumps({"logs": [{"doc": 1}, {"doc": 2}]}, indent=2))
    for name in ("a.ndjson", "b.gz", "c.zst"):
        weir("ingest", "--url", server.url, "--stream", name[0], "--batch-bytes", "10000", str(tmp_path / name))
        rows = server.query("*", stream=name[0])
        assert sorted(r["i"] for r in rows) == list(range(5000)), name
    weir("ingest", "--url", server.url, "--stream", "text", str(tmp_path / "d.log"))
    assert sorted(r["message"] for r in server.query("*", stream="text")) == \
        ["last without an end", "plain one", "plain two"]
    weir("ingest", "--url", server.url, "--stream", "doc", str(tmp_path / "e.json"))
    assert sorted(r["doc"] for r in server.query("*", stream="doc")) == [1, 2]
    weir("ingest", "--url", server.url, "--stream", "stdin", "-", input=b'{"s":1}\n{"s":2}')
    assert len(server.query("*", stream="stdin")) == 2


def test_ingest_names_what_is_refused(server, weir, tmp_path):
    r = weir("ingest", "--url", server.url, "-", input=b'{"a":1}\n{"a":}\n{"a":3}\n')
    assert b"record 2 refused" in r.stderr and b"2 accepted, 1 refused" in r.stderr
    cut = gzip.compress(b'{"a":4}\n' * 100)[:-20]
    (tmp_path / "cut.gz").write_bytes(cut)
    r = weir("ingest", "--url", server.url, str(tmp_path / "cut.gz"), check=False)
    assert r.returncode == 1 and b"cut off" in r.stderr
    r = weir("ingest", "--url", server.url, str(tmp_path / "absent"), check=False)
    assert r.returncode == 1 and b"absent" in r.stderr


def test_ingest_outlives_the_server(make_server, tmp_path):
    """Killed and started again while a file is sent: every line is there once."""
    server = make_server(start=False)
    path = tmp_path / "big.ndjson"
    n = 60000
    path.write_text("".join('{"i":%d,"m":"%s"}\n' % (i, "x" * 50) for i in range(n)))
    sender = subprocess.Popen([str(conftest.WEIR), "ingest", "--url", server.url, "--batch-bytes", "20000", str(path)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(4):
        server.start()
        time.sleep(0.15)
        server.kill()
    server.start()
    said = sender.communicate(timeout=60)
    assert sender.returncode == 0, said
    assert sorted(r["i"] for r in server.query("*")) == list(range(n))


def test_pipes_are_sent_while_they_wait(server):
    sender = subprocess.Popen([str(conftest.WEIR), "ingest", "--url", server.url, "-"], stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    sender.stdin.write(b'{"a":1}\n{"a":2}\n{"a":')
    sender.stdin.flush()
    deadline = time.monotonic() + 60
    while len(server.query("*")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sender.stdin.write(b"3}\n")
    sender.stdin.close()
    assert sender.wait(60) == 0
    assert sorted(r["a"] for r in server.query("*")) == [1, 2, 3]


def test_search_outputs(server, weir):
    server.ingest('{"timestamp":"2025-02-15T12:00:00Z","level":"ERROR","service":"pay","message":"it \\u001b[31mfailed","n":1.50}\n'
                  '{"timestamp":"2025-02-15T12:00:01Z","level":"INFO","service":"pay","message":"fine","n":12345678901234567890}')
    run = lambda *args, **kw: weir("search", "--url", server.url, *args, **kw)
    assert run("--output", "raw", "level:INFO").stdout == b"fine\n"
    row = run("level:ERROR").stdout
    assert b'"n":1.50' in row and json.loads(row)["message"] == "it \x1b[31mfailed"
    table = run("--output", "table", "*").stdout.decode()
    assert table.index("fine") < table.index("failed") and "\x1b" not in table
    counts = run("--output", "table", "* | stats count() by level | sort level").stdout.decode().split()
    assert counts == ["level", "count", "ERROR", "1", "INFO", "1"]
    assert [json.loads(l) for l in run("* | stats count()").stdout.splitlines()] == [{"count": 2}]
    r = run("nothing_like_it", check=False)
    assert r.returncode == 1 and not r.stdout
    r = run("level:ERROR )", check=False)
    assert r.returncode == 2 and b"^" in r.stderr
    assert run("--from", "2025-02-15T12:00:01Z", "--to", "2025-02-15T12:00:02Z", "--output", "raw", "*").stdout == b"fine\n"
    r = weir("search", "--url", "http://127.0.0.1:1", "*", check=False)
    assert r.returncode == 2 and b"127.0.0.1:1" in r.stderr


def test_produce(server, weir):
    args = ("produce", "--count", "300", "--start", "2025-02-15T12:00:00Z", "--seed", "7")
    first = weir(*args).stdout
    assert first == weir(*args).stdout
    assert first != weir(*args[:-1], "8").stdout
    rows = [json.loads(line) for line in first.splitlines()]
    assert len(rows) == 300
    assert set(rows[0]) == {"timestamp", "level", "service", "host", "message", "metadata"}
    assert {r["level"] for r in rows if "Payment failed" in r["message"]} == {"ERROR"}  # a message fits its level
    for r in rows:
        if r["message"].startswith("GET "):
            assert r["message"].endswith(f" in {r['metadata']['latency_ms']} ms"), r
    weir("produce", "--url", server.url, "--stream", "demo", "--count", "4321")
    assert server.query("* | stats count() as n", stream="demo") == [{"n": 4321}]


def test_produce_kinds(server, weir):
    for kind, field in (("app", "metadata"), ("nginx", "remote_ip"), ("mysql-slow", "log"), ("k8s", "kubernetes")):
        args = ("produce", "--kind", kind, "--count", "2000", "--start", "2025-02-15T12:00:00Z")
        lines = weir(*args).stdout
        assert lines == weir(*args).stdout
        rows = [json.loads(line) for line in lines.splitlines()]
        assert len(rows) == 2000 and all(field in r for r in rows)
        weir("produce", "--kind", kind, "--host", server.url, "--stream", kind, "--count", "500", "--quiet")
        assert server.query("* | stats count() as n", stream=kind) == [{"n": 500}]
    lines = weir("produce", "--kind", "mysql-error", "--count", "3000", "--errors", "10").stdout.decode().splitlines()
    assert 200 < sum("[ERROR]" in line for line in lines) < 400
    weir("produce", "--kind", "mysql-error", "--url", server.url, "--stream", "e", "--count", "300", "--errors", "100")
    assert server.search("level:ERROR", stream="e", limit=0)["total_hits"] == 300
    r = weir("produce", "--kind", "oracle", check=False)
    assert r.returncode == 2 and b"nginx" in r.stderr
    lines = weir("produce", "--kind", "nginx", "--count", "2000", "--errors", "0").stdout.splitlines()
    assert {json.loads(x)["response"] for x in lines} == {200, 206, 304}


def test_produce_traffic(weir):
    began = time.monotonic()
    lines = weir("produce", "--count", "60", "--rate", "100").stdout.splitlines()
    assert len(lines) == 60 and time.monotonic() - began > 0.4
    began = time.monotonic()
    assert len(weir("produce", "--count", "4", "--delay", "0.1").stdout.splitlines()) == 4
    assert time.monotonic() - began > 0.3
    r = weir("produce", "--delay", "1", "--rate", "5", check=False)
    assert r.returncode == 2 and b"--rate" in r.stderr
    r = weir("produce", "--errors", "101", check=False)
    assert r.returncode == 2 and b"0 to 100" in r.stderr


def test_produce_says_what_became_of_it(weir, make_server):
    """With credentials, to a server that is away at first."""
    server = make_server(env={"WEIR_ROOT_USER": "root", "WEIR_ROOT_PASSWORD": "p"}, start=False)
    p = subprocess.Popen([conftest.WEIR, "produce", "--kind", "k8s", "--count", "30", "--delay", "0.01", "--host",
                          server.url, "--user", "root:p"], stderr=subprocess.PIPE)
    first = p.stderr.readline()  # when it has found nobody
    server.start()
    said = (first + p.communicate(timeout=60)[1]).decode()
    assert p.returncode == 0 and said.count("waiting:") == len(set(re.findall("waiting:.*", said))) > 0  # each reason once
    summary = said.splitlines()[-1]
    assert re.match(r"30 made, 30 accepted, 0 refused, 0 duplicates in .* 30 requests, [1-9]\d* sent again", summary)
    r = weir("produce", "--host", server.url, "--user", "root:wrong", "--count", "5", "--retry-for", "0", check=False)
    assert r.returncode != 0 and b"0 accepted" in r.stderr


def test_a_server_behind_tls(weir, make_server, tmp_path, http_peer):  # noqa: F811
    """A certificate that nobody vouches for ends it at once; with its authority it is sent, again where it must be."""
    server = make_server(env={"WEIR_ROOT_USER": "root", "WEIR_ROOT_PASSWORD": "p"})
    pem = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem["server.pem"], pem["server.key"])
    http_peer.socket = context.wrap_socket(http_peer.socket, server_side=True)
    asked = []

    def answer(request, body):
        asked.append(request.path)
        if len(asked) == 1:
            return 503, b""
        headers = {k: request.headers[k] for k in ("Authorization", "Content-Type", "Idempotency-Key")}
        r = requests.post(server.url + request.path.removeprefix("/logs"), data=body, headers=headers, timeout=60)
        return r.status_code, r.content

    http_peer.answer = answer
    args = ("produce", "--host", f"https://127.0.0.1:{http_peer.server_port}/logs", "--user", "root:p", "--count", "3000")
    for more in ((), ("--tls-ca", str(tmp_path / "none.pem"))):
        r = weir(*args, *more, check=False)
        assert r.returncode != 0 and b"certificate" in r.stderr and b"waiting" not in r.stderr and not asked, r.stderr
    said = weir(*args, "--tls-ca", str(pem["ca.pem"])).stderr.decode()
    assert "3000 made, 3000 accepted, 0 refused" in said and "2 requests, 1 sent again" in said


def test_status_and_idle_memory(server, weir):
    assert requests.get(server.url + "/api/v1/stats").json()["memory"]["resident"] < 40 << 20
    server.ingest('{"a":1}', stream="seen")
    text = weir("status", "--url", server.url).stdout.decode()
    assert "seen" in text and "memtable" in text and "ready" in text
    assert json.loads(weir("status", "--url", server.url, "--json").stdout)["ready"] is True


def test_stop_answers_what_is_under_way(make_server):
    server = make_server()
    answers = []

    def send(k):
        for i in range(40):
            try:
                r = requests.post(server.url + "/api/v1/logs/ingest", data='{"k":"%d-%d"}' % (k, i),
                                  headers={"Content-Type": "application/x-ndjson"})
                if r.status_code == 202:
                    answers.append(f"{k}-{i}")
            except requests.ConnectionError:
                return

    threads = [threading.Thread(target=send, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    time.sleep(0.1)
    assert server.stop() == 0
    for t in threads:
        t.join()
    server.start()
    assert set(answers) <= {r["k"] for r in server.query("*")}
