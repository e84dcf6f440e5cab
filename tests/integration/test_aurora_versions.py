"""Builds of several versions work on one state: a state of an earlier build (tests/golden/aurora-state-v1) is gone on with,
what a newer build has added is left as it is, and one that keeps older builds away does; a build of the version before
(scripts/before.sh, or the binary that WEIR_BEFORE names) takes turns with this one, and runs beside it.

`python tests/integration/test_aurora_versions.py aurora-state-vN` writes a new folder by this build."""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import pytest

from aurora import Collector, SlowLog, assert_same, stored, wait_for
from conftest import ROOT, WEIR, Server
from parts.rds import Rds

GOLDEN = ROOT / "tests" / "golden"
FOLDERS = sorted(p.name for p in GOLDEN.glob("aurora-state-v*"))
LATER = 4102444800  # what a state remembers lives for a week; a golden one for good


def rds_of(folder):
    rds = Rds(portion_bytes=20_000)
    rds.add("db-1", folder / "db-1")
    return rds


def log_of(folder, first):
    log = SlowLog.__new__(SlowLog)
    log.path, log.tag, log.n, log.banner = folder / "db-1/slowquery/mysql-slowquery.log", "one", first, True
    log.written, log.rest = [], ""
    return log


@contextlib.contextmanager
def database(path):
    """Committed, and closed."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db, db:
        yield db


def edit(path, change):
    """change(body, table) for each item of a state in SQLite; each is JSON as DynamoDB writes it."""
    with database(path) as db:
        for tbl, k1, k2, body in db.execute("SELECT tbl, k1, k2, body FROM items").fetchall():
            item = json.loads(body)
            change(item, tbl)
            expires = int(item.get("expires_at", {}).get("N", 0))
            db.execute("UPDATE items SET body = ?, expires_at = ? WHERE tbl = ? AND k1 = ? AND k2 = ?",
                       (json.dumps(item), expires, tbl, k1, k2))


def items(path):
    with database(path) as db:
        return {(t, k1, k2): json.loads(b) for t, k1, k2, b in db.execute("SELECT tbl, k1, k2, body FROM items")}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_state_of_an_earlier_build_is_gone_on_with(tmp_path, make_server, name):
    """50 statements were durable; the unit of the next was sent, and the build killed before it was committed."""
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN / name, folder)
    for path in (folder / "db-1").rglob("*"):
        os.utime(path)  # a checkout is newer than what the state has seen
    server = make_server()
    log = log_of(folder, 80)
    log.written = [f"one-{i:06d}" for i in range(50, 80)]
    with rds_of(folder) as rds:
        c = Collector(folder, rds, server)
        c.once()
        assert_same(server, log)
        assert len(c.events("a unit that was under way is sent again")) == 1
        log.write(30)
        log.rotate("2025-08-03.15")
        log.write(30)
        c.once()
        assert_same(server, log)
        assert c.json("checkpoint", "show", "db-1", "slowquery/mysql-slowquery.log")["byte_offset"] == log.path.stat().st_size


def test_what_a_newer_build_has_added_is_left_alone(tmp_path, make_server):
    (tmp_path / "db-1").mkdir()
    server, log = make_server(), SlowLog(tmp_path / "db-1", "one")
    with rds_of(tmp_path) as rds:
        c = Collector(tmp_path, rds, server, env={"BATCH_SIZE": "40"})
        log.write(100)
        assert c.once(env={"WEIR_AURORA_CRASH": "commit:2"}, check=False) == -9
        with database(tmp_path / "state.db") as db:
            db.execute("ALTER TABLE items ADD COLUMN colour TEXT DEFAULT 'blue'")
            db.execute("CREATE TABLE more(a TEXT)")

        def add(item, tbl):
            item["zz_text"], item["zz_number"] = {"S": "kept"}, {"N": "42"}

        edit(tmp_path / "state.db", add)
        before = set(items(tmp_path / "state.db"))
        log.write(50)
        log.rotate("2025-08-03.15")
        log.write(50)
        c.once()
        assert_same(server, log)
        after = items(tmp_path / "state.db")
        assert len(before) > 3
        for key in before & set(after):
            assert after[key]["zz_text"] == {"S": "kept"} and after[key]["zz_number"] == {"N": "42"}, key
        c.weir("status")
        c.weir("files", "reset-stuck", "--older-than", "1h")


def test_a_build_that_is_too_old_keeps_away(tmp_path, make_server):
    (tmp_path / "db-1").mkdir()
    server, log = make_server(), SlowLog(tmp_path / "db-1", "one")
    with rds_of(tmp_path) as rds:
        c = Collector(tmp_path, rds, server)
        log.write(10)
        c.once()
        key = next(k for k in items(tmp_path / "state.db") if k[1] == "orders")
        assert items(tmp_path / "state.db")[key]["format"] == {"N": "1"}
        c.start()
        wait_for(lambda: c.metric("weir_aurora_rounds_total") > 0)
        edit(tmp_path / "state.db", lambda item, tbl: item.update(format_needed={"N": "2"}))
        assert c.process.wait(20) == 0 and c.events("belongs to a newer Weir now")
        log.write(10)
        assert c.once(check=False) == 2
        assert "the state belongs to a newer Weir: it wants format 2" in c.log.read_text()
        r = c.weir("files", "list", check=False)
        assert r.returncode != 0 and "newer Weir" in r.stderr
        assert len(stored(server, "one")) == 10


@pytest.fixture(scope="module")
def before():
    """The program one version ago."""
    if os.environ.get("WEIR_BEFORE"):
        return os.environ["WEIR_BEFORE"]
    r = subprocess.run([ROOT / "scripts/before.sh"], capture_output=True, text=True)
    if r.returncode == 3:
        pytest.skip(r.stderr.strip())
    assert r.returncode == 0, r.stderr
    return r.stdout.strip()


@pytest.fixture(params=["sqlite", "dynamodb"])
def state(request, tmp_path):
    """A state's URL, and what a collector's environment needs for it."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/state.db", {}
    dynamodb = request.getfixturevalue("dynamodb")
    client = dynamodb.client()
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    return "dynamodb:", {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url}


def test_an_older_build_takes_turns(tmp_path, make_server, before, state):
    """Each goes on where the other was killed, in a file that the other read under another name, with what it left behind. That is
    an update, a rollback, and an update again."""
    (tmp_path / "db-1").mkdir()
    server, log = make_server(), SlowLog(tmp_path / "db-1", "one")
    with rds_of(tmp_path) as rds:
        builds = [Collector(tmp_path, rds, server, name=f"build-{i}", state=state[0], binary=b,
                            env={"BATCH_SIZE": "40", **state[1]}) for i, b in enumerate((before, WEIR))]
        builds[0].weir("init")
        for turn in range(12):
            c = builds[turn % 2]
            log.write(100)
            if turn % 3 == 1:
                log.rotate(f"2025-08-03.{turn:02d}")
                log.write(30)
            if turn % 4 < 2:
                step = ("announce", "send", "commit", "committed")[turn // 4]
                assert c.once(env={"WEIR_AURORA_CRASH": f"{step}:2"}, check=False) == -9
            else:
                c.once()
                assert_same(server, log)
        for c in builds:
            c.weir("status")
            assert c.json("checkpoint", "show", "db-1", "slowquery/mysql-slowquery.log")["byte_offset"] == log.path.stat().st_size


def test_an_older_build_opens_the_data_folder(tmp_path, make_server, before):
    """The store goes back a version and forth again, killed or stopped, with what lies in its queue, in segments and merged."""
    server = make_server()
    sent = 0
    for turn, binary in enumerate((before, WEIR, before, WEIR)):
        server.stop() if turn % 2 else server.kill()
        server.binary = binary
        server.start()
        for _ in range(3):
            server.ingest("".join(json.dumps({"message": f"SELECT {n} FROM t{n % 7}", "query_time": n / 8, "n": n}) + "\n"
                                  for n in range(sent, sent + 500)), stream="slow_search_logs")
            sent += 500
            server.flush()
        if turn > 1:
            server.compact()
        server.ingest('{"message": "in the queue", "n": %d}\n' % sent, stream="slow_search_logs")
        sent += 1
        rows = server.query("* | fields n | limit 100000", stream="slow_search_logs")
        assert sorted(r["n"] for r in rows) == list(range(sent))


def test_an_older_build_runs_beside(tmp_path, make_server, before):
    server, logs = make_server(), []
    with Rds(portion_bytes=20_000) as rds:
        for i in range(6):
            logs.append(SlowLog(tmp_path / f"db-{i}", f"tag{i}"))
            rds.add(f"db-{i}", tmp_path / f"db-{i}")
        builds = [Collector(tmp_path, rds, server, name=f"build-{i}", state=f"sqlite:{tmp_path}/state.db", binary=b,
                            env={"BATCH_SIZE": "20"}) for i, b in enumerate((before, WEIR))]
        for c in builds:
            c.start()
        for turn in range(6):
            for log in logs:
                log.write(30)
                if turn == 3:
                    log.rotate("2025-08-03.15")
                    log.write(10)
            builds[turn % 2].kill()
            builds[turn % 2].start()
        wait_for(lambda: all(len(stored(server, x.tag)) == len(x.written) for x in logs), 60, "the rest")
        for c in builds:
            c.stop()
        for log in logs:
            assert_same(server, log)


def write_golden(name):
    to = GOLDEN / name
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        (tmp / "db-1").mkdir()
        log = SlowLog(tmp / "db-1", "one")
        server = Server(tmp / "data").start()
        with rds_of(tmp) as rds:
            c = Collector(tmp, rds, server)
            log.write(50)
            c.once()
            log.write(30)
            assert c.once(env={"WEIR_AURORA_CRASH": "commit:1"}, check=False) == -9
        server.stop()

        def for_good(item, tbl):
            if "expires_at" in item:
                item["expires_at"] = {"N": str(LATER)}
            for name in ("last_written", "updated_at", "published_at", "discovered_at", "started_at"):
                if name in item:  # wherever the clock of a test stands, it is later
                    item[name] = {"N": "1754235045000" if name == "last_written" else "1754235045"}
            if "owner" in item:  # of a machine that nobody has
                item["owner"], item["lease_until"] = {"S": "gone/1/0000/0"}, {"N": "1"}

        edit(tmp / "state.db", for_good)
        with database(tmp / "state.db") as db:
            db.execute("DELETE FROM items WHERE tbl = 3 AND k1 <> 'orders'")
        with contextlib.closing(sqlite3.connect(tmp / "state.db", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
        to.mkdir()
        shutil.copytree(tmp / "db-1", to / "db-1")
        shutil.copy(tmp / "state.db", to / "state.db")


if __name__ == "__main__":
    write_golden(sys.argv[1])
