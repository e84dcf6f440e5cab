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

from parts.process import Process

AS_MYSQL = ["--user=mysql"] if os.geteuid() == 0 else []  # who is not root runs it as himself
_template = None


def template():
    """An empty data directory, made once a run."""
    global _template
    if _template is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-mariadb-"))
        as_mysql(folder)
        subprocess.run(["mariadb-install-db", "--no-defaults", *AS_MYSQL, f"--datadir={folder / 'd'}",
                        "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, capture_output=True)
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
