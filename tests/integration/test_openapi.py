"""The API is what /api/openapi.json says. schemathesis reads the document, sends what it allows and what it forbids, and
looks at every answer: none is 5xx, none lies outside its schema. (test_openapi.c compares its paths with the routes.)"""
import json
import os
import pathlib
import subprocess
import sys

import requests

HERE = pathlib.Path(__file__).resolve().parent
RECORDS = "\n".join(
    '{"timestamp":"2025-02-15T%02d:30:00Z","level":"%s","service":"s%d","message":"m %d","latency_ms":%d}'
    % (h, ("INFO", "ERROR")[h % 2], h % 3, h, h * 50) for h in range(24))


def schemathesis(document, folder, *more):
    env = dict(os.environ, PYTHONPATH=str(HERE), COLUMNS="200")
    return subprocess.run(
        [str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"),
         "run", str(document), "--no-color", *more],
        cwd=folder, env=env, capture_output=True, text=True, timeout=1200)


def test_the_document_is_served(server):
    r = requests.get(server.url + "/api/openapi.json")
    assert r.status_code == 200 and r.headers["Content-Type"] == "application/json"
    document = r.json()
    assert document["openapi"].startswith("3.") and "/api/v1/logs/search" in document["paths"]


def test_the_api_is_as_described(server, tmp_path):
    server.ingest(RECORDS)
    (server.data / "dead").mkdir(exist_ok=True)
    (server.data / "dead" / "errors.ndjson").write_text('{"time":"2025-02-15T12:00:00Z","route":"errors","record":{}}\n' * 3)
    r = schemathesis(server.url + "/api/openapi.json", tmp_path)
    assert r.returncode == 0, r.stdout[-12000:] + r.stderr[-2000:]
    assert server.query("* | stats count()")[0]["count"] >= 24


def test_another_answer_is_found(server, tmp_path):
    """What the test above relies on: an answer that is not as the document says is a failure."""
    document = requests.get(server.url + "/api/openapi.json").json()
    document["components"]["schemas"]["Histogram"]["properties"]["bucket_ms"] = {"type": "string"}
    other = tmp_path / "openapi.json"
    other.write_text(json.dumps(document))
    server.ingest(RECORDS)
    r = schemathesis(other, tmp_path, "--url", server.url, "--include-path", "/api/v1/logs/histogram",
                     "--max-examples", "5")
    assert r.returncode == 1 and "bucket_ms" in r.stdout, r.stdout[-3000:] + r.stderr[-2000:]
