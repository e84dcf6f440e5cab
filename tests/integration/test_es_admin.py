"""What shippers and clients of Elasticsearch set up and look at before they send."""
import gzip
import json
import subprocess
import time
import warnings

import pytest
import requests
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError, helpers
from opensearchpy import OpenSearch


def test_indices(server):
    es = Elasticsearch(server.url)
    assert not es.indices.exists(index="fresh")
    assert es.indices.create(index="fresh", settings={"number_of_shards": 3},
                             mappings={"properties": {"a": {"type": "long"}}})["acknowledged"] is True
    assert es.indices.exists(index="fresh")
    with pytest.raises(BadRequestError, match="resource_already_exists"):
        es.indices.create(index="fresh")
    with pytest.raises(BadRequestError, match="invalid_index_name"):
        es.indices.create(index="_fresh")
    assert es.count(index="fresh")["count"] == 0
    assert es.search(index="fresh")["hits"]["total"]["value"] == 0
    server.stop()
    server.start()  # it was made for good
    assert es.indices.exists(index="fresh") and not es.indices.exists(index="stale")
    assert requests.get(server.url + "/api/v1/streams").json()["streams"] == []
    r = requests.delete(server.url + "/fresh")
    assert r.status_code == 400 and "store.retention" in r.json()["error"]["reason"]
    assert es.indices.refresh(index="fresh")["_shards"]["failed"] == 0
    with pytest.raises(NotFoundError):
        es.indices.refresh(index="stale")


def test_mapping_and_field_caps(server):
    es = Elasticsearch(server.url)
    helpers.bulk(es, [
        {"_index": "typed", "@timestamp": "2025-02-15T12:00:00Z", "message": "m", "n": 1, "f": 1.5, "ok": True, "s": "x",
         "http": {"status": 200, "path": "/"}, "tags": ["a"], "none": None, "mixed": 1},
        {"_index": "typed", "_id": "1", "mixed": "one", "f": 2}, {"_index": "other", "only": 1}])
    for _ in range(2):  # from memory, from a segment
        properties = es.indices.get_mapping(index="typed")["typed"]["mappings"]["properties"]
        assert properties == {
            "@timestamp": {"type": "date_nanos"}, "message": {"type": "text"}, "n": {"type": "long"},
            "f": {"type": "double"}, "ok": {"type": "boolean"}, "s": {"type": "keyword"}, "tags": {"type": "keyword"},
            "mixed": {"type": "keyword"},
            "http": {"properties": {"status": {"type": "long"}, "path": {"type": "keyword"}}}}
        caps = es.field_caps(index="t*,o*", fields="*")
        assert caps["indices"] == ["other", "typed"]
        assert caps["fields"]["http.status"]["long"] == {
            "type": "long", "metadata_field": False, "searchable": True, "aggregatable": True}
        assert set(caps["fields"]) == {"_id", "_index", "@timestamp", "message", "n", "f", "ok", "s", "tags", "mixed",
                                       "http.status", "http.path", "only"}
        assert set(es.field_caps(index="typed", fields=["http.*", "n"])["fields"]) == {"http.status", "http.path", "n"}
        server.flush()
    assert set(es.indices.get_mapping()) == {"typed", "other"}
    got = es.indices.get(index="other")["other"]
    assert got["mappings"]["properties"]["only"] == {"type": "long"} and got["aliases"] == {}
    assert "typed" in OpenSearch([server.url]).indices.get_mapping(index="typed")


def test_cat_indices(server):
    es = Elasticsearch(server.url)
    helpers.bulk(es, [{"_index": "b", "n": n} for n in range(5)] + [{"_index": "a", "n": 1}])
    table = es.cat.indices(format="json")
    assert [(i["index"], i["docs.count"], i["health"]) for i in table] == [("a", "1", "green"), ("b", "5", "green")]
    assert es.cat.indices(h="index,docs.count", format="json") == [
        {"index": "a", "docs.count": "1"}, {"index": "b", "docs.count": "5"}]
    text = requests.get(server.url + "/_cat/indices?v&h=index,docs.count,rep").text
    assert text == "index docs.count rep\na     1          0\nb     5          0\n"
    assert requests.get(server.url + "/_cat/indices/b?h=i,dc").text == "b 5\n"
    assert int(es.cat.indices(h="store.size", bytes="b", format="json")[0]["store.size"]) > 0
    assert OpenSearch([server.url]).cat.indices(format="json")[1]["index"] == "b"


def test_shippers_can_set_up(server):
    es = Elasticsearch(server.url)
    assert es.cluster.health()["status"] == "green" and es.license.get()["license"]["status"] == "active"
    assert es.xpack.info()["features"]["ilm"] == {"available": False, "enabled": False}
    node = next(iter(es.nodes.info()["nodes"].values()))
    assert node["http"]["publish_address"] == server.url.split("//")[1]
    assert not es.indices.exists_index_template(name="filebeat")
    with pytest.warns(Warning, match="streams need no mapping"):
        assert es.indices.put_index_template(name="filebeat", index_patterns=["filebeat-*"],
                                             template={"settings": {}})["acknowledged"] is True
    with pytest.warns(Warning, match="store.retention"):
        es.ilm.put_lifecycle(name="filebeat", policy={"phases": {}})
    with pytest.warns(Warning, match="mappings are accepted"):
        es.indices.put_mapping(index="x", properties={})
    with pytest.raises(NotFoundError):
        es.ilm.get_lifecycle(name="filebeat")
    with pytest.raises(NotFoundError):
        es.ingest.get_pipeline(id="x")
    with pytest.raises(NotFoundError):
        es.indices.get_data_stream(name="logs-app-default")
    es.indices.create_data_stream(name="logs-app-default")
    assert es.indices.get_data_stream(name="logs-app-default")["data_streams"][0]["name"] == "logs-app-default"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        es.create(index="logs-app-default", id="1", document={"@timestamp": "2025-02-15T12:00:00Z"})


def test_filebeat_sets_up_and_sends(server):
    """The calls of libbeat 8 in their order: version, licence, policy, template, data stream, pipelines of a module, and
    bulks that are packed and want short answers."""
    s = requests.Session()
    s.headers.update({"User-Agent": "Elastic-filebeat/8.17.0 (linux; amd64; x; x)", "Accept": "application/json"})

    def call(method, path, expect=200, body=None, content_type="application/json", **params):
        data = None if body is None else gzip.compress(body if isinstance(body, bytes) else json.dumps(body).encode())
        headers = {} if body is None else {"Content-Type": content_type, "Content-Encoding": "gzip"}
        r = s.request(method, server.url + path, data=data, params=params, headers=headers, timeout=60)
        assert r.status_code == expect, (path, r.status_code, r.text)
        return r

    version = call("GET", "/").json()["version"]
    assert version["number"] == "8.17.0" and version["build_flavor"] == "default"
    assert call("GET", "/_license", human="false").json()["license"]["status"] == "active"
    name = "filebeat-8.17.0"
    fields = {f"field_{i}": {"type": "keyword", "ignore_above": 1024} for i in range(9000)}
    for path, body in (("/_ilm/policy/filebeat", {"policy": {"phases": {"hot": {"actions": {"rollover": {"max_age": "30d"}}}}}}),
                       (f"/_index_template/{name}", {"index_patterns": [name], "data_stream": {}, "priority": 150,
                                                     "template": {"mappings": {"properties": fields}}}),
                       (f"/_data_stream/{name}", None),
                       (f"/_ingest/pipeline/{name}-nginx-access-pipeline", {"processors": [{"set": {"field": "a"}}]})):
        call("GET", path, 404)
        call("PUT", path, body=body)
    lines = []
    for i in range(1000):
        lines += [{"create": {"_index": name, "pipeline": f"{name}-nginx-access-pipeline"}},
                  {"@timestamp": f"2025-02-15T12:00:00.{i:03d}Z", "message": f"line {i}", "n": "x" if i == 7 else i,
                   "event": {"dataset": "nginx.access"}, "log": {"offset": i, "file": {"path": "/var/log/a"}}}]
    body = b"".join(json.dumps(x).encode() + b"\n" for x in lines)
    answer = call("POST", "/_bulk", body=body, content_type="application/json; charset=UTF-8",
                  filter_path="errors,items.*.error,items.*.status").json()
    assert answer["errors"] is False and [i["create"]["status"] for i in answer["items"]] == [201] * 1000
    assert len(server.query("message:line", stream=name)) == 1000


def test_sniffing_leads_back(server):
    es = Elasticsearch(server.url, sniff_on_start=True, sniff_timeout=5)
    assert es.count()["count"] == 0


def test_browsers_get_the_page(server):
    r = requests.get(server.url + "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert "text/html" in r.headers["Content-Type"]
    assert requests.get(server.url + "/").json()["tagline"] == "You Know, for Search"


def test_rsyslog_ships(server, tmp_path):
    """A shipper that is no Python: rsyslog's omelasticsearch, by _bulk."""
    (tmp_path / "in.log").write_text("".join(f"line {n}\n" for n in range(500)))
    (tmp_path / "rsyslog.conf").write_text(f"""
        global(workDirectory="{tmp_path}")
        module(load="imfile")
        module(load="omelasticsearch")
        template(name="doc" type="list" option.jsonf="on") {{
            property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
            property(outname="message" name="msg" format="jsonf")
        }}
        input(type="imfile" File="{tmp_path}/in.log" Tag="t")
        action(type="omelasticsearch" server="127.0.0.1" serverport="{server.port}" searchIndex="rsyslog" searchType=""
               esVersion.major="8" template="doc" bulkmode="on" errorfile="{tmp_path}/refused")
        """)
    rsyslog = subprocess.Popen(["rsyslogd", "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid")])
    try:
        deadline = time.monotonic() + 60
        while server.query("* | stats count()", stream="rsyslog") != [{"count": 500}]:
            assert time.monotonic() < deadline and rsyslog.poll() is None
            time.sleep(0.1)
    finally:
        rsyslog.terminate()
        rsyslog.wait(30)
    assert server.query("* | stats distinct(message) as n", stream="rsyslog") == [{"n": 500}]
    assert not (tmp_path / "refused").exists()
