"""MariaDB servers whose log files lie as Aurora's do: FOLDER/slowquery/mysql-slowquery.log,
FOLDER/error/mysql-error-running.log. Each takes about 4 s to make; a data directory is made once and copied."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

import pytest

from conftest import free_port
from parts.process import Process

AS_MYSQL = ["--user=mysql"] if os.geteuid() == 0 else []  # who is not root runs it as himself
_template = None


def template():
    """An empty data directory, made once a run."""
    global _template
    if _template is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-mariadb-"))
        as_mysql(folder)
        made = subprocess.run(["mariadb-install-db", "--no-defaults", *AS_MYSQL, f"--datadir={folder / 'd'}",
                               "--auth-root-authentication-method=normal", "--skip-test-db"], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
        _template = folder / "d"
    return _template


def as_mysql(path):
    if os.geteuid() == 0:
        user = pwd.getpwnam("mysql")
        os.chown(path, user.pw_uid, user.pw_gid)


class MariaDb(Process):
    def __init__(self, name, *options):
        self.name, self.options = name, options
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"weir-{name}-"))
        self.logs = self.home / "logs"
        self.slow, self.error = self.logs / "slowquery/mysql-slowquery.log", self.logs / "error/mysql-error-running.log"
        self.process = None

    def start(self):
        for folder in (self.home, self.logs, self.slow.parent, self.error.parent):
            folder.mkdir(exist_ok=True)
            as_mysql(folder)
            folder.chmod(0o755)
        if not (self.home / "d").exists():
            subprocess.run(["cp", "-a", str(template()), str(self.home / "d")], check=True)
        self.process = subprocess.Popen(
            ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.home / 'd'}", f"--socket={self.home / 's'}",
             "--skip-networking", f"--pid-file={self.home / 'p'}", "--skip-log-bin", f"--log-error={self.error}",
             "--slow-query-log=1", f"--slow-query-log-file={self.slow}", "--long-query-time=0",
             "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
             "--log-warnings=9", *AS_MYSQL, *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while self.sql("SELECT 1", check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.error.read_text()[-3000:]
            time.sleep(0.1)
        return self

    def sql(self, text, check=True):
        return subprocess.run(["mariadb", "--no-defaults", "-S", str(self.home / "s"), "-uroot", "--binary-mode"],
                              input=text if isinstance(text, bytes) else text.encode(), check=check, capture_output=True)

    def rotate(self, kind, suffix):
        """As Aurora rotates: the file gets another name, the server begins a new one."""
        path = self.slow if kind == "slowquery" else self.error
        path.rename(path.with_name(path.name + "." + suffix))
        self.sql("FLUSH LOCAL SLOW LOGS" if kind == "slowquery" else "FLUSH LOCAL ERROR LOGS")

    def remove(self):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def mariadb():
    servers = []

    def make(name, *options):
        servers.append(MariaDb(name, *options))
        return servers[-1].start()

    yield make
    for s in servers:
        s.remove()


class MySql:
    """A MariaDB with databases for catalogs, on a port. What is killed is the process: commits need not reach the disk."""
    scheme, library = "mysql", "libmariadb"

    def __init__(self, *options, password=""):
        self.port, self.password, self.databases = free_port(), password, set()
        self.server = MariaDb("catalog", "--skip-networking=0", "--bind-address=127.0.0.1", f"--port={self.port}",
                              "--innodb-flush-log-at-trx-commit=2", "--slow-query-log=0", *options)

    @property
    def process(self):
        return self.server.process

    def start(self):
        self.server.start()
        self.sql(f"CREATE USER IF NOT EXISTS weir@'%' IDENTIFIED BY '{self.password}'")
        return self

    def stop(self):
        self.server.stop()

    def kill(self):
        self.server.kill()

    def url(self, name="weir", port=None, user="weir", scheme="mysql"):
        if name not in self.databases:
            self.sql(f"CREATE DATABASE IF NOT EXISTS {name};"
                     f" GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON {name}.* TO weir@'%'")
            self.databases.add(name)
        return f"{scheme}://{user}@127.0.0.1:{port or self.port}/{name}"

    def sql(self, text):
        r = subprocess.run(["mariadb", "--no-defaults", "-S", str(self.server.home / "s"), "-uroot", "-N", "-B"],
                           input=text, capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()

    def follow(self, other):
        """As its replica, which takes no writes."""
        self.sql(f"""CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={other.port}, MASTER_USER='replica';
                     START SLAVE; SET GLOBAL read_only = 1""")

    def promote(self):
        """What it has been sent is applied before."""
        self.sql("STOP SLAVE IO_THREAD")
        deadline = time.monotonic() + 60
        while "has read all relay log" not in self.sql("SHOW SLAVE STATUS"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.sql("STOP SLAVE; SET GLOBAL read_only = 0")

    def sessions(self):
        """Processes that serve connections, beside its own: here are none."""
        return []

    def end_sessions(self):
        self.sql("KILL USER weir")

    def remove(self):
        self.server.remove()


@pytest.fixture(scope="module")
def mysql():
    server = MySql().start()
    yield server
    server.remove()
