"""PostgreSQL servers from Debian's package, each in a folder of its own, and a relay that stands before one and loses
commits or their answers. Who is root runs them as user postgres, since they do not run as root."""
import os
import pathlib
import pwd
import random
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import free_port
from parts.process import Process, certificate

BIN = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))[-1:]
AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


class PostgreSql(Process):
    """Syncs are left out: what is killed here is the process, not the machine. With `standby_of` it follows another."""
    scheme, library = "postgresql", "libpq"

    def __init__(self, password=None, encoding="UTF8", standby_of=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-postgresql-"))
        self.port, self.log, self.options = free_port(), self.folder / "log", []
        self.log.touch()
        if AS_POSTGRES:
            user = pwd.getpwnam("postgres")
            for path in (self.folder, self.log):
                os.chown(path, user.pw_uid, user.pw_gid)
        if standby_of:
            subprocess.run([BIN[0] / "pg_basebackup", "-D", self.folder / "d", "-R", "-h", "127.0.0.1", "-p",
                            str(standby_of.port), "-U", "weir", "-c", "fast", "--no-sync"], check=True, cwd=self.folder,
                           capture_output=True, **AS_POSTGRES)
            return
        secret = self.folder / "password"
        secret.write_text(password or "none")
        secret.chmod(0o644)
        subprocess.run([BIN[0] / "initdb", "-D", self.folder / "d", "-A", "scram-sha-256" if password else "trust", "-U",
                        "weir", f"--pwfile={secret}", "--no-sync", "-E", encoding, "--locale=C"], check=True, cwd=self.folder,
                       capture_output=True, **AS_POSTGRES)

    def start(self):
        # A killed one leaves its file of the process id behind.
        (self.folder / "d" / "postmaster.pid").unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BIN[0] / "postgres", "-D", self.folder / "d", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB",
                 "-c", "dynamic_shared_memory_type=mmap", *self.options],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **AS_POSTGRES)
        self.wait_ready()
        return self

    def use_tls(self):
        """With a certificate of its own, which is the root as well: its path."""
        key, cert = certificate(self.folder, **AS_POSTGRES)
        self.options = ["-c", "ssl=on", "-c", f"ssl_cert_file={cert}", "-c", f"ssl_key_file={key}"]
        return cert

    def promote(self):
        self.sql("SELECT pg_promote()")

    def is_ready(self):
        return "ready" in (self.folder / "d" / "postmaster.pid").read_text()

    def kill(self):
        """With its sessions: they would end by themselves, but not before they are in the way of the next."""
        main = self.process.pid
        children = pathlib.Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in [main, *children]:
            try:
                os.kill(int(pid), 9)
            except ProcessLookupError:
                pass
        self.process.wait()
        while any(pathlib.Path(f"/proc/{pid}/cwd").exists() for pid in children):
            time.sleep(0.01)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(2)  # fast: does not wait for sessions
            self.process.wait(60)

    def url(self, schema=None, port=None, user="weir"):
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/postgres" + (f"?schema={schema}" if schema else "")

    def sql(self, text, password=""):
        r = subprocess.run([BIN[0] / "psql", "-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "weir",
                            "-d", "postgres", "-v", "ON_ERROR_STOP=1"], input=text, capture_output=True, text=True,
                           env=dict(os.environ, PGPASSWORD=password))
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()

    def sessions(self):
        """The processes that serve Weir's connections."""
        return [int(pid) for pid in self.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'weir'").split()]

    def end_sessions(self):
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir'")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class PgBouncer(Process):
    """A pooler in its transaction mode: each transaction may get another session of the server."""

    def __init__(self, database):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-pgbouncer-"))
        self.port, self.log = free_port(), self.folder / "log"
        (self.folder / "ini").write_text(f"""[databases]
postgres = host=127.0.0.1 port={database.port} dbname=postgres user=weir
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
""")
        self.folder.chmod(0o755)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/pgbouncer", self.folder / "ini"], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, **AS_POSTGRES)
        self.wait_ready()
        return self

    def is_ready(self):
        socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        return True

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def is_commit(data):
    """Of PostgreSQL's protocol or MySQL's. What only reads comes in one piece with its BEGIN."""
    if data.endswith(b"COMMIT"):
        return b"START TRANSACTION" not in data
    return b"COMMIT\0" in data and b"BEGIN" not in data


class Relay:
    """Carries connections to a port. With `loss` of a commit's, one of them is cut: before the COMMIT arrives, or before
    its answer does."""

    def __init__(self, to_port):
        self.to_port, self.loss, self.lost, self.open = to_port, 0.0, 0, True
        self.rng = random.Random(5)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.to_port), timeout=60) as server:
                while self.open and self.step(client, server):
                    pass
        except OSError:
            pass

    def step(self, client, server):
        for s in select.select([client, server], [], [], 0.2)[0]:
            data = s.recv(1 << 18)
            if not data:
                return False
            writes = s is client and is_commit(data)
            cut = writes and self.rng.random() < self.loss
            self.lost += cut
            if cut and self.rng.random() < 0.5:
                return False
            (server if s is client else client).sendall(data)
            if cut:
                server.recv(1 << 18)
                return False
        return True

    def close(self):
        self.open = False
        self.listener.close()


@pytest.fixture(scope="module")
def postgresql():
    server = PostgreSql().start()
    yield server
    server.remove()
