"""Original programs that no registry of the tests has, each where the environment names it:

    LOGSTASH   bin/logstash, with the plugins of its distribution and logstash-output-opensearch
    PROMTAIL   promtail
"""
import os
import shlex

import pytest
import requests

from conftest import free_port
from parts.process import Process


def needs(name):
    return pytest.mark.skipif(name not in os.environ, reason=f"{name} names no program")


class Peer(Process):
    """One of them, with a folder of its own for its data and its log."""
    not_ready = (OSError, requests.RequestException)

    def __init__(self, folder):
        self.name = type(self).__name__.lower()
        self.folder, self.log = folder / self.name, folder / f"{self.name}.log"
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()

    def program(self):
        return shlex.split(os.environ[self.name.upper()])

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Logstash(Peer):
    """A pipeline; what it says of its configuration is in its log."""

    def __init__(self, folder, pipeline):
        super().__init__(folder)
        (self.folder / "pipeline.conf").write_text(pipeline)

    def command(self):
        return [*self.program(), "-f", str(self.folder / "pipeline.conf"), "--path.data", str(self.folder / "data"),
                "--api.enabled", "false", "--pipeline.workers", "1"]

    def is_ready(self):
        return "Pipelines running" in self.log.read_text()


class Promtail(Peer):
    """By its configuration; PORT there is that of its own server."""

    def __init__(self, folder, text):
        super().__init__(folder)
        (self.folder / "promtail.yaml").write_text(text.replace("PORT", str(self.port)))

    def command(self):
        return [*self.program(), f"-config.file={self.folder}/promtail.yaml"]

    def is_ready(self):
        return "server listening on addresses" in self.log.read_text()
