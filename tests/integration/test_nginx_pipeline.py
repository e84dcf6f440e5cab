"""examples/nginx-pipeline with real parts: its scripts, a Kafka broker, OpenSearch, and Weir's own store in its place."""
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time

import compose_spec
import pytest
import requests
import yaml
from fluent import sender

import fluentbit
import peers
from conftest import ROOT, WEIR, free_port
from test_agent import wait_for

HERE = ROOT / "examples" / "nginx-pipeline"
REGIONS = {"us-east-1", "us-east-2", "us-west-1", "us-west-2"}


def paths(value, at=""):
    """The paths of a document and the kinds of what is there."""
    if isinstance(value, dict):
        return {p for k, v in value.items() for p in paths(v, f"{at}/{k}")}
    return {(at, type(value).__name__)}


# The document of the assignment, path for path.
DOCUMENT = {
    "event": {"bytes": 3316, "referrer": "-", "remote_ip": "217.168.17.5", "response": 200, "remote_user": "-", "agent": "-",
              "request": "GET /downloads/product_2 HTTP/1.1"},
    "fields": {"region": "us-west-1", "assetid": "554878db4d92f4598e34fcf813a98c9c"},
    "@version": "1", "@timestamp": "2024-04-23T01:31:39.995470770Z", "time": 1713835899995, "index": "nginx",
    "sourcetype": "nginx"}


class Pipeline:
    def __init__(self, folder, kafka, **settings):
        self.run, self.kafka = folder / "run", kafka
        self.web, self.forward, self.store = (f"127.0.0.1:{free_port()}" for _ in range(3))
        names = {k: v for k, v in os.environ.items() if k != "LOKI"}  # peers' name of a program, and the scripts' of an address
        self.env = dict(names, RUN=str(self.run), WEIR=WEIR, KAFKA=kafka, WEB=self.web, FORWARD=self.forward,
                        STORE=self.store, **settings)
        self.opensearch = settings.get("OPENSEARCH", self.store)

    def call(self, script, *args, check=True):
        r = subprocess.run([HERE / script, *args], env=self.env, capture_output=True, text=True, timeout=120)
        assert not check or r.returncode == 0, (script, r.stdout[-2000:], r.stderr[-2000:], self.logs())
        return r

    def logs(self):
        return {p.name: p.read_text()[-600:] for p in (self.run / "log").glob("*.log")}

    def documents(self):
        requests.post(f"http://{self.opensearch}/nginx-logs/_refresh", timeout=30)
        r = requests.post(f"http://{self.opensearch}/nginx-logs/_search", timeout=30,
                          json={"size": 10000, "query": {"match_all": {}}})
        return [h["_source"] for h in r.json()["hits"]["hits"]] if r.status_code == 200 else []

    def components(self):
        """Whose logs have come to Loki's leg."""
        text = requests.post(f"http://{self.store}/api/v1/logs/query", timeout=30,
                             params={"stream": "loki", "q": "* | stats count() as n by component"}).text
        return {json.loads(x)["component"] for x in text.splitlines()}

    def wait_for_documents(self, n, seconds=60):
        deadline = time.monotonic() + seconds
        while len(got := self.documents()) < n and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(got) == n, (len(got), self.call("monitor", "--once").stdout, self.logs())
        return got

    def kill(self, name):
        os.kill(int((self.run / f"{name}.pid").read_text()), signal.SIGKILL)


@pytest.fixture
def make_pipeline(tmp_path, kafka):
    made = []

    def make(**settings):
        # A topic of the name is made anew for each test.
        admin = kafka.admin()
        if "nginx-logs" in admin.list_topics(timeout=20).topics:
            for f in admin.delete_topics(["nginx-logs"]).values():
                f.result(30)
            wait_for(lambda: "nginx-logs" not in kafka.admin().list_topics(timeout=20).topics)
            for f in admin.delete_consumer_groups(["nginx-processor"]).values():
                f.exception(30)
        made.append(Pipeline(tmp_path, kafka.address, **settings))
        return made[-1]

    yield make
    for p in made:
        p.call("stop")


def check(document):
    kinds = paths(document)
    assert kinds == paths(DOCUMENT), kinds ^ paths(DOCUMENT)
    assert {k: document[k] for k in ("@version", "index", "sourcetype")} == {"@version": "1", "index": "nginx", "sourcetype": "nginx"}
    stamp = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3})\d*)?Z", document["@timestamp"])
    ms = int(time.mktime(time.strptime(stamp[1], "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 1000 + int(stamp[2] or 0)
    assert document["time"] == ms and abs(time.time() - ms / 1000) < 600
    assert re.fullmatch("[0-9a-f]{32}", document["fields"]["assetid"]) or document["fields"]["assetid"] == "42"


def swapped(name, *addresses):
    """The configuration of an original program, with the addresses of a test."""
    text = (HERE / "originals" / name).read_text()
    for ours, here in addresses:
        assert ours in text
        text = text.replace(ours, here)
    return text


def opensearch_of(request, to):
    """The settings of a pipeline whose documents go to an empty index there, or to Weir."""
    if to == "weir":
        return {}
    node = request.getfixturevalue("opensearch")
    node.call("DELETE", "/nginx-logs", params={"ignore_unavailable": "true"})
    return {"OPENSEARCH": f"127.0.0.1:{node.port}"}


def test_to_opensearch(make_pipeline, opensearch):
    opensearch.call("DELETE", "/nginx-logs", params={"ignore_unavailable": "true"})
    p = make_pipeline(OPENSEARCH=f"127.0.0.1:{opensearch.port}")
    assert p.call("start").stdout.count(" up ") == 7
    # The seed's input: a file of JSON lines.
    answer = json.loads(p.call("produce", f"source={HERE}/sample.json").stdout)
    assert answer["sent"] == 2 and answer["failed"] == 0
    documents = p.wait_for_documents(2)
    for d in documents:
        check(d)
    assert next(d for d in documents if d["event"]["response"] == 200)["event"] == DOCUMENT["event"]
    # Generated events; asked for and by chance.
    assert json.loads(p.call("produce", "500", "region=eu-west-1", "asset=42").stdout)["sent"] == 500
    assert json.loads(p.call("produce", "600").stdout)["sent"] == 600
    documents = p.wait_for_documents(1102)
    for d in documents:
        check(d)
    asked = [d for d in documents if d["fields"] == {"region": "eu-west-1", "assetid": "42"}]
    others = [d for d in documents if d["fields"]["assetid"] != "42"]
    assert len(asked) == 500 and {d["fields"]["region"] for d in others} == REGIONS
    assert len({d["fields"]["assetid"] for d in others}) == 5
    mapping = opensearch.call("GET", "/nginx-logs/_mapping")["nginx-logs"]["mappings"]["properties"]
    assert mapping["event"]["properties"]["remote_ip"] == {"type": "ip"} and mapping["time"]["format"] == "epoch_millis"
    hits = opensearch.call("POST", "/nginx-logs/_search", json={"size": 1, "docvalue_fields": ["@timestamp"]})["hits"]["hits"]
    assert set(hits[0]["fields"]) == {"@timestamp"} and hits[0]["_index"] == "nginx-logs"
    assert "1102 documents" in p.call("status").stdout
    # kafka-sent, waiting, dead; os-sent, waiting, dead; documents
    wait_for(lambda: p.call("monitor", "--once").stdout.split()[-7:] == "1102 0 0 1102 0 0 1102".split())
    p.call("stop")
    assert p.call("status", check=False).stdout.count("pid ") == 0


def test_to_weir_with_its_logs_and_the_tags(make_pipeline):
    """Weir's own store in place of OpenSearch and of Loki; Fluentd's Python client in place of the web application."""
    p = make_pipeline()
    p.call("start")
    assert json.loads(p.call("produce", "200").stdout)["sent"] == 200
    for d in p.wait_for_documents(200):
        check(d)
    host, port = p.forward.split(":")
    client = sender.FluentSender("app", host=host, port=int(port))
    for line in (HERE / "sample.json").read_text().splitlines():
        assert client.emit("nginx", json.loads(line))
    client.close()
    news = sender.FluentSender("fluent", host=host, port=int(port))
    assert news.emit("info", {"message": "flushed"})
    news.close()
    for d in p.wait_for_documents(202):
        check(d)
    wait_for(lambda: '"message":"flushed"' in (p.run / "log" / "collector.log").read_text())
    wait_for(lambda: p.components() == {"store", "collector", "processor", "logs", "web"})
    p.kill("store")
    status = p.call("status", check=False)
    assert status.returncode == 1 and {x.split()[0] for x in status.stdout.splitlines() if " DOWN " in x} == {"store", "opensearch"}


@contextlib.contextmanager
def fluentd(p, folder):
    """With fluent-plugin-kafka, and the configuration of originals/."""
    text = swapped("fluent.conf", ("port 24224", f"port {p.forward.split(':')[1]}"), ("0.0.0.0", "127.0.0.1"),
                   ("kafka-node1:9092", p.kafka), ("/fluentd/buffer", str(folder / "buffer")))
    (folder / "fluent.conf").write_text(text)
    with open(folder / "fluentd.log", "wb") as log:
        process = subprocess.Popen([*shlex.split(os.environ["FLUENTD"]), "-c", str(folder / "fluent.conf")],
                                   stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its worker too: the group is its own
        process.wait(30)


def logstash(p, folder):
    """With the configuration of originals/, to where the pipeline's documents go."""
    return peers.Logstash(folder, swapped("logstash.conf", ("kafka-node1:9092", p.kafka),
                                          ("opensearch-node1:9200", p.opensearch)))


def promtail(p, folder, to):
    """With the configuration of originals/."""
    return peers.Promtail(folder, swapped("promtail-files.yaml", ("127.0.0.1:5080", to), ("run/", f"{p.run}/"),
                                          ("9080", str(free_port()))))


@peers.needs("FLUENTD")
def test_fluentd_in_the_collectors_place(make_pipeline, tmp_path):
    p = make_pipeline(WITHOUT="collector")
    with fluentd(p, tmp_path):
        p.call("start")
        wait_for(lambda: json.loads(p.call("produce", "300", check=False).stdout).get("sent") == 300)
        for d in p.wait_for_documents(300):
            check(d)


@peers.needs("LOGSTASH")
@pytest.mark.parametrize("to", ["weir", "opensearch"])
def test_logstash_in_the_processors_place(make_pipeline, tmp_path, request, to):
    p = make_pipeline(WITHOUT="processor", **opensearch_of(request, to))
    p.call("start")
    assert json.loads(p.call("produce", "200").stdout)["sent"] == 200
    with logstash(p, tmp_path):
        p.wait_for_documents(200, 120)
        assert json.loads(p.call("produce", "100", "region=eu-west-1", "asset=42").stdout)["sent"] == 100
        documents = p.wait_for_documents(300)
    for d in documents:
        check(d)
    assert len([d for d in documents if d["fields"] == {"region": "eu-west-1", "assetid": "42"}]) == 100


def components_in(loki):
    return {labels["component"] for labels, _ in loki.streams('{job="nginx-pipeline"}')}


@peers.needs("PROMTAIL")
@pytest.mark.parametrize("to", ["weir", pytest.param("loki", marks=peers.needs("LOKI"))])
def test_promtail_in_the_place_of_logs(make_pipeline, tmp_path, to):
    """To Loki and to Weir in Loki's place."""
    p = make_pipeline(WITHOUT="logs")
    p.call("start")
    assert json.loads(p.call("produce", "10").stdout)["sent"] == 10
    loki = peers.Loki(tmp_path).start() if to == "loki" else None
    try:
        with promtail(p, tmp_path, f"127.0.0.1:{loki.port}" if loki else p.store):
            wait_for(lambda: (components_in(loki) if loki else p.components()) == {"store", "collector", "processor", "web"}, 60)
    finally:
        if loki:
            loki.stop()


@peers.needs("LOKI")
def test_to_loki(make_pipeline, tmp_path):
    """The logs of the parts go to the original."""
    with peers.Loki(tmp_path) as loki:
        p = make_pipeline(LOKI=f"127.0.0.1:{loki.port}")
        p.call("start")
        assert json.loads(p.call("produce", "10").stdout)["sent"] == 10
        wait_for(lambda: components_in(loki) >= {"store", "processor", "logs", "web"}, 60)
        assert all({"job", "component", "level"} <= labels.keys() for labels, _ in loki.streams('{component="web"}'))


@fluentbit.needed
def test_fluent_bit_in_promtails_place(make_pipeline, tmp_path):
    p = make_pipeline(WITHOUT="logs")
    p.call("start")
    assert json.loads(p.call("produce", "10").stdout)["sent"] == 10
    (tmp_path / "parsers.conf").write_text("[PARSER]\n    Name component\n    Format regex\n"
                                           "    Regex ^.*/(?<component>[^/]+)\\.log$\n")
    host, port = p.store.split(":")
    bit = subprocess.Popen(
        [fluentbit.PROGRAM, "-q", "-R", tmp_path / "parsers.conf", "-f", "1", "-i", "tail", "-p", f"path={p.run}/log/*.log",
         "-p", "path_key=file", "-p", "read_from_head=true", "-F", "parser", "-m", "*", "-p", "key_name=file", "-p",
         "parser=component", "-p", "reserve_data=true", "-o", "loki", "-m", "*", "-p", f"host={host}", "-p", f"port={port}",
         "-p", "labels=job=nginx-pipeline,component=$component", "-p", "line_format=json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: p.components() == {"store", "collector", "processor", "web"}, 60)
    finally:
        bit.terminate()
        bit.wait(30)


@peers.needs("FLUENTD")
@peers.needs("LOGSTASH")
@peers.needs("PROMTAIL")
@peers.needs("LOKI")
def test_originals_in_all_places(make_pipeline, request, tmp_path):
    """Behind Weir's page all programs are the originals."""
    with peers.Loki(tmp_path) as loki:
        p = make_pipeline(WITHOUT="collector processor logs", LOKI=f"127.0.0.1:{loki.port}",
                          **opensearch_of(request, "opensearch"))
        with fluentd(p, tmp_path), logstash(p, tmp_path), promtail(p, tmp_path, f"127.0.0.1:{loki.port}"):
            p.call("start")
            wait_for(lambda: json.loads(p.call("produce", "300", check=False).stdout).get("sent") == 300)
            for d in p.wait_for_documents(300, 120):
                check(d)
            wait_for(lambda: components_in(loki) == {"web"}, 60)


def test_outages(make_pipeline):
    """Every stage is killed while events flow, and started again: all arrive. The hop to Kafka is at least once."""
    p = make_pipeline()
    p.call("start")
    sent = 0
    for name in ("collector", "processor", "store", "web"):
        sent += json.loads(p.call("produce", "300").stdout)["sent"]
        p.kill(name)
        p.call("start")
        sent += json.loads(p.call("produce", "100").stdout)["sent"]
    assert sent == 1600
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        documents = p.documents()
        distinct = {json.dumps(d["event"], sort_keys=True) for d in documents}
        if len(distinct) >= sent - 1:
            break
        time.sleep(0.3)
    assert len(documents) >= sent, (len(documents), p.call("monitor", "--once").stdout, p.logs())
    assert len(documents) <= sent + 400  # at most the bulks that were under way when the collector was killed


def test_the_configurations_are_good(tmp_path):
    p = Pipeline(tmp_path, "127.0.0.1:9092", WITHOUT="store collector processor logs web")
    p.call("start", check=False)
    for name in ("collector", "processor", "logs"):
        r = subprocess.run([WEIR, "pipeline", "check", p.run / f"{name}.yaml"], capture_output=True, text=True, timeout=30)
        assert r.returncode == 0, r.stderr
    r = subprocess.run([WEIR, "pipeline", "graph", p.run / "collector.yaml"], capture_output=True, text=True, timeout=30)
    assert "tag app.**" in r.stdout


def test_the_compose_file_is_good():
    compose = yaml.safe_load((HERE / "docker-compose.yml").read_text())
    spec = compose_spec.PyCompose.from_json(json.dumps(compose))  # refuses what the specification does not have
    spec.validate()
    spec.to_spec()
    assert {"web", "collector", "processor", "logs", "kafka", "opensearch", "loki", "grafana"} <= set(compose["services"])
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (HERE / source).exists() if source[0] == "." else source[0] == "/" or source in compose["volumes"], volume
        if build := service.get("build"):
            assert ((HERE / build["context"]).resolve(), HERE / "Dockerfile") == (ROOT, ROOT / build["dockerfile"])
