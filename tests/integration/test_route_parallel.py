"""Routes that send several bulks at a time: in any order, and the route's place moves only over what has nothing
unsettled before it; a breaker that holds all of them."""
import json
import threading
import time
from collections import Counter

import pytest
import requests

from conftest import free_port
from test_agent import make_agent, wait_for, write  # noqa: F401 (a fixture)
from test_agent_inputs import balanced, ledger, listens
from test_output_peers import Peer, http_peer  # noqa: F401 (a fixture)


class Endpoint:
    """Takes NDJSON; holds what `hold` says until it is let go of, refuses what `busy` says with 503."""

    def __init__(self, peer):
        self.got, self.at_once, self.most, self.tries = [], 0, 0, 0
        self.lock, self.go = threading.Lock(), threading.Event()
        self.hold = self.busy = lambda numbers: False
        self.url = f"http+ndjson://127.0.0.1:{peer.server_port}/in"
        peer.answer = self.answer

    def answer(self, request, body):
        numbers = [json.loads(line)["message"].split()[0] for line in body.splitlines()]
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.tries += 1
        try:
            if self.busy(numbers):
                return 503, b"busy"
            if self.hold(numbers):
                self.go.wait(60)
            time.sleep(0.02)
            with self.lock:
                self.got += numbers
            return 200, b""
        finally:
            with self.lock:
                self.at_once -= 1


@pytest.fixture
def endpoint(http_peer):  # noqa: F811
    return Endpoint(http_peer)


def start(make_agent, tmp_path, endpoint, **more):  # noqa: F811
    port = free_port()
    route = {"name": "r", "output": endpoint.url, "records": 10, "wait": "100ms", "retry_max": "500ms", **more}
    conf = tmp_path / "agent.yaml"
    conf.write_text(json.dumps({"files": [str(tmp_path / "app.log")], "listen": f"127.0.0.1:{port}", "routes": [route]}))
    agent = make_agent("agent", "--config", str(conf), output=[]).start()
    agent.url = f"http://127.0.0.1:{port}"
    return agent


def books(agent):
    """Of a running agent; waits until it listens."""
    wait_for(lambda: listens(int(agent.url.rsplit(":", 1)[1])))
    return requests.get(agent.url + "/api/v1/ledger", timeout=30).json()["pipelines"][0]


def bodies(tmp_path, agent, n, each=10):
    """So many bodies of the spool, and so bulks: the agent has taken each one's lines before the next come."""
    before = books(agent)["taken"]
    for i in range(n):
        write(tmp_path / "app.log", i * each, each)
        wait_for(lambda: books(agent)["taken"] == before + (i + 1) * each)


def route(agent):
    return books(agent)["routes"][0]


def gauge(agent):
    text = requests.get(agent.url + "/metrics", timeout=30).text
    return next(float(x.split()[1]) for x in text.splitlines() if x.startswith("weir_route_breaker{"))


@pytest.mark.parametrize("parallel", [1, 4])
def test_so_many_at_a_time(make_agent, tmp_path, endpoint, parallel):  # noqa: F811
    endpoint.hold = lambda numbers: not endpoint.go.is_set()
    agent = start(make_agent, tmp_path, endpoint, parallel=parallel)
    bodies(tmp_path, agent, 20)
    wait_for(lambda: endpoint.most == parallel)
    wait_for(lambda: route(agent)["under_way"] == parallel)
    endpoint.go.set()
    wait_for(lambda: len(endpoint.got) == 200 and route(agent)["waiting"] == 0)
    assert endpoint.most == parallel and balanced(agent)
    want = [f"n{i}" for i in range(200)]
    assert endpoint.got == want if parallel == 1 else Counter(endpoint.got) == Counter(want)


def test_only_over_what_is_done(make_agent, tmp_path, endpoint):  # noqa: F811
    """The first bulk hangs while others are taken: none of them counts, and a crash brings all of them again."""
    endpoint.hold = lambda numbers: "n0" in numbers and not endpoint.go.is_set()
    agent = start(make_agent, tmp_path, endpoint, parallel=4)
    bodies(tmp_path, agent, 10)
    wait_for(lambda: endpoint.tries == 4 and endpoint.at_once == 1)  # three beside it; a fourth waits for the first
    wait_for(lambda: route(agent)["waiting"] == 100)
    assert route(agent)["sent"] == 0 and route(agent)["under_way"] == 4
    agent.kill()
    endpoint.go.set()
    agent.start()
    wait_for(lambda: set(endpoint.got) == {f"n{i}" for i in range(100)} and route(agent)["waiting"] == 0)
    assert route(agent)["sent"] == 100 and balanced(agent)
    assert max(Counter(endpoint.got).values()) <= 3


def test_a_stop_in_the_middle(make_agent, tmp_path, endpoint):  # noqa: F811
    """What was settled before a stop stays so; the rest is sent by the next start."""
    endpoint.busy = lambda numbers: "n50" in numbers and not endpoint.go.is_set()
    agent = start(make_agent, tmp_path, endpoint, parallel=3)
    bodies(tmp_path, agent, 10)
    wait_for(lambda: route(agent)["retries"] > 1)
    agent.stop()
    sent = ledger(agent)["routes"][0]["sent"]
    assert 0 < sent <= 50
    endpoint.go.set()
    agent.start()
    wait_for(lambda: route(agent)["waiting"] == 0)
    got = Counter(endpoint.got)
    assert set(got) == {f"n{i}" for i in range(100)} and all(got[f"n{i}"] == 1 for i in range(sent))
    assert route(agent)["sent"] == 100 and balanced(agent)


def test_breaker(make_agent, tmp_path, endpoint):  # noqa: F811
    """A peer that is away is asked by one bulk at a time, with pauses, and everybody can see it."""
    endpoint.busy = lambda numbers: not endpoint.go.is_set()
    agent = start(make_agent, tmp_path, endpoint, parallel=4, retry_min="200ms")
    bodies(tmp_path, agent, 10)
    wait_for(lambda: route(agent)["retries"] >= 6)
    r = route(agent)
    assert r["failing"] and r["breaker"] in ("open", "trying") and "503" in r["last_error"], r
    assert gauge(agent) in (1, 2)
    most, endpoint.most = endpoint.most, 0
    tries = endpoint.tries
    wait_for(lambda: endpoint.tries >= tries + 3)
    assert endpoint.most == 1 and most <= 4
    endpoint.go.set()
    wait_for(lambda: route(agent)["waiting"] == 0)
    assert Counter(endpoint.got) == Counter(f"n{i}" for i in range(100))
    assert route(agent)["breaker"] == "closed" and gauge(agent) == 0 and balanced(agent)


def test_refused_beside_taken(make_agent, tmp_path, http_peer):  # noqa: F811
    """Bulks are refused in the middle of others: each letter once, with its own record."""
    got = []

    def answer(request, body):
        numbers = [json.loads(line)["message"].split()[0] for line in body.splitlines()]
        if any(n.endswith("7") for n in numbers):
            return 400, b"no sevens"
        got.extend(numbers)
        return 200, b""

    endpoint = Endpoint(http_peer)
    http_peer.answer = answer
    agent = start(make_agent, tmp_path, endpoint, parallel=4)
    bodies(tmp_path, agent, 10)
    wait_for(lambda: route(agent)["dead"] == 10)
    assert Counter(got) == Counter(f"n{i}" for i in range(100) if i % 10 != 7)
    dead = [json.loads(x) for x in (tmp_path / "agent" / "dead" / "r.ndjson").read_text().splitlines()]
    assert sorted(d["record"]["message"].split()[0] for d in dead) == sorted(f"n{i}" for i in range(7, 100, 10))
    assert route(agent)["sent"] == 90 and balanced(agent)


def test_wrong_settings(weir, tmp_path):
    for output, parallel, says in (("file:///tmp/x", 2, "file:// sends one bulk at a time, in order"),
                                   ("http://h:1", 2, "http:// sends one bulk at a time"),
                                   ("kafka://h:1/t?format=frames", 2, "kafka:// with these parameters sends one bulk"),
                                   ("opensearch://h:1/x", 33, "from 1 to 32")):
        conf = tmp_path / "c.yaml"
        conf.write_text(json.dumps({"files": ["/x"], "routes": [{"output": output, "parallel": parallel}]}))
        r = weir("config", "check", str(conf), check=False)
        assert r.returncode != 0 and says in r.stderr.decode(), r.stderr
