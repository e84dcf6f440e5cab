"""Loki, OTLP/HTTP, Splunk's collector and GELF over HTTP: with each system's own clients, and to the byte."""
import gzip
import json
import logging
import time

import cramjam
import logging_loki
import pygelf
import pytest
import requests
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from splunk_handler import SplunkHandler

import fluentbit
from conftest import ROOT
from inputs import wait_for

GOLDEN = ROOT / "tests" / "golden" / "wire"


def post(server, path, body, content_type="application/json", expect=200, params=None, **headers):
    r = requests.post(server.url + path, data=body, params=params, timeout=30,
                      headers={"Content-Type": content_type, **{k.replace("_", "-"): v for k, v in headers.items()}})
    assert r.status_code == expect, (r.status_code, r.text)
    return r


def one_logger(name, handler):
    log = logging.getLogger(name)
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.DEBUG)
    return log


# -- Loki --

def test_loki_logging_handler(server):
    handler = logging_loki.LokiHandler(url=server.url + "/loki/api/v1/push", tags={"application": "shop"}, version="1")
    log = one_logger("loki-client", handler)
    log.error("Payment failed: %s", "timeout", extra={"tags": {"service": "payment"}})
    log.info("fine")
    rows = wait_for(server, 2, stream="loki")
    failed = next(r for r in rows if r["severity"] == "error")
    assert failed["message"] == "Payment failed: timeout" and failed["application"] == "shop"
    assert failed["service"] == "payment" and failed["logger"] == "loki-client"


def test_loki_logging_handler_of_the_first_version(server):
    handler = logging_loki.LokiHandler(url=server.url + "/api/prom/push", tags={"application": "old"}, version="0")
    one_logger("loki-client-0", handler).warning("of old")
    assert [r["message"] for r in wait_for(server, 1, stream="loki", q="application:old")] == ["of old"]


def test_loki_forms(server):
    now = time.time_ns()
    body = json.dumps({"streams": [{"stream": {"job": "j"}, "values": [[str(now), "line", {"trace_id": "t1"}]]}]})
    assert post(server, "/loki/api/v1/push", body, expect=204).content == b""
    post(server, "/loki/api/v1/push", gzip.compress(body.encode()), expect=204, Content_Encoding="gzip")
    assert [r["trace_id"] for r in server.query("job:j", stream="loki")] == ["t1", "t1"]
    push = cramjam.snappy.compress_raw((GOLDEN / "loki-push.in").read_bytes())
    r = post(server, "/loki/api/v1/push?stream=other", bytes(push), "application/x-protobuf", expect=400)
    assert "3 of 8 records were refused, the first at position 3: an entry of 15 bytes is no valid protobuf" in r.text
    assert len(server.query("", stream="other")) == 5
    assert "no valid snappy" in post(server, "/loki/api/v1/push", b"junk", "application/x-protobuf", expect=400).text
    post(server, "/loki/api/v1/push", "x", "text/plain", expect=415)
    assert "names that begin" in post(server, "/loki/api/v1/push?stream=_x", body, expect=400).text


# -- OTLP --

def otel_logs(server, compression=None):
    from opentelemetry.exporter.otlp.proto.http import Compression
    exporter = OTLPLogExporter(endpoint=server.url + "/v1/logs",
                               compression=Compression.Gzip if compression else Compression.NoCompression)
    provider = LoggerProvider(resource=Resource.create({"service.name": "checkout", "host.name": "h-7"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=100))
    return provider


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_otlp_exporter_of_opentelemetry_python(server, compression):
    provider = otel_logs(server, compression)
    log = one_logger("otel", LoggingHandler(logger_provider=provider))
    for i in range(100):
        log.warning("order %d", i, extra={"order.id": i, "amount": 1.5, "vip": True})
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("failed")
    provider.shutdown()
    rows = wait_for(server, 101, stream="otlp")
    warned = [r for r in rows if r["severity_text"] in ("WARN", "WARNING")]
    assert sorted(r["attributes"]["order.id"] for r in warned) == list(range(100))
    assert all(r["resource"]["service.name"] == "checkout" and r["scope"]["name"] == "otel" for r in rows)
    failed = next(r for r in rows if r["body"] == "failed")
    assert failed["severity_number"] == SeverityNumber.ERROR.value
    assert failed["attributes"]["exception.type"] == "ValueError" and "boom" in failed["attributes"]["exception.stacktrace"]
    # The aliases know where service and host stand.
    assert len(server.search("", service="checkout", limit=1000, stream="otlp")["logs"]) == 101
    assert len(server.query('host:="h-7"', stream="otlp")) == 101


def test_otlp_where_loki_has_it_and_framed(server):
    record = {"body": {"stringValue": "framed"}}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * 3000}]}]}).encode()
    framed = bytes(cramjam.snappy.compress(body))
    assert framed[:4] == b"\xff\x06\0\0" and len(body) > 65536
    for coding in ("x-snappy-framed", "snappy"):
        post(server, "/otlp/v1/logs", framed, Content_Encoding=coding)
    post(server, "/v1/logs", bytes(cramjam.snappy.compress_raw(body)), Content_Encoding="snappy")
    assert server.query('body:="framed" | stats count() as n', stream="otlp") == [{"n": 9000}]
    post(server, "/v1/logs", framed[:-1], Content_Encoding="x-snappy-framed", expect=400)


def test_otlp_forms_and_partial_success(server):
    body = (GOLDEN / "otlp.in").read_bytes()
    ExportLogsServiceRequest.FromString(body)
    r = post(server, "/v1/logs", body, "application/x-protobuf")
    assert r.headers["Content-Type"] == "application/x-protobuf" and not ExportLogsServiceResponse.FromString(r.content).HasField("partial_success")
    assert post(server, "/v1/logs", (GOLDEN / "otlp-json.in").read_bytes()).json() == {}
    rows = server.query("", stream="otlp")
    assert len(rows) == 12
    r = post(server, "/v1/logs", (GOLDEN / "otlp-bad.in").read_bytes(), "application/x-protobuf")
    partial = ExportLogsServiceResponse.FromString(r.content).partial_success
    assert partial.rejected_log_records == 3 and "the first at position 0" in partial.error_message
    partial = post(server, "/v1/logs", (GOLDEN / "otlp-json-bad.in").read_bytes()).json()["partialSuccess"]
    assert partial["rejectedLogRecords"] == "11" and "no hex text" in partial["errorMessage"]
    assert len(server.query("", stream="otlp")) == 15
    assert post(server, "/v1/logs", "{", expect=400).json()["code"] == 3
    assert b"no valid protobuf" in post(server, "/v1/logs", b"\xff\xff", "application/x-protobuf", expect=400).content
    post(server, "/v1/logs", "x", "text/plain", expect=415)


# -- Splunk --

def test_splunk_handler(make_server):
    server = make_server(args=["--set", "hec.tokens=tok-1,tok-2"])
    handler = SplunkHandler(host="127.0.0.1", port=server.port, token="tok-2", index="main", protocol="http", sourcetype="st",
                            source="src", hostname="h1", flush_interval=0.2)
    log = one_logger("splunk-client", handler)
    log.error("first")
    log.info("second")
    handler.shutdown()
    rows = wait_for(server, 2, stream="hec")
    assert sorted(r["message"] for r in rows) == ["first", "second"]
    first = rows[0]
    assert (first["host"], first["source"], first["sourcetype"], first["index"]) == ("h1", "src", "st", "main")


def test_collector_to_the_byte(make_server):
    server = make_server(args=["--set", "hec.tokens=secret"], env={"WEIR_ROOT_USER": "root", "WEIR_ROOT_PASSWORD": "pw"}, start=False)
    server.start()
    key = {"Authorization": "Splunk secret"}
    event = json.dumps({"event": {"m": 1}, "time": 1739620800.5})
    path = "/services/collector"
    assert post(server, path, event, **key).json() == {"text": "Success", "code": 0}
    assert post(server, path + "/event", event * 2, **key).json()["code"] == 0
    assert post(server, path + "/event/1.0", gzip.compress(event.encode()), Content_Encoding="gzip", **key).json()["code"] == 0
    assert post(server, path, event, expect=401).json() == {"text": "Token is required", "code": 2}
    assert post(server, path, event, expect=401, Authorization="Bearer secret").json()["code"] == 3
    assert post(server, path, event, expect=403, Authorization="Splunk wrong").json() == {"text": "Invalid token", "code": 4}
    assert requests.post(server.url + path, data=event, auth=("root", "pw"), timeout=30).json()["code"] == 0
    assert requests.post(server.url + path, data=event, auth=("x", "secret"), timeout=30).json()["code"] == 0
    assert requests.post(server.url + path, data=event, auth=("secret", ""), timeout=30).json()["code"] == 3
    for wrong in ("Basic", "Basic x", "Basic ====", "Basic c2VjcmV0"):
        assert post(server, path, event, expect=401, Authorization=wrong).json()["code"] == 3
    for to in ("", "/event", "/event/1.0"):  # Docker's driver asks so, and begins no container without a 200
        assert requests.options(server.url + path + to, timeout=30).status_code == 200
    assert post(server, path, "", expect=400, **key).json()["code"] == 5
    assert post(server, path, event + '{"x":1}' + event, expect=400, **key).json() == {
        "text": "Event field is required", "code": 12, "invalid-event-number": 1}
    assert post(server, path, '{"event":""}', expect=400, **key).json()["code"] == 13
    assert post(server, path, '{"event"', expect=400, **key).json()["code"] == 6
    assert post(server, path + "/raw", "one\ntwo\n", "text/plain", params={"host": "rawhost", "sourcetype": "access"}, **key).json()["code"] == 0
    first = post(server, path, event, X_Splunk_Request_Channel="ch", **key).json()["ackId"]
    second = post(server, path + "/raw?channel=ch", "three", **key).json()["ackId"]
    assert second == first + 1
    acks = post(server, path + "/ack?channel=ch", json.dumps({"acks": [first, second, second + 1]}), **key).json()["acks"]
    assert acks == {str(first): True, str(second): True, str(second + 1): False}
    assert post(server, path + "/ack", '{"acks":[1]}', expect=400, **key).json()["code"] == 10
    assert post(server, path + "/ack?channel=ch", '{"acks":["x"]}', expect=400, **key).json()["code"] == 6
    assert requests.get(server.url + path + "/health", timeout=30).json() == {"text": "HEC is healthy", "code": 17}
    # A token opens the collector and nothing else.
    assert requests.get(server.url + "/api/v1/stats", headers=key, timeout=30).status_code == 401
    query = requests.post(server.url + "/api/v1/logs/query", params={"stream": "hec"}, auth=("root", "pw"), timeout=30).text
    rows = [json.loads(line) for line in query.splitlines()]
    assert len([r for r in rows if r.get("m") == 1]) == 9
    assert all(r["_time"] == "2025-02-15T12:00:00.500Z" for r in rows if r.get("m") == 1)
    raw = sorted((r["message"], r.get("host"), r.get("sourcetype")) for r in rows if "message" in r)
    assert raw == [("one", "rawhost", "access"), ("three", None, None), ("two", "rawhost", "access")]
    # Ids from before a restart are of what is durable.
    server.kill()
    server.start()
    acks = post(server, path + "/ack?channel=ch", json.dumps({"acks": [first, second]}), **key).json()["acks"]
    assert acks == {str(first): True, str(second): True}


# -- GELF --

def test_gelf_over_http(server):
    handler = pygelf.GelfHttpHandler(host="127.0.0.1", port=server.port, path="/gelf", _app="shop", include_extra_fields=True)
    log = one_logger("gelf-http", handler)
    log.critical("on fire", extra={"order": 7})
    row = wait_for(server, 1, stream="gelf")[0]
    assert (row["short_message"], row["level"], row["app"], row["order"]) == ("on fire", "crit", "shop", 7)
    r = post(server, "/gelf", '{"short_message":"lands"}\0{"host":"none"}', expect=400)
    assert "1 of 2 records was refused, the first at position 1: a GELF message has no short_message" in r.text
    assert post(server, "/gelf", '{"short_message":"x"}', expect=202).content == b""


# -- Fluent Bit's outputs --

@fluentbit.needed
@pytest.mark.parametrize("output,stream,options", [
    ("loki", "loki", {"labels": "job=bit", "line_format": "json"}),
    ("loki", "loki", {"labels": "job=bit", "line_format": "json", "compress": "gzip", "structured_metadata": "n=$n"}),
    ("opentelemetry", "otlp", {"logs_uri": "/v1/logs"}),
    ("opentelemetry", "otlp", {"logs_uri": "/v1/logs", "compress": "gzip"}),
    ("splunk", "hec", {"splunk_token": "t"}),
    ("splunk", "hec", {"splunk_token": "t", "compress": "gzip", "channel": "c-1"}),
    ("http", "default", {"format": "json", "uri": "/api/v1/logs/ingest", "json_date_format": "iso8601"})])
def test_fluent_bit(make_server, tmp_path, output, stream, options):
    server = make_server()
    with fluentbit.FluentBit(tmp_path, fluentbit.rows(500), output, host="127.0.0.1", port=server.port, **options) as bit:
        rows = wait_for(server, 500, stream=stream)
        assert "[error]" not in bit.log.read_text(), bit.log.read_text()[-2000:]

    def number(r):
        if output == "loki":
            return int(r["n"]) if "n" in r else json.loads(r["message"])["n"]
        return int(r["body"].split()[1]) if output == "opentelemetry" else r["n"]

    assert sorted(number(r) for r in rows) == list(range(500))
    assert all(r["_time"].startswith("2025-02-15T12:00:") for r in rows), rows[0]
