"""Dead letters: kept with their reason, tried again once, deleted; whatever is killed meanwhile. weir check, too."""
import http.server
import json
import threading
import time
from collections import Counter

import pytest
import requests

from conftest import free_port
from test_agent import make_agent, wait_for, write  # noqa: F401
from test_agent_inputs import balanced, ledger


class Picky(http.server.BaseHTTPRequestHandler):
    """_bulk that refuses documents for good while its server says so, and holds others back when asked to."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        rows = self.rfile.read(int(self.headers["Content-Length"])).split(b"\n")
        items = []
        for head, doc in [(json.loads(rows[i])["create"], json.loads(rows[i + 1])) for i in range(0, len(rows) - 1, 2)]:
            self.server.seen[doc["message"].split()[0]] += 1
            if self.server.refuse(doc):
                items.append({"create": {"status": 400, "error": {"reason": "not now"}}})
            elif head["_id"] in self.server.docs:
                items.append({"create": {"status": 409, "error": {"reason": "exists"}}})
            else:
                self.server.docs[head["_id"]] = doc
                items.append({"create": {"status": 201}})
        time.sleep(self.server.delay)
        data = json.dumps({"errors": any("error" in i["create"] for i in items), "items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def picky():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Picky)
    server.docs, server.seen, server.delay = {}, Counter(), 0
    server.refuse = lambda doc: int(doc["message"].split()[0][1:]) % 2
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def route(agent):
    return ledger(agent)["routes"][0]


def start(make_agent, tmp_path, picky, lines):  # noqa: F811
    conf = tmp_path / "agent.yaml"
    conf.write_text(f"""
files: ['{tmp_path}/app.txt']
routes: [{{name: search, output: 'opensearch://127.0.0.1:{picky.server_port}/logs', wait: 50ms}}]
""")
    write(tmp_path / "app.txt", 0, lines)
    a = make_agent("agent", "--config", str(conf), output=[]).start()
    wait_for(lambda: (a.data / "positions").exists() and ledger(a)["routes"])
    return a


def test_retry_and_delete(make_agent, weir, tmp_path, picky):  # noqa: F811
    a = start(make_agent, tmp_path, picky, 100)
    wait_for(lambda: route(a)["waiting"] == 0 and route(a)["sent"] == 50)
    assert route(a)["dead"] == 50
    data = ("--data", str(a.data))
    assert b"50 " in weir("dead", "list", *data).stdout and b"search" in weir("dead", "list", *data).stdout
    letters = [json.loads(x) for x in weir("dead", "show", "search", *data).stdout.splitlines()]
    assert len(letters) == 50 and {x["reason"] for x in letters} == {"not now"}
    assert {x["record"]["message"] for x in letters} == {f"n{i} some text of a line" for i in range(1, 100, 2)}
    # Half of them are refused again; the others arrive.
    picky.refuse = lambda doc: int(doc["message"].split()[0][1:]) % 4 == 1
    weir("dead", "retry", "search", *data)
    wait_for(lambda: len(picky.docs) == 75)
    wait_for(lambda: route(a)["dead"] == 25 and route(a)["sent"] == 75)
    # Once more, in the agent's absence: it is done at the next start.
    a.stop()
    picky.refuse = lambda doc: False
    weir("dead", "retry", "search", *data)
    assert b"being tried again" in weir("dead", "list", *data).stdout
    r = weir("dead", "retry", "search", *data, check=False)
    assert r.returncode == 1
    a.start()
    wait_for(lambda: len(picky.docs) == 100)
    wait_for(lambda: route(a)["dead"] == 0)
    assert b"no dead letters" in weir("dead", "list", *data).stdout
    picky.refuse = lambda doc: True
    write(tmp_path / "app.txt", 100, 10)
    wait_for(lambda: route(a)["dead"] == 10)
    assert b"10 dead letters" in weir("dead", "delete", "search", *data).stdout
    assert b"no dead letters" in weir("dead", "list", *data).stdout
    assert weir("dead", "delete", "search", *data, check=False).returncode == 1
    a.stop()
    balanced(a, 110)
    assert Counter(d["message"].split()[0] for d in picky.docs.values()) == Counter(f"n{i}" for i in range(100))


def test_over_http(make_server, weir, tmp_path, picky):
    """Of a server, of a pipeline of it too, with credentials; by the command line as well."""
    conf = tmp_path / "server.yaml"
    url = f"opensearch://127.0.0.1:{picky.server_port}/logs"
    conf.write_text(f"""
routes: [{{name: search, output: '{url}', wait: 50ms}}]
pipelines:
  edge:
    inputs: ['forward://127.0.0.1:0']
    routes: [{{name: search, output: '{url}', wait: 50ms}}]
""")
    server = make_server(args=["--config", str(conf)], env={"WEIR_ROOT_USER": "u", "WEIR_ROOT_PASSWORD": "secret-password"})
    http = requests.Session()
    at = server.url + "/api/v1/dead-letters"
    for method, path in (("GET", ""), ("GET", "/search"), ("POST", "/search/retry"), ("DELETE", "/search")):
        assert requests.request(method, at + path).status_code == 401
    http.auth = ("u", "secret-password")
    assert http.get(at).json() == {"dead_letters": []} and http.get(at + "/search").status_code == 404
    assert http.get(at + "/.x").status_code == 400 and http.get(at + "/search?pipeline=..").status_code == 400
    lines = "".join(json.dumps({"message": f"n{i} text"}) + "\n" for i in range(100))
    r = http.post(server.url + "/api/v1/logs/ingest?stream=s", data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert r.status_code == 202
    edge = server.data / "pipelines" / "edge" / "dead"
    edge.mkdir(exist_ok=True)
    (edge / "search.ndjson").write_text('{"time":"2025-02-15T12:00:00Z","route":"search","reason":"x","stream":"s",'
                                        '"at":"2025-01-01T00:00:00Z","stage":"output","record":{"message":"n1000 x"}}\n')
    wait_for(lambda: len(http.get(at).json()["dead_letters"]) == 2)
    wait_for(lambda: [x["letters"] for x in http.get(at).json()["dead_letters"]] == [50, 1])
    listed = http.get(at).json()["dead_letters"]
    assert [(x["pipeline"], x["route"], x["retrying"]) for x in listed] == [("", "search", False), ("edge", "search", False)]
    letters = [json.loads(x) for x in http.get(at + "/search").text.splitlines()]
    assert [x["record"]["message"] for x in letters] == [f"n{i} text" for i in range(1, 100, 2)]
    assert [json.loads(x) for x in http.get(at + "/search?skip=10&limit=7").text.splitlines()] == letters[10:17]
    assert http.get(at + "/search?skip=50").text == ""
    assert "n1000" in http.get(at + "/search?pipeline=edge").text
    cli = ("--url", server.url, "--user", "u:secret-password")
    assert weir("dead", "list", *cli).stdout.split() [0] == b"50"
    assert len(weir("dead", "show", "search", *cli).stdout.splitlines()) == 50
    picky.refuse = lambda doc: False
    assert weir("dead", "retry", "search", "--pipeline", "edge", *cli).stdout == b"1 dead letters of search are tried again\n"
    assert http.post(at + "/search/retry").json() == {"route": "search", "letters": 50}
    wait_for(lambda: len(picky.docs) == 101)
    wait_for(lambda: http.get(at).json() == {"dead_letters": []})
    wait_for(lambda: http.get(server.url + "/api/v1/ledger").json()["pipelines"][0]["routes"][0]["sent"] == 100)
    picky.refuse = lambda doc: True
    http.post(server.url + "/api/v1/logs/ingest?stream=s", data='{"message":"n200 x"}', headers={"Content-Type": "application/json"})
    wait_for(lambda: http.get(at).json()["dead_letters"])
    assert weir("dead", "delete", "search", *cli).stdout == b"1 dead letters of search are deleted\n"
    r = weir("dead", "delete", "search", *cli, check=False)
    assert r.returncode == 1 and b"no dead letters" in r.stderr and http.delete(at + "/search").status_code == 404


def test_retry_killed(make_agent, weir, tmp_path, picky):  # noqa: F811
    """Killed while letters are tried again: each arrives once, and the books agree."""
    a = start(make_agent, tmp_path, picky, 4000)
    wait_for(lambda: route(a)["waiting"] == 0)
    assert route(a)["dead"] == 2000
    picky.refuse, picky.delay = lambda doc: False, 0.15
    weir("dead", "retry", "search", "--data", str(a.data))
    for _ in range(4):
        before = sum(picky.seen.values())
        wait_for(lambda: sum(picky.seen.values()) > before or len(picky.docs) == 4000)
        a.kill()
        balanced(a, 4000)
        a.start()
    wait_for(lambda: len(picky.docs) == 4000)
    wait_for(lambda: route(a)["dead"] == 0 and route(a)["sent"] == 4000)
    a.stop()
    balanced(a, 4000)
    assert max(Counter(d["message"] for d in picky.docs.values()).values()) == 1


def test_failed_transforms_are_retried_through_them(make_agent, weir, tmp_path):  # noqa: F811
    """A letter of another Weir's keeps time and stream."""
    dead = tmp_path / "agent" / "dead"
    dead.mkdir(parents=True)
    (dead / "all.ndjson").write_text(
        '{"time":"2025-02-15T12:00:00Z","route":"all","reason":"x","stream":"s","at":"2025-01-01T00:00:00Z",'
        '"stage":"transform","record":{"message":"n1 \\"record\\":{}","big":12345678901234567890}}\nnot a letter\n')
    (tmp_path / "app.txt").write_text("n0 text\n")
    conf = tmp_path / "agent.yaml"
    conf.write_text(f"""
files: ['{tmp_path}/app.txt']
routes: [{{name: all, output: 'file://{tmp_path}/out.ndjson', wait: 50ms, transforms: [{{set: {{a: b}}}}]}}]
""")
    a = make_agent("agent", "--config", str(conf), output=[])
    weir("dead", "retry", "all", "--data", str(a.data))
    a.start()
    out = tmp_path / "out.ndjson"
    wait_for(lambda: out.exists() and len(out.read_text().splitlines()) == 2)
    rows = {json.loads(x)["message"].split()[0]: json.loads(x) for x in out.read_text().splitlines()}
    assert rows["n1"]["a"] == "b" and '12345678901234567890' in out.read_text() and "_time" not in rows["n1"]
    wait_for(lambda: (dead / "all.ndjson").exists() and (dead / "all.ndjson").read_text() == "not a letter\n")
    a.stop()


def test_check_of_an_agent(server, weir, tmp_path):
    conf = tmp_path / "agent.yaml"
    (tmp_path / "app.txt").write_text("x\n")
    conf.write_text(f"""
files: ['{tmp_path}/*.txt', '{tmp_path}/none/*.log']
inputs: ['forward://127.0.0.1:{free_port()}']
routes:
  - {{name: good, output: '{server.url}'}}
  - {{name: file, output: 'file://{tmp_path}/out.ndjson'}}
  - {{name: away, output: 'opensearch://127.0.0.1:{free_port()}/logs'}}
""")
    r = weir("check", "--config", str(conf), "--data", str(tmp_path / "a"), "--json", check=False)
    checks = {c["name"]: c for c in json.loads(r.stdout)["checks"]}
    assert r.returncode == 1
    assert checks["output good"]["status"] == checks["output file"]["status"] == checks["inputs"]["status"] == "ok"
    assert checks["output away"]["status"] == "failed" and "start what listens" in checks["output away"]["advice"]
    assert checks[f"files {tmp_path}/*.txt"]["status"] == "ok"
    assert checks[f"files {tmp_path}/none/*.log"]["status"] == "warning"
    assert "catalog" not in checks
    conf.write_text(f"files: ['{tmp_path}/*.txt']\nroutes: [{{output: '{server.url}'}}]\n")
    assert weir("check", "--config", str(conf), "--data", str(tmp_path / "a")).returncode == 0
    # A server's, with an output that is no Weir.
    picky_port = free_port()
    other = http.server.ThreadingHTTPServer(("127.0.0.1", picky_port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    conf.write_text(f"routes: [{{name: o, output: 'http://127.0.0.1:{picky_port}'}}]\n"
                    f"server: {{listen: '127.0.0.1:{free_port()}'}}\n")
    r = weir("check", "--config", str(conf), "--data", str(tmp_path / "s"), check=False)
    assert r.returncode == 1 and b"is no weir server" in r.stdout, r.stdout
    other.shutdown()
