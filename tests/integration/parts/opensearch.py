"""A real OpenSearch node on loopback, installed by scripts/parts.sh; without security: no users, no TLS.

    opensearch         the node that all tests of a run share; starts when first asked for
    make_opensearch()  one of a test's own, which it may stop, kill and start again"""
import pathlib
import shutil
import tempfile

import pytest
import requests

from conftest import free_port
from parts.process import Process, part

MAIN = pathlib.Path(__file__).with_name("OpenSearchNode.java")


class OpenSearch(Process):
    not_ready = (requests.RequestException,)

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.transport = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "node.log"

    def command(self):
        return ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
                f"{part('opensearch') / 'lib'}/*", str(MAIN), str(self.folder), str(self.port), str(self.transport)]

    def is_ready(self):
        r = requests.get(self.url + "/_cluster/health", timeout=30)
        return r.status_code == 200 and r.json()["status"] in ("green", "yellow")

    # -- what tests do with it --

    def call(self, method, path, **options):
        r = requests.request(method, self.url + path, timeout=60, **options)
        assert r.status_code < 400, (method, path, r.status_code, r.text[:1000])
        return r.json()

    def documents(self, index):
        """The hits of all documents; none while there is no such index."""
        r = requests.post(f"{self.url}/{index}/_refresh", timeout=60)
        if r.status_code == 404:
            return []
        hits, body = [], {"size": 5000, "sort": ["_doc"]}
        answer = self.call("POST", f"/{index}/_search?scroll=1m", json=body)
        while answer["hits"]["hits"]:
            hits += answer["hits"]["hits"]
            answer = self.call("POST", "/_search/scroll", json={"scroll": "1m", "scroll_id": answer["_scroll_id"]})
        return hits


@pytest.fixture(scope="session")
def opensearch():
    with tempfile.TemporaryDirectory(prefix="weir-opensearch-", ignore_cleanup_errors=True) as folder:
        node = OpenSearch(folder).start()
        yield node
        node.stop()


@pytest.fixture
def make_opensearch(tmp_path):
    nodes = []

    def make():
        nodes.append(OpenSearch(tmp_path / f"opensearch-{len(nodes)}"))
        return nodes[-1].start()

    yield make
    for n in nodes:
        n.stop()
        shutil.rmtree(n.folder / "data", ignore_errors=True)
