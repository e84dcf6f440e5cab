"""What shippers of OpenObserve send."""
import gzip

import requests


def post(server, path, data, expect=200, **headers):
    r = requests.post(server.url + path, data=data, headers=headers, timeout=30)
    assert r.status_code == expect, r.text
    return r.json()


def test_json_and_multi(server):
    answer = post(server, "/api/default/app/_json",
                  b'[{"_timestamp":1739620800000000,"n":1},{"_timestamp":1739620800123456,"n":2},3]')
    status = answer["status"][0]
    assert answer["code"] == 200 and status["name"] == "app" and (status["successful"], status["failed"]) == (2, 1)
    assert "position 2" in status["error"]
    assert post(server, "/api/default/app/_json", b'{"n":3}')["status"][0]["successful"] == 1
    answer = post(server, "/api/default/app/_multi", gzip.compress(b'{"n":4}\n{"n":5}\n'), **{"Content-Encoding": "gzip"})
    assert answer == {"code": 200, "status": [{"name": "app", "successful": 2, "failed": 0}]}
    assert sorted(r["n"] for r in server.query("", stream="app")) == [1, 2, 3, 4, 5]
    assert [r["_time"] for r in server.query("n:2", stream="app")] == ["2025-02-15T12:00:00.123456Z"]


def test_bulk(server):
    answer = post(server, "/api/default/_bulk", b'{"index":{"_index":"app","_id":"1"}}\n{"n":1}\n')
    assert answer["errors"] is False and answer["items"][0]["index"]["status"] == 201
    assert post(server, "/api/default/_bulk", b'{"index":{}}\n{}\n')["items"][0]["index"]["status"] == 400


def test_refused(server):
    assert "organization" in post(server, "/api/other/app/_json", b"[]", expect=404)["message"]
    assert post(server, "/api/default/_app/_json", b"[]", expect=400)["code"] == 400
    assert post(server, "/api/default/app/_json", b"[{]", expect=400)["code"] == 400
