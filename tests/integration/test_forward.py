"""The forward protocol with real clients: fluent-logger, Fluent Bit where there is one; and to the byte by msgpack."""
import hashlib
import os
import socket
import ssl
import struct
import time

import msgpack
import pytest
from fluent import asyncsender, event, sender

import fluentbit
from inputs import inputs, make_certificates, port, wait_for, with_inputs


class Client:
    """What the specification says, on a socket."""

    def __init__(self, port, wrap=lambda s: s):
        self.socket = wrap(socket.create_connection(("127.0.0.1", port), timeout=60))
        self.unpacker = msgpack.Unpacker(raw=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, message):
        self.socket.sendall(msgpack.packb(message))

    def receive(self):
        while True:
            for message in self.unpacker:
                return message
            data = self.socket.recv(65536)
            if not data:
                return None
            self.unpacker.feed(data)

    def shake_hands(self, key, user="", password=""):
        kind, options = self.receive()
        assert kind == "HELO" and options["keepalive"]
        nonce, auth, salt = options["nonce"], options["auth"], os.urandom(16)
        assert len(nonce) == 16
        self.send(["PING", "tester", salt, digest(salt, b"tester", nonce, key),
                   user, digest(auth, user, password) if user else ""])
        kind, good, reason, host, proof = self.receive()
        assert kind == "PONG"
        if good:
            assert proof == digest(salt, host, nonce, key)
        return good, reason


def digest(*parts):
    return hashlib.sha512(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)).hexdigest()


def test_fluent_logger(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    p = port(server, "forward")
    log = sender.FluentSender("app", host="127.0.0.1", port=p, nanosecond_precision=True)
    assert log.emit("nginx", {"message": "hello", "n": 1, "nested": {"a": [1, 2.5, None]}})
    assert log.emit_with_time("nginx", 1739620800, {"message": "old", "deep": {"x": {"y": "z"}}})
    log.close()
    background = asyncsender.FluentSender("async", host="127.0.0.1", port=p)
    for i in range(500):
        background.emit("many", {"i": i, "text": "x" * i})
    background.close()
    sender.setup("event", host="127.0.0.1", port=p)
    event.Event("follow", {"from": "userA"})
    sender.close()
    rows = wait_for(server, 503, stream="forward")
    assert rows[0]["_time"] == "2025-02-15T12:00:00Z" and rows[0]["deep"] == {"x": {"y": "z"}}
    assert sorted(r["i"] for r in rows if r["tag"] == "async.many") == list(range(500))
    hello = next(r for r in rows if r.get("message") == "hello")
    assert hello["tag"] == "app.nginx" and hello["nested"] == {"a": [1, 2.5, None]}
    assert len(server.query('tag:"app.nginx"')) == 2 and len(server.query("from:userA")) == 1


def test_lines_become_the_record_that_they_are_of(make_server):
    """Of two containers, one message a line, as Docker's driver sends them; and who waits for an acknowledgement gets it at once."""
    server = with_inputs(make_server, "forward://127.0.0.1:0?multiline=python")
    lines = ["failed", "Traceback (most recent call last):", '  File "pay.py", line 7, in pay', "ValueError: no card", "next"]
    log = sender.FluentSender("docker", host="127.0.0.1", port=port(server, "forward"))
    for line in lines:
        for container in ("a", "b"):
            assert log.emit("x", {"log": line, "container_id": container, "source": "stderr"})
    rows = wait_for(server, 4, stream="forward")
    log.close()
    assert sorted((r["container_id"], r["log"]) for r in rows) == \
        sorted((c, text) for c in "ab" for text in ("\n".join(lines[:4]), "next"))
    server.stop()
    server.args = ["--input", "forward://127.0.0.1:0?multiline=python&multiline_wait=10s"]
    server.start()
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port(server, "forward"))) as s:
        for i in range(20):  # ten seconds each, would they wait
            s.sendall(msgpack.packb(["t", [[1739620800, {"log": line}] for line in lines], {"chunk": f"c{i}"}]))
            assert msgpack.unpackb(s.recv(1000)) == {"ack": f"c{i}"}
    assert time.monotonic() - started < 60
    assert len(server.query('tag:="t"', stream="forward")) == 40


def test_chunks_are_acknowledged_when_durable_and_land_once(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    message = ["t", [[i, {"i": i}] for i in range(1, 101)], {"size": 100, "chunk": "cDE="}]
    with Client(port(server, "forward")) as c:
        c.send(message)
        assert c.receive() == {"ack": "cDE="}
        server.kill()  # what was acknowledged is there, whatever happens
    server.start()
    assert len(server.query("")) == 100
    with Client(port(server, "forward")) as c:
        for _ in range(3):
            c.send(message)  # as a client does that did not see the answer
            assert c.receive() == {"ack": "cDE="}
        c.send(["t", 1, {"i": 999}, {"chunk": "single"}])
        assert c.receive() == {"ack": "single"}
        for i in range(200):
            c.send(["t", msgpack.packb([2000 + i, {"i": 1000 + i}]), {"chunk": f"n{i}"}])
        assert [c.receive()["ack"] for i in range(200)] == [f"n{i}" for i in range(200)]
    assert sorted(r["i"] for r in server.query("")) == [*range(1, 101), 999, *range(1000, 1200)]
    assert inputs(server)[0]["duplicates"] == 300


def test_shared_key_and_user(make_server):
    server = with_inputs(make_server, "forward://bob:s3cret@127.0.0.1:0?shared_key=k%26y&self_hostname=weir.test")
    p = port(server, "forward")
    with Client(p) as c:
        assert c.shake_hands("k&y", "bob", "s3cret") == (True, "")
        c.send(["t", 1, {"message": "let in"}, {"chunk": "a"}])
        assert c.receive() == {"ack": "a"}
    for args, reason in ((("wrong", "bob", "s3cret"), "the shared key does not match"),
                         (("k&y", "bob", "guess"), "the user name or password is wrong"),
                         (("k&y",), "the user name or password is wrong")):
        with Client(p) as c:
            assert c.shake_hands(*args) == (False, reason)
            assert c.receive() is None
    with Client(p) as c:
        assert c.receive()[0] == "HELO"
        c.send(["t", 1, {"message": "just sent"}])
        assert c.receive() is None
    assert [r["message"] for r in server.query("")] == ["let in"]
    assert inputs(server)[0]["errors"] == 4


def test_tls(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"forward+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}"
                                      "&shared_key=k")
    context = ssl.create_default_context(cafile=pem["ca.pem"])
    with Client(port(server, "forward+tls"), lambda s: context.wrap_socket(s, server_hostname="127.0.0.1")) as c:
        assert c.shake_hands("k")[0]
        for size in (10, 100000, 3000000):
            c.send(["t", 1, {"message": "x" * size}, {"chunk": str(size)}])
            assert c.receive() == {"ack": str(size)}
    assert sorted(len(r["message"]) for r in server.query("")) == [10, 100000, 3000000]


def test_heartbeat_by_udp(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.sendto(b"\0", ("127.0.0.1", port(server, "forward")))
        assert s.recv(10) == b"\0"


def test_bad_records_cost_nothing_else(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    with Client(port(server, "forward")) as c:
        c.send(["t", [[1, {"message": "one"}], [2, "no map"], ["x", {}], [3, {"message": "two"}]], {"chunk": "c"}])
        assert c.receive() == {"ack": "c"}
        c.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert c.receive() is None
    assert [r["message"] for r in wait_for(server, 2, stream="forward")] == ["one", "two"]
    dead = server.query("", stream="_dead_letters")
    assert sorted((r["position"], r["reason"]) for r in dead) == [(1, "the record is no map"), (2, "the time of the event is none")]
    assert "0x47" in inputs(server)[0]["last_error"]


def test_large_and_torn(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0?stream=big")
    entries = b"".join(msgpack.packb([i + 1, {"i": i, "pad": "p" * (i % 1000)}]) for i in range(20000))
    data = msgpack.packb(["t", entries, {"chunk": "big"}])
    with Client(port(server, "forward")) as c:
        for at in range(0, len(data), 333333):
            c.socket.sendall(data[at:at + 333333])
            time.sleep(0.001)
        assert c.receive() == {"ack": "big"}
    assert server.query("| stats count() as n", stream="big") == [{"n": 20000}]


def test_event_times(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0")
    with Client(port(server, "forward")) as c:
        c.send(["t", msgpack.ExtType(0, struct.pack(">II", 1739620800, 999999999)), {"m": 1}, {"chunk": "a"}])
        c.receive()
    assert server.query("")[0]["_time"] == "2025-02-15T12:00:00.999999999Z"


@fluentbit.needed
@pytest.mark.parametrize("options", [{}, {"require_ack_response": "true"}, {"compress": "gzip"}, {"send_options": "true"},
                                     {"shared_key": "secret", "self_hostname": "bit"}, {"time_as_integer": "true"},
                                     {"retain_metadata_in_forward_mode": "true"}])
def test_fluent_bit(make_server, tmp_path, options):
    key = "?shared_key=secret" if "shared_key" in options else ""
    server = with_inputs(make_server, f"forward://127.0.0.1:0{key}")
    with fluentbit.FluentBit(tmp_path, fluentbit.rows(1000), "forward", host="127.0.0.1", port=port(server, "forward"),
                             **options) as bit:
        rows = wait_for(server, 1000, stream="forward")
        assert "[error]" not in bit.log.read_text(), bit.log.read_text()[-2000:]
    assert sorted(r["n"] for r in rows) == list(range(1000))
    assert all(r["nested"] == {"a": [1, r["n"]]} and r["tag"] == "app.bit" for r in rows)
    if "time_as_integer" not in options:
        assert all(r["_time"].startswith(f"2025-02-15T12:00:{r['n'] % 60:02d}") for r in rows)


@fluentbit.needed
def test_fluent_bit_over_tls(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"forward+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}"
                                      f"&tls_ca={pem['ca.pem']}")
    with fluentbit.FluentBit(tmp_path, fluentbit.rows(100), "forward", host="127.0.0.1", port=port(server, "forward+tls"),
                             tls="on", tls__ca_file=pem["ca.pem"], tls__crt_file=pem["client.pem"],
                             tls__key_file=pem["client.key"], require_ack_response="true"):
        wait_for(server, 100)


def test_tags_become_streams(make_server):
    server = with_inputs(make_server, "forward://127.0.0.1:0?stream={tag}")
    with Client(port(server, "forward")) as c:
        for i in range(40):  # many in one packet, of several tags, some of which can name no stream
            tag = ("shop", "db", "_weir", "a/b")[i // 3 % 4]
            c.socket.sendall(msgpack.packb([tag, 1754235045, {"message": f"m{i}"}]))
        for _ in range(2):
            c.send(["db", [[1754235045, {"message": "kept"}]], {"chunk": "one"}])
            assert c.receive() == {"ack": "one"}
    for stream, tags in (("shop", ["shop"]), ("db", ["db"]), ("forward", ["_weir", "a/b"])):
        want = [f"m{i}" for i in range(40) if ("shop", "db", "_weir", "a/b")[i // 3 % 4] in tags]
        rows = wait_for(server, len(want) + (stream == "db"), stream=stream)
        assert sorted(r["message"] for r in rows) == sorted(want + ["kept"] * (stream == "db"))
        assert {r["tag"] for r in rows} == set(tags)
