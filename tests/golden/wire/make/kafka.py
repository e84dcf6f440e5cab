"""Writes the inputs of the golden files of Kafka's messages, and the corpus of their fuzz target."""
import pathlib

import msgpack

HERE = pathlib.Path(__file__).resolve().parents[1]
CORPUS = HERE.parents[1] / "fuzz" / "corpus" / "fuzz_kafka"
AUTO, JSON, TEXT, MSGPACK, REFUSED = range(5)
TIME = 1739620800123


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return varint(len(s)) + s


def body(value, place, *messages):
    out = b"K" + bytes([value, place]) + varint(3) + text("shop")
    for i, (key, data) in enumerate(messages):
        out += varint(2 * (100 + i)) + varint(2 * (TIME + i)) + text(key) + text(data)
    return out


deep = {"a": 1}
for _ in range(200):
    deep = {"d": deep}
lines = (("", '{"a":1,"b":{"c":[1,2]}}'), ("", ' [{"x":1},{"x":2}, 3] '), ("", "plain"),
         ("", '{"a":'), ("", ""), ("k", '{"time":"2025-01-01T00:00:00Z","z":null}'))
bodies = {
    "kafka-json": body(JSON, 0, *lines),
    "kafka-json-place": body(JSON, 1, *lines),
    "kafka-auto": body(AUTO, 1, ("who", '{"a":1}'), ("", "ERROR it failed\n\tat Main"), ("", msgpack.packb({"m": 1.5})),
                       ("", msgpack.packb([{"p": b"\x00"}, {"q": [1, None]}, 7])), ("", "{not json"), ("", b"\x81half"),
                       ("", "[also not"), ("", b"\xdf\xff\xff\xff\xff")),
    "kafka-mixed": body(AUTO, 0, *[m for i in range(7) for m in (
        ("", '{"n":%d}' % i), ("", '{"half":'), ("", msgpack.packb({"m": i})), ("", '[{"a":%d}]' % i), ("", '{"n":"z"}'))]),
    "kafka-msgpack": body(MSGPACK, 0, ("", msgpack.packb({"s": "x", "n": -1})), ("", "text"), ("", b"\x82\xa1a"),
                          ("", msgpack.packb({"a": 1}) + b"\x00"), ("", msgpack.packb({1: 2})), ("", msgpack.packb(deep))),
    "kafka-refused": body(REFUSED, 0, ("this is no frame", b"\x00\x01bytes")),
}
CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in bodies.items():
    (HERE / f"{name}.in").write_bytes(data)
    (CORPUS / name).write_bytes((b"\x01" if name == "kafka-json" else b"\x00") + data)
