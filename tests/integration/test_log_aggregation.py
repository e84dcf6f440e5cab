"""examples/log-aggregation with a real broker: every failure of its table is played, and every line counted at the end."""
import base64
import json
import os
import pathlib
import random
import subprocess
import time
from collections import Counter

import pytest
import requests
import yaml

from conftest import ROOT, WEIR, free_port
from test_agent import wait_for

EXAMPLE = ROOT / "examples" / "log-aggregation"
PLAIN = "2025-02-15 12:00:00.123 ERROR [payment-service] Payment failed: timeout connecting to stripe req_id=abc123 " \
        "latency=5000ms"
TWIN = '{"timestamp":"2025-02-15T12:00:00.123Z","level":"ERROR","service":"payment-service",' \
       '"message":"Payment failed: timeout connecting to stripe","metadata":{"request_id":"abc123","latency_ms":5000}}'


class Example:
    def __init__(self, folder, kafka, **settings):
        self.run, self.store = folder / "run", f"127.0.0.1:{free_port()}"
        self.env = dict(os.environ, WEIR=str(WEIR), RUN=str(self.run), KAFKA=kafka.address, STORE=self.store, **settings)

    def __call__(self, script, *args, **env):
        r = subprocess.run([EXAMPLE / script, *map(str, args)], env=dict(self.env, **env), timeout=120,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert r.returncode == 0, (script, args, r.stdout[-3000:], r.stderr[-3000:])
        return r.stdout

    def rows(self, q):
        r = requests.post(f"http://{self.store}/api/v1/logs/query", params={"q": q}, timeout=60)
        r.raise_for_status()
        return [json.loads(x) for x in r.content.split(b"\n") if x]

    def seen(self):
        try:
            return Counter(r["metadata"]["request_id"] for r in self.rows("* | fields metadata") if "metadata" in r)
        except requests.RequestException:
            return Counter()


@pytest.fixture
def example(make_kafka, tmp_path):
    kafka = make_kafka()
    e = Example(tmp_path, kafka, HOSTS="host-1 host-2", SPOOL="16MiB")
    e.kafka = kafka
    e("start")
    yield e
    e("stop")
    for log in e.run.glob("*.out"):
        text = log.read_text(errors="replace")
        assert "check failed" not in text and "Sanitizer" not in text, (log, text[-3000:])


def test_every_line_arrives(example):
    want = Counter()
    made = 0

    def produce(count):
        nonlocal made
        example("produce", count, made)
        for host in ("host-1", "host-2"):
            want.update(f"{host}-{kind}{i}" for kind in "po" for i in range(made, made + count))
        made += count

    produce(200)
    wait_for(lambda: example.seen() == want, what="the first lines")
    # The plain line and its structured twin become the same record.
    for line in (PLAIN, TWIN):
        with open(example.run / "host-1" / "log" / "payment-service" / "app.log", "a") as f:
            f.write(line + "\n")
    want["abc123"] += 2
    wait_for(lambda: example.seen() == want, what="the line and its twin")
    both = example.rows('metadata.request_id:abc123 | fields _time, level, service, host, message, metadata')
    assert both[0] == both[1] == {
        "_time": "2025-02-15T12:00:00.123Z", "level": "ERROR", "service": "payment-service", "host": "host-1",
        "message": "Payment failed: timeout connecting to stripe", "metadata": {"request_id": "abc123", "latency_ms": 5000}}
    # Agent crash, with lines that come while it is away.
    example("stop", "host-1", KILL="1")
    produce(100)
    example("start", "host-1")
    # Processor stop, and a crash of it in the middle.
    example("stop", "processor")
    produce(100)
    example("start", "processor")
    time.sleep(0.5)
    example("stop", "processor", KILL="1")
    example("start", "processor")
    # Broker stop: the spool overflows on one host.
    example.kafka.stop()
    produce(100)
    noise, big = random.Random(9), []
    with open(example.run / "host-2" / "log" / "payment-service" / "app.log", "a") as f:
        for i in range(600):
            text = base64.b64encode(noise.randbytes(40_000)).decode()
            f.write(f'{{"message":"big {text}","metadata":{{"request_id":"big-{i}","latency_ms":1}}}}\n')
            big.append(f"big-{i}")
    want.update(big)

    def blocked():
        text = (example.run / "host-2.out").read_text(errors="replace")
        return "the reading of files stands" in text

    wait_for(blocked, 60, "a full spool")
    example.kafka.start()
    # Ten times as many lines at once, and the store away for a while.
    produce(2000)
    example("stop", "store")
    time.sleep(1)
    example("start", "store")
    wait_for(lambda: sum(example.seen().values()) >= sum(want.values()), 120, "every line")
    got = example.seen()
    assert not want - got, sorted(want - got)[:5]
    assert not got - want, sorted(got - want)[:5]
    for host in ("host-1", "host-2"):
        subprocess.run([WEIR, "ledger", "--data", example.run / host / "agent"], check=True, stdout=subprocess.DEVNULL)
    assert "the books balance" in example("status")


def test_settings(tmp_path):
    """What the environment names goes before what the last start remembers; a relative path holds from anywhere."""
    env = {k: v for k, v in os.environ.items() if k not in ("SPOOL", "WEIR")}
    env.update(RUN=str(tmp_path / "run"), KAFKA="127.0.0.1:1")

    def start(cwd=tmp_path, **more):
        for script in ("start", "stop"):
            subprocess.run([EXAMPLE / script, "host-1"], env=dict(env, **more), cwd=cwd, timeout=60, check=True)
        assert "not found" not in (tmp_path / "run/host-1.out").read_text()
        return yaml.safe_load((tmp_path / "run/host-1.yaml").read_text())["spool"]

    weir = pathlib.Path(WEIR).resolve()
    assert start(cwd=weir.parent, WEIR=f"./{weir.name}", SPOOL="16MiB") == "16MiB"
    assert start() == "16MiB"
    assert start(SPOOL="17MiB") == "17MiB"
    assert start() == "17MiB"
