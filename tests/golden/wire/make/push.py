"""Writes the inputs of the golden files and corpora of Loki and OTLP: by OpenTelemetry's own classes, and for Loki by
the wire format of protobuf."""
import json
import pathlib

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

HERE = pathlib.Path(__file__).resolve().parents[1]
FUZZ = HERE.parents[1] / "fuzz" / "corpus"
NS = 1739620800_123456789


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, data):
    if isinstance(data, str):
        data = data.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def entry(ns, line, **metadata):
    seconds, nanos = divmod(ns, 10**9)
    time = varint(1 << 3) + varint(seconds) + (varint(2 << 3) + varint(nanos) if nanos else b"")
    return field(1, time) + field(2, line) + b"".join(field(3, field(1, k) + field(2, v)) for k, v in metadata.items())


def stream(labels, *entries):
    return field(1, labels) + b"".join(field(2, e) for e in entries)


def write(name, data, corpus):
    folder = FUZZ / corpus
    folder.mkdir(parents=True, exist_ok=True)
    data = data if isinstance(data, bytes) else data.encode()
    (HERE / f"{name}.in").write_bytes(data)
    (folder / name).write_bytes(data)


write("loki-push", field(1, stream('{job="shop", level="info",env=`a"b`, esc="q\\"\\n\\x41\\u00e9\\\\"}', entry(NS, "first line"),
                                   entry(NS + 1, "with metadata", trace_id="abc", user="7")))
      + field(1, stream("{}", entry(NS, "no labels"), b"\xff\xff not an entry", entry(NS, b"bad \xff utf-8")))
      + field(1, stream('{job=unquoted}', entry(NS, "lost with its stream")))
      + field(1, b"\x0a\xff") + field(1, stream('{a="b"}', field(2, "no time"))), "fuzz_loki")
# What Promtail 3.6 pushes for three lines of JSON, byte for byte; and labels with what Go holds for unprintable.
write("loki-promtail", field(1, stream(
    '{job="shop", level="error", note="quoted \\"text\\" \\\\ é"}',
    entry(NS, '{"ts":"2025-02-15T12:00:00.123456789Z","level":"error","trace":"0af7","n":1,'
              '"text":"Payment failed: \\"timeout\\" \\\\ é"}', trace="0af7"),
    entry(NS // 10**9 * 10**9 + 2 * 10**9, '{"ts":"2025-02-15T12:00:02Z","level":"error","trace":"0af9","n":3,"text":"again"}',
          trace="0af9"))) +
    field(1, stream(
        '{job="shop", level="info", note="quoted \\"text\\" \\\\ é"}',
        entry(NS // 10**9 * 10**9 + 10**9, '{"ts":"2025-02-15T12:00:01Z","level":"info","trace":"0af8","n":2,"text":"fine"}',
              trace="0af8"))), "fuzz_loki")
write("loki-escapes", field(1, stream(r'{a="\U0001fae8 \U000e0001 \U0000200b\u200b\v\a\x7f"}', entry(NS, "as Go writes labels")))
      + b"".join(field(1, stream('{a="' + bad + '"}', entry(NS, "lost"))) for bad in (r"\U0011ffff", r"\U0001fae", r"\Uzzzzzzzz")),
      "fuzz_loki")
write("loki-json", json.dumps({"streams": [
    {"stream": {"job": "shop", "we\"ird": "x\ny"}, "values": [
        [str(NS), "first line"], [str(NS + 1), "with metadata", {"trace_id": "abc", "n": "1"}],
        ["not a time", "bad"], [str(NS), 7], "bad", [str(NS), "four", {}, 1], [str(NS), "last line"]]},
    {"labels": '{app="old", n="1"}', "entries": [{"ts": "2025-02-15T12:00:00.5Z", "line": "old form"}, {"line": "no ts"}]},
    {"labels": "{broken", "entries": []}, {"stream": {"a": "b"}}, 5]}, indent=1), "fuzz_loki")
write("loki-json-broken", '{"streams": [{"stream": {}, "values": [["1", "x"]}', "fuzz_loki")


def any_value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, str):
        return {"stringValue": v}
    if isinstance(v, bytes):
        import base64
        return {"bytesValue": base64.b64encode(v).decode()}
    if isinstance(v, list):
        return {"arrayValue": {"values": [any_value(x) for x in v]}}
    if isinstance(v, dict):
        return {"kvlistValue": {"values": pairs(v)}}
    return {}


def pairs(d):
    return [{"key": k, "value": any_value(v)} for k, v in d.items()]


request = {"resourceLogs": [
    {"resource": {"attributes": pairs({"service.name": "checkout", "host.name": "h1", "n": 3})},
     "scopeLogs": [
         {"scope": {"name": "lib", "version": "1.2", "attributes": pairs({"s": "t"})}, "logRecords": [
             {"timeUnixNano": str(NS), "observedTimeUnixNano": str(NS + 5), "severityNumber": 17, "severityText": "ERROR",
              "body": any_value("Payment failed"), "traceId": "5b8efff798038103d269b633813fc60c",
              "spanId": "eee19b7ec3c1b174", "flags": 1, "eventName": "pay",
              "attributes": pairs({"http.status_code": 500, "ok": False, "f": 2.0, "raw": b"\x00\xff", "list": [1, "a", [2.5], {"x": None}],
                                   "map": {"a": {"b": 1}, "e": {}}, "none": None, "empty": []}), "droppedAttributesCount": 2},
             {"timeUnixNano": str(NS + 1), "severityNumber": 10, "body": any_value({"event": "structured", "n": 1})},
             {"observedTimeUnixNano": str(NS + 2), "body": any_value([1, 2])}, {}]},
         {"logRecords": [{"timeUnixNano": str(NS + 3), "body": any_value("no scope")}]}]},
    {"scopeLogs": [{"logRecords": [{"timeUnixNano": str(NS + 4), "body": any_value("no resource")}]}]}]}

from google.protobuf import json_format  # noqa: E402

as_proto = json.loads(json.dumps(request))
for r in as_proto["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:  # protobuf's own mapping has ids in base64
    for name in ("traceId", "spanId"):
        if name in r:
            import base64
            r[name] = base64.b64encode(bytes.fromhex(r[name])).decode()
proto = json_format.ParseDict(as_proto, ExportLogsServiceRequest()).SerializeToString()
write("otlp", proto, "fuzz_otlp")
write("otlp-json", json.dumps(request, indent=1), "fuzz_otlp")
bad_record = field(1, field(2, field(2, "\xff\xff\xff") + field(2, field(5, field(1, "neighbour lands")))))
write("otlp-bad", bad_record + field(1, b"\xff") + field(1, field(2, field(2, field(5, field(5, b"\xff\xff"))))), "fuzz_otlp")
deep = field(1, "x")
for _ in range(50):
    deep = field(5, field(1, deep))
write("otlp-deep", field(1, field(2, field(2, field(5, deep)) + field(2, field(5, field(1, "fine"))))), "fuzz_otlp")
write("otlp-json-bad", json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [
    {"body": {"stringValue": "lands"}}, {"traceId": "xyz"}, {"timeUnixNano": "soon"}, {"timeUnixNano": "-5"}, {"severityNumber": "LOUD"},
    {"severityNumber": "SEVERITY_NUMBER_WARN2", "body": {"intValue": "1.5"}}, {"body": 5}, 7, {"attributes": [1]}, 
    {"severityNumber": "SEVERITY_NUMBER_WARN2", "spanId": "ABCDEF0123456789", "body": {"doubleValue": "NaN"}}]},
    {"logRecords": {}}]}, {"scopeLogs": "x"}, 5]}), "fuzz_otlp")
