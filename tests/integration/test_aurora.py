"""The Aurora collector against the stand-in for RDS and a real Weir: every line once, whatever happens."""
import json
import os
import random
import re
import sqlite3
import time

import boto3
import pytest
import requests

from aurora import BANNER, Collector, SlowLog, assert_same, entry, stored, wait_for
from parts.rds import ACCESS, REGION, SECRET, Fault, Rds


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def make(tmp_path, rds, make_server):
    """(log, collector, server), one instance db-1."""
    collectors = []

    def build(env=None, args=(), name="db-1"):
        server = make_server()
        rds.add(name, tmp_path / name)
        log = SlowLog(tmp_path / name, "one")
        c = Collector(tmp_path, rds, server, env=env, args=args)
        collectors.append(c)
        return log, c, server

    yield build
    for c in collectors:
        if c.process and c.process.poll() is None:
            c.kill()


def test_lines_come_once(make, rds):
    log, c, server = make()
    log.write(300)
    c.once()
    assert_same(server, log)
    calls = dict(rds.calls)
    c.once()  # nothing new: not one download
    assert rds.calls["DownloadDBLogFilePortion"] == calls["DownloadDBLogFilePortion"]
    log.write(1)
    c.once()
    assert rds.calls["DownloadDBLogFilePortion"] == calls["DownloadDBLogFilePortion"] + 1
    assert_same(server, log)
    row = server.query("one-000007", stream="slow_search_logs")[0]
    assert row["instance"] == "db-1" and row["log_type"] == "slowquery" and row["query_time"] == 0.57
    assert row["_time"] == "2025-08-03T15:30:07.123456Z"


@pytest.mark.parametrize("step", ["announce", "send", "commit", "committed"])
def test_a_crash_at_every_step(make, rds, step):
    log, c, server = make(env={"BATCH_SIZE": "40"})
    log.write(200)
    crashes = 0
    for n in (1, 2, 3, 1, 2):
        code = c.once(env={"WEIR_AURORA_CRASH": f"{step}:{n}"}, check=False)
        crashes += code == -9
        log.write(60)
        if n == 3:
            log.rotate("2025-08-03.15")
            log.write(50)
    c.once()
    assert crashes >= 4
    assert_same(server, log)


def test_killed_at_any_time_while_files_grow_and_rotate(make, rds):
    log, c, server = make(env={"BATCH_SIZE": "30"})
    dice = random.Random(os.environ.get("WEIR_SEED", "7"))
    for turn in range(8):
        c.start()
        for _ in range(5):
            log.write(dice.randrange(1, 60), pad=dice.randrange(300), torn=dice.choice((0, dice.random())))
            time.sleep(dice.random() * 0.12)
            if dice.random() < 0.25:
                log.rotate(f"2025-08-03.{log.n:06d}")
        c.kill()
    log.write(0)
    c.once()
    assert_same(server, log)


def test_rotation_is_followed(make, rds):
    log, c, server = make()
    log.write(100)
    c.once()
    log.write(20)
    log.rotate("2025-08-03.15")
    log.write(20)
    log.rotate("2025-08-03.16")  # two between two rounds
    log.write(20)
    c.once()
    assert_same(server, log)
    log.write(200)  # larger than what was read of it, and another file
    log.rotate("2025-08-03.17")
    log.write(400)
    c.once()
    assert_same(server, log)


@pytest.mark.parametrize("markers", ["followed", "refused", "the beginning"])
def test_markers_behind_a_rotation(make, rds, markers):
    """A marker of the file's earlier name is tried; where it leads nowhere, what was read is passed over."""
    rds.foreign_markers = markers
    log, c, server = make(env={"MAX_CONCURRENCY": "1"})
    log.write(500)
    c.once()
    seen = []
    rds.before_download = lambda instance, file, marker: seen.append((file, marker))
    for hour in range(2):
        log.write(20)
        log.rotate(f"2025-08-03.{hour}")
        log.write(500)
        c.once()
        assert_same(server, log)
    rotated = [int(marker.split(":")[-1]) for file, marker in seen if file != "slowquery/mysql-slowquery.log"]
    if markers == "followed":
        assert len([at for at in rotated if at > 60_000]) == 2 and len(rotated) == 4  # each: its head, and what is new
    else:
        assert len(rotated) > 10


def test_an_hour_s_name_comes_again(make, rds):
    log, c, server = make()
    for day in range(3):
        log.write(50 + day)
        log.rotate("15")
        log.write(10)
        c.once()
        assert_same(server, log)


def test_rotated_between_the_portions_of_one_reading(make, rds):
    log, c, server = make()
    log.write(400)
    done = []

    def rotate(instance, file, marker):
        if marker.endswith(":60000") and not done or len(done) == 0 and int(marker.split(":")[-1] or 0) > 50_000:
            done.append(1)
            log.rotate("2025-08-03.15")
            log.write(500)

    rds.before_download = rotate
    c.once()
    rds.before_download = None
    c.once()
    assert done
    assert_same(server, log)


def test_large_rotated_files_come_whole_though_they_break_off(make, rds):
    log, c, server = make(env={"BATCH_SIZE": "500"})
    log.write(9000, pad=300)
    log.rotate("2025-08-03.15", age_s=300)
    rds.faults += [Fault("downloadCompleteLogFile", "cut", after_bytes=n) for n in (100_000, 1_500_000, 3_000_000)]
    c.once()
    assert rds.calls["downloadCompleteLogFile"] == 4
    assert rds.calls["DownloadDBLogFilePortion"] < 8
    assert_same(server, log)


def test_what_is_truncated_is_told(make, rds):
    log, c, server = make()
    log.write(100)
    c.once()
    log.path.write_text(BANNER)
    log.write(30)
    c.once()
    assert_same(server, log)
    letters = c.events("dead letter")
    assert len(letters) == 1 and "replaced or truncated" in letters[0]["error"]


def test_empty_vanished_and_odd_files(make, rds, tmp_path):
    log, c, server = make()
    folder = log.path.parent
    (folder / "mysql-slowquery.log.1").write_text("")
    junk = b"\x00\x01\xff\xfe binary\r\nno log at all\n"
    (folder / "mysql-slowquery.log.2").write_bytes(BANNER.encode() + junk + entry("SELECT 'odd-1'").encode())
    os.utime(folder / "mysql-slowquery.log.2", (time.time() - 300,) * 2)
    log.write(10)
    with open(log.path, "a") as f:  # restarted: its banner in the middle
        f.write(BANNER)
    log.write(10)
    gone = folder / "mysql-slowquery.log.3"
    gone.write_text(entry("SELECT 'gone'"))
    os.utime(gone, (time.time() - 300,) * 2)
    rds.before_download = lambda i, file, marker: gone.unlink(missing_ok=True) if file.endswith(".3") else None
    c.once()
    assert_same(server, log)
    assert len(server.query("odd-1", stream="slow_search_logs")) == 1
    rows = server.query("unparsed:true", stream="slow_search_logs")
    assert any("no log at all" in json.dumps(r) for r in rows)
    assert [e["file"] for e in c.events("vanished")] == ["slowquery/mysql-slowquery.log.3"]


def test_a_unit_is_made_again_within_a_portion(make, rds):
    """What comes behind it is found again, though the portion's marker is not that of its end."""
    log, c, server = make(env={"BATCH_SIZE": "20"})
    log.write(85)
    assert c.once(env={"WEIR_AURORA_CRASH": "commit:1"}, check=False) == -9
    rotated = log.rotate("2025-08-03.15")
    log.write(5)
    assert c.once(env={"WEIR_AURORA_CRASH": "committed:1"}, check=False) == -9
    c.once()
    os.utime(rotated)
    c.once()
    assert_same(server, log)
    assert c.json("dlq", "list") == []


def test_power_cuts(make, rds):
    """What the state had not synced is undone in part, as by a power cut, before every so many-th operation on its file: what is
    only noted may be forgotten, but no unit that was announced and no checkpoint."""
    log, c, server = make(env={"BATCH_SIZE": "7"})
    c.once()  # the tables are there
    crashes = 0
    for turn in range(16):
        log.write(10)
        if turn % 5 == 4:
            log.rotate(f"2025-08-03.{turn:02d}")
            log.write(3)
        status = c.once(env={"WEIR_FAULT": f"crash@{8 + turn * 5}:seed={turn}"}, check=False)
        crashes += status != 0
    assert crashes > 6, crashes
    c.once()
    assert_same(server, log)


def test_statements_over_portions(make, rds):
    log, c, server = make()
    rds.portion_bytes = 3000
    log.write(8, pad=9000)
    c.once()
    assert_same(server, log)
    row = server.query("one-000003", stream="slow_search_logs")[0]
    assert row["statement"].count("x") >= 9000


def test_faults_of_the_service(make, rds):
    log, c, server = make()
    log.write(300)
    for action in ("DescribeDBInstances", "DescribeDBLogFiles", "DownloadDBLogFilePortion"):
        rds.faults += [Fault(action, kind) for kind in ("throttle", "500", "cut", "503")]
    rds.skew_s = 3600
    c.start(env={"CIRCUIT_BREAKER_MAX_FAILURES": "50", "AWS_MAX_ATTEMPTS": "2"})
    wait_for(lambda: not any(f.times for f in rds.faults) and len(stored(server, "one")) == 300, 60, "the end of faults")
    c.stop()
    assert_same(server, log)
    assert any("SignatureDoesNotMatch" in r for r in rds.refused)  # before the clock was put right
    assert SECRET not in c.log.read_text()


def test_the_breaker_opens_and_recovers(make, rds):
    log, c, server = make()
    log.write(5)
    rds.faults.append(Fault("DownloadDBLogFilePortion", "500", times=4))
    c.start(env={"CIRCUIT_BREAKER_MAX_FAILURES": "3", "CIRCUIT_BREAKER_TIMEOUT_SEC": "1", "AWS_MAX_ATTEMPTS": "1"})
    wait_for(lambda: c.events("circuit breaker is open"), 60, "the breaker")
    metrics = requests.get(f"http://127.0.0.1:{c.port}/metrics", timeout=30).text
    assert re.search(r'weir_aurora_breaker_state\{breaker="[a-z]+:[^"]+"\} [12]', metrics)
    wait_for(lambda: len(stored(server, "one")) == 5, 60, "the recovery")
    assert c.events("circuit breaker is closed")
    assert requests.get(f"http://127.0.0.1:{c.port}/readyz", timeout=30).status_code == 200
    c.stop()
    assert_same(server, log)


def test_an_output_that_is_away(make, rds):
    log, c, server = make()
    log.write(100)
    server.stop()
    c.start()
    wait_for(lambda: c.events("records wait for an output"), 60, "the wait")
    c.kill()  # a unit was announced
    log.write(50)
    log.rotate("2025-08-03.15")
    log.write(50)
    server.start()
    c.once()
    assert_same(server, log)


def test_the_store_is_killed_again_and_again(make, rds):
    log, c, server = make(env={"BATCH_SIZE": "20"})
    c.start()
    for _ in range(5):
        for _ in range(4):
            log.write(40)
            time.sleep(0.1)
        server.kill()
        log.write(10)
        server.start()
    wait_for(lambda: len(stored(server, "one")) == len(log.written), 60, "the rest")
    c.stop()
    assert_same(server, log)


def test_an_end_that_is_not_whole_waits_until_the_file_is_quiet(make, rds):
    log, c, server = make()
    log.write(3)
    with open(log.path, "a") as f:
        f.write(entry("SELECT 'one-999999'")[:-2])  # without its ";" and its line's end
    log.rotate("2025-08-03.15", age_s=56)
    c.start()
    wait_for(lambda: len(stored(server, "one")) == 3)
    wait_for(lambda: len(stored(server, "one")) == 4, 60, "the end")
    c.stop()


def test_a_file_that_was_read_to_half_an_entry_is_another_one_now(make, rds):
    """Longer than what was read of the one before: only the bytes tell."""
    log, c, server = make()
    whole = entry("SELECT 'one-000002'")
    log.write(2)
    with open(log.path, "a") as f:
        f.write(whole[:-8])
    c.once()
    assert len(stored(server, "one")) == 2
    with open(log.path, "a") as f:
        f.write(whole[-8:])
    log.written.append("one-000002")
    log.n += 1

    def rotate(instance, file, marker):  # behind the discovery
        rds.before_download = None
        log.rotate("2025-08-03.15")
        log.write(50)

    rds.before_download = rotate
    c.once()
    c.once()
    assert_same(server, log)


def test_what_is_set_back_by_hand_is_read_on(make, rds):
    log, c, server = make()
    log.write(3)
    c.start()
    wait_for(lambda: len(stored(server, "one")) == 3)
    wait_for(lambda: c.json("status")["files"] == {"completed": 1})
    time.sleep(1.1)
    before = c.metric("weir_aurora_visits_total")
    c.weir("files", "reset", "db-1", "slowquery/mysql-slowquery.log")
    wait_for(lambda: c.metric("weir_aurora_visits_total") > before, 60, "the visit")
    wait_for(lambda: c.json("status")["files"] == {"completed": 1})
    c.stop()
    assert_same(server, log)


def lives(tmp_path, to=None):
    """Until when the checkpoint and the file are remembered, in seconds from now; `to` sets that."""
    with sqlite3.connect(tmp_path / "state.db", timeout=10) as db:
        rows = db.execute("SELECT tbl, body FROM items WHERE k1 = 'db-1' AND k2 <> ''").fetchall()
        assert len(rows) == 2
        if to is not None:
            for tbl, body in rows:
                item = json.loads(body)
                item["expires_at"] = {"N": str(int(time.time() + to))}
                db.execute("UPDATE items SET body = ?, expires_at = ? WHERE tbl = ? AND k1 = 'db-1' AND k2 <> ''",
                           (json.dumps(item), int(time.time() + to), tbl))
    return [int(json.loads(body)["expires_at"]["N"]) - time.time() for _, body in rows]


def test_quiet_files_are_remembered(make, rds, tmp_path):
    """However seldom a log is written to: else it would be read anew from its beginning."""
    log, c, server = make()
    log.write(20)
    c.once()
    assert min(lives(tmp_path)) > 6.9 * 86400
    calls = rds.calls["DownloadDBLogFilePortion"]
    lives(tmp_path, to=20)  # as if days had passed, by collectors that run once each
    c.once()
    assert min(lives(tmp_path)) > 6.9 * 86400
    c.start(env={"WEIR_AURORA_TOUCH_SEC": "1"})
    wait_for(lambda: c.metric("weir_aurora_rounds_total") > 1)
    lives(tmp_path, to=20)
    wait_for(lambda: min(lives(tmp_path)) > 6.9 * 86400, 60, "the touch")
    c.stop()
    assert rds.calls["DownloadDBLogFilePortion"] == calls
    log.write(20)
    c.once()
    assert_same(server, log)


def test_two_discoverers_publish_each_version_once(make, rds, tmp_path):
    log, c, server = make()
    other = Collector(tmp_path, rds, None, name="second", state=c.state)
    for i in range(20):
        SlowLog(tmp_path / f"more-{i}", f"m{i}").write(3)
        rds.add(f"more-{i}", tmp_path / f"more-{i}")
    log.write(3)
    c.start("discover")
    other.start("discover")
    wait_for(lambda: c.events("discovery round") and other.events("discovery round"), 60)
    log.write(3)

    def published():
        return sum(x.metric("weir_aurora_published_total") for x in (c, other))

    wait_for(lambda: published() >= 22, 60, "the new version")
    rounds = [x.metric("weir_aurora_rounds_total") for x in (c, other)]
    wait_for(lambda: all(x.metric("weir_aurora_rounds_total") > n + 1 for x, n in zip((c, other), rounds)))
    assert published() == 21 + 1
    c.stop()
    other.stop()
    c.once("process")
    assert_same(server, log)


def test_a_round_that_is_quicker_than_the_last_one_asks_all_the_same(make, rds, tmp_path):
    """Else what its files have grown by would wait for another round."""
    log, c, server = make()
    for name in ("db-2", "db-3"):
        SlowLog(tmp_path / name, "more").write(3)
        rds.add(name, tmp_path / name)
    answer, slow = rds.do_DescribeDBLogFiles, [2.5]

    def listed(form):
        time.sleep(slow.pop() if slow else 0)
        return answer(form)

    rds.do_DescribeDBLogFiles = listed
    c.start("discover", poll="4s")
    wait_for(lambda: len(c.events("discovery round")) == 2)
    c.stop()
    assert rds.calls["DescribeDBLogFiles"] == 2 * 3


def test_two_processors_and_one_is_killed(make, rds, tmp_path):
    log, c, server = make(env={"BATCH_SIZE": "20", "WEIR_AURORA_LEASE_SEC": "2"})
    logs = [log]
    for i in range(8):
        rds.add(f"more-{i}", tmp_path / f"more-{i}")
        logs.append(SlowLog(tmp_path / f"more-{i}", f"m{i}"))
    finder = Collector(tmp_path, rds, None, name="finder", state=c.state)
    other = Collector(tmp_path, rds, server, name="second", state=c.state,
                      env={"BATCH_SIZE": "20", "WEIR_AURORA_LEASE_SEC": "2"})
    finder.start("discover")
    c.start("process")
    other.start("process")
    for turn in range(6):
        for x in logs:
            x.write(30)
        time.sleep(0.2)
        if turn == 3:
            c.kill()
    wait_for(lambda: sum(len(stored(server, x.tag)) for x in logs) == sum(len(x.written) for x in logs), 60, "the rest")
    finder.stop()
    other.stop()
    for x in logs:
        assert_same(server, x)


def test_memory_stays_flat(make, rds):
    log, c, server = make()
    log.write(60000, pad=700)
    log.rotate("2025-08-03.15", age_s=300)
    assert sum(f.stat().st_size for f in log.path.parent.iterdir()) > 55e6
    c.start()
    most = 0

    def done():
        nonlocal most
        status = open(f"/proc/{c.process.pid}/status").read()
        most = max(most, int(re.search(r"VmHWM:\s+(\d+)", status).group(1)))
        return requests.get(f"http://127.0.0.1:{c.port}/status", timeout=30).json()["records"] >= 60000

    time.sleep(0.5)
    wait_for(done, 120, "the large file")
    c.stop()
    assert most < 100_000, most  # kB
    assert_same(server, log)
