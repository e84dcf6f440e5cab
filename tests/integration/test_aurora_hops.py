"""The collector's other hops: by the forward protocol into another Weir's streams, transforms before the outputs, and which
logs are taken at all."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import requests

from aurora import Collector, SlowLog, assert_same, stored, wait_for
from conftest import free_port
from inputs import port
from parts.rds import Fault, Rds

ERROR_LOG = """2025-08-03T15:30:45.123456Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.
2025-08-03T15:30:46.123456Z 7 [ERROR] [MY-012345] [InnoDB] Something is wrong.
"""
GENERAL_LOG = """2025-08-03T15:30:45.123456Z\t    8 Query\tSELECT 'general'
"""
AUDIT_LOG = """1754235045123456,db-1,app,10.0.0.1,42,7,QUERY,shop,'SELECT 1',0
"""


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def made(tmp_path, rds, make_server):
    """(log, collector, server): by the forward protocol; the server by its own."""
    collectors = []

    def build(url="{address}", input="forward://127.0.0.1:0?stream={tag}", env=None, args=()):
        server = make_server(args=["--input", input])
        rds.add("db-1", tmp_path / "db-1")
        log = SlowLog(tmp_path / "db-1", "one")
        folder = tmp_path / "db-1/error"
        folder.mkdir()
        (folder / "mysql-error-running.log").write_text(ERROR_LOG)
        c = Collector(tmp_path, rds, server, env={"BATCH_SIZE": "40", **(env or {})}, args=args)
        if url != "http":
            c.output = ["--output", "forward://" + url.format(address=f"127.0.0.1:{port(server, 'forward')}")]
        collectors.append(c)
        return log, c, server

    yield build
    for c in collectors:
        if c.process and c.process.poll() is None:
            c.kill()


def count(server, stream, q="*"):
    rows = server.query(f"{q} | stats count()", stream=stream)
    return rows[0]["count"] if rows else 0


def test_tags_become_streams(made):
    log, c, server = made()
    log.write(300)
    c.once()
    assert_same(server, log)
    assert count(server, "slow_search_logs") == 300 and count(server, "error_logs") == 2
    row = server.query("one-000007", stream="slow_search_logs")[0]
    assert row["instance"] == "db-1" and row["log_type"] == "slowquery" and row["query_time"] == 0.57
    assert row["_time"] == "2025-08-03T15:30:07.123456Z" and row["tag"] == "slow_search_logs"
    row = server.query("level:ERROR", stream="error_logs")[0]
    assert row["log_type"] == "error" and row["subsystem"] == "InnoDB"


@pytest.mark.parametrize("step", ["send", "commit"])
def test_chunks_come_once_though_they_are_sent_again(made, step):
    log, c, server = made()
    log.write(200)
    crashes = 0
    for n in (1, 2, 3):
        crashes += c.once(env={"WEIR_AURORA_CRASH": f"{step}:{n}"}, check=False) == -9
        log.write(60)
        if n == 2:
            log.rotate("2025-08-03.15")
            log.write(50)
    c.once()
    assert crashes == 3
    assert_same(server, log)
    assert count(server, "error_logs") == 2


def test_collector_and_server_are_killed(made, tmp_path):
    log, c, server = made(env={"BATCH_SIZE": "20"}, input=f"forward://127.0.0.1:{free_port()}?stream={{tag}}")
    dice = random.Random(os.environ.get("WEIR_SEED", "7"))
    for turn in range(5):
        c.start()
        for _ in range(4):
            log.write(dice.randrange(5, 60))
            time.sleep(dice.random() * 0.1)
        if turn % 2:
            server.kill()
            log.write(10)
            server.start()
        c.kill()
    c.once()
    assert_same(server, log)


def test_general_and_audit_logs_are_left_out_unless_asked_for(made, tmp_path, rds):
    log, c, server = made(url="http")
    for name, text in (("general/mysql-general.log", GENERAL_LOG), ("audit/audit.log.0.2025-08-03-15-30.0", AUDIT_LOG)):
        path = tmp_path / "db-1" / name
        path.parent.mkdir()
        path.write_text(text)
        os.utime(path, (time.time() - 300,) * 2)
    log.write(20)
    read = []
    rds.before_download = lambda instance, file, marker: read.append(file)
    c.once()
    assert not [f for f in read if "general" in f or "audit" in f]
    assert {r["log_type"] for s in ("slow_search_logs", "error_logs") for r in server.query("*", stream=s)} == {
        "slowquery", "error"}
    names = {s["name"] for s in requests.get(server.url + "/api/v1/streams", timeout=30).json()["streams"]}
    assert not names & {"general_logs", "audit_logs"}
    c.once("run", "--logs", "slow,error,general,audit")
    assert [r["log_type"] for r in server.query("*", stream="general_logs")] == ["general"]
    assert [r["log_type"] for r in server.query("*", stream="audit_logs")] == ["audit"]
    assert_same(server, log)


def test_the_four_files_of_an_audit_trail_are_one_again(made, tmp_path):
    """Aurora spreads the trail over four files, each of which grows and is followed by the next; the store has it in order."""
    _, c, server = made(url="http", args=["--logs", "audit"])
    folder, times = tmp_path / "db-1/audit", []
    folder.mkdir()
    c.start()
    for period in (0, 0, 30, 30, 30):
        for _ in range(150):
            t = 1754235045000000 + len(times) * 1001
            with open(folder / f"audit.log.{len(times) * 7 // 3 % 4}.2025-08-03-15-{period:02d}.0", "a") as f:
                f.write(f"{t},db-1,app,10.0.0.1,12,{t},QUERY,shop,'select \\'{t}\\'',0\n")
            times.append(t)
        time.sleep(0.3)
    c.stop()
    for path in folder.iterdir():
        os.utime(path, (time.time() - 300,) * 2)  # quiet: their last lines are whole
    c.once()
    rows = server.query("* | sort _time | fields query_id, log_file", stream="audit_logs")
    assert [r["query_id"] for r in rows] == times
    assert len({r["log_file"] for r in rows}) == 8


def test_transforms_before_the_outputs(made, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("transforms:\n  - keep: 'log_type:error OR query_time:>0.55'\n  - set: {team: shop}\n")
    log, c, server = made(url="http", args=["--transforms", str(rules)])
    log.write(200)
    c.once(env={"WEIR_AURORA_CRASH": "commit:2"}, check=False)
    c.once()
    assert count(server, "slow_search_logs") == 80 and count(server, "slow_search_logs", "query_time:<=0.55") == 0
    assert count(server, "slow_search_logs", "team:shop") == 80 and count(server, "error_logs", "team:shop") == 2
    assert set(stored(server, "one").values()) == {1}
    assert c.json("lag") == [] or c.json("lag")[0]["behind_bytes"] == 0
    rules.write_text("transforms:\n  - kep: 'x'\n")
    assert c.once(check=False) == 2
    assert re.search(r"rules.yaml:2:\d+: .*keep", c.log.read_text())


def own_lines(server):
    """What the collector said, as the server has it by OTLP: (severity, event)."""
    rows = server.query('resource.service.name:="weir-aurora" | limit 10000', stream="otlp")
    return [(r["severity_text"], r["body"]) for r in rows]


def test_own_log_lines_by_otlp_through_a_collector(made, make_server, tmp_path, rds):
    """rotel, an OpenTelemetry collector, takes them and hands them to a Weir; the words are those of the runbooks."""
    rotel = next(pathlib.Path(sys.prefix).glob("lib/python*/site-packages/rotel/rotel-agent"))
    logs, grpc, web = make_server("logs"), free_port(), free_port()
    with open(tmp_path / "rotel.log", "wb") as out:
        peer = subprocess.Popen(
            [str(rotel), "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{web}",
             "--exporter", "otlp", "--otlp-exporter-endpoint", logs.url, "--otlp-exporter-protocol", "http"],
            stdout=out, stderr=out)
    try:
        log, c, server = made(url="http", args=["--log-output", f"otlp://127.0.0.1:{web}", "--log-level", "debug"])
        log.write(5)
        rds.faults.append(Fault("DownloadDBLogFilePortion", "500", times=4))
        c.start(env={"CIRCUIT_BREAKER_MAX_FAILURES": "3", "CIRCUIT_BREAKER_TIMEOUT_SEC": "1", "AWS_MAX_ATTEMPTS": "1"})
        wait_for(lambda: len(stored(server, "one")) == 5, 60, "the recovery")
        c.stop()
        said = [e for e in map(json.loads, c.log.read_text().splitlines()) if e["event"] != "stopping"]
        wait_for(lambda: len(own_lines(logs)) >= len(said), 60, "the lines")
    finally:
        peer.send_signal(signal.SIGTERM)
        peer.wait(20)
    got = own_lines(logs)
    for word, level in (("circuit breaker is open", "ERROR"), ("checkpoint", "DEBUG"), ("discovery round", "INFO")):
        assert (level, word) in got, (word, got)
    row = logs.query('body:="circuit breaker is open"', stream="otlp")[0]
    assert row["severity_number"] == 17 and row["attributes"]["breaker"]
    assert sorted(got) == sorted([(e["level"], e["event"]) for e in said] + [("INFO", "stopping")])


def test_own_log_lines_wait_for_their_output(made, make_server):
    logs = make_server("logs")
    log, c, server = made(url="http", args=["--log-output", logs.url.replace("http:", "otlp:")])
    logs.stop()
    log.write(20)
    c.start()
    wait_for(lambda: c.events("lines of the own log wait"), 60, "the wait")
    wait_for(lambda: len(stored(server, "one")) == 20)
    logs.start()
    wait_for(lambda: ("INFO", "discovery round") in own_lines(logs), 60, "the lines")
    logs.stop()
    began = time.monotonic()
    c.stop()
    assert time.monotonic() - began < 20
    assert c.once("run", "--log-output", "nonsense://x", check=False) == 2


def test_a_server_collects_by_itself(made, tmp_path, rds, make_server):
    """All in one process: weir server --input aurora://, killed while logs grow and rotate; orders reach it by the state. A
    second one beside it has books and gauges of its own."""
    rds.add("db-1", tmp_path / "db-1")
    rds.add("other-1", tmp_path / "other-1")
    SlowLog(tmp_path / "other-1", "two").write(5)
    log = SlowLog(tmp_path / "db-1", "one")
    state = f"sqlite:{tmp_path}/state.db"
    server = make_server(name="own", env=rds.env(RDS_API_RATE_LIMIT="1000", WEIR_AURORA_LEASE_SEC="2", BATCH_SIZE="40"),
                         args=["--input", f"aurora://?state={state}&poll=200ms&logs=slow,error&name=db-*",
                               "--input", f"aurora://?state=sqlite:{tmp_path}/other.db&poll=200ms&name=other-*"])
    for turn in range(4):
        log.write(100)
        if turn % 2:
            log.rotate(f"2025-08-03.{turn:02d}")
            log.write(30)
        wait_for(lambda: len(stored(server, "one")) > len(log.written) - 120, 60)
        server.kill()
        server.start()
    wait_for(lambda: len(stored(server, "one")) == len(log.written), 60, "the rest")
    assert_same(server, log)
    text = requests.get(server.url + "/metrics", timeout=30).text
    for gauge in ("weir_aurora_waiting_files", "weir_aurora_lag_seconds", "weir_aurora_last_round_age_seconds", "weir_input_accepted"):
        labels = re.findall(rf'^{gauge}{{input="([^"]*)"', text, re.M)
        assert sum("name=db-*" in x for x in labels) == 1 and sum("name=other-*" in x for x in labels) == 1, labels
    tools = Collector(tmp_path, rds, None, state=state)
    wait_for(lambda: tools.json("status")["files"].keys() == {"completed"}, 60)
    tools.weir("stop")
    wait_for(lambda: "stopped by" in requests.get(server.url + "/api/v1/stats", timeout=30).text, 60, "the order")
    log.write(10)
    tools.weir("resume", "--ramp", "1s")
    wait_for(lambda: len(stored(server, "one")) == len(log.written), 60, "what came after the order to go on")
    assert "stopped by" not in requests.get(server.url + "/api/v1/stats", timeout=30).text
    tools.weir("stop")
    wait_for(lambda: "stopped by" in requests.get(server.url + "/api/v1/stats", timeout=30).text, 60, "the second order")
    log.write(10)
    server.stop()
    server.start()
    wait_for(lambda: len(stored(server, "one")) == len(log.written), 60, "what came after the order")
    assert_same(server, log)
    assert len(stored(server, "two")) == 5

    def shown():
        inputs = requests.get(server.url + "/api/v1/stats", timeout=30).json()["inputs"]
        return [i for i in inputs if i["type"] == "aurora" and "name=db-" in i["address"]]

    wait_for(lambda: [i["accepted"] for i in shown()] == [10], 60, "the input's books")
    assert shown()[0]["bytes"] > 0
