"""Elasticsearch's _bulk by its official clients and their helpers: per-item results, ids that land once, also
across kill -9."""
import gzip
import json
import threading
import time

import pytest
import requests
from elasticsearch import ConflictError, Elasticsearch, helpers
from opensearchpy import OpenSearch
from opensearchpy import helpers as os_helpers


def elastic(server, **options):
    return Elasticsearch(server.url, **options)


def opensearch(server, **options):
    return OpenSearch([server.url], **options)


CLIENTS = pytest.mark.parametrize("make, tools", [(elastic, helpers), (opensearch, os_helpers)],
                                  ids=["elasticsearch-py", "opensearch-py"])


def bulk(server, lines, path="/_bulk", expect=200, **headers):
    body = "".join(line + "\n" if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    r = requests.post(server.url + path, data=body.encode(), timeout=60,
                      headers={"Content-Type": "application/x-ndjson", **headers})
    assert r.status_code == expect, r.text[:2000]
    return r.json()


def rows(server, stream, fields="n"):
    return sorted((json.dumps(r, sort_keys=True)
                   for r in server.query(f"* | fields {fields}", stream=stream)))


@CLIENTS
def test_info(server, make, tools):
    client = make(server)
    assert client.ping()
    assert client.info()["version"]["number"].startswith("8.")


@CLIENTS
def test_bulk_helper(server, make, tools):
    actions = [{"_index": f"app-{n % 3}", "_source": {"n": n, "message": f"line {n}"}} for n in range(3000)]
    assert tools.bulk(make(server), actions) == (3000, [])
    for k in range(3):
        assert server.query("* | stats count()", stream=f"app-{k}") == [{"count": 1000}]
    # The id of each item is the record's.
    answers = [item["index"] for ok, item in tools.streaming_bulk(make(server), actions[:10])]
    for n, answer in enumerate(answers):
        assert answer["status"] == 201 and answer["result"] == "created" and answer["_index"] == f"app-{n % 3}"
        found = server.query(f'_id:="{answer["_id"]}"', stream=answer["_index"])
        assert [r["n"] for r in found] == [n]


@CLIENTS
def test_ids_land_once(server, make, tools):
    client = make(server)
    actions = [{"_op_type": "index", "_index": "once", "_id": f"id-{n}", "n": n} for n in range(500)]
    assert tools.bulk(client, actions) == (500, [])
    again = [item["index"] for _, item in tools.streaming_bulk(client, actions + actions[:5])]
    assert {(i["status"], i["result"]) for i in again} == {(200, "noop")}
    creates = [dict(a, _op_type="create") for a in actions[:20]] + [
        {"_op_type": "create", "_index": "once", "_id": "new", "n": 500}]
    done, errors = tools.bulk(client, creates, raise_on_error=False)
    assert done == 1 and len(errors) == 20
    assert errors[0]["create"]["status"] == 409
    assert errors[0]["create"]["error"]["type"] == "version_conflict_engine_exception"
    assert rows(server, "once", "_id,n") == sorted(
        json.dumps({"_id": f"id-{n}" if n < 500 else "new", "n": n}, sort_keys=True) for n in range(501))
    # The same id in another stream is another record.
    assert tools.bulk(client, [{"_index": "twice", "_id": "id-1", "n": 1}]) == (1, [])


@CLIENTS
def test_parallel_bulk_with_the_same_ids(server, make, tools):
    client = make(server)
    actions = [{"_index": "parallel", "_id": f"id-{n % 200}", "n": n % 200} for n in range(4000)]
    results = [(ok, item["index"]["status"])
               for ok, item in tools.parallel_bulk(client, actions, thread_count=4, chunk_size=100)]
    assert len(results) == 4000 and all(ok for ok, _ in results)
    assert sum(status == 201 for _, status in results) == 200
    assert rows(server, "parallel") == sorted(json.dumps({"n": n}) for n in range(200))


def test_a_bad_item_fails_alone(server):
    answer = bulk(server, [
        {"index": {"_index": "mixed"}}, {"n": 0},
        {"index": {"_index": "mixed", "_id": "bad"}}, '{"n": 1',
        {"index": {"_index": "_reserved"}}, {"n": 2},
        {"update": {"_index": "mixed", "_id": "x"}}, {"doc": {"n": 3}},
        {"delete": {"_index": "mixed", "_id": "x"}},
        {"index": {"_index": "mixed", "_id": "other"}}, {"_id": "own", "n": 4},
        {"index": {"_index": "mixed"}}, "[5]",
        {"index": {}}, {"n": 6},
        {"create": {"_index": "mixed", "_id": 7}}, {"n": 7},
        {"index": {"_index": "mixed", "_id": "x" * 513}}, {"n": 8},
        {"index": {"_index": "mixed"}}])
    assert answer["errors"] is True
    items = [next(iter(item.items())) for item in answer["items"]]
    assert [(op, i["status"]) for op, i in items] == [
        ("index", 201), ("index", 400), ("index", 400), ("update", 400), ("delete", 400), ("index", 400),
        ("index", 400), ("index", 400), ("create", 201), ("index", 400), ("index", 400)]
    reasons = [i.get("error", {}).get("reason") for _, i in items]
    assert "'}'" in reasons[1] and "begin with '_'" in reasons[2] and "only added to" in reasons[3]
    assert "an _id of its own" in reasons[5] and "JSON object" in reasons[6]
    assert "neither the action nor the path" in reasons[7] and "512" in reasons[9] and "ends" in reasons[10]
    assert items[8][1]["_id"] == "7"
    assert rows(server, "mixed") == ['{"n": 0}', '{"n": 7}']
    dead = server.query("* | sort position", stream="_dead_letters")
    assert [(d["position"], d["stream"]) for d in dead] == [(1, "mixed"), (5, "mixed"), (6, "mixed")]


def test_the_path_names_the_index_and_bodies_may_be_compressed(server):
    body = b'{"index":{}}\r\n{"n":1}\r\n\n{"create":{"_index":"named"}}\n{"n":2}'
    r = requests.put(server.url + "/pathed/_bulk", data=gzip.compress(body),
                     headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    assert r.status_code == 200 and r.json()["errors"] is False
    assert rows(server, "pathed") == ['{"n": 1}'] and rows(server, "named") == ['{"n": 2}']


def test_bodies_that_cannot_be_read(server):
    for lines, reason in [
            (["{}"], "one member"), (["[]"], "one member"), (["{\"index\":1}", "{}"], "one member"),
            (['{"index":{}', "{}"], "line 1"), (['{"upsert":{}}', "{}"], "index, create, update and delete"),
            (['{"index":{"_id":["a"]}}', "{}"], "are texts"), ([""], "no action"), ([], "empty")]:
        answer = bulk(server, lines, "/bad/_bulk", expect=400)
        assert reason in answer["error"]["reason"], answer
    assert not server.query("", stream="bad")


@CLIENTS
def test_one_document(server, make, tools):
    client = make(server)
    keyword = "document" if tools is helpers else "body"
    first = client.index(index="docs", id="a/1", **{keyword: {"n": 1}})
    assert first["result"] == "created" and first["_id"] == "a/1"
    assert client.index(index="docs", id="a/1", **{keyword: {"n": 2}})["result"] == "noop"
    auto = client.index(index="docs", **{keyword: {"n": 3}})
    assert [r["n"] for r in server.query(f'_id:="{auto["_id"]}"', stream="docs")] == [3]
    with pytest.raises(Exception) as e:
        client.create(index="docs", id="a/1", **{keyword: {"n": 4}})
    assert e.value.status_code == 409 if tools is os_helpers else isinstance(e.value, ConflictError)
    pretty = requests.post(server.url + "/docs/_doc", data='{\n  "n":\n  5\n}\n')
    assert pretty.status_code == 201
    assert requests.post(server.url + "/docs/_doc", data='{"n"}').status_code == 400
    assert rows(server, "docs") == ['{"n": 1}', '{"n": 3}', '{"n": 5}']


def test_nothing_is_lost_or_doubled_across_a_crash(make_server):
    """A client sends chunks and sends those again that were not answered, while the server is killed."""
    server = make_server()
    total, chunk = 6000, 150
    acked = threading.Semaphore(0)
    until = time.monotonic() + 120

    def send():
        client = Elasticsearch(server.url, max_retries=200, retry_on_timeout=True, request_timeout=10)
        for at in range(0, total, chunk):
            actions = [{"_index": "crash", "_id": f"id-{n}", "n": n} for n in range(at, at + chunk)]
            while True:
                try:
                    done, errors = helpers.bulk(client, actions)
                    break
                except Exception as e:  # the connection broke: nobody knows whether it landed
                    assert time.monotonic() < until, "the server is gone"
                    assert "refused" in str(e) or "onnection" in str(e) or "503" in str(e), e
            assert done == chunk and not errors
            acked.release()

    thread = threading.Thread(target=send)
    thread.start()
    for after in (5, 6, 7):
        for _ in range(after):
            assert acked.acquire(timeout=60)
        server.kill()
        server.start()
    thread.join()
    assert rows(server, "crash") == sorted(json.dumps({"n": n}) for n in range(total))
    server.flush()
    assert server.query("* | stats count(), distinct(_id) as ids", stream="crash") == [{"count": total, "ids": total}]
