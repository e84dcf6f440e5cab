"""A server whose catalog is in PostgreSQL, or in MySQL where it says `database`: it starts, waits, refuses what is not its
own, and loses and doubles nothing, whatever happens to the database, to the wire between, or to itself."""
import json
import os
import random
import re
import signal
import threading
import time

import pytest
import requests

from conftest import free_port
from parts.postgresql import PgBouncer, PostgreSql, Relay
from test_crash import Client, check, nudge

ROUNDS = int(os.environ.get("CATALOG_ROUNDS", "15"))
SEED = int(os.environ.get("CATALOG_SEED", "11"))
SMALL = ["--set", "store.block_rows=300", "--set", "store.cut_bytes=64KiB", "--set", "queue.file_bytes=1MiB"]


def lines(first, n, size=5):
    return "\n".join(json.dumps({"n": i, "text": os.urandom(size).hex()}) for i in range(first, first + n))


def numbers(server):
    rows = server.query("* | fields n")
    assert all("n" in r for r in rows), [r for r in rows if "n" not in r]
    return sorted(r["n"] for r in rows)


@pytest.fixture(params=["postgresql", "mysql"])
def database(request):
    """One that a test may kill, of each kind."""
    server = request.getfixturevalue(request.param)
    yield server
    if server.process.poll() is not None:
        server.start()


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def test_round_trip(make_server, database, weir):
    url = database.url("round_trip")
    server = make_server(args=["--catalog", url])
    for i in range(3):
        server.ingest(lines(i * 100, 100))
        server.flush()
    server.compact()
    assert numbers(server) == list(range(300))
    server.kill()
    server.start()
    assert numbers(server) == list(range(300))
    assert not (server.data / "catalog.db").exists()
    assert int(database.sql("SELECT sum(record_count) FROM round_trip.sections")) == 300
    assert database.library in open(f"/proc/{server.process.pid}/maps").read()
    server.stop()
    # Another catalog knows nothing of the folder's segments, nor does this one of another folder's.
    for args in ([], ["--catalog", database.url("another")]):
        r = weir("server", "--data", str(server.data), "--listen", f"127.0.0.1:{free_port()}", *args, check=False)
        assert r.returncode == 1 and f"belongs to the catalog {database.scheme}://127.0.0.1:".encode() in r.stderr, r.stderr
    own = make_server("own")
    assert database.library not in open(f"/proc/{own.process.pid}/maps").read()
    own.stop()
    r = weir("server", "--data", str(own.data), "--catalog", url, "--listen", f"127.0.0.1:{free_port()}", check=False)
    assert r.returncode == 1 and b"has a catalog of its own" in r.stderr, r.stderr


def test_check(postgresql, weir, tmp_path):
    def finding(url):
        r = weir("check", "--json", "--data", str(tmp_path / "d"), "--set", "catalog.url=" + url, check=False)
        assert b"hush" not in r.stdout + r.stderr
        return next(c for c in json.loads(r.stdout)["checks"] if c["name"] == "catalog")

    good = finding(postgresql.url("checked"))
    assert good["status"] == "ok" and re.search(r"PostgreSQL \d+.*schema checked, no catalog in it yet", good["detail"]), good
    assert postgresql.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'checked'") == "0"
    away = finding(f"postgresql://weir:hush@127.0.0.1:{free_port()}/x")
    assert away["status"] == "failed" and "refused" in away["detail"] and "start the database" in away["advice"], away
    nobody = finding(f"postgresql://nobody:hush@127.0.0.1:{postgresql.port}/postgres")
    assert nobody["status"] == "failed" and '"nobody" does not exist' in nobody["detail"], nobody
    postgresql.sql("CREATE ROLE poor LOGIN")
    poor = finding(postgresql.url(user="poor"))
    assert poor["status"] == "failed" and "the user poor may not make tables in the schema public" in poor["detail"], poor


def test_config_check(weir, tmp_path):
    path = tmp_path / "weir.yaml"
    for url, says in [
        ("postgresql://h/d?sslmod=require", b'postgresql:// knows no parameter "sslmod"; did you mean "sslmode"?'),
        ("postgresql://u:hush@h/d?sslmode=safe", b'invalid sslmode value: "safe"'),
        ("postgresql://u:hu@sh@h/d", b"in a user or password of a URL, '/' is written %2F"),
        ("mysqld://h/d", b"sqlite:, sqlite:PATH, postgresql://HOST/DATABASE or mysql://HOST/DATABASE is wanted"),
        ("mysql://h/d?tls_cs=x", b'mysql:// knows no parameter "tls_cs"; did you mean "tls_ca"?'),
        ("mysql://u:hu/sh@h/d", b"in a user or password of a URL, '/' is written %2F"),
    ]:
        path.write_text(f"catalog:\n  url: {url}\n")
        r = weir("config", "check", str(path), check=False)
        assert r.returncode == 1 and b":2:8: catalog.url: " + says in r.stderr, r.stderr
        assert b"hush" not in r.stderr and b"hu@" not in r.stderr


def test_password(make_server, weir, tmp_path):
    """From a file, which is read again at each connection, and from the environment; over TLS."""
    database = PostgreSql(password="hush & hide")
    root = database.use_tls()
    database.start()
    try:
        path = tmp_path / "password"
        path.write_text("hush & hide\n")
        server = make_server(args=["--catalog", database.url() + f"?password_file={path}"])
        server.ingest(lines(0, 10))
        server.flush()
        server.stop()
        server.args = ["--catalog", f"postgresql://weir:hush%20%26%20hide@127.0.0.1:{database.port}/postgres"]
        server.start()
        assert numbers(server) == list(range(10))
        server.stop()
        server.args = ["--catalog", database.url()]
        server.env["PGPASSWORD"] = "hush & hide"
        server.start()
        assert numbers(server) == list(range(10))
        server.stop()
        server.args = ["--catalog", database.url() + f"?sslmode=verify-full&sslrootcert={root}"]
        server.start()
        assert numbers(server) == list(range(10))
        assert database.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                            " WHERE application_name = 'weir'", "hush & hide") == "t"
        server.stop()
        server.env["PGPASSWORD"] = "wrong"
        server.start(ready=False)
        assert server.process.wait(20) == 1  # at once: to try again would not help
        log = server.log.read_text()
        assert 'password authentication failed for user "weir"' in log and "hush" not in log
        server.process = None
        path.write_text("wrong")
        r = weir("check", "--data", str(tmp_path / "d"), "--set",
                 "catalog.url=" + database.url() + f"?password_file={path}", check=False)
        assert b"password authentication failed" in r.stdout and b"correct user, password" in r.stdout
    finally:
        database.remove()


def test_starts_when_the_database_does(make_server):
    database = PostgreSql()
    try:
        server = make_server(args=["--catalog", database.url()], start=False)
        server.start(ready=False)
        wait_for(lambda: "it is tried again" in server.log.read_text())
        database.start()
        server.wait_ready()
        server.ingest(lines(0, 1))
        server.stop()
        database.stop()
        server.start(ready=False)
        wait_for(lambda: server.log.read_text().count("it is tried again") > 2)
        server.process.send_signal(signal.SIGTERM)  # a stop does not wait
        assert server.process.wait(10) == 1
        server.process = None
    finally:
        database.remove()


def test_away_while_records_come(make_server, database):
    """Records are taken as long as there is memory for them, then refused with the reason; all of them are there, once,
    when the database is back."""
    server = make_server(args=["--catalog", database.url("away"), *SMALL, "--set", "memory.budget=96MiB"])
    sent = 0
    for _ in range(3):
        server.ingest(lines(sent, 1000))
        sent += 1000
    server.flush()
    database.kill()
    refused = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        r = requests.post(server.url + "/api/v1/logs/ingest", data=lines(sent, 1000, 1000), timeout=60,
                          headers={"Content-Type": "application/x-ndjson"})
        if r.status_code != 202:
            refused = r
            break
        sent += 1000
    assert refused is not None and refused.status_code == 503, "memory is never full"
    assert f"catalog {database.scheme}://127.0.0.1" in refused.text, refused.text
    assert requests.get(server.url + "/healthz", timeout=30).status_code == 200
    server.query("n:1")  # searches go on
    database.start()
    deadline = time.monotonic() + 60
    while requests.post(server.url + "/api/v1/logs/ingest", data=lines(sent, 1), timeout=60,
                        headers={"Content-Type": "application/x-ndjson"}).status_code != 202:
        assert time.monotonic() < deadline, "it does not go on by itself"
        time.sleep(0.2)
    sent += 1
    server.flush()
    assert numbers(server) == list(range(sent))
    server.kill()
    server.start()
    assert numbers(server) == list(range(sent))


def test_database_hangs(make_server, database):
    """A server that takes everything and answers nothing is given up after a while, not waited for."""
    server = make_server(args=["--catalog", database.url("hangs"), *SMALL])
    server.ingest(lines(0, 100))
    server.flush()
    processes = [*database.sessions(), database.process.pid]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        server.ingest(lines(100, 100))
        began = time.monotonic()
        assert requests.post(server.url + "/api/v1/admin/flush", timeout=120).status_code != 200
        assert time.monotonic() - began < 60
        assert numbers(server) == list(range(200))
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: requests.post(server.url + "/api/v1/admin/flush", timeout=120).status_code == 200, 90)
    assert numbers(server) == list(range(200))


def test_from_one_to_several(make_server, database, weir, tmp_path):
    """As docs/catalog.md says: the objects move, the catalog is copied, new servers go on."""
    objects, catalog = f"file://{tmp_path}/objects", database.url("several")
    old = make_server("old", args=SMALL)
    key, body = {"Idempotency-Key": "before"}, lines(0, 500)
    old.ingest(body, **key)
    old.flush()
    old.stop()
    old.args += ["--objects", objects]
    old.start()
    old.ingest(lines(500, 100))
    old.stop()
    copy = ["catalog", "copy", "--from", f"sqlite:{old.data}/catalog.db", "--to", catalog]
    r = weir(*copy, check=False)
    assert r.returncode == 1 and b"holds 1 entries that are in no segment yet" in r.stderr, r.stderr
    old.start()
    r = weir(*copy, check=False)
    assert r.returncode == 1 and b"in use by another process" in r.stderr, r.stderr
    old.flush()
    old.stop()
    assert b"rows copied" in weir(*copy).stdout
    r = weir(*copy, check=False)
    assert r.returncode == 1 and b"not empty" in r.stderr, r.stderr
    args = ["--catalog", catalog, "--objects", objects, *SMALL]
    a, b = make_server("a", args=args), make_server("b", args=args)
    assert numbers(a) == numbers(b) == list(range(600))
    assert a.ingest(body, **key)["accepted"] == 500  # the answer of then: it lands once
    a.ingest(lines(600, 10))
    b.ingest(lines(610, 10))
    a.flush()
    b.flush()
    wait_for(lambda: numbers(a) == numbers(b) == list(range(620)))
    # The old folder's queue is none of a shared catalog.
    r = weir("server", "--data", str(old.data), "--listen", f"127.0.0.1:{free_port()}", *args, check=False)
    assert r.returncode == 1 and b"start with an empty folder" in r.stderr, r.stderr


def test_a_catalog_that_forgot_a_server(make_server, postgresql, weir):
    """An older state of the catalog was put back: what is in the server's queue is not passed over under a new number."""
    server = make_server(args=["--catalog", postgresql.url("forgot"), *SMALL])
    server.ingest(lines(0, 100))
    server.kill()
    postgresql.sql("CREATE TABLE forgot.old AS SELECT * FROM forgot.nodes; DELETE FROM forgot.nodes")
    r = weir("server", "--data", str(server.data), "--listen", f"127.0.0.1:{free_port()}", *server.args, check=False)
    assert r.returncode == 1 and b"the catalog does not know any more" in r.stderr, r.stderr
    postgresql.sql("INSERT INTO forgot.nodes SELECT * FROM forgot.old")
    server.start()
    assert numbers(server) == list(range(100))


def fail_over(make_server, url, first, second, schema):
    server = make_server(args=["--catalog", url, *SMALL])
    stop, rng = threading.Event(), random.Random(3)
    clients = [Client(server, f"c{i}", i % 2 == 0, stop) for i in range(3)]
    for c in clients:
        c.start()
    for turn in range(60):
        nudge(server, rng)
        if turn == 30:
            first.kill()
            second.promote()
    stop.set()
    for c in clients:
        c.join(60)
        assert not c.is_alive() and not c.problems, c.problems
    server.flush()
    check(server, clients)
    found = len(server.query("* | fields n", stream="crash"))
    assert int(second.sql(f"SELECT sum(record_count) FROM {schema}.sections")) == found > 0
    server.kill()
    server.start()
    check(server, clients)


def test_failover(make_server):
    """The database dies and its standby, which has every commit, takes over."""
    first, second = PostgreSql().start(), None
    try:
        second = PostgreSql(standby_of=first).start()
        first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()")
        hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"  # a standby is not taken for the one that writes
        fail_over(make_server, f"postgresql://weir@{hosts}/postgres", first, second, "public")
    finally:
        first.remove()
        if second:
            second.remove()


def test_through_a_pooler(make_server, postgresql, tmp_path):
    """Nothing of a session is relied on: two servers share a few sessions, each transaction with another."""
    pooler = PgBouncer(postgresql).start()
    try:
        args = ["--catalog", postgresql.url("pooled", pooler.port), "--objects", f"file://{tmp_path}/objects", *SMALL]
        a, b = make_server("a", args=args), make_server("b", args=args)
        for i in range(20):
            (a if i % 3 else b).ingest(lines(i * 10, 10))
            (b if i % 2 else a).flush()
            postgresql.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir'"
                           " AND state = 'idle' AND random() < 0.2")
        a.flush()
        b.flush()
        wait_for(lambda: numbers(a) == numbers(b) == list(range(200)))
    finally:
        pooler.remove()


def disturb(server, database, rng):
    what = rng.choice(["weir", "weir", "database", "sessions", "nothing", "nothing"])
    if what == "weir":
        server.kill()
        server.start()
    elif what == "database":
        database.kill()
        time.sleep(rng.uniform(0, 0.5))
        database.start()
    elif what == "sessions":
        database.end_sessions()


def test_starts_while_commits_are_lost(make_server, database, tmp_path):
    """Each commit of a first start, or the answer to it, may be lost: the start goes on. Nothing is made twice."""
    relay = Relay(database.port)
    relay.loss = 0.3
    for i in range(6):
        args = ["--catalog", database.url(f"starts_{i}", relay.port), "--objects", f"file://{tmp_path}/objects-{i}"]
        server = make_server(f"s{i}", args=args)
        number = int((server.data / "node").read_text().split()[0].removeprefix("number="))
        assert database.sql(f"SELECT position FROM starts_{i}.checkpoints WHERE consumer = 'store/{number}'")
        assert database.sql(f"SELECT count(*) FROM starts_{i}.nodes WHERE number = {number}") == "1"
        server.kill()
        server.start()
        assert (server.data / "node").read_text().startswith(f"number={number}\n")
        server.kill()
    assert relay.lost > 10
    relay.close()


def test_crashes(make_server, database, tmp_path):
    """kill -9 of two servers and the database, ended sessions, and commits of which the order or the answer is lost."""
    rng = random.Random(SEED)
    relay = Relay(database.port)
    args = ["--catalog", database.url("crashes", relay.port), "--objects", f"file://{tmp_path}/objects", *SMALL]
    servers = [make_server(name, args=args) for name in ("a", "b")]
    stop = threading.Event()
    clients = [Client(servers[i % 2], f"c{i}", i < 2, stop) for i in range(4)]
    for c in clients:
        c.start()
    relay.loss = 0.25
    for _ in range(ROUNDS if database.scheme == "postgresql" else ROUNDS // 2 + 1):
        end = time.monotonic() + rng.uniform(0.1, 0.6)
        while time.monotonic() < end:
            nudge(rng.choice(servers), rng)
            time.sleep(0.02)
        disturb(rng.choice(servers), database, rng)
    relay.loss = 0
    stop.set()
    for c in clients:
        c.join(60)
        assert not c.is_alive(), "a client never got its answer"
        assert not c.problems, c.problems
    assert relay.lost > 5 and sum(c.acked for c in clients) > 100
    for server in servers:
        server.flush()
    taken = sum(len(c.body(n).split("\n")) for c in clients for n in range(1, c.acked + 1))
    for server in servers:  # each sees what the other has published, a moment later
        wait_for(lambda s=server: len(s.query("* | fields n", stream="crash")) >= taken)
        check(server, clients)
    servers[0].compact()
    for server in servers:
        server.kill()
        server.start()
        check(server, clients)
    relay.close()
