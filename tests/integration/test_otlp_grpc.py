"""OTLP/gRPC: opentelemetry-python's exporter, rotel (a collector in Rust), and calls made by hand with grpcio."""
import logging
import pathlib
import socket
import subprocess
import sys
import time

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from conftest import free_port
from inputs import inputs, make_certificates, port, wait_for, with_inputs

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "wire"
METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def call(target, body, method=METHOD, timeout=60, **kwargs):
    """The answer's bytes; raises grpc.RpcError."""
    with grpc.insecure_channel(target) as channel:
        return channel.unary_unary(method)(body, timeout=timeout, **kwargs)


def export(endpoint, count, compression, credentials=None):
    provider = LoggerProvider(resource=Resource.create({"service.name": "checkout"}))
    exporter = OTLPLogExporter(endpoint=endpoint, insecure=credentials is None, credentials=credentials, compression=compression)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=100))
    logger = logging.Logger("shop")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for i in range(count):
        logger.error("Payment failed %d", i, extra={"order": i})
    provider.shutdown()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"])
def test_exporter_of_opentelemetry_python(make_server, compression):
    server = with_inputs(make_server, "otlp+grpc://127.0.0.1:0")
    export(f"127.0.0.1:{port(server, 'otlp+grpc')}", 1000, compression)
    rows = wait_for(server, 1000, stream="otlp")
    assert {r["attributes"]["order"] for r in rows} == set(range(1000))
    assert {r["severity_text"] for r in rows} == {"ERROR"} and len(server.query("service:checkout level:ERROR")) == 1000
    assert inputs(server)[0]["accepted"] == 1000 and inputs(server)[0]["errors"] == 0


def test_tls(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"otlp+grpc+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}")
    credentials = grpc.ssl_channel_credentials(pathlib.Path(pem["ca.pem"]).read_bytes())
    export(f"127.0.0.1:{port(server, 'otlp+grpc+tls')}", 10, None, credentials)
    wait_for(server, 10, stream="otlp")


def test_answers(make_server):
    """What each call is told; a fault in one ends that one alone."""
    server = with_inputs(make_server, "otlp+grpc://127.0.0.1:0")
    target = f"127.0.0.1:{port(server, 'otlp+grpc')}"
    good = (GOLDEN / "otlp.in").read_bytes()
    channel = grpc.insecure_channel(target)

    def code(body, method=METHOD):
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary(method)(body, timeout=60)
        return e.value.code(), e.value.details()

    assert channel.unary_unary(METHOD)(good, timeout=60) == b""
    assert channel.unary_unary(METHOD)(b"", timeout=60) == b""
    assert code(b"\xff\xff\xff")[0] == grpc.StatusCode.INVALID_ARGUMENT
    status, text = code(good, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    assert status == grpc.StatusCode.UNIMPLEMENTED and "TraceService" in text
    partial = channel.unary_unary(METHOD)((GOLDEN / "otlp-bad.in").read_bytes(), timeout=60)
    assert partial[:1] == b"\x0a" and partial[2:3] == b"\x08" and partial[3] > 0, partial
    n = len(server.query("", stream="otlp"))
    assert channel.unary_unary(METHOD)(good, timeout=60) == b"" and len(server.query("", stream="otlp")) > n
    channel.close()


def test_many_calls_at_once(make_server):
    server = with_inputs(make_server, "otlp+grpc://127.0.0.1:0")
    one = (GOLDEN / "otlp.in").read_bytes()
    call(f"127.0.0.1:{port(server, 'otlp+grpc')}", one)
    each = len(server.query("", stream="otlp"))
    with grpc.insecure_channel(f"127.0.0.1:{port(server, 'otlp+grpc')}") as channel:
        calls = [channel.unary_unary(METHOD).future(one, timeout=30) for _ in range(400)]
        assert [c.result() for c in calls] == [b""] * 400
    assert server.query("* | stats count() as n", stream="otlp") == [{"n": 401 * each}]


def test_large_and_too_large(make_server):
    server = make_server(args=["--input", "otlp+grpc://127.0.0.1:0", "--set", "limits.body_bytes=4MiB"])
    target = f"127.0.0.1:{port(server, 'otlp+grpc')}"
    big = record(b"x" * 3000000)
    assert call(target, big) == b""
    wait_for(server, 1, stream="otlp")
    with pytest.raises(grpc.RpcError) as e:
        call(target, record(b"x" * 5000000))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as e:  # small on the wire, large within
        call(target, record(b"x" * 5000000), compression=grpc.Compression.Gzip)
    assert e.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert call(target, record(b"small")) == b""
    wait_for(server, 2, stream="otlp")


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def record(text):
    """ExportLogsServiceRequest with a record of that body."""
    return field(1, field(2, field(2, field(5, field(1, text)))))


def test_no_http2(make_server):
    server = with_inputs(make_server, "otlp+grpc://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", port(server, "otlp+grpc"))) as s:
        s.settimeout(60)
        s.sendall(b"POST /v1/logs HTTP/1.1\r\nHost: x\r\n\r\n")
        while s.recv(4096):
            pass
    assert "no HTTP/2" in inputs(server)[0]["last_error"]


def test_rotel(make_server, tmp_path):
    """A collector between the exporter and Weir, which sends by gRPC with gzip."""
    server = with_inputs(make_server, "otlp+grpc://127.0.0.1:0")
    grpc_port, http_port = free_port(), free_port()
    binary = next(pathlib.Path(sys.prefix).glob("lib/python*/site-packages/rotel/rotel-agent"))
    log = open(tmp_path / "rotel.log", "wb")
    rotel = subprocess.Popen([binary, "start", "--exporter", "otlp", "--otlp-exporter-endpoint",
                              f"http://127.0.0.1:{port(server, 'otlp+grpc')}", "--otlp-exporter-protocol", "grpc",
                              "--otlp-exporter-compression", "gzip",
                              "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}", "--otlp-http-endpoint", f"127.0.0.1:{http_port}"],
                             stdout=log, stderr=log, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", grpc_port)) == 0:
                    break
            time.sleep(0.1)
        export(f"127.0.0.1:{grpc_port}", 500, None)
        wait_for(server, 500, stream="otlp")
    finally:
        rotel.terminate()
        rotel.wait(10)
