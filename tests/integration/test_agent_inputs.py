"""weir agent with inputs other than files: what a sender was told is there arrives once, and the books balance."""
import base64
import json
import random
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest
import requests

from conftest import WEIR, free_port
from test_agent import check, make_agent, numbers, wait_for, write  # noqa: F401
from test_forward import Client


def ledger(agent):
    r = subprocess.run([WEIR, "ledger", "--json", "--data", str(agent.data)], capture_output=True, text=True)
    assert r.stdout, r.stderr
    return json.loads(r.stdout)


def balanced(agent, read=None):
    books = ledger(agent)
    assert books["balanced"], books
    if read is not None:
        assert books["read"] == read, books
    return books


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Sender(threading.Thread):
    """Sends chunks of numbered records by the forward protocol and repeats each until it is acknowledged."""

    def __init__(self, port, prefix, chunks, each=5):
        super().__init__(daemon=True)
        self.port, self.prefix, self.chunks, self.each = port, prefix, chunks, each
        self.client, self.repeats = None, 0
        self.start()

    def run(self):
        for c in range(self.chunks):
            chunk = base64.b64encode(f"{self.prefix}-{c}".encode()).decode()
            entries = [[1739620800 + c, {"message": f"{self.prefix}{c * self.each + i} text"}] for i in range(self.each)]
            while not self.try_chunk(["app", entries, {"chunk": chunk}], chunk):
                self.repeats += 1
                self.client = None
                time.sleep(0.02)

    def try_chunk(self, message, chunk):
        try:
            if not self.client:
                self.client = Client(self.port)
                own, peer = self.client.socket.getsockname(), self.client.socket.getpeername()
                if own == peer:  # while nobody listens a socket may find itself
                    self.client.socket.close()
                    return False
            self.client.send(message)
            return (self.client.receive() or {}).get("ack") == chunk
        except OSError:
            return False


def test_inputs_of_an_agent(server, make_agent, tmp_path):  # noqa: F811
    forward, syslog = free_port(), free_port()
    write(tmp_path / "app.log", 0, 10)
    a = make_agent("agent", "--input", f"forward://127.0.0.1:{forward}?stream=fwd", "--input",
                   f"syslog+tcp://127.0.0.1:{syslog}?stream=sys", "--file", str(tmp_path / "app.log"),
                   output=server.url).start()
    wait_for(lambda: len(numbers(server)) == 10)
    s = Sender(forward, "f", 20)
    with socket.create_connection(("127.0.0.1", syslog)) as c:
        c.sendall(b"".join(f"<14>1 2025-02-15T12:00:00Z h app - - - s{i} text\n".encode() for i in range(50)))
    s.join(20)
    check(server, Counter(f"f{i}" for i in range(100)), stream="fwd")
    check(server, Counter(f"s{i}" for i in range(50)), stream="sys")
    assert a.stop() == 0
    books = balanced(a, 160)
    assert sorted(books["sources"], key=lambda s: s["source"]) == [
        {"source": "files", "in": 10, "refused": 0, "dropped": 0},
        {"source": f"forward://127.0.0.1:{forward}", "in": 100, "refused": 0, "dropped": 0},
        {"source": f"syslog+tcp://127.0.0.1:{syslog}", "in": 50, "refused": 0, "dropped": 0}], books
    assert books["routes"][0]["sent"] == 160
    status = subprocess.run([WEIR, "agent", "status", "--data", str(a.data)], capture_output=True, text=True, check=True)
    assert "\n160 records read, 0 dropped" in status.stdout, status.stdout


def test_transforms_before_the_spool(server, make_agent, tmp_path):  # noqa: F811
    port = free_port()
    conf = tmp_path / "agent.yaml"
    conf.write_text(f"""
inputs: ['forward://127.0.0.1:{port}']
transforms:
  - drop: 'n:>=10'
  - redact: [emails]
routes:
  - output: {server.url}
""")
    a = make_agent("agent", "--config", str(conf), output=[]).start()
    wait_for(lambda: listens(port))
    with Client(port) as c:
        c.send(["app", [[1, {"n": i, "message": f"n{i} a@b.example"}] for i in range(25)], {"chunk": "x"}])
        assert c.receive() == {"ack": "x"}
        c.send(["app", [[1, {"n": 99, "message": "gone"}]], {"chunk": "y"}])
        assert c.receive() == {"ack": "y"}
    check(server, 10, stream="forward")
    assert {r["message"].split()[1] for r in server.query("*", stream="forward")} == {"***"}
    a.stop()
    books = balanced(a, 26)
    assert books["dropped"] == 16


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_agent_and_server(server, make_agent, tmp_path, seed):  # noqa: F811
    rng = random.Random(seed)
    port = free_port()
    a = make_agent("agent", "--input", f"forward://127.0.0.1:{port}?stream=fwd", "--file", str(tmp_path / "app.log"),
                   "--log-level", "error", output=server.url).start()
    senders = [Sender(port, f"s{k}-", 800) for k in range(3)]
    lines = turns = 0
    while any(s.is_alive() for s in senders):
        write(tmp_path / "app.log", lines, 40)
        lines += 40
        time.sleep(rng.uniform(0.05, 0.4))
        turns += 1
        which = rng.random() if turns < 25 else 1  # a slow build would never get anywhere
        if which < 0.6:
            a.kill()
            assert balanced(a)
            a.start()
        elif which < 0.75:
            server.kill()
            time.sleep(rng.uniform(0, 0.3))
            server.start()
    check(server, Counter(f"s{k}-{i}" for k in range(3) for i in range(4000)), stream="fwd")
    check(server, lines)
    assert sum(s.repeats for s in senders) > 0
    a.stop()
    books = balanced(a, 3 * 4000 + lines)
    assert books["routes"][0]["sent"] == 3 * 4000 + lines


def test_a_full_spool_holds_senders_back(server, make_agent, tmp_path):  # noqa: F811
    port = free_port()
    a = make_agent("agent", "--input", f"forward://127.0.0.1:{port}?stream=fwd", "--spool", "16MiB", "--log-level",
                   "error", output=server.url)
    server.stop()
    a.start()
    wait_for(lambda: listens(port))
    acknowledged = []
    noise = random.Random(7)

    def send():
        with Client(port) as c:
            c.socket.settimeout(60)
            for i in range(400):
                text = base64.b64encode(noise.randbytes(100_000)).decode()
                c.send(["app", [[1, {"message": f"n{i} {text}"}]], {"chunk": str(i)}])
                if not c.receive():
                    return
                acknowledged.append(i)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    last, deadline = -1, time.monotonic() + 60
    while (last != len(acknowledged) or last <= 50) and time.monotonic() < deadline:
        last = len(acknowledged)
        time.sleep(1.5)
    assert 50 < last < 300  # of 53 MB about 16 fit
    server.start()
    sender.join(60)
    assert len(acknowledged) == 400
    check(server, 400, stream="fwd")
    a.stop()
    balanced(a, 400)


def test_agents_in_a_row(server, make_agent, tmp_path):  # noqa: F811
    """An agent that takes what another sends: once, whichever is killed."""
    port = free_port()
    write(tmp_path / "app.log", 0, 2000)
    relay = make_agent("relay", "--listen", f"127.0.0.1:{port}", output=server.url).start()
    edge = make_agent("edge", "--file", str(tmp_path / "app.log"), output=f"http://127.0.0.1:{port}").start()
    for k in range(6):
        write(tmp_path / "app.log", 2000 + 500 * k, 500)
        time.sleep(0.2)
        (relay, edge)[k % 2].kill()
        (relay, edge)[k % 2].start()
    check(server, 5000)
    edge.stop()
    relay.stop()
    assert balanced(edge, 5000) and balanced(relay, 5000)


def test_http_of_an_agent(server, make_agent, tmp_path):  # noqa: F811
    port = free_port()
    a = make_agent("agent", "--listen", f"127.0.0.1:{port}", output=server.url).start()
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: requests.get(url + "/healthz").ok)
    assert requests.post(url + "/api/v1/logs/ingest?stream=h", data="n0 text\nn1 text\n").status_code == 202
    loki = {"streams": [{"stream": {"app": "x"}, "values": [["1739620800000000000", "n2 loki"]]}]}
    assert requests.post(url + "/loki/api/v1/push?stream=h", json=loki).status_code == 204
    r = requests.post(url + "/api/v1/logs/ingest?stream=h", data='{"message":"n3 good"}\n{"bad\n',
                      headers={"Content-Type": "application/x-ndjson"})
    assert r.status_code == 202 and r.json()["rejected"] == 1
    wait_for(lambda: len(server.query("*", stream="h")) == 4)
    assert len(server.query("*", stream="_dead_letters")) == 1
    assert 'weir_route_records_total{route=' in requests.get(url + "/metrics").text
    books = requests.get(url + "/api/v1/ledger").json()
    assert books["pipelines"][0]["taken"] == 5 and books["balanced"] is True, books
    assert requests.get(url + "/api/v1/logs/search").status_code == 404
    a.stop()
    balanced(a, 5)
