"""Original programs send to Weir and take from it (peers.py says how each is named). Every record has a number; at the end
those that arrived are counted, also after the other end was killed while records flowed."""
import json
import threading
import time
from collections import Counter

import pytest

import peers
import test_output_peers
from conftest import free_port
from inputs import port, wait_for, with_inputs
from test_agent import make_agent  # noqa: F401 (a fixture)
from test_agent import wait_for as wait_until
from test_output_peers import TIME, await_, carry, follow, outage, put, record, route_of

NS = (1739620800 * 10**9, 1739707200 * 10**9)  # the two days of test_output_peers' records


def lines(first, n):
    return "".join(json.dumps({"n": i, "ts": TIME.format(15, i), "level": "error" if i % 3 else "info", "trace": f"t{i}",
                               "text": f"text of {i} \"quoted\" \\\\ ]é"}) + "\n" for i in range(first, first + n))


# ---- Promtail ----

PROMTAIL = """
server: {{http_listen_address: 127.0.0.1, http_listen_port: PORT, grpc_listen_port: 0}}
positions: {{filename: {positions}, sync_period: 1s}}
clients: [{{url: '{url}/loki/api/v1/push', batchwait: 200ms, backoff_config: {{max_period: 1s}}}}{more}]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: [localhost], labels: {{job: shop, __path__: {path}}}}}]
    pipeline_stages:
      - json: {{expressions: {{level: level, trace: trace, ts: ts, "n": "n"}}}}
      - timestamp: {{source: ts, format: RFC3339Nano}}
      - labels: {{level: ""}}
      - structured_metadata: {{trace: "", "n": ""}}
"""


def promtail(server, log, more=""):
    return peers.Promtail(log.parent, PROMTAIL.format(positions=log.parent / "positions.yaml", url=server.url, path=log, more=more))


@peers.needs("PROMTAIL")
def test_promtail(make_server, tmp_path):
    server, log = make_server(), tmp_path / "app.log"
    log.write_text(lines(0, 3000))
    with promtail(server, log):
        rows = wait_for(server, 3000, stream="loki", seconds=60)
    assert [int(r["n"]) for r in rows] == list(range(3000))
    for i, r in enumerate(rows):
        assert r["message"] + "\n" == lines(i, 1) and r["trace"] == f"t{i}" and r["job"] == "shop"
        assert r["filename"] == str(log) and r["level"] == ("error" if i % 3 else "info")
        assert r["_time"].rstrip("Z0.") == TIME.format(15, i).rstrip("Z0.")


def flow(write, n, events):
    """Writes records while events happen; answers how many there are."""
    writing = True

    def run():
        while writing:
            write(n[0], 20)
            n[0] += 20
            time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for event in events:
            time.sleep(1)
            event()
        time.sleep(1)
    finally:
        writing = False
        thread.join()
    return n[0]


@peers.needs("PROMTAIL")
def test_promtail_meets_an_outage(make_server, tmp_path):
    """Weir is killed and Promtail is: nothing is lost. What was under way then may be there twice."""
    server, log = make_server(), tmp_path / "app.log"
    with promtail(server, log) as sender:
        n = flow(lambda first, n: log.open("a").write(lines(first, n)), [0],
                 [server.kill, server.start, sender.kill, sender.start])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            counts = Counter(int(r["n"]) for r in server.query("", stream="loki"))
            if counts.keys() == set(range(n)):
                break
            time.sleep(0.2)
    assert counts.keys() == set(range(n)) and max(counts.values()) <= 3


# ---- Logstash ----

@peers.needs("LOGSTASH")
def test_logstash(make_server, tmp_path):
    """By each output that speaks with Weir, to streams of their own, while Weir is killed and started again."""
    server, n = make_server(), 20000
    pipeline = f"""
input {{ generator {{ count => {n} message => "a line" }} }}
filter {{ ruby {{ code => "event.set('n', event.get('[event][sequence]')); event.remove('event')" }} }}
output {{
  elasticsearch {{ hosts => ["{server.url}"] index => "es" document_id => "%{{n}}" action => "create" ilm_enabled => false }}
  elasticsearch {{ hosts => ["{server.url}"] data_stream => "true" }}
  opensearch {{ hosts => ["{server.url}"] index => "os" document_id => "%{{n}}" action => "create" manage_template => false }}
  http {{ url => "{server.url}/api/v1/logs/ingest?stream=http" http_method => "post" format => "json_batch" }}
}}
"""
    streams = ("es", "os", "logs-generic-default", "http")

    def landed(stream):
        return server.query("* | stats count() as n", stream=stream)[0]["n"]

    def wait(what, seconds=120):
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, [landed(s) for s in streams]
            time.sleep(0.1)

    with peers.Logstash(tmp_path, pipeline):
        for part in (0.2, 0.6):
            wait(lambda: landed("es") > part * n)  # noqa: B023
            server.kill()
            time.sleep(1)
            server.start()
        wait(lambda: all(landed(s) >= n for s in streams))
    counts = {s: Counter(r["n"] for r in server.query("* | fields n", stream=s)) for s in streams}
    assert all(c.keys() == set(range(n)) for c in counts.values())
    assert set(counts["es"].values()) == set(counts["os"].values()) == {1}  # each has an _id; the others may come twice
    row = server.query("n:7", stream="es")[0]
    assert row["message"] == "a line" and row["_id"] == "7"


@peers.needs("LOGSTASH")
@pytest.mark.parametrize("scheme,codec", [("http+json", "json"), ("http+ndjson", "json_lines")])
def test_to_logstash(make_agent, tmp_path, scheme, codec):  # noqa: F811
    p, log, out = free_port(), tmp_path / "app.log", tmp_path / "out.ndjson"
    put(log, 0, 300)
    pipeline = f"""
input {{ http {{ host => "127.0.0.1" port => {p} codec => {codec} ecs_compatibility => disabled
  additional_codecs => {{ "application/json" => "json" "application/x-ndjson" => "json_lines" }} }} }}
output {{ file {{ path => "{out}" codec => json_lines flush_interval => 0 }} }}
"""
    logstash = peers.Logstash(tmp_path, pipeline)
    agent = follow(make_agent, tmp_path, log, f"{scheme}://127.0.0.1:{p}/?_time=@timestamp")
    with logstash:  # the agent was there first, and waited
        put(log, 300, 200)
        await_(lambda: route_of(agent)["sent"] == 500, agent, 60)
        wait_until(lambda: len(out.read_text().splitlines()) >= 500)
    agent.stop()
    rows = [json.loads(x) for x in out.read_text().splitlines()]
    assert sorted(r["n"] for r in rows) == list(range(500))
    for r in rows:
        assert r["message"] == record(r["n"])["message"] and r["nested"] == record(r["n"])["nested"]
        assert r["@timestamp"].rstrip("Z0.") == record(r["n"])["timestamp"].rstrip("Z0.")


# ---- Loki ----

@pytest.fixture
def recent(monkeypatch):
    """Records of the hour before this: Loki does not show at once what is old. Answers the times of its two minutes."""
    hour = int(time.time()) // 3600 * 3600 - 3600
    monkeypatch.setattr(test_output_peers, "TIME", time.strftime("%Y-%m-%dT%H:{:02d}:00.{:06d}Z", time.gmtime(hour)))
    return [(hour + minute * 60) * 10**9 for minute in (15, 16)]


def numbers(loki, query='{job="shop"}'):
    return [json.loads(line)["n"] for _, values in loki.streams(query) for _, line in values]


@peers.needs("LOKI")
@pytest.mark.parametrize("options", ["", "&format=json", "&line=message", "&line=message&format=json"])
def test_to_loki(make_agent, tmp_path, recent, options):  # noqa: F811
    with peers.Loki(tmp_path) as loki:
        route = carry(make_agent, tmp_path, f"loki://127.0.0.1:{loki.port}?labels=level,job=shop,component={{service}}{options}")
        assert route["dead"] == 0
        streams = loki.streams('{job="shop"}')
        of_one = loki.streams('{level="ERROR", component="svc0"}')
        assert not loki.streams('{n="5"}')  # structured metadata is no label
    assert sum(len(values) for _, values in of_one) == 100
    entries = {int(ns): (labels, line) for labels, values in streams for ns, line in values}
    assert len(entries) == 300 == sum(len(values) for _, values in streams)
    for i in range(300):
        want = record(i)
        labels, line = entries[recent[i % 2] + i * 1000]
        assert labels["level"] == want["level"] and labels["component"] == want["service"]
        if "line=message" in options:
            assert line == want["message"] and labels["n"] == str(i) and labels["nested_c"] == "0.5"
        else:
            assert {k: v for k, v in json.loads(line).items() if k not in ("host", "file")} == want


@peers.needs("LOKI")
def test_outage_of_loki(make_agent, tmp_path, recent):  # noqa: F811
    with peers.Loki(tmp_path) as loki:
        outage(make_agent, tmp_path, f"loki://127.0.0.1:{loki.port}?labels=level,job=shop", loki, lambda: numbers(loki),
               doubles=False)


def aged(i, text, years=0):
    """A record of i seconds ago, and years."""
    at = time.time() - i - years * 365 * 86400
    return json.dumps({"n": i, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), "message": text}) + "\n"


@peers.needs("LOKI")
def test_what_loki_refuses(make_agent, tmp_path):  # noqa: F811
    """Too old, too long: dead letters with Loki's reason; their neighbours land, and once."""
    log = tmp_path / "app.log"
    log.write_text("".join(aged(i, "x" * 3000 if i % 50 == 7 else f"text {i}", years=i % 50 == 3) for i in range(400)))
    with peers.Loki(tmp_path, reject_old_samples=True, max_line_size=2048) as loki:
        agent = follow(make_agent, tmp_path, log, f"loki://127.0.0.1:{loki.port}?labels=job=shop")
        await_(lambda: route_of(agent)["sent"] + route_of(agent)["dead"] == 400, agent, 60)
        agent.stop()
        assert sorted(numbers(loki)) == [i for i in range(400) if i % 50 not in (3, 7)]
    dead = [json.loads(x) for x in next((tmp_path / "agent" / "dead").iterdir()).read_text().splitlines()]
    assert len(dead) == 16 == route_of(agent)["dead"]
    for d in dead:
        assert ("too old" if d["record"]["n"] % 50 == 3 else "max entry size") in d["reason"], d["reason"]


@peers.needs("LOKI")
def test_loki_limits_the_rate(make_agent, tmp_path):  # noqa: F811
    """As a whole and of a stream, of which it takes a part and says 429: all land, and once."""
    log = tmp_path / "app.log"
    log.write_text("".join(aged(i, f"text {i}" + "." * 500) for i in range(400)))
    with peers.Loki(tmp_path, ingestion_rate_mb=0.05, ingestion_burst_size_mb=0.1, per_stream_rate_limit="30KB",
                    per_stream_rate_limit_burst="60KB") as loki:
        agent = follow(make_agent, tmp_path, log, f"loki://127.0.0.1:{loki.port}?labels=job=shop")
        await_(lambda: route_of(agent)["sent"] == 400, agent, 60)
        agent.stop()
        assert sorted(numbers(loki)) == list(range(400))
    assert "429" in agent.log.read_text() and route_of(agent)["dead"] == 0


@peers.needs("LOKI")
@peers.needs("PROMTAIL")
def test_loki_and_weir_get_the_same(make_server, tmp_path):
    """Promtail's pushes, to both."""
    server, log = make_server(), tmp_path / "app.log"
    log.write_text(lines(0, 200).replace("2025-02-15T12:", time.strftime("%Y-%m-%dT%H:", time.gmtime(time.time() - 3600))))
    with peers.Loki(tmp_path) as loki:
        with promtail(server, log, f", {{url: '{loki.url}/loki/api/v1/push', batchwait: 200ms}}"):
            rows = wait_for(server, 200, stream="loki", seconds=60)
            wait_until(lambda: len(numbers(loki)) == 200)
        streams = loki.streams('{job="shop"}')
    entries = {json.loads(line)["n"]: (labels, int(ns), line) for labels, values in streams for ns, line in values}
    for i, row in enumerate(rows):
        labels, ns, line = entries[i]
        seconds, _, fraction = row["_time"].rstrip("Z").partition(".")
        assert row.pop("message") == line and int(fraction.ljust(9, "0") if fraction else 0) == ns % 10**9
        row = {k: v for k, v in row.items() if k[0] != "_"}
        assert row == {k: labels[k] for k in row}
        assert labels.keys() - row.keys() <= {"service_name", "detected_level", "level_extracted"}


# ---- OpenTelemetry's collector ----

def exported(path):
    """What its file exporter has written: attributes and body of each record."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        for resource in json.loads(line)["resourceLogs"]:
            found += [r for scope in resource["scopeLogs"] for r in scope["logRecords"]]
    return found


RETRY = {"retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s", "max_elapsed_time": "0s"},
         "sending_queue": {"queue_size": 100000, "block_on_overflow": True}}


@peers.needs("OTELCOL")
@pytest.mark.parametrize("kind", ["gzip", "zstd", "zlib", "deflate", "snappy", "lz4", "none", "json", "grpc"])
def test_otelcol(make_server, tmp_path, kind):
    """Files by its filelog receiver to Weir, which is killed meanwhile."""
    server = with_inputs(make_server, f"otlp+grpc://127.0.0.1:{free_port()}")
    log = tmp_path / "app.log"
    log.write_text(lines(0, 1000))
    if kind == "grpc":
        exporters = {"otlp": {"endpoint": f"127.0.0.1:{port(server, 'otlp+grpc')}", "tls": {"insecure": True}, **RETRY}}
    else:
        exporters = {"otlphttp": {"endpoint": server.url, "compression": "none" if kind == "json" else kind,
                                  "encoding": "json" if kind == "json" else "proto", **RETRY}}
    receivers = {"filelog": {"include": [str(log)], "start_at": "beginning",
                             "operators": [{"type": "json_parser", "severity": {"parse_from": "attributes.level"},
                                            "timestamp": {"parse_from": "attributes.ts", "layout_type": "gotime",
                                                          "layout": "2006-01-02T15:04:05.999999999Z07:00"}}]}}
    with peers.Otelcol(tmp_path, receivers, exporters):
        n = flow(lambda first, n: log.open("a").write(lines(first, n)), [1000], [server.kill, server.start])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            rows = server.query("", stream="otlp")
            if {r["attributes"]["n"] for r in rows} == set(range(n)):
                break
            time.sleep(0.2)
    counts = Counter(r["attributes"]["n"] for r in rows)
    assert counts.keys() == set(range(n)) and max(counts.values()) <= 2
    for r in rows:
        i = int(r["attributes"]["n"])  # the collector reads numbers of JSON as floating point
        assert r["body"] + "\n" == lines(i, 1) and r["severity_text"] == ("error" if i % 3 else "info")
        assert r["severity_number"] == (17 if i % 3 else 9) and r["_time"].rstrip("Z0.") == TIME.format(15, i).rstrip("Z0.")


@peers.needs("OTELCOL")
@pytest.mark.parametrize("scheme", ["otlp", "forward", "syslog+tcp"])
def test_to_otelcol(make_agent, tmp_path, scheme):  # noqa: F811
    p, out = free_port(), tmp_path / "out.json"
    receivers = {"otlp": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{p}"}}}},
                 "forward": {"fluentforward": {"endpoint": f"127.0.0.1:{p}"}},
                 "syslog+tcp": {"syslog": {"tcp": {"listen_address": f"127.0.0.1:{p}"}, "protocol": "rfc5424",
                                           "enable_octet_counting": True}}}[scheme]
    with peers.Otelcol(tmp_path, receivers, {"file": {"path": str(out), "flush_interval": "100ms"}}):
        route = carry(make_agent, tmp_path, f"{scheme}://127.0.0.1:{p}")
        wait_until(lambda: len(exported(out)) >= 300)
    assert route["dead"] == 0 and len(exported(out)) == 300
    texts = {r["body"]["stringValue"] if scheme != "syslog+tcp" else
             next(a["value"]["stringValue"] for a in r["attributes"] if a["key"] == "message") for r in exported(out)}
    assert texts == {record(i)["message"] for i in range(300)}
    times = {int(r["timeUnixNano"]) for r in exported(out)}
    assert times == {NS[i % 2] + i * 1000 for i in range(300)}


@peers.needs("OTELCOL")
def test_outage_of_otelcol(make_agent, tmp_path):  # noqa: F811
    p, out = free_port(), tmp_path / "out.json"
    collector = peers.Otelcol(tmp_path, {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{p}"}}}},
                              {"file": {"path": str(out), "append": True, "flush_interval": "50ms"}})

    def got():
        return [int(a["value"]["intValue"]) for r in exported(out) for a in r["attributes"] if a["key"] == "n"]

    collector.kill = collector.stop  # what it has taken and not written when it is killed is lost for every sender
    with collector:
        outage(make_agent, tmp_path, f"otlp://127.0.0.1:{p}", collector, got, doubles=True)
