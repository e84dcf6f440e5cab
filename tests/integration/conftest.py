"""Starts real servers on free loopback ports, stops them by their process, shows their log on failure."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

import pytest
import requests

# Real servers, each started by the first test that asks for it.
pytest_plugins = ["parts.kafka", "parts.opensearch", "parts.dynamodb", "parts.mariadb", "parts.postgresql",
                  "parts.redis"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = os.environ.get("WEIR", str(ROOT / "build" / "release" / "weir"))


# Each worker of pytest-xdist has ports of its own, below those that the kernel gives to who asks for any: what was
# free a moment ago is not taken by a neighbour before it is used.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
PORTS = range(10000 + WORKER % 8 * 2500, 12500 + WORKER % 8 * 2500)
next_port = random.randrange(len(PORTS))


def free_port():
    global next_port
    while True:
        next_port += 1
        port = PORTS[next_port % len(PORTS)]
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


# Parts (tests/integration/parts) that are started once a session: what shares one runs on one worker.
SHARED = ["kafka", "opensearch", "dynamodb", "mariadb", "rds"]


def pytest_collection_modifyitems(items):
    for item in items:
        part = next((p for p in SHARED if p in item.fixturenames), None)
        item.add_marker(pytest.mark.xdist_group(part or item.path.name))


class Disk:
    """A small file system of its own, in memory. Who is not root needs sudo without a password; where neither may
    mount, the test fails: WEIR_NO_MOUNT=1 leaves it out, and says so."""

    def __init__(self, path, mib):
        if os.environ.get("WEIR_NO_MOUNT"):
            pytest.skip("WEIR_NO_MOUNT is set")
        self.path = path
        path.mkdir()
        self.run("mount", "-t", "tmpfs", "-o", f"size={mib}m,uid={os.getuid()},gid={os.getgid()}", "tmpfs", str(path))

    def run(self, *command):
        r = subprocess.run([*([] if os.geteuid() == 0 else ["sudo", "-n"]), *command], capture_output=True, text=True)
        assert r.returncode == 0, f"this test mounts file systems (see class Disk): {' '.join(command)}: {r.stderr}"

    def remount(self, how):
        self.run("mount", "-o", f"remount,{how}", str(self.path))

    def remove(self):
        self.run("umount", str(self.path))


class Server:
    def __init__(self, data, args=(), env=None):
        self.data = pathlib.Path(data)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = list(args)
        self.env = dict(os.environ, **(env or {}))
        self.process, self.binary = None, WEIR
        self.log = self.data.parent / (self.data.name + ".log")

    def start(self, ready=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "server", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", *self.args],
                stdout=log, stderr=log, env=self.env)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}: {self.log.read_text()[-4000:]}")
            try:
                if requests.get(self.url + "/readyz", timeout=30).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.02)
        raise RuntimeError("server not ready: " + self.log.read_text()[-4000:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        return self.process.returncode if self.process else None

    # -- requests --

    def ingest(self, body, content_type="application/x-ndjson", stream=None, expect=202, **headers):
        params = {"stream": stream} if stream else {}
        r = requests.post(self.url + "/api/v1/logs/ingest", params=params, data=body,
                          headers={"Content-Type": content_type, **headers}, timeout=120)
        assert r.status_code == expect, (r.status_code, r.text[:2000])
        return r.json()

    def query(self, q="", expect=200, **params):
        r = requests.post(self.url + "/api/v1/logs/query", params={"q": q, **params}, timeout=120)
        assert r.status_code == expect, (r.status_code, r.text[:2000])
        if expect != 200:
            return r.json()
        import json
        return [json.loads(line) for line in r.content.split(b"\n") if line]

    def search(self, q="", expect=200, **params):
        r = requests.get(self.url + "/api/v1/logs/search", params={"q": q, **params}, timeout=120)
        assert r.status_code == expect, (r.status_code, r.text[:2000])
        return r.json()

    def flush(self):
        assert requests.post(self.url + "/api/v1/admin/flush", timeout=120).status_code == 200

    def compact(self):
        assert requests.post(self.url + "/api/v1/admin/compact", timeout=300).status_code == 200


@pytest.fixture
def make_server(tmp_path):
    servers = []

    def make(name="data", args=(), env=None, start=True):
        s = Server(tmp_path / name, args, env)
        servers.append(s)
        return s.start() if start else s

    yield make
    for s in servers:
        code = s.stop()
        text = s.log.read_text(errors="replace") if s.log.exists() else ""
        assert "check failed" not in text and "Sanitizer" not in text, text[-4000:]
        assert code in (0, -9, None), (code, text[-4000:])


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture(scope="session")
def weir():
    def run(*args, input=None, check=True, env=None):
        r = subprocess.run([WEIR, *args], input=input, capture_output=True, timeout=120,
                           env=dict(os.environ, **(env or {})))
        if check:
            assert r.returncode == 0, (args, r.returncode, r.stderr.decode()[-2000:])
        return r
    return run
