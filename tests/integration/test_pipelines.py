"""Pipelines in a server: transforms before its queue, routes behind it, pipelines beside it; reload under traffic;
books that balance whatever was killed."""
import json
import random
import signal
import socket
import threading
import time
from collections import Counter

import requests

from conftest import free_port
from test_agent import check, make_agent, numbers, wait_for, write  # noqa: F401
from test_agent_inputs import Sender, balanced, listens
from test_forward import Client


def books(server):
    return requests.get(server.url + "/api/v1/ledger", timeout=30).json()


def route(server, name=None, pipeline=""):
    p = next(p for p in books(server)["pipelines"] if p["pipeline"] == pipeline)
    return next(r for r in p["routes"] if name in (None, r["route"]))


def configured(make_server, tmp_path, text, name="data", **kwargs):
    conf = tmp_path / f"{name}.yaml"
    conf.write_text(text)
    return make_server(name, args=["--config", str(conf)], **kwargs), conf


def post(server, first, count, stream="default", **fields):
    lines = [json.dumps(dict(message=f"n{i} text", **fields)) for i in range(first, first + count)]
    server.ingest("\n".join(lines), stream=stream)


def lines(path):
    return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []


def test_transforms_before_the_queue(make_server, tmp_path):
    port = free_port()
    server, _ = configured(make_server, tmp_path, f"""
transforms:
  - drop: 'level:DEBUG'
  - redact: [emails]
pipelines:
  edge:
    inputs: ['forward://127.0.0.1:{port}?stream=edge']
    transforms: [ {{set: {{via: edge}}}} ]
""")
    post(server, 0, 5, level="INFO", who="a@b.example")
    post(server, 5, 5, level="DEBUG")
    with Client(port) as c:
        c.send(["app", [[1, {"message": "n0 c@d.example"}]], {"chunk": "x"}])
        assert c.receive() == {"ack": "x"}
    check(server, 5)
    assert {r["who"] for r in server.query("*", stream="default")} == {"***"}
    row = server.query("*", stream="edge")[0]
    assert row["message"] == "n0 ***" and row["via"] == "edge"
    b = books(server)
    assert b["balanced"] and b["taken"] == b["stored"] == 6, b


def test_routes_behind_the_queue(make_server, tmp_path):
    other = make_server("other")
    server, _ = configured(make_server, tmp_path, f"""
routes:
  - name: errors
    output: file://{tmp_path}/errors.ndjson
    where: 'level:ERROR'
    wait: 100ms
  - name: all
    output: {other.url}
    transforms: [ {{set: {{copied: true}}}} ]
""")
    other.stop()
    for k in range(10):
        post(server, k * 10, 10, level="ERROR" if k % 5 == 0 else "INFO")
    wait_for(lambda: (r := route(server, "errors"))["waiting"] == 0 and r["sent"] + r["dropped"] == 100)
    assert route(server, "errors")["sent"] == 20 and route(server, "errors")["dropped"] == 80
    wait_for(lambda: route(server, "all")["failing"])
    assert route(server, "all")["waiting"] == 100
    wait_for(lambda: "sent 20\n" in (server.data / "routes" / "errors").read_text())  # else a crash has it sent again
    server.flush()  # the store has all; the queue keeps it for the route all the same, over a crash
    server.kill()
    server.start()
    assert route(server, "all")["waiting"] == 100
    post(server, 100, 10)
    other.start()
    check(other, 110)
    assert all(r["copied"] is True for r in other.query("*"))
    wait_for(lambda: books(server)["balanced"] and route(server, "all")["waiting"] == 0)
    assert Counter(r["message"].split()[0] for r in lines(tmp_path / "errors.ndjson")) == \
        Counter(f"n{i}" for i in [*range(0, 10), *range(50, 60)])


def test_killed_in_the_middle(make_server, tmp_path):
    """A server that passes everything on, both killed: each record once in both, and the books agree each time."""
    rng = random.Random(3)
    other = make_server("other")
    server, _ = configured(make_server, tmp_path, f"routes: [{{name: all, output: '{other.url}'}}]\n")
    total = 0
    for turn in range(8):
        for _ in range(rng.randrange(1, 6)):
            post(server, total, 50)
            total += 50
        which = rng.choice([server, server, other])
        if rng.random() < 0.3:
            server.flush()
        which.kill()
        which.start()
        b = books(server)
        assert b["balanced"] and b["taken"] == total, b
    check(other, total)
    check(server, total)
    wait_for(lambda: (r := route(server, "all"))["waiting"] == 0 and r["sent"] >= total)
    r = route(server, "all")
    assert r["sent"] == total and books(server)["balanced"], r


def test_a_route_too_far_behind(make_server, tmp_path):
    other = make_server("other")
    server, _ = configured(make_server, tmp_path, f"""
routes: [{{name: all, output: '{other.url}', retry_max: 200ms}}]
queue: {{behind_max: 1MiB, file_bytes: 1MiB}}
""")
    other.stop()
    noise = random.Random(1)
    for i in range(60):
        post(server, i * 10, 10, noise=noise.randbytes(5000).hex())
        if i % 10 == 9:
            server.flush()
    assert requests.get(server.url + "/api/v1/stats").json()["queue"]["bytes"] < 5 << 20
    other.start()
    wait_for(lambda: route(server, "all")["waiting"] == 0)
    r = route(server, "all")
    assert 0 < r["lost"] < 600 and r["sent"] + r["lost"] == 600, r
    got = numbers(other)
    assert max(got.values()) == 1 and sum(got.values()) == r["sent"]
    assert "n599" in got and books(server)["balanced"]
    assert f'weir_route_lost_total{{route="all"}} {r["lost"]}' in requests.get(server.url + "/metrics").text


def test_pipelines_beside_the_server(make_server, tmp_path):
    """A pipeline with a spool of its own, into the server's store and into a file; killed."""
    port = free_port()
    server, _ = configured(make_server, tmp_path, f"""
pipelines:
  edge:
    inputs: ['forward://127.0.0.1:{port}?stream=edge']
    files: ['{tmp_path}/*.txt']
    stream: files
    routes:
      - {{name: own, output: 'store://'}}
      - {{name: archive, output: 'file://{tmp_path}/edge.ndjson', wait: 100ms}}
""")
    write(tmp_path / "app.txt", 0, 500)
    sender = Sender(port, "s", 300)
    for _ in range(4):
        time.sleep(0.3)
        server.kill()
        server.start()
    sender.join(30)
    check(server, Counter(f"s{i}" for i in range(1500)), stream="edge")
    check(server, 500, stream="files")
    wait_for(lambda: route(server, "archive", "edge")["waiting"] == 0)
    b = books(server)
    assert b["balanced"] and b["stored"] == 2000, b
    assert b["pipelines"][1]["taken"] == 2000


def hup(process, log, what="configuration reloaded"):
    before = log.read_text().count(what)
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.read_text().count(what) > before, what=what)


def agent_conf(tmp_path, port, routes, transforms="", extra=""):
    return f"inputs: ['forward://127.0.0.1:{port}?stream=fwd']\nfiles: ['{tmp_path}/*.txt'{extra}]\n{transforms}routes:\n" + \
        "".join(f"  - {r}\n" for r in routes)


def test_agent_reload_under_traffic(make_server, make_agent, tmp_path):  # noqa: F811
    """Routes come, change and go, files and transforms too, while everything flows: nothing is lost or doubled."""
    server, other = make_server("one"), make_server("two")
    port, more = free_port(), free_port()
    conf = tmp_path / "agent.yaml"
    main = f"{{name: main, output: '{server.url}'}}"
    conf.write_text(agent_conf(tmp_path, port, [main]))
    a = make_agent("agent", "--config", str(conf), output=[]).start()
    wait_for(lambda: listens(port))
    senders = [Sender(port, f"s{k}-", 1500) for k in range(2)]
    total, rng = 0, random.Random(5)
    variants = [
        agent_conf(tmp_path, port, [main, f"{{name: copy, output: '{other.url}'}}"]),
        agent_conf(tmp_path, port, [main], transforms="transforms: [level]\n"),
        agent_conf(tmp_path, port, [main.replace("}", ", retry_max: 5s}")], extra=f", '{tmp_path}/none/*.x'"),
        agent_conf(tmp_path, port, [main], transforms="transforms: [level, {set: {a: b}}]\n").replace(
            f"?stream=fwd'", f"?stream=fwd', 'syslog+tcp://127.0.0.1:{more}'", 1),
        agent_conf(tmp_path, port, [main]).replace("files", "filess"),
    ]
    for turn in range(12):  # a message of the log comes ten times a minute at most
        write(tmp_path / "app.txt", total, 100)
        total += 100
        bad = turn % 5 == 4
        conf.write_text(variants[turn % 5])
        hup(a.process, a.log, "configuration not reloaded" if bad else "configuration reloaded")
        if turn % 5 == 3:
            wait_for(lambda: listens(more))
        time.sleep(rng.uniform(0, 0.3))
    assert "files" in [json.loads(x)["error"] for x in a.log.read_text().splitlines() if "not reloaded" in x][0]
    check(server, Counter(f"s{k}-{i}" for k in range(2) for i in range(7500)), stream="fwd")
    check(server, total)
    got = numbers(other, "fwd")
    assert not got or max(got.values()) == 1
    a.stop()
    b = balanced(a, total + 15000)
    assert [r["route"] for r in b["routes"]] == ["main"] and b["routes"][0]["sent"] == total + 15000, b


def test_server_reload_under_traffic(make_server, tmp_path):
    other = make_server("other")
    port, more = free_port(), free_port()
    head = f"inputs: ['forward://127.0.0.1:{port}?stream=fwd']\n"
    server, conf = configured(make_server, tmp_path, head)
    sender = Sender(port, "s", 2500)
    variants = [
        head + f"routes: [{{name: all, output: '{other.url}'}}]\n",
        head + f"routes: [{{name: all, output: '{other.url}', retry_max: 1s}}]\ntransforms: [level]\n",
        head + f"routes: [{{name: all, output: '{other.url}'}}]\npipelines: {{edge: {{inputs: "
               f"['forward://127.0.0.1:{more}?stream=edge'], routes: [{{output: 'store://'}}]}}}}\n",
    ]
    edge = 0
    for turn in range(9):
        conf.write_text(variants[turn % 3])
        hup(server.process, server.log)
        if turn % 3 == 2:
            with Client(more) as c:
                c.send(["app", [[1, {"message": f"e{edge} x"}]], {"chunk": str(edge)}])
                assert c.receive()
                edge += 1
        time.sleep(0.1)
    check(server, Counter(f"s{i}" for i in range(12500)), stream="fwd")
    check(server, Counter(f"e{i}" for i in range(edge)), stream="edge")
    wait_for(lambda: route(server, "all")["waiting"] == 0)
    b = books(server)
    r = b["pipelines"][0]["routes"][0]
    assert b["balanced"] and r["before"] + r["sent"] == b["taken"] == 12500 + edge, b
    got = numbers(other, "fwd") + numbers(other, "edge")
    assert max(got.values()) == 1 and sum(got.values()) == r["sent"]
    # A fault changes nothing, and is named with its place.
    conf.write_text(head + "routes: [{output: 'ftp://h'}]\n")
    hup(server.process, server.log, "configuration not reloaded")
    assert route(server, "all")["sent"] == r["sent"]
