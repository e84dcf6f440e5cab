"""Logs of a real MariaDB server, read by weir aurora parse: its statements all, digests as its performance_schema has
them, a deadlock, a kill and a restart. And what is made of slow queries: the pipe digest, weir aurora top, cost."""
import collections
import datetime
import json
import os
import re
import subprocess
import threading

import pytest
import requests

from conftest import WEIR as NAMED
from parts.mariadb import mariadb  # noqa: F401  (a fixture)

WEIR = os.path.abspath(NAMED)  # some run it in a folder of their own

STATEMENTS = r"""
insert into a (name,status) values ('x',1),('y',2),('z',-3)
insert into a (name,status) values ('x',1)
insert into a set name='q', status = 4
select * from a where id=1 and name = "foo" or name like 'b%'
select a.id, a.`name` as N from shop.a where id in (1,2,3) and status in (5) and id not in (1, 'x', NULL)
select count(*), max(id), now(), sleep(0.001), concat(name,'x') from a group by name order by 2 desc limit 10, 20
select /*! STRAIGHT_JOIN */ id from a where id > 5 and id - 1 > 2 /* why */
select 0x1F, b'01', null, 'it''s', "a\"b", .5, 1., 1e3
select @x := 5, @@version
update a set name = 'v', status = status + 1, date = now() where id between 1 and 10
delete from a where id = 99
select * from a a1 join a a2 on a1.id=a2.id left join a a3 on a3.id=a2.id where a1.id<=>a2.id and a1.status <> 3
select case when id > 1 then 'a' else 'b' end, id div 2, id % 3, id << 2, !id, ~id, id || 1, id && 1 from a
(select 1, 2) union all (select 3, 4) union (select 5, 6)
select 1,2,3 from a where (id,status) in ((1,2),(3,4))
show tables like 'x%'
select * from a where name = 'x' limit 5 offset 3
insert into a values (100,'x',2,null) on duplicate key update name=values(name), status=status+1
replace into a (id) values (5),(6)
with c as (select 1 as one) select * from c
select (1), (1,2) = (1,3), id-1, id -1 from a
select id from a where id in (1, id, 3) or id in (1+2)
create index i1 on a (name(10))
alter table a add column zz varchar(5) default 'x'
select id from a force index (primary) where id=1 for update
select left(name,3), mod(id,2), year(date), if(id=1,2,3), ifnull(name,'x'), substring(name,1,2) from a
select date '2020-01-01', interval 1 day + now(), date_add(now(), interval 5 minute)
insert into notes (t) values ('x;\n# Time: 250803 15:30:45\n# User@Host: a[a] @ h []\n# Query_time: 1.0\nselect 5;\n')
""".strip().splitlines()

# Words that MariaDB writes another way than they stand in the statement.
SAID = {"INTEGER": "INT", "VARCHARACTER": "VARCHAR", "CHARACTER": "CHAR", "SQL_TSI_DAY": "DAY",
        "SQL_TSI_MINUTE": "MINUTE", "SCHEMA": "DATABASE", "SCHEMAS": "DATABASES"}


def plain(digest):
    """Without quotes and capitals, of which MySQL and MariaDB think differently among themselves."""
    words = digest.replace("`", "").upper().replace("@@ ", "@@").split()
    return " ".join(SAID.get(w, w) for w in words)


def parse(*args, text=None):
    r = subprocess.run([WEIR, "aurora", "parse", "--summary", *map(str, args)], capture_output=True, input=text)
    assert r.returncode == 0, r.stderr
    return [json.loads(line) for line in r.stdout.splitlines()], json.loads(r.stderr.splitlines()[-1])


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture(scope="module")
def written(mariadb):  # noqa: F811
    """Statements with their digests, and a server's logs after a deadlock, a kill and a restart."""
    db = mariadb("logs", "--performance-schema=ON", "--innodb-print-all-deadlocks=ON",
                 "--log-slow-verbosity=query_plan,innodb,explain")
    db.sql("update performance_schema.setup_consumers set enabled='YES';"
           "update performance_schema.setup_instruments set enabled='YES' where name like 'statement/%';"
           "create database shop; use shop; create table notes (t text);"
           "create table a (id int primary key auto_increment, name varchar(50), `status` int, date datetime);"
           "create table dl (id int primary key, v int) engine=innodb; insert into dl values (1,1),(2,2)")
    began = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    script = "use shop;\n" + ";\n".join(s.replace("\\n", "\n") for s in STATEMENTS) + ";\n"
    r = db.sql(script, check=False)
    assert r.returncode == 0, r.stderr
    rows = db.sql("select hex(SQL_TEXT), hex(DIGEST_TEXT) from performance_schema.events_statements_history_long "
                  "where DIGEST_TEXT is not null order by event_id").stdout.decode().splitlines()[1:]
    digests = {sql: text for sql, text in
               ([bytes.fromhex(x).decode() for x in row.split("\t")] for row in rows if "NULL" not in row)}
    ways = [threading.Thread(target=db.sql, args=(
        f"use shop; begin; update dl set v=v+1 where id={a}; select sleep(0.7); update dl set v=v+1 where id={b}", False))
        for a, b in ((1, 2), (2, 1))]
    for w in ways:
        w.start()
    for w in ways:
        w.join()
    subprocess.run(["mariadb", "--no-defaults", "-S", str(db.home / "s"), "-uwho", "-px", "-e", "select 1"],
                   capture_output=True)
    db.kill()
    db.start()
    db.sql("use shop; select 'behind the restart'")
    db.stop()
    return db, digests, began


def test_slow_log(written):
    db, digests, began = written
    records, about = parse("--kind", "slow", db.slow)
    assert about["unparsed"] == 0 and about["filtered"] == 0 and about["banner_lines"] == 6
    assert about["bytes"] == db.slow.stat().st_size == len(db.slow.read_bytes())
    assert about["records"] == len(records)
    found = {r["statement"]: r for r in records if "statement" in r}
    for s in STATEMENTS:
        s = s.replace("\\n", "\n")
        # Comments do not reach the server's log in the same way from every client.
        s = re.sub(r"/\* why \*/", "", s).strip()
        r = next((r for text, r in found.items() if text.strip() == s), None)
        assert r, s
        assert r["log_type"] == "slowquery" and r["schema"] == "shop" and r["user"] == "root"
        assert isinstance(r["query_time"], float) and r["query_time"] < 60
        assert isinstance(r["rows_examined"], int) and isinstance(r["thread_id"], int)
        assert began <= time_of(r["_time"]) <= began + datetime.timedelta(seconds=120)
        assert r["started_at"] == r["_time"]
    assert any("behind the restart" in text for text in found)
    explained = [r for r in records if "explain" in r]
    assert explained and explained[0]["explain"].startswith("id\tselect_type")


def test_digests(written):
    """The texts are the server's own, and no two statements are joined or parted that it does not."""
    _, digests, _ = written
    slow = "".join(f"# User@Host: a[a] @ h []  Id: {i}\n# Query_time: 1.0\nSET timestamp=1795239181;\n{sql};\n"
                   for i, sql in enumerate(digests))
    records, _ = parse("--kind", "slow", "-", text=slow.encode())
    assert len(records) == len(digests) >= len(STATEMENTS)
    ours = collections.defaultdict(set)
    for r, (sql, theirs) in zip(records, digests.items()):
        assert r["statement"] == sql
        assert plain(r["digest_text"]) == plain(theirs), sql
        ours[r["digest"]].add(plain(theirs))
    assert all(len(t) == 1 for t in ours.values())


def test_error_log(written):
    db, _, _ = written
    records, about = parse("--kind", "error", db.error)
    assert about["unparsed"] == 0 and about["bytes"] == db.error.stat().st_size
    lines = sum(1 + r["message"].count("\n") for r in records)
    text = db.error.read_text()
    blank = len(re.findall(r"\n(?=\n\d{4}-|\Z)", text))  # between a message and the next record
    assert lines <= len(text.splitlines()) <= lines + blank + 3
    messages = [r["message"] for r in records]
    # MariaDB writes hours before ten with a space: "2025-08-03  9:30:45".
    assert all(r["log_type"] == "error" and r["timestamp"].replace("  ", " 0").replace(" ", "T")[:19] == r["_time"][:19]
               for r in records if "-" in r["timestamp"])
    victim = next(r for r in records if "(1) TRANSACTION" in r["message"])
    assert victim["subsystem"] == "InnoDB" and victim["level"] == "Note" and "update dl set" in victim["message"]
    denied = next(r for r in records if "Access denied" in r["message"])
    assert denied["user"] == "who" and denied["host"] == "localhost" and denied["level"] == "Warning"
    assert sum("ready for connections" in m for m in messages) == 2
    ready = next(m for m in messages if "ready for connections" in m)
    assert "\nVersion: '" in ready


def test_audit_trail_of_four_files(tmp_path):
    """One trail, spread over files as Aurora does, is in order again."""
    times = [1754235045000000 + i * 7919 % 1000 * 1000 for i in range(1000)]
    for n in range(4):
        (tmp_path / f"audit.log.{n}").write_text("".join(
            f"{t},db-1,app,10.0.0.1,12,{t},QUERY,shop,'select \\'{t}\\'',0\n" for t in times[n::4]))
    files = sorted(tmp_path.glob("audit.log.*"))
    records, _ = parse("--kind", "audit", "--sort", *files)
    assert [r["query_id"] for r in records] == sorted(times)
    assert all(r["statement"] == f"select '{r['query_id']}'" for r in records)
    assert parse("--sort", *files)[0] == [] and parse("--sort", "--all", *files)[0] == records


def test_refuses(tmp_path):
    for args, text in ((["nosuch.log"], "nosuch.log"), (["--kind", "x", "-"], "slow, error"), ([], "missing"),
                       (["--time-zone", "Mars", "-"], "Mars"), (["--text-max", "1", "-"], "1KiB")):
        r = subprocess.run([WEIR, "aurora", "parse", *args], capture_output=True, text=True, input="")
        assert r.returncode in (1, 2) and text in r.stderr, (args, r.stderr)
    r = subprocess.run([WEIR, "aurora", "prase"], capture_output=True, text=True)
    assert r.returncode == 2 and 'did you mean "parse"' in r.stderr


# ---- what is made of them ----

def entries(hour, n, instance, scale=1.0):
    """n records of three kinds, and what each kind took."""
    kinds = ["select a from t where id = {}", "update t set x = {} where id = {}", "delete from u where id in ({}, {})"]
    text, took = "", collections.defaultdict(lambda: [0, 0.0, 0])
    for i in range(n):
        kind = i % 3
        seconds = round((i % 7 + 1) * 0.001 * (1 + kind) * scale, 6)
        took[kind][0] += 1
        took[kind][1] += seconds
        took[kind][2] += i
        text += (f"# Time: 2025-08-03T{hour:02}:{i // 60 % 60:02}:{i % 60:02}.{i:06}Z\n"
                 f"# User@Host: app[app] @ {instance} [10.0.0.1]  Id: {i}\n"
                 f"# Query_time: {seconds:.6f}  Lock_time: 0.000001 Rows_sent: 1  Rows_examined: {i}\n"
                 f"SET timestamp=1754235044;\n{kinds[kind].format(i, i)};\n")
    return text, took


@pytest.fixture
def stored(server, tmp_path):
    """Two instances, two hours, in a server."""
    for hour, instance, scale in ((10, "db-1", 1), (11, "db-1", 3), (11, "db-2", 1)):
        text, _ = entries(hour, 300, instance, scale)
        file = tmp_path / f"{instance}-{hour}.log"
        file.write_text(text)
        out = subprocess.run([WEIR, "aurora", "parse", "--instance", instance, file], capture_output=True, check=True)
        r = requests.post(server.url + "/api/v1/logs/ingest", data=out.stdout,
                          headers={"Content-Type": "application/x-ndjson", "X-Stream": "slow_search_logs"}, timeout=30)
        assert r.status_code in (200, 202), r.text
    return server


def top(*args):
    r = subprocess.run([WEIR, "aurora", "top", "--output", "json", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return [json.loads(line) for line in r.stdout.splitlines()]


def streams(server):
    return {s["name"] for s in requests.get(server.url + "/api/v1/streams", timeout=30).json()["streams"]}


def test_pipe(stored):
    name = ",".join(streams(stored))
    q = requests.get(stored.url + "/api/v1/logs/query", timeout=30,
                     params={"q": "instance:db-1 | digest by instance", "stream": name}).text
    rows = [json.loads(line) for line in q.splitlines()]
    first, later = entries(10, 300, "db-1")[1], entries(11, 300, "db-1", 3)[1]
    assert len(rows) == 3 and [r["total_time"] for r in rows] == sorted((r["total_time"] for r in rows), reverse=True)
    for r, kind in zip(rows, (2, 1, 0)):
        assert r["instance"] == "db-1" and r["calls"] == first[kind][0] + later[kind][0] == 200
        assert r["total_time"] == pytest.approx(first[kind][1] + later[kind][1])
        assert r["avg_time"] == pytest.approx(r["total_time"] / 200)
        assert r["rows_examined"] == first[kind][2] + later[kind][2]
        assert r["max_time"] == pytest.approx(0.007 * (1 + kind) * 3)
        assert r["first_seen"].startswith("2025-08-03T10:00:0") and r["last_seen"].startswith("2025-08-03T11:04:5")
    assert rows[0]["digest_text"] == "DELETE FROM `u` WHERE `id` IN (...)"
    assert rows[0]["example"] == "delete from u where id in (2, 2)"
    limited = requests.get(stored.url + "/api/v1/logs/query", timeout=30, params={"q": "* | digest 1"}).text
    assert len(limited.splitlines()) == 1


def test_top_of_a_server(stored):
    name = ",".join(streams(stored))
    where = ["--url", stored.url, "--stream", name]
    rows = top(*where, "--from", "2025-08-03", "--by", "instance", "--sort", "calls")
    assert len(rows) == 6 and {r["instance"] for r in rows} == {"db-1", "db-2"}
    assert sum(r["share"] for r in rows) == pytest.approx(1)
    rows = top(*where, "--from", "2025-08-03T11:00:00Z", "--to", "2025-08-03T12:00:00Z", "--compare", "1h",
               "--where", "instance:db-1")
    assert [r["calls"] for r in rows] == [r["calls_before"] for r in rows] == [100] * 3
    for r in rows:
        assert r["total_time"] == pytest.approx(3 * r["total_time_before"])
        assert r["change"] == pytest.approx(r["total_time"] - r["total_time_before"])
        assert "new" not in r
    assert [r["change"] for r in rows] == sorted((r["change"] for r in rows), reverse=True)
    new = top(*where, "--from", "2025-08-03T11:00:00Z", "--to", "2025-08-03T12:00:00Z", "--compare", "1h",
              "--where", "instance:db-2")
    assert all(r["new"] and r["calls_before"] == 0 for r in new)


def test_top_of_files_is_that_of_a_server(stored, tmp_path):
    name = ",".join(streams(stored))
    window = ["--from", "2025-08-03T10:01:00Z", "--to", "2025-08-03T11:02:00Z", "--sort", "rows"]
    there = top("--url", stored.url, "--stream", name, *window)
    here = top(*window, *sorted(tmp_path.glob("db-*.log")))
    assert there == here and len(here) == 3
    baseline = top("--baseline", tmp_path / "db-1-10.log", tmp_path / "db-1-11.log")
    assert [round(r["total_time"] / r["total_time_before"], 3) for r in baseline] == [3, 3, 3]
    gone = top("--baseline", tmp_path / "db-1-10.log", "--where", "thread_id:<2", tmp_path / "db-1-11.log")
    assert len(gone) == 2


@pytest.mark.parametrize("args, text", [
    (["--compare", "soon", "x.log"], "a duration"), (["--compare", "1d", "x.log"], "needs --from"),
    (["--sort", "beauty", "x.log"], "--sort"), (["--where", "a:(", "x.log"], "a:("),
    (["--where", "a) | limit 1 | where (b", "x.log"], "a filter"), (["--baseline", "a.log"], "name those too"),
    (["nosuch.log"], "nosuch.log"), (["--kind", "slaw", "x.log"], "slow, error"),
])
def test_top_refuses(tmp_path, args, text):
    (tmp_path / "x.log").write_text(entries(10, 3, "h")[0])
    r = subprocess.run([WEIR, "aurora", "top", *args], cwd=tmp_path, capture_output=True, text=True)
    assert r.returncode == 2 and text in r.stderr, r.stderr


def test_cost(stored, tmp_path):
    def cost(*args):
        r = subprocess.run([WEIR, "aurora", "cost", "--json", *args], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    seed = cost("--raw", "1TB", "--stored", "1TB", "--scanned", "600GB")
    there = {line["name"]: line["cloudwatch_usd"] for line in seed["lines"]}
    assert there["ingest"] == 15000 and there["storage there"] == 900 and there["queries"] == 90
    assert seed["weir_usd"] == 690 + 200
    prices = tmp_path / "prices.yaml"
    prices.write_text("node: 50\ncloudwatch_ingest: 0.25\n")
    other = cost("--raw", "1TB", "--stored", "0", "--prices", str(prices), "--price", "s3_put=1", "--puts", "2k")
    assert other["lines"][0]["cloudwatch_usd"] == 7500 and other["weir_usd"] == 50 + 60
    name = ",".join(streams(stored))
    measured = cost("--url", stored.url, "--stream", name, "--scale", "10")
    assert measured["measured_days"] == pytest.approx(65 / 1440, rel=0.05)
    assert measured["raw_bytes_per_day"] > 0 and measured["share"] > 0
    bad = subprocess.run([WEIR, "aurora", "cost", "--price", "tea=1"], capture_output=True, text=True)
    assert bad.returncode == 2 and "no price" in bad.stderr
