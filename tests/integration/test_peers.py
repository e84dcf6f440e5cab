"""Original programs send to Weir and take from it (peers.py says how each is named). Every record has a number; at the end
those that arrived are counted, also after the other end was killed while records flowed."""
import json
import threading
import time
from collections import Counter

import pytest

import peers
from conftest import free_port
from inputs import wait_for
from test_agent import make_agent  # noqa: F401 (a fixture)
from test_agent import wait_for as wait_until
from test_output_peers import TIME, await_, follow, put, record, route_of


def lines(first, n):
    return "".join(json.dumps({"n": i, "ts": TIME.format(15, i), "level": "error" if i % 3 else "info", "trace": f"t{i}",
                               "text": f"text of {i} \"quoted\" \\\\ ]é"}) + "\n" for i in range(first, first + n))


# ---- Promtail ----

PROMTAIL = """
server: {{http_listen_address: 127.0.0.1, http_listen_port: PORT, grpc_listen_port: 0}}
positions: {{filename: {positions}, sync_period: 1s}}
clients: [{{url: '{url}/loki/api/v1/push', batchwait: 200ms, backoff_config: {{max_period: 1s}}}}]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: [localhost], labels: {{job: shop, __path__: {path}}}}}]
    pipeline_stages:
      - json: {{expressions: {{level: level, trace: trace, ts: ts, "n": "n"}}}}
      - timestamp: {{source: ts, format: RFC3339Nano}}
      - labels: {{level: ""}}
      - structured_metadata: {{trace: "", "n": ""}}
"""


def promtail(server, log):
    return peers.Promtail(log.parent, PROMTAIL.format(positions=log.parent / "positions.yaml", url=server.url, path=log))


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
