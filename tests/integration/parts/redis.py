"""Debian's Redis on loopback, without files: what Valkey answers, too."""
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

import pytest

from conftest import free_port
from parts.process import Process


class Redis(Process):
    def __init__(self, password=None):
        self.port, self.password = free_port(), password
        self.folder = tempfile.mkdtemp(prefix="weir-redis-")
        user = f":{urllib.parse.quote(password)}@" if password else ""
        self.url = f"redis://{user}127.0.0.1:{self.port}/1"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
             "--appendonly", "no", *(["--requirepass", self.password] if self.password else [])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError("Redis did not start")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def redis():
    r = Redis(password="a word").start()
    yield r
    r.remove()
