"""A server whose catalog is in MySQL: what is MySQL's own. The rest is in test_catalog_postgresql.py."""
import json
import random
import re
import socket
import struct
import threading
import time

import pytest

from conftest import free_port
from parts.mariadb import MySql, as_mysql
from parts.process import certificate
from test_catalog_postgresql import fail_over, lines, numbers, wait_for


@pytest.fixture
def finding(weir, tmp_path):
    """What weir check says of a catalog."""
    def find(url):
        r = weir("check", "--json", "--data", str(tmp_path / "d"), "--set", "catalog.url=" + url, check=False)
        assert b"hush" not in r.stdout + r.stderr
        return next(c for c in json.loads(r.stdout)["checks"] if c["name"] == "catalog")
    return find


def test_check(mysql, finding):
    good = finding(mysql.url("checked"))
    assert good["status"] == "ok" and re.search(r"MariaDB \d+.*, no catalog in it yet", good["detail"]), good
    assert "innodb_flush_log_at_trx_commit is not 1" in good["detail"], good
    assert mysql.sql("SHOW TABLES IN checked") == ""
    away = finding(f"mysql://weir:hush@127.0.0.1:{free_port()}/x")
    assert away["status"] == "failed" and "Can't connect" in away["detail"] and "start the database" in away["advice"], away
    nobody = finding(f"mysql://nobody:hush@127.0.0.1:{mysql.port}/checked")
    assert nobody["status"] == "failed" and "Access denied for user 'nobody'" in nobody["detail"], nobody
    mysql.sql("CREATE USER poor@'%'; GRANT SELECT ON checked.* TO poor@'%'")
    poor = finding(mysql.url("checked", user="poor"))
    assert poor["status"] == "failed" and "GRANT ALL ON" in poor["detail"], poor


def test_password_and_tls(make_server, finding, tmp_path):
    """The password from a file, which is read again at each connection; a certificate that is looked at."""
    database = MySql(password="hush & hide")
    database.server.home.mkdir(exist_ok=True)
    key, cert = certificate(database.server.home)
    as_mysql(key)
    database.server.options += (f"--ssl-cert={cert}", f"--ssl-key={key}")
    database.start()
    try:
        path = tmp_path / "password"
        path.write_text("hush & hide\n")
        url = database.url(scheme="mysql+tls") + f"?password_file={path}"
        server = make_server(args=["--catalog", url + f"&tls_ca={cert}"])
        server.ingest(lines(0, 10))
        server.flush()
        path.write_text("wrong\n")
        database.end_sessions()
        server.ingest(lines(10, 10))
        wait_for(lambda: "Access denied for user 'weir'" in server.log.read_text())
        path.write_text("hush & hide\n")
        server.flush()
        assert numbers(server) == list(range(20))
        assert "hush" not in server.log.read_text()
        stranger = finding(url)
        assert stranger["status"] == "failed" and "ertificate" in stranger["detail"], stranger
        assert "correct user, password" in stranger["advice"]
        assert finding(url + "&tls_verify=no")["status"] == "ok"
        database.sql("ALTER USER weir@'%' REQUIRE SSL")
        assert finding(url.replace("mysql+tls", "mysql"))["status"] == "failed"
        assert finding(url + f"&tls_ca={cert}")["status"] == "ok"
    finally:
        database.remove()


class Thief(threading.Thread):
    """Answers for a server, and asks for the password as it is."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener, self.got = socket.create_server(("127.0.0.1", 0)), b""
        self.port = self.listener.getsockname()[1]
        self.start()

    @staticmethod
    def packet(number, body):
        return struct.pack("<I", len(body))[:3] + bytes([number]) + body

    def run(self):
        client = self.listener.accept()[0]
        client.settimeout(10)
        capabilities = 0x00ff_f7ff & ~0x800  # no TLS
        client.sendall(self.packet(0, b"\x0a8.0.30\0" + struct.pack("<I", 1) + b"12345678\0"
                                   + struct.pack("<H", capabilities & 0xffff) + b"\x2d\x02\0"
                                   + struct.pack("<H", capabilities >> 16) + b"\x15" + bytes(10)
                                   + b"123456789012\0mysql_native_password\0"))
        client.recv(65536)
        client.sendall(self.packet(2, b"\xfemysql_clear_password\0"))
        try:
            while more := client.recv(65536):
                self.got += more
        except OSError:
            pass


def test_password_is_not_given_away(finding):
    thief = Thief()
    r = finding(f"mysql://weir:hush@127.0.0.1:{thief.port}/weir")
    assert r["status"] == "failed", r
    thief.join(20)
    assert b"hush" not in thief.got


def test_failover(make_server):
    """The database dies and its replica, which has every commit, takes over. Its log is of statements."""
    options = ["--log-bin=log", "--binlog-format=STATEMENT", "--sync-binlog=0"]
    first = MySql("--server-id=1", *options, "--rpl-semi-sync-master-timeout=60000",
                  "--rpl-semi-sync-master-wait-point=AFTER_SYNC")
    second = MySql("--server-id=2", *options, "--rpl-semi-sync-slave-enabled=1")
    try:
        second.server.start()
        first.server.start()
        first.sql("CREATE USER replica@'%'; GRANT REPLICATION SLAVE ON *.* TO replica@'%'")
        first.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1")
        second.follow(first)
        wait_for(lambda: first.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'").endswith("1"))
        first.sql("CREATE USER weir@'%'")
        first.url("weir")
        wait_for(lambda: second.sql("SHOW DATABASES LIKE 'weir'") == "weir")
        hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"  # a replica is not taken for the one that writes
        fail_over(make_server, f"mysql://weir@{hosts}/weir", first, second, "weir")
    finally:
        first.remove()
        second.remove()


def test_killed_while_tables_are_made(make_server, mysql):
    """Two servers start at once and are killed anywhere in their first moments: the next ones find all, or make it."""
    rng = random.Random(7)
    for i in range(4):
        servers = [make_server(f"{name}{i}", args=["--catalog", mysql.url(f"made_{i}")], start=False) for name in "ab"]
        for _ in range(3):
            for s in servers:
                s.start(ready=False)
            time.sleep(rng.uniform(0, 0.15))
            for s in servers:
                s.kill()
        for s in servers:
            s.start(ready=False)
        for s in servers:
            s.wait_ready()
            s.ingest(lines(0, 5))
            s.flush()
            s.stop()
        assert mysql.sql(f"SELECT count(*), count(DISTINCT number) FROM made_{i}.nodes").split()[0] == \
            mysql.sql(f"SELECT count(DISTINCT number) FROM made_{i}.nodes")
        assert mysql.sql(f"SELECT sum(record_count) FROM made_{i}.sections") == "10"
