"""Original programs that no registry of the tests has, each where the environment names it:

    LOGSTASH   bin/logstash, with the plugins of its distribution and logstash-output-opensearch
    PROMTAIL   promtail
    LOKI       loki
    OTELCOL    an OpenTelemetry collector; class Otelcol says what is to be in it
"""
import json
import os
import shlex
import time

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


class Loki(Peer):
    """One process with files; `limits` are its limits_config."""

    def __init__(self, folder, **limits):
        super().__init__(folder)
        limits = {"reject_old_samples": False, "max_entries_limit_per_query": 100000, **limits}
        self.url = f"http://127.0.0.1:{self.port}"
        (self.folder / "loki.yaml").write_text(json.dumps({
            "auth_enabled": False, "analytics": {"reporting_enabled": False},
            "server": {"http_listen_address": "127.0.0.1", "http_listen_port": self.port, "log_level": "warn",
                       "grpc_listen_address": "127.0.0.1", "grpc_listen_port": free_port(),
                       "grpc_server_max_recv_msg_size": 1 << 27, "grpc_server_max_send_msg_size": 1 << 27},
            "frontend_worker": {"grpc_client_config": {"max_send_msg_size": 1 << 27}},  # answers of many records
            "common": {"path_prefix": str(self.folder), "replication_factor": 1, "instance_addr": "127.0.0.1",
                       "storage": {"filesystem": {"chunks_directory": f"{self.folder}/chunks",
                                                   "rules_directory": f"{self.folder}/rules"}},
                       "ring": {"instance_addr": "127.0.0.1", "kvstore": {"store": "inmemory"}}},
            "ingester": {"lifecycler": {"min_ready_duration": "0s"}},
            "schema_config": {"configs": [{"from": "2020-10-24", "store": "tsdb", "object_store": "filesystem", "schema": "v13",
                                           "index": {"prefix": "index_", "period": "24h"}}]},
            "limits_config": limits}))

    def command(self):
        return [*self.program(), f"-config.file={self.folder}/loki.yaml"]

    def is_ready(self):
        return requests.get(self.url + "/ready", timeout=30).status_code == 200

    def call(self, path, **params):
        r = requests.get(f"{self.url}/loki/api/v1/{path}", params=params, timeout=30)
        assert r.status_code == 200, r.text
        return r.json()["data"]

    def streams(self, query):
        """Of the last hours, of each stream its labels (structured metadata among them) and its entries, time and line."""
        start, end = (f"{time.time_ns() + hours * 3600 * 10**9}" for hours in (-3, 1))
        return [(s["stream"], s["values"]) for s in
                self.call("query_range", query=query, start=start, end=end, limit=100000)["result"]]


class Otelcol(Peer):
    """An OpenTelemetry collector with the receivers otlp, filelog, fluentforward and syslog, and the exporters otlp, otlphttp,
    file and syslog; of one pipeline of logs."""

    def __init__(self, folder, receivers, exporters):
        super().__init__(folder)
        (self.folder / "otelcol.yaml").write_text(json.dumps({
            "receivers": receivers, "exporters": exporters,
            "service": {"telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"logs": {"receivers": list(receivers), "exporters": list(exporters)}}}}))

    def command(self):
        return [*self.program(), f"--config=file:{self.folder}/otelcol.yaml"]

    def is_ready(self):
        return "Everything is ready" in self.log.read_text()
