"""The runbooks' steps as commands: each does what it says, and doubles nothing."""
import contextlib
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import time

import pytest
import requests

from aurora import Collector, SlowLog, assert_same, stored, wait_for
from conftest import WEIR
from parts.rds import Fault, Rds


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def made(tmp_path, rds, make_server):
    server = make_server()
    rds.add("db-1", tmp_path / "db-1")
    log = SlowLog(tmp_path / "db-1", "one")
    c = Collector(tmp_path, rds, server)
    yield log, c, server
    if c.process and c.process.poll() is None:
        c.kill()


NAME = "slowquery/mysql-slowquery.log"


def test_status_lag_files_and_checkpoints(made):
    log, c, server = made
    log.write(50)
    c.once("discover")
    assert c.json("status")["files"] == {"discovered": 1}
    lag = c.json("lag")[0]
    assert lag["instance"] == "db-1" and lag["behind_bytes"] == log.path.stat().st_size
    c.once("process")
    s = c.json("status")
    assert s["files"] == {"completed": 1} and s["behind_bytes"] == 0 and s["checkpoints"] == 1
    assert [f["status"] for f in c.json("files", "list")] == ["completed"]
    assert c.json("checkpoint", "show", "db-1", NAME)["byte_offset"] == log.path.stat().st_size
    assert "db-1" in c.weir("checkpoint", "list").stdout
    for verb in ("files", "reset"), ("checkpoint", "resume"):
        c.weir(*verb, "db-1", NAME)
        assert c.json("files", "list", "--status", "discovered")[0]["log_file_name"] == NAME
        c.once("process")
        assert_same(server, log)
    c.weir("files", "reset", "db-1", NAME, "--from-start")
    c.once("process")
    assert set(stored(server, "one").values()) == {2}  # that is what was asked for
    assert c.weir("files", "reset", "db-1", "no/such.log", check=False).returncode == 1
    assert c.json("checkpoint", "cleanup", "--older-than", "7d") == {"removed": 0}
    time.sleep(1.1)
    assert c.json("checkpoint", "cleanup", "--older-than", "1s") == {"removed": 1}


def test_discovery_chooses_and_pages(tmp_path):
    """By engine, tag and name, from lists that come in pages."""
    with Rds(page=2) as rds:
        for i in range(9):
            rds.add(f"{'shop' if i % 3 else 'crm'}-{i}", tmp_path / f"db-{i}", engine=("aurora-mysql", "mysql", "postgres")[i % 3],
                    tags={"team": "red" if i < 5 else "blue"})
            log = SlowLog(tmp_path / f"db-{i}", "x")
            for hour in range(3):
                log.write(2)
                log.rotate(f"2025-08-03.{hour:02d}")
            log.write(2)

        def found(*args):
            c = Collector(tmp_path, rds, None, name="f", state=f"sqlite:{tmp_path}/{len(list(tmp_path.iterdir()))}.db", args=args)
            c.once("discover")
            files = c.json("files", "list")
            names = sorted({f["instance_id"] for f in files})
            assert len(files) == 4 * len(names)
            return names

        assert found() == ["crm-0", "crm-3", "crm-6", "shop-1", "shop-4", "shop-7"]
        assert rds.calls["DescribeDBInstances"] == 5 and rds.calls["DescribeDBLogFiles"] == 12
        assert found("--engine", "mysql") == ["shop-1", "shop-4", "shop-7"]
        assert found("--tag", "team=blue") == ["crm-6", "shop-7"]
        assert found("--name", "crm-*", "--tag", "team=red") == ["crm-0", "crm-3"]


@pytest.mark.parametrize("name", ["MAX_CONCURRENCY", "BATCH_SIZE", "DISCOVERY_BATCH_SIZE", "RDS_API_RATE_LIMIT",
                                  "CIRCUIT_BREAKER_MAX_FAILURES", "CIRCUIT_BREAKER_TIMEOUT_SEC"])
def test_settings_by_either_name(tmp_path, rds, name):
    """As the runbooks spell them and with WEIR_ before, which goes first; what is wrong is told by its name."""
    c = Collector(tmp_path, rds, None)
    assert c.once("discover", env={name: "7"}) == 0
    assert c.once("discover", env={name: "none", f"WEIR_{name}": "7"}) == 0
    for env in {name: "none"}, {f"WEIR_{name}": "none", name: "7"}:
        assert c.once("discover", env=env, check=False) == 2
    assert c.log.read_text().count(f"{name}=none: a number from") == 2


def test_stuck_files_are_set_back(made):
    log, c, server = made
    log.write(5)
    c.once("discover")
    c.once("process", env={"WEIR_AURORA_CRASH": "announce:1"}, check=False)
    assert c.json("status")["files"] == {"processing": 1}
    assert c.json("files", "reset-stuck", "--older-than", "1h") == {"reset": 0}
    time.sleep(1.1)
    assert c.json("files", "reset-stuck", "--older-than", "1s") == {"reset": 1}
    assert c.json("status")["files"] == {"discovered": 1}
    c.once("process")
    assert_same(server, log)


def test_stop_and_resume_with_a_ramp(made):
    log, c, server = made
    log.write(5)
    c.start(env={"MAX_CONCURRENCY": "8"})
    wait_for(lambda: len(stored(server, "one")) == 5)
    assert c.json("status")["processes"][0]["state"] == "running"
    assert c.weir("files", "reset", "db-1", NAME).returncode == 0  # idle: it may
    c.weir("resume", "--ramp", "1h")
    status = f"http://127.0.0.1:{c.port}/status"
    wait_for(lambda: requests.get(status, timeout=30).json()["workers"] == 1, 60, "one worker")
    log.write(5)
    wait_for(lambda: len(stored(server, "one")) == 10)
    c.weir("resume", "--ramp", "1s")
    wait_for(lambda: requests.get(status, timeout=30).json()["workers"] == 8, 60, "all workers")
    assert "1 process runs now" in c.weir("stop").stdout
    assert c.process.wait(20) == 0
    (ended,) = c.json("status")["processes"]
    assert ended["state"] == "stopped" and ended["records"] == 10
    assert_same(server, log)
    time.sleep(1.1)  # an order is of its second
    c.start()  # started later: it runs
    log.write(1)
    wait_for(lambda: len(stored(server, "one")) == 11)
    c.stop()
    assert "0 processes run now" in c.weir("stop").stdout


def test_breakers_are_shown_and_reset(made, rds):
    log, c, server = made
    log.write(5)
    fault = Fault("DownloadDBLogFilePortion", "500", times=10**6)
    rds.faults.append(fault)
    c.start(env={"CIRCUIT_BREAKER_MAX_FAILURES": "2", "CIRCUIT_BREAKER_TIMEOUT_SEC": "3600", "AWS_MAX_ATTEMPTS": "1"})
    wait_for(lambda: any(b["state"] == "open" for b in c.json("breaker", "show")), 60, "an open breaker")
    text = c.log.read_text()  # the runbooks grep these words
    assert "circuit breaker is open" in text and re.search("ERROR|WARN", text) and "checkpoint" not in text
    fault.times = 0
    c.weir("breaker", "reset")
    wait_for(lambda: len(stored(server, "one")) == 5, 60, "the lines")
    c.stop()
    assert "checkpoint" in c.log.read_text()


def test_monitor_goes_on_until_it_is_interrupted(made):
    log, c, _ = made
    log.write(5)
    c.once("discover")
    terminal, theirs = pty.openpty()
    p = subprocess.Popen([WEIR, "aurora", "monitor", "--every", "1s", "--state", c.state], stdout=theirs, env=c.env)
    os.close(theirs)
    shown = b""

    def screen(words):
        """Whether a screen, from one wiping to the next, shows them."""
        nonlocal shown
        while select.select([terminal], [], [], 0)[0]:
            shown += os.read(terminal, 65536)
        return any(all(w in s for w in words) for s in shown.split(b"\033[H\033[2J")[1:-1])

    wait_for(lambda: screen([b"discovered"]))
    c.once("process")
    wait_for(lambda: screen([b"completed"]))
    p.send_signal(signal.SIGTERM)  # SIGINT may be ignored, where the tests run in the background
    assert p.wait(10) == -signal.SIGTERM
    os.close(terminal)
    r = c.weir("monitor", "--count", "2", "--every", "1s", "--json")
    assert [json.loads(line)["files"] for line in r.stdout.splitlines()] == [{"completed": 1}] * 2


def test_lines_that_are_wrong_are_explained(made):
    _, c, _ = made
    for args, said in ((["breaker", "open"], "open"), (["breaker", "show", "x"], "show wants 0 arguments"),
                       (["files", "reset", "db-1"], "reset wants 2 arguments"), (["breaker", "reset", "a", "b"], "reset")):
        r = c.weir(*args, check=False)
        assert r.returncode == 2 and said in r.stderr, (args, r.stderr)
    r = c.weir_alone("offsets", "reset")
    assert r.returncode == 2 and "--queue is wanted" in r.stderr


def test_dead_letters_are_sent_again(made, tmp_path):
    log, c, server = made
    log.write(20)
    refusing = tmp_path / "refuse.py"
    refusing.write_text(
        "import http.server\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(400); self.send_header('Content-Length', '0'); self.end_headers()\n"
        "    log_message = lambda *a: None\n"
        "s = http.server.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True); s.serve_forever()\n")
    p = subprocess.Popen(["python3", str(refusing)], stdout=subprocess.PIPE, text=True)
    good, c.output = c.output, ["--output", f"http://127.0.0.1:{int(p.stdout.readline())}"]
    c.once()
    p.kill()
    p.wait()
    c.output = good
    letters = c.json("dlq", "list")
    assert len(letters) == 1 and "400" in letters[0]["error"] and letters[0]["instance_id"] == "db-1"
    shown = c.json("dlq", "show", letters[0]["message_id"])
    assert shown["payload"].count("\n") == 20
    for line in shown["payload"].splitlines():
        json.loads(line)
    assert c.weir("dlq", "reprocess", letters[0]["message_id"], "--output", "http://127.0.0.1:9", check=False).returncode == 1
    assert len(c.json("dlq", "list")) == 1  # it goes only when its records are durable
    assert c.weir("dlq", "delete", "nosuch", check=False).returncode == 1
    c.weir("dlq", "reprocess", "all", *good)
    assert c.json("dlq", "list") == []
    assert_same(server, log)
    with contextlib.closing(sqlite3.connect(c.state.removeprefix("sqlite:"), timeout=10)) as db, db:
        body = json.dumps({"message_id": {"S": "m-1"}, "failed_at": {"N": "1754235045"}, "error": {"S": "by hand"}})
        db.execute("INSERT INTO items(tbl, k1, k2, expires_at, body) VALUES(5, 'm-1', '', 0, ?)", (body,))
    assert [x["message_id"] for x in c.json("dlq", "list")] == ["m-1"]
    c.weir("dlq", "delete", "m-1")
    assert c.json("dlq", "list") == []


def test_check_says_what_is_wrong(made, rds, tmp_path):
    log, c, server = made
    log.write(1)
    rds.instances["db-1"].parameters = {"slow_query_log": "0", "log_output": "TABLE"}

    def check():
        r = subprocess.run([WEIR, "aurora", "check", "--json"], capture_output=True, text=True, env=c.env)
        return r.returncode, {(x["instance"], x["check"]): x for x in json.loads(r.stdout)}

    code, rows = check()
    assert code == 1
    assert rows["", "keys"]["result"] == "good" and "environment" in rows["", "keys"]["detail"]
    assert "TABLE" in rows["db-1", "log_output"]["detail"] and rows["db-1", "log_output"]["result"] == "failed"
    assert rows["db-1", "slow_query_log"]["result"] == "failed" and rows["db-1", "download"]["result"] == "good"
    rds.faults.append(Fault("DownloadDBLogFilePortion", "denied", times=9))
    assert "rds:DownloadDBLogFilePortion" in check()[1]["db-1", "download"]["detail"]
    c.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    code, rows = check()
    assert code == 1 and "rds:DescribeDBInstances" in rows["", "instances"]["detail"]


def test_keys_by_web_identity_and_role(made, rds, tmp_path):
    log, c, server = made
    log.write(3)
    token = tmp_path / "token"
    token.write_text("the-web-token\n")
    keys = {"AWS_ACCESS_KEY_ID": c.env.pop("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY": c.env.pop("AWS_SECRET_ACCESS_KEY")}
    c.once(env={"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/aurora-discovery-task-role"})
    assert rds.calls["AssumeRoleWithWebIdentity"] == 1
    assert_same(server, log)
    (tmp_path / "credentials").write_text(
        f"[base]\naws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n")
    (tmp_path / "config").write_text("[profile work]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n")
    log.write(3)
    rds.session_s = 2  # expires at once: asked for again and again
    c.once(env={"AWS_PROFILE": "work", "AWS_CONFIG_FILE": str(tmp_path / "config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})
    assert rds.calls["AssumeRole"] >= 2
    assert_same(server, log)
