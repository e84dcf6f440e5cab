"""Writes the inputs of the forward protocol's golden files and corpus: by msgpack-python, from the specification."""
import gzip
import pathlib
import struct

import msgpack

HERE = pathlib.Path(__file__).resolve().parents[1]
CORPUS = HERE.parents[1] / "fuzz" / "corpus" / "fuzz_forward"


def event_time(seconds, ns):
    return msgpack.ExtType(0, struct.pack(">II", seconds, ns))


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


T = 1739620800
message = pack(["app.one", T, {"message": "hello", "n": 1}])
files = {
    "forward-modes": message
    + pack(["app.two", event_time(T, 123456789), {"message": "exact time"}, {"chunk": "Yw=="}])
    + pack(["app.three", [[T, {"message": "a"}], [event_time(T, 5), {"message": "b"}]], {"size": 2, "chunk": "cGFja2Vk"}])
    + pack(["app.four", pack([T, {"message": "c"}]) + pack([T + 1, {"message": "d"}]), {"size": 2}])
    + msgpack.packb(["app.five", pack([T, {"message": "old string"}])], use_bin_type=False)
    + pack(["app.six", gzip.compress(pack([T, {"m": 1}]) + pack([T, {"m": 2}])), {"compressed": "gzip", "chunk": "eg=="}])
    + pack(None) + pack(["", 0, {"time": "2025-02-15T11:00:00Z", "message": "its own time"}])
    + pack(["bit", pack([[event_time(T, 1), {}], {"log": "v2"}]) + pack([[event_time(T, 2), {"otlp": {"severity": 9}}], {"log": "v2m"}]),
            {"fluent_signal": 0}]),
    "forward-values": pack(["v", T, {
        "int": 1, "neg": -1, "big": 2**63, "min": -2**63, "f": 1.5, "whole": 5.0, "tiny": 1e-300, "nan": float("nan"),
        "inf": float("-inf"), "t": True, "f2": False, "nil": None, "bin": b"\xff\x00", "": "empty key", "uni": "h\u00e9llo \u4e16",
        "nested": {"a": {"b": {"c": 1}}, "e": {}}, "arr": [1, "two", None, [3.5, {"k": b"v"}], {"x": []}], "empty": [],
        "ext": msgpack.ExtType(5, b"abcd"), "dotted.key": 1, "tag": "mine"}]),
    "forward-bad": pack(["tag", [[T, {"message": "first lands"}], [T], [T, "no map"], ["no time", {"a": 1}], [T, {1: 2}], {"x": 1},
                                 [T, {"message": "last lands"}]]])
    + pack(["tag", pack([T, {"message": "before the break"}]) + pack([T, {"message": "x" * 50}])[:20]])
    + pack(["tag", b"\x1f\x8bnot gzip", {"compressed": "gzip"}]) + pack(["tag", b"x", {"compressed": "lzma"}])
    + pack([7, T, {"a": 1}]) + pack(["tag", T, {"message": "after it all"}]),
    "forward-garbage": message + b"GET / HTTP/1.1\r\n\r\n",
}
deep = {}
for _ in range(60):
    deep = {"d": deep}
nested_array = []
for _ in range(60):
    nested_array = [nested_array]
files["forward-deep"] = pack(["t", T, deep]) + pack(["t", T, {"a": nested_array}]) + pack(["t", T, {"ok": 1}])

CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in files.items():
    (HERE / f"{name}.in").write_bytes(data)
    (CORPUS / name).write_bytes(data)
