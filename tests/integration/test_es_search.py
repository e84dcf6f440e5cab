"""Elasticsearch's search by its official clients: the query DSL against a plain scan, orders and pages, scrolling,
several searches at once, aggregations against sums made here."""
import collections
import datetime
import json
import random
import statistics

import pytest
import requests
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError, helpers
from opensearchpy import OpenSearch
from opensearchpy import helpers as os_helpers

BASE = datetime.datetime(2025, 2, 15, 12, 0, 0, tzinfo=datetime.timezone.utc)
N = 400


def make_docs():
    rng = random.Random(7)
    docs = []
    for n in range(N):
        at = BASE + datetime.timedelta(milliseconds=n * 1700)
        doc = {"@timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "n": n,
               "level": rng.choice(["INFO", "INFO", "WARN", "ERROR"]),
               "service": rng.choice(["pay", "cart", "search-api"]),
               "message": rng.choice(["Payment failed: timeout connecting to stripe.com",
                                      "Payment accepted for user_7", "user_9 added 2 items", "cache miss"]),
               "http": {"status": rng.choice([200, 200, 404, 502]), "path": f"/v{n % 3}/items"},
               "ms": rng.randrange(1, 2000) / 10, "ok": n % 4 == 0}
        if n % 5 == 0:
            doc["tags"] = rng.sample(["eu", "us", "card", "new"], 2)
        if n % 7 == 0:
            doc["user"] = {"name": f"Ann{n % 3}", "ip": f"10.0.0.{n % 9}"}
        docs.append(doc)
    return docs


DOCS = make_docs()


@pytest.fixture(scope="module")
def es(tmp_path_factory):
    from conftest import Server
    server = Server(tmp_path_factory.mktemp("es") / "data").start()
    client = Elasticsearch(server.url)
    client.server = server
    half = N // 2
    actions = [{"_index": "logs", "_id": f"d{d['n']}", "_source": d} for d in DOCS]
    assert helpers.bulk(client, actions[:half]) == (half, [])
    server.flush()  # half of them from a segment, half from memory
    assert helpers.bulk(client, actions[half:]) == (N - half, [])
    yield client
    assert server.stop() == 0
    assert "check failed" not in server.log.read_text(errors="replace")


def numbers(answer):
    return sorted(h["_source"]["n"] for h in answer["hits"]["hits"])


def where(test):
    return [d["n"] for d in DOCS if test(d)]


def words(d):
    return d["message"].lower().replace(":", " ").split()


QUERIES = [
    ({"match_all": {}}, lambda d: True),
    ({"match_none": {}}, lambda d: False),
    ({"term": {"level": "ERROR"}}, lambda d: d["level"] == "ERROR"),
    ({"term": {"level": "error"}}, lambda d: False),
    ({"term": {"level.keyword": {"value": "error", "case_insensitive": True}}}, lambda d: d["level"] == "ERROR"),
    ({"term": {"http.status": 502}}, lambda d: d["http"]["status"] == 502),
    ({"term": {"ok": True}}, lambda d: d["ok"]),
    ({"term": {"tags": "eu"}}, lambda d: "eu" in d.get("tags", [])),
    ({"term": {"message": "timeout"}}, lambda d: "timeout" in words(d)),
    ({"terms": {"service": ["pay", "cart"]}}, lambda d: d["service"] in ("pay", "cart")),
    ({"terms": {"n": [3, 4.0, 399]}}, lambda d: d["n"] in (3, 4, 399)),
    ({"match": {"message": "stripe.com MISS"}}, lambda d: "stripe" in d["message"] or "miss" in d["message"]),
    ({"match": {"message": {"query": "payment accepted", "operator": "and"}}}, lambda d: "accepted" in d["message"]),
    ({"match": {"message": {"query": "payment user_7 cache", "minimum_should_match": 2}}},
     lambda d: "accepted" in d["message"]),
    ({"match": {"http.status": 404}}, lambda d: d["http"]["status"] == 404),
    ({"match": {"user.ip": "10.0.0.7"}}, lambda d: d.get("user", {}).get("ip") == "10.0.0.7"),
    ({"match_phrase": {"message": "Timeout Connecting to"}}, lambda d: "timeout connecting to" in d["message"]),
    ({"match_phrase": {"message": {"query": "connecting timeout"}}}, lambda d: False),
    ({"match_phrase_prefix": {"message": "payment acc"}}, lambda d: "accepted" in d["message"]),
    ({"match_bool_prefix": {"message": "cache pay"}}, lambda d: "cache" in d["message"] or "Payment" in d["message"]),
    ({"multi_match": {"query": "pay miss", "fields": ["service^3", "message"]}},
     lambda d: d["service"] == "pay" or "miss" in d["message"]),
    ({"multi_match": {"query": "payment failed", "type": "phrase"}}, lambda d: "failed" in d["message"]),
    ({"prefix": {"service": "sea"}}, lambda d: d["service"] == "search-api"),
    ({"prefix": {"service": {"value": "api"}}}, lambda d: False),
    ({"prefix": {"message": "acc"}}, lambda d: "accepted" in d["message"]),
    ({"wildcard": {"http.path": "/v?/it*"}}, lambda d: True),
    ({"wildcard": {"http.path": {"value": "*1/items"}}}, lambda d: d["n"] % 3 == 1),
    ({"wildcard": {"service.keyword": {"wildcard": "SEARCH*", "case_insensitive": True}}},
     lambda d: d["service"] == "search-api"),
    ({"regexp": {"service": "(pay|cart)"}}, lambda d: d["service"] in ("pay", "cart")),
    ({"regexp": {"service": "ar"}}, lambda d: False),
    ({"regexp": {"message": "user_[0-8]"}}, lambda d: "user_7" in d["message"]),
    ({"exists": {"field": "tags"}}, lambda d: "tags" in d),
    ({"exists": {"field": "user"}}, lambda d: "user" in d),
    ({"exists": {"field": "@timestamp"}}, lambda d: True),
    ({"ids": {"values": ["d1", "d399", "nope"]}}, lambda d: d["n"] in (1, 399)),
    ({"range": {"ms": {"gte": 50, "lt": 100.5}}}, lambda d: 50 <= d["ms"] < 100.5),
    ({"range": {"n": {"gt": 10, "lte": 12}}}, lambda d: 10 < d["n"] <= 12),
    ({"range": {"@timestamp": {"gte": "2025-02-15T12:05:00Z", "lt": "2025-02-15T12:06:00Z"}}},
     lambda d: "12:05:00" <= d["@timestamp"][11:19] < "12:06:00"),
    ({"range": {"@timestamp": {"gte": "2025-02-15T13:05:00", "time_zone": "+01:00"}}},
     lambda d: d["@timestamp"] >= "2025-02-15T12:05:00"),
    ({"range": {"@timestamp": {"lte": int(BASE.timestamp() * 1000) + 3400, "format": "epoch_millis"}}},
     lambda d: d["n"] <= 2),
    ({"range": {"@timestamp": {"gte": "now-1d"}}}, lambda d: False),
    ({"range": {"@timestamp": {"gte": "2025-02-15||/d", "lte": "2025-02-15||/d"}}}, lambda d: True),
    ({"bool": {"must": [{"term": {"level": "ERROR"}}], "filter": {"term": {"service": "pay"}},
               "must_not": {"term": {"http.status": 200}}}},
     lambda d: d["level"] == "ERROR" and d["service"] == "pay" and d["http"]["status"] != 200),
    ({"bool": {"should": [{"term": {"level": "ERROR"}}, {"term": {"level": "WARN"}}]}},
     lambda d: d["level"] in ("ERROR", "WARN")),
    ({"bool": {"filter": [{"term": {"service": "pay"}}], "should": [{"term": {"level": "ERROR"}}]}},
     lambda d: d["service"] == "pay"),
    ({"bool": {"should": [{"term": {"level": "ERROR"}}, {"term": {"service": "pay"}}, {"term": {"ok": True}}],
               "minimum_should_match": 2}},
     lambda d: (d["level"] == "ERROR") + (d["service"] == "pay") + d["ok"] >= 2),
    ({"bool": {"should": [{"term": {"level": "ERROR"}}, {"term": {"service": "pay"}}],
               "minimum_should_match": "100%"}}, lambda d: d["level"] == "ERROR" and d["service"] == "pay"),
    ({"bool": {"must_not": [{"exists": {"field": "tags"}}]}}, lambda d: "tags" not in d),
    ({"bool": {}}, lambda d: True),
    ({"constant_score": {"filter": {"term": {"ok": False}}, "boost": 2}}, lambda d: not d["ok"]),
    ({"dis_max": {"queries": [{"term": {"n": 1}}, {"term": {"n": 2}}]}}, lambda d: d["n"] in (1, 2)),
    ({"query_string": {"query": "level:ERROR service:pay"}}, lambda d: d["level"] == "ERROR" or d["service"] == "pay"),
    ({"query_string": {"query": "level:ERROR service:pay", "default_operator": "AND"}},
     lambda d: d["level"] == "ERROR" and d["service"] == "pay"),
    ({"query_string": {"query": "ann1^2 accepted", "fields": ["user.*", "message^3"]}},
     lambda d: d.get("user", {}).get("name") == "Ann1" or "accepted" in d["message"]),
    ({"query_string": {"query": "+level:(ERROR WARN) -service.keyword:pay"}},
     lambda d: d["level"] in ("ERROR", "WARN") and d["service"] != "pay"),
    ({"query_string": {"query": "@timestamp:[2025-02-15T12:00:00Z TO 2025-02-15T12:00:03Z] AND http.status:[400 TO *]"}},
     lambda d: d["n"] <= 1 and d["http"]["status"] >= 400),
    ({"query_string": {"query": "timeout", "default_field": "service"}}, lambda d: False),
    ({"query_string": {"query": "*"}}, lambda d: True),
    ({"simple_query_string": {"query": "payment +accepted | miss", "fields": ["message"]}},
     lambda d: "accepted" in d["message"] or "miss" in d["message"]),
    ({"simple_query_string": {"query": "\"cache miss\" -(pay", "default_operator": "and"}},
     lambda d: "cache miss" == d["message"] and d["service"] != "pay"),
    ({"simple_query_string": {"query": "accep*", "fields": ["message", "service"]}}, lambda d: "accepted" in d["message"]),
]


@pytest.mark.parametrize("query, test", QUERIES, ids=lambda v: json.dumps(v)[:60] if isinstance(v, dict) else "")
def test_queries(es, query, test):
    answer = es.search(index="logs", query=query, size=1000, track_total_hits=True)
    assert numbers(answer) == where(test)
    assert answer["hits"]["total"] == {"value": len(where(test)), "relation": "eq"}
    assert es.count(index="logs", query=query)["count"] == len(where(test))


@pytest.mark.parametrize("query, reason", [
    ({"fuzzy": {"a": "b"}}, "[fuzzy] queries of this kind"),
    ({"bool": {"must": [{"term": {"a": "b"}}, {"term": {"a": 1, "b": 2}}]}}, "[bool.must[1].term]"),
    ({"bool": {"mist": []}}, "unknown member \"mist\""),
    ({"term": {"a": None}}, "[term.a] a text, a number or a boolean"),
    ({"match": {"a": {"query": "x", "fuzziness": "AUTO"}}}, "fuzziness is not supported"),
    ({"match_phrase": {"a": {"query": "x", "slop": 2}}}, "slop is not supported"),
    ({"range": {"@timestamp": {"gte": "yesterdayish"}}}, "is no time"),
    ({"range": {"a": {"gte": [1]}}}, "[range.a.gte]"),
    ({"query_string": {"query": "(a"}}, "is never closed"),
    ({"regexp": {"a": "("}}, "[regexp.a]"),
    ({"terms": {"a": "b"}}, "an array is expected"),
    ([], "an object is expected"),
    ({"a": 1, "b": 2}, "one member"),
])
def test_queries_that_cannot_be_read(es, query, reason):
    r = requests.post(es.server.url + "/logs/_search", json={"query": query})
    assert r.status_code == 400 and reason in r.json()["error"]["reason"], r.text
    assert r.json()["error"]["root_cause"][0]["type"] == r.json()["error"]["type"] == "parsing_exception"


def test_deep_queries_are_refused(es):
    query = {"term": {"a": 1}}
    for _ in range(150):
        query = {"bool": {"must": [query]}}
    with pytest.raises(BadRequestError, match="levels of nesting"):
        es.search(query=query)
    assert requests.post(es.server.url + "/logs/_search", data="[" * 3000).status_code == 400
    assert requests.post(es.server.url + "/logs/_search", data=b" " * (3 << 20)).status_code == 413


# ---- hits ----

def test_hits(es):
    answer = es.search(index="logs", size=3)
    assert [h["_source"] for h in answer["hits"]["hits"]] == DOCS[:-4:-1]
    assert [(h["_index"], h["_id"], h["_score"]) for h in answer["hits"]["hits"]] == [
        ("logs", f"d{n}", 1.0) for n in (399, 398, 397)]
    assert answer["hits"]["max_score"] == 1.0 and answer["timed_out"] is False
    assert answer["hits"]["total"] == {"value": N, "relation": "eq"}
    answer = es.search(index="logs", size=0, track_total_hits=100)
    assert answer["hits"]["total"] == {"value": 100, "relation": "gte"} and answer["hits"]["hits"] == []
    assert "total" not in es.search(index="logs", size=1, track_total_hits=False)["hits"]
    assert es.search(index="logs", rest_total_hits_as_int=True)["hits"]["total"] == N
    assert [h["_source"]["n"] for h in es.search(index="logs", from_=10, size=2)["hits"]["hits"]] == [389, 388]


def test_source_filtering(es):
    def source(**options):
        return es.search(index="logs", query={"term": {"n": 0}}, **options)["hits"]["hits"][0].get("_source")
    assert source(source=["n", "http.status"]) == {"n": 0, "http": {"status": DOCS[0]["http"]["status"]}}
    assert source(source="http") == {"http": DOCS[0]["http"]}
    assert source(source=["*.name", "m*"]) == {"message": DOCS[0]["message"], "ms": DOCS[0]["ms"],
                                               "user": {"name": "Ann0"}}
    rest = {k: v for k, v in DOCS[0].items() if k not in ("http", "user")}
    assert source(source={"excludes": ["http", "user.*"]}) == rest
    assert source(source={"includes": ["http.*"], "excludes": ["*.path"]}) == {
        "http": {"status": DOCS[0]["http"]["status"]}}
    assert source(source=False) is None
    assert source(source_includes="n") == {"n": 0}


def test_fields(es):
    hit = es.search(index="logs", query={"term": {"n": 0}}, source=False,
                    fields=["http.*", "tags", "level.keyword", {"field": "@timestamp"}])["hits"]["hits"][0]
    assert hit["fields"] == {"@timestamp": ["2025-02-15T12:00:00Z"], "http.status": [DOCS[0]["http"]["status"]],
                             "http.path": ["/v0/items"], "tags": DOCS[0]["tags"], "level": [DOCS[0]["level"]]}
    assert "_source" not in hit
    hit = es.search(index="logs", query={"term": {"n": 1}}, source=["n"], fields=["*"],
                    docvalue_fields=[{"field": "@timestamp", "format": "epoch_millis"}])["hits"]["hits"][0]
    assert hit["_source"] == {"n": 1} and hit["fields"]["@timestamp"] == [str(int(BASE.timestamp() * 1000) + 1700)]
    assert hit["fields"]["message"] == [DOCS[1]["message"]] and "_id" not in hit["fields"]


# ---- orders and pages ----

SORTS = [
    ([{"@timestamp": "asc"}], lambda d: d["n"]),
    ([{"@timestamp": {"order": "desc", "format": "strict_date_optional_time_nanos"}}], lambda d: -d["n"]),
    ([{"ms": "desc"}, {"n": "asc"}], lambda d: (-d["ms"], d["n"])),
    (["service", {"http.status": {"order": "desc"}}, {"n": {"order": "asc", "unmapped_type": "long"}}],
     lambda d: (d["service"], -d["http"]["status"], d["n"])),
    ([{"user.name": "asc"}, {"n": "desc"}], lambda d: (d.get("user", {}).get("name", "~"), -d["n"])),
    ([{"ok": "desc"}, "n"], lambda d: (not d["ok"], d["n"])),
]


@pytest.mark.parametrize("sort, key", SORTS, ids=lambda v: json.dumps(v)[:40] if isinstance(v, list) else "")
def test_sort_and_search_after(es, sort, key):
    expected = [d["n"] for d in sorted(DOCS, key=key)]
    answer = es.search(index="logs", sort=sort, size=1000)
    assert [h["_source"]["n"] for h in answer["hits"]["hits"]] == expected
    assert all(h["_score"] is None for h in answer["hits"]["hits"])
    got, after = [], None
    while True:
        hits = es.search(index="logs", sort=sort, size=37, search_after=after,
                         track_total_hits=False)["hits"]["hits"]
        if not hits:
            break
        got += [h["_source"]["n"] for h in hits]
        after = hits[-1]["sort"]
    assert got == expected


def test_sort_values(es):
    hit = es.search(index="logs", sort=[{"@timestamp": "desc"}, "_score", "level"], size=1)["hits"]["hits"][0]
    assert hit["sort"] == [int((BASE.timestamp() * 1000 + 399 * 1700)) * 1000000, 1.0, DOCS[399]["level"]]
    hit = es.search(index="logs", sort="@timestamp:asc", size=1)["hits"]["hits"][0]
    assert hit["sort"] == [int(BASE.timestamp()) * 10**9]
    hit = es.search(index="logs", sort=[{"user.name": "desc"}, {"n": "asc"}], size=1, query={"term": {"n": 1}})
    assert hit["hits"]["hits"][0]["sort"] == [None, 1]
    with pytest.raises(BadRequestError, match="as many values as there are sort keys"):
        es.search(index="logs", sort=["n"], search_after=[1, 2])
    with pytest.raises(BadRequestError, match="from \\+ size"):
        es.search(index="logs", from_=9999, size=2)


@pytest.mark.parametrize("make, tools, word", [(Elasticsearch, helpers, {}), (OpenSearch, os_helpers, {})],
                         ids=["elasticsearch-py", "opensearch-py"])
def test_scan_helper(es, make, tools, word):
    client = make([es.server.url])
    assert sorted(h["_source"]["n"] for h in tools.scan(client, index="logs", size=64)) == list(range(N))
    errors = tools.scan(client, index="logs", query={"query": {"term": {"level": "ERROR"}}}, size=10)
    assert sorted(h["_id"] for h in errors) == sorted(f"d{n}" for n in where(lambda d: d["level"] == "ERROR"))
    ordered = tools.scan(client, index="logs", query={"sort": [{"ms": "asc"}], "_source": ["ms"]}, size=33,
                         preserve_order=True)
    got = list(ordered)
    assert [h["_source"]["ms"] for h in got] == sorted(d["ms"] for d in DOCS)
    assert all(len(h["sort"]) == 1 for h in got)


def test_a_scroll_sees_one_instant(es):
    client = es
    helpers.bulk(client, [{"_index": "moving", "n": n, "@timestamp": f"2025-02-15T12:00:{n:02d}Z"} for n in range(20)])
    first = client.search(index="moving", scroll="1m", size=8, sort="_doc")
    helpers.bulk(client, [{"_index": "moving", "n": 100 + n, "@timestamp": "2025-02-15T12:00:05Z"} for n in range(20)])
    seen, page = numbers(first), first
    while page["hits"]["hits"]:
        page = client.scroll(scroll_id=page["_scroll_id"], scroll="1m")
        assert page["hits"]["total"] == {"value": 20, "relation": "eq"}
        seen += numbers(page)
    assert sorted(seen) == list(range(20))
    assert client.clear_scroll(scroll_id=page["_scroll_id"])["succeeded"] is True
    with pytest.raises(BadRequestError, match="none that was given out"):
        client.scroll(scroll_id="abcd")


def test_points_in_time(es):
    pit = es.open_point_in_time(index="logs", keep_alive="1m")["id"]
    es.index(index="logs2", document={"n": -1})
    seen, after = [], None
    while True:
        answer = es.search(pit={"id": pit, "keep_alive": "1m"}, size=50, sort=[{"level": "asc"}], search_after=after,
                           track_total_hits=False)
        assert answer["pit_id"] == pit
        if not answer["hits"]["hits"]:
            break
        assert len(answer["hits"]["hits"][0]["sort"]) == 2
        seen += [(h["_source"]["level"], h["_source"]["n"]) for h in answer["hits"]["hits"]]
        after = answer["hits"]["hits"][-1]["sort"]
    assert seen == sorted(((d["level"], d["n"]) for d in DOCS), key=lambda v: (v[0], -v[1]))
    assert es.close_point_in_time(id=pit)["succeeded"] is True
    client = OpenSearch([es.server.url])
    pit = client.create_pit(index="logs", keep_alive="1m")["pit_id"]
    body = {"pit": {"id": pit}, "size": 1}
    assert client.search(body=body)["hits"]["hits"][0]["_source"]["n"] == 399
    client.delete_pit(body={"pit_id": [pit]})


# ---- other ways to ask ----

def test_parameters_of_the_url(es):
    url = es.server.url + "/logs/_search"
    r = requests.get(url, params={"q": "level:ERROR service:pay", "default_operator": "AND", "size": 2,
                                  "sort": "n:asc", "_source": "n"}).json()
    expected = where(lambda d: d["level"] == "ERROR" and d["service"] == "pay")
    assert r["hits"]["total"]["value"] == len(expected)
    assert [h["_source"] for h in r["hits"]["hits"]] == [{"n": n} for n in expected[:2]]
    r = requests.get(es.server.url + "/logs/_count", params={"q": "accepted", "df": "message"}).json()
    assert r["count"] == len(where(lambda d: "accepted" in d["message"]))


def test_several_searches(es):
    answer = es.msearch(searches=[{"index": "logs"}, {"query": {"term": {"level": "ERROR"}}, "size": 1},
                                  {}, {"query": {"nope": {}}}, {"index": "no-such"}, {"size": 0},
                                  {"index": ["logs", "no-such"], "ignore_unavailable": True}, {"size": 0}])
    ok, bad, missing, other = answer["responses"]
    assert ok["status"] == 200 and ok["hits"]["total"]["value"] == len(where(lambda d: d["level"] == "ERROR"))
    assert bad["status"] == 400 and "[nope]" in bad["error"]["reason"]
    assert missing["status"] == 404 and missing["error"]["type"] == "index_not_found_exception"
    assert other["status"] == 200 and other["hits"]["total"]["value"] == N


def test_index_expressions(es):
    es.index(index="other-1", document={"n": -1})
    es.index(index="other-2", document={"n": -2})
    def total(index, **options):
        return es.count(index=index, **options)["count"]
    assert total("other-*") == 2 and total("other-1,other-2") == 2 and total("other-*,-other-2") == 1
    assert total("logs") == N and total("*") >= N + 2 and total("nothing-*") == 0
    with pytest.raises(NotFoundError, match="no such index"):
        total("nothing")
    assert total("nothing,other-1", ignore_unavailable=True) == 1


def test_one_document(es):
    got = es.get(index="logs", id="d7")
    assert got["found"] and got["_id"] == "d7" and got["_source"] == DOCS[7]
    assert es.exists(index="logs", id="d7") and not es.exists(index="logs", id="d1000")
    with pytest.raises(NotFoundError):
        es.get(index="logs", id="nope")
    made = es.index(index="auto", document={"a": 1})["_id"]
    assert es.get(index="auto", id=made)["_source"] == {"a": 1}
    assert es.search(index="auto")["hits"]["hits"][0]["_id"] == made


def test_compressed_bodies_and_credentials(make_server):
    server = make_server(env={"WEIR_ROOT_USER": "elastic", "WEIR_ROOT_PASSWORD": "pass word"})
    client = Elasticsearch(server.url, basic_auth=("elastic", "pass word"), http_compress=True)
    assert helpers.bulk(client, [{"_index": "zip", "n": n} for n in range(10)]) == (10, [])
    assert client.search(index="zip", query={"range": {"n": {"gte": 5}}})["hits"]["total"]["value"] == 5
    assert Elasticsearch(server.url, basic_auth=("elastic", "wrong")).ping() is False
    client = OpenSearch([server.url], http_auth=("elastic", "pass word"), http_compress=True)
    assert client.search(index="zip", body={"query": {"term": {"n": 3}}})["hits"]["total"]["value"] == 1


def test_media_types(es):
    for accept, answer in [("application/vnd.elasticsearch+json; compatible-with=8",
                            "application/vnd.elasticsearch+json;compatible-with=8"),
                           ("application/vnd.elasticsearch+json; compatible-with=9",
                            "application/vnd.elasticsearch+json;compatible-with=9"), ("*/*", "application/json")]:
        for path in ("/", "/logs/_search", "/no-such/_search"):
            r = requests.get(es.server.url + path, headers={"Accept": accept})
            assert r.headers["Content-Type"] == answer and r.headers["X-Elastic-Product"] == "Elasticsearch"


# ---- aggregations ----

def aggregate(es, aggs, **options):
    answer = es.search(index="logs", size=0, aggs=aggs, **options)
    return answer["aggregations"]


def group(key, docs=None):
    groups = collections.defaultdict(list)
    for d in DOCS if docs is None else docs:
        groups[key(d)].append(d)
    return groups


def test_metrics(es):
    a = aggregate(es, {"avg": {"avg": {"field": "ms"}}, "sum": {"sum": {"field": "n"}},
                       "min": {"min": {"field": "ms"}}, "max": {"max": {"field": "http.status"}},
                       "count": {"value_count": {"field": "user.name"}},
                       "card": {"cardinality": {"field": "service.keyword"}},
                       "stats": {"stats": {"field": "ms"}},
                       "first": {"min": {"field": "@timestamp"}},
                       "none": {"avg": {"field": "nothing"}}, "zero": {"sum": {"field": "nothing"}},
                       "p": {"percentiles": {"field": "ms", "percents": [50, 99.5]}},
                       "list": {"percentiles": {"field": "ms", "percents": [10], "keyed": False}}})
    ms = [d["ms"] for d in DOCS]
    assert a["avg"]["value"] == pytest.approx(statistics.mean(ms)) and a["sum"]["value"] == sum(range(N))
    assert a["min"]["value"] == min(ms) and a["max"]["value"] == 502
    assert a["count"]["value"] == len(where(lambda d: "user" in d)) and a["card"]["value"] == 3
    assert a["stats"] == {"count": N, "min": min(ms), "max": max(ms), "avg": pytest.approx(statistics.mean(ms)),
                          "sum": pytest.approx(sum(ms))}
    assert a["first"]["value"] == BASE.timestamp() * 1000
    assert a["none"]["value"] is None and a["zero"]["value"] == 0
    assert a["p"]["values"]["50.0"] == pytest.approx(statistics.median(ms), abs=1.5) and "99.5" in a["p"]["values"]
    assert a["list"]["values"][0]["key"] == 10


def test_terms(es):
    a = aggregate(es, {"level": {"terms": {"field": "level"}}, "two": {"terms": {"field": "service", "size": 2}},
                       "status": {"terms": {"field": "http.status", "order": {"_key": "desc"}}},
                       "ok": {"terms": {"field": "ok"}}, "tags": {"terms": {"field": "tags"}},
                       "user": {"terms": {"field": "user.name", "missing": "nobody", "order": {"_count": "asc"}}}})
    def counts(name):
        return [(b["key"], b["doc_count"]) for b in a[name]["buckets"]]
    level = collections.Counter(d["level"] for d in DOCS)
    assert counts("level") == sorted(level.items(), key=lambda kv: (-kv[1], kv[0]))
    assert a["level"]["sum_other_doc_count"] == 0
    service = collections.Counter(d["service"] for d in DOCS).most_common()
    assert counts("two") == service[:2] and a["two"]["sum_other_doc_count"] == service[2][1]
    status = collections.Counter(d["http"]["status"] for d in DOCS)
    assert counts("status") == sorted(status.items(), reverse=True)
    assert [(b["key"], b["key_as_string"], b["doc_count"]) for b in a["ok"]["buckets"]] == [
        (0, "false", 300), (1, "true", 100)]
    tags = collections.Counter(t for d in DOCS for t in d.get("tags", []))
    assert sorted(counts("tags")) == sorted(tags.items())
    assert counts("user")[-1] == ("nobody", len(where(lambda d: "user" not in d)))


def test_nested_buckets(es):
    a = aggregate(es, {"service": {"terms": {"field": "service", "order": {"ms": "desc"}}, "aggs": {
        "ms": {"avg": {"field": "ms"}},
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "2m"}, "aggs": {
            "level": {"terms": {"field": "level"}, "aggs": {"top": {"max": {"field": "ms"}}}}}}}}},
        query={"range": {"n": {"gte": 20}}})
    docs = [d for d in DOCS if d["n"] >= 20]
    by_service = group(lambda d: d["service"], docs)
    mean = {k: statistics.mean(d["ms"] for d in v) for k, v in by_service.items()}
    assert [b["key"] for b in a["service"]["buckets"]] == sorted(mean, key=lambda k: -mean[k])
    for b in a["service"]["buckets"]:
        assert b["doc_count"] == len(by_service[b["key"]]) and b["ms"]["value"] == pytest.approx(mean[b["key"]])
        by_time = group(lambda d: datetime.datetime.fromisoformat(d["@timestamp"]).timestamp() // 120,
                        by_service[b["key"]])
        keys = [t["key"] for t in b["time"]["buckets"]]
        assert keys == list(range(int(min(by_time)) * 120000, int(max(by_time)) * 120000 + 1, 120000))
        for t in b["time"]["buckets"]:
            there = by_time.get(t["key"] // 120000, [])
            assert t["doc_count"] == len(there)
            levels = {x["key"]: (x["doc_count"], x["top"]["value"]) for x in t["level"]["buckets"]}
            assert levels == {k: (len(v), max(d["ms"] for d in v))
                              for k, v in group(lambda d: d["level"], there).items()}


def test_histograms(es):
    a = aggregate(es, {
        "ms": {"histogram": {"field": "ms", "interval": 50}},
        "sparse": {"date_histogram": {"field": "@timestamp", "calendar_interval": "minute", "min_doc_count": 1}},
        "keyed": {"date_histogram": {"field": "@timestamp", "interval": "5m", "keyed": True}},
        "wide": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m", "extended_bounds": {
            "min": "2025-02-15T11:58:00Z", "max": "2025-02-15T12:12:00Z"}}},
        "fine": {"date_histogram": {"field": "@timestamp", "fixed_interval": "100ms", "min_doc_count": 1}}})
    ms = collections.Counter(int(d["ms"] // 50) * 50 for d in DOCS)
    assert {b["key"]: b["doc_count"] for b in a["ms"]["buckets"]} == ms
    assert [b["key"] for b in a["ms"]["buckets"]] == sorted(ms)
    minutes = collections.Counter(d["@timestamp"][:16] for d in DOCS)
    assert {b["key_as_string"][:16]: b["doc_count"] for b in a["sparse"]["buckets"]} == minutes
    assert list(a["keyed"]["buckets"]) == ["2025-02-15T12:00:00Z", "2025-02-15T12:05:00Z", "2025-02-15T12:10:00Z"]
    assert len(a["wide"]["buckets"]) == 15 and a["wide"]["buckets"][0]["doc_count"] == 0
    assert [b["key"] for b in a["fine"]["buckets"]] == [int(BASE.timestamp()) * 1000 + n * 1700 for n in range(N)]
    with pytest.raises(BadRequestError, match="more than 65536 buckets"):
        aggregate(es, {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms"}}})


def test_buckets_by_conditions(es):
    a = aggregate(es, {
        "errors": {"filter": {"term": {"level": "ERROR"}}, "aggs": {"ms": {"sum": {"field": "ms"}}}},
        "named": {"filters": {"filters": {"pay": {"term": {"service": "pay"}}, "none": {"match_none": {}}}},
                  "aggs": {"levels": {"terms": {"field": "level"}}}},
        "listed": {"filters": {"filters": [{"match_all": {}}, {"term": {"ok": True}}]}},
        "slow": {"range": {"field": "ms", "ranges": [{"to": 50}, {"from": 50, "to": 100}, {"from": 100, "key": "slow"}]}},
        "untagged": {"missing": {"field": "tags"}},
        "by": {"terms": {"field": "service"}, "aggs": {"bad": {"filter": {"range": {"http.status": {"gte": 500}}}}}}})
    errors = [d for d in DOCS if d["level"] == "ERROR"]
    assert a["errors"]["doc_count"] == len(errors)
    assert a["errors"]["ms"]["value"] == pytest.approx(sum(d["ms"] for d in errors))
    pay = a["named"]["buckets"]["pay"]
    assert pay["doc_count"] == sum(b["doc_count"] for b in pay["levels"]["buckets"]) == len(
        where(lambda d: d["service"] == "pay"))
    assert a["named"]["buckets"]["none"] == {"doc_count": 0, "levels": {
        "doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": []}}
    assert [b["doc_count"] for b in a["listed"]["buckets"]] == [N, 100]
    assert [(b["key"], b["doc_count"]) for b in a["slow"]["buckets"]] == [
        ("*-50.0", len(where(lambda d: d["ms"] < 50))), ("50.0-100.0", len(where(lambda d: 50 <= d["ms"] < 100))),
        ("slow", len(where(lambda d: d["ms"] >= 100)))]
    assert a["untagged"]["doc_count"] == len(where(lambda d: "tags" not in d))
    for b in a["by"]["buckets"]:
        assert b["bad"]["doc_count"] == len(where(lambda d: d["service"] == b["key"] and d["http"]["status"] >= 500))


def test_bins_of_the_calendar_and_of_zones(es):
    days = ["2024-12-30T23:30:00Z", "2025-01-01T00:00:00Z", "2025-01-05T23:59:59.999Z", "2025-02-28T22:30:00Z",
            "2025-03-01T00:00:00Z", "2025-07-01T12:00:00Z", "1969-12-31T23:59:59Z"]
    helpers.bulk(es, [{"_index": "calendar", "@timestamp": t} for t in days])

    def bins(start=0, **options):
        options.setdefault("min_doc_count", 1)
        answer = es.search(index="calendar", size=0, query={"range": {"@timestamp": {"gte": "2024-01-01"}}}, aggs={
            "a": {"date_histogram": {"field": "@timestamp", **options}}})
        return [(b["key_as_string"][start:16], b["doc_count"]) for b in answer["aggregations"]["a"]["buckets"]]
    assert bins(calendar_interval="year") == [("2024-01-01T00:00", 1), ("2025-01-01T00:00", 5)]
    assert bins(calendar_interval="1q") == [("2024-10-01T00:00", 1), ("2025-01-01T00:00", 4), ("2025-07-01T00:00", 1)]
    assert bins(calendar_interval="month", min_doc_count=0) == [
        ("2024-12-01T00:00", 1), ("2025-01-01T00:00", 2), ("2025-02-01T00:00", 1), ("2025-03-01T00:00", 1),
        ("2025-04-01T00:00", 0), ("2025-05-01T00:00", 0), ("2025-06-01T00:00", 0), ("2025-07-01T00:00", 1)]
    assert bins(calendar_interval="week")[:2] == [("2024-12-30T00:00", 3), ("2025-02-24T00:00", 2)]
    assert bins(calendar_interval="month", time_zone="+02:00") == [
        ("2024-11-30T22:00", 1), ("2024-12-31T22:00", 2), ("2025-02-28T22:00", 2), ("2025-06-30T22:00", 1)]
    assert bins(calendar_interval="day", time_zone="+01:00")[0] == ("2024-12-30T23:00", 1)
    assert bins(fixed_interval="12h", offset="+6h")[:2] == [("2024-12-30T18:00", 1), ("2024-12-31T18:00", 1)]
    assert bins(fixed_interval="5m", time_zone="Europe/Berlin")[0] == ("2024-12-30T23:30", 1)
    with pytest.raises(BadRequestError):
        bins(calendar_interval="day", time_zone="Europe/Berlin")
    old = es.search(index="calendar", size=0, aggs={"a": {"date_histogram": {
        "field": "@timestamp", "calendar_interval": "month", "min_doc_count": 1}},
        "min": {"min": {"field": "@timestamp"}}, "max": {"max": {"field": "@timestamp"}}})["aggregations"]
    assert old["a"]["buckets"][0]["key_as_string"] == "1969-12-01T00:00:00Z" and old["a"]["buckets"][0]["key"] == -2678400000
    assert old["min"] == {"value": -1000, "value_as_string": "1969-12-31T23:59:59Z"}
    assert old["max"]["value_as_string"] == "2025-07-01T12:00:00Z"


@pytest.mark.parametrize("aggs, reason", [
    ({"a": {"top_hits": {}}}, "[aggs.a.top_hits] aggregations of this kind"),
    ({"a": {"avg": {}}}, "\"field\" is expected"),
    ({"a": {"avg": {"field": "x"}, "aggs": {"b": {"sum": {"field": "x"}}}}}, "below a metric"),
    ({"a": {"terms": {"field": "x", "order": {"nope": "asc"}}}}, "no metric \"nope\""),
    ({"a": {"date_histogram": {"field": "x", "fixed_interval": "1m"}}}, "only @timestamp"),
    ({"a": {"date_histogram": {"field": "@timestamp"}}}, "is expected"),
    ({"a": {"histogram": {"field": "x", "interval": -1}}}, "a number above 0"),
    ({"a": {"filters": {"filters": {"x": {"nope": {}}}}}}, "[aggs.a.filters.nope]"),
    ({"a": {"terms": {"field": "x"}, "sum": {"field": "x"}}}, "two kinds"),
    ({"a": []}, "an object is expected"),
])
def test_aggregations_that_cannot_be_read(es, aggs, reason):
    r = requests.post(es.server.url + "/logs/_search", json={"aggs": aggs})
    assert r.status_code == 400 and reason in r.json()["error"]["reason"], r.text
