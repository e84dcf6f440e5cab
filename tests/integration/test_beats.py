"""Beats: Elastic's own client, as Filebeat uses it; pylogbeat's; and frames as the specification has them, with windows,
compression and TLS."""
import json
import socket
import ssl
import struct
import subprocess
import time
import zlib
from collections import Counter

import pytest
from pylogbeat import PyLogBeatClient

from conftest import free_port
from inputs import inputs, make_certificates, port, wait_for, with_inputs
from parts.process import part


def event(sequence, fields):
    data = json.dumps(fields).encode()
    return b"2J" + struct.pack(">II", sequence, len(data)) + data


def window(n):
    return b"2W" + struct.pack(">I", n)


def compressed(frames):
    data = zlib.compress(frames)
    return b"2C" + struct.pack(">I", len(data)) + data


def ack(s):
    data = s.recv(6)
    return (data[:2], struct.unpack(">I", data[2:])[0]) if data else None


def beat(i):
    """What Filebeat sends for a line."""
    return {"@timestamp": f"2025-02-15T12:00:00.{i % 1000:03d}Z", "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.17.0"},
            "message": f"line {i}", "log": {"offset": i, "file": {"path": "/var/log/app.log"}}, "input": {"type": "filestream"},
            "host": {"name": "h-1"}, "agent": {"type": "filebeat"}, "ecs": {"version": "8.0.0"}}


def test_pylogbeat(make_server):
    server = with_inputs(make_server, "beats://127.0.0.1:0")
    with PyLogBeatClient("127.0.0.1", port(server, "beats"), use_logging=False) as client:
        client.send([json.dumps(beat(i)) for i in range(100)])
        client.send([json.dumps(beat(i)) for i in range(100, 103)])
    rows = wait_for(server, 103, stream="beats")
    assert rows[7]["message"] == "line 7" and rows[7]["_time"] == "2025-02-15T12:00:00.007Z"
    assert rows[7]["log"] == {"offset": 7, "file": {"path": "/var/log/app.log"}}
    assert len(server.query('host:="h-1" message:"line 9"', stream="beats")) == 1


def lumber(server, n, **options):
    """Elastic's client (tests/integration/lumber)."""
    args = [part("lumber") / "lumber", "-to", f"127.0.0.1:{port(server, 'beats')}", "-n", str(n)]
    return subprocess.Popen(args + [f"-{k}={v}" for k, v in options.items()], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("options", [{}, {"compression": 0, "pipelining": 1}, {"window": 7, "pipelining": 50}])
def test_the_client_in_filebeat(make_server, options):
    server = with_inputs(make_server, "beats://127.0.0.1:0")
    client = lumber(server, 5000, **options)
    assert client.communicate(timeout=60)[0] == "1\n" and client.returncode == 0  # by one connection
    rows = wait_for(server, 5000, stream="beats")
    assert [r["n"] for r in rows] == list(range(5000))
    assert rows[77]["log"] == {"offset": 7700, "file": {"path": "/var/log/app.log"}} and rows[77]["message"] == "line 77 "
    assert len(server.query('host:="h-1"', stream="beats")) == 5000


def test_the_client_in_filebeat_meets_an_outage(make_server):
    """The server ends while windows are under way: all that was acknowledged is there, and all else comes again."""
    server = with_inputs(make_server, f"beats://127.0.0.1:{free_port()}")
    n, window, pipelining = 40000, 200, 2
    client = lumber(server, n, window=window, pipelining=pipelining, pad="x" * 300)

    def landed():
        return server.query("* | stats count() as n", stream="beats")[0]["n"]

    for _ in range(3):
        seen, deadline = landed(), time.monotonic() + 60
        while client.poll() is None and landed() < seen + 2000:
            assert time.monotonic() < deadline
        server.kill()
        server.start()
    connections = int(client.communicate(timeout=100)[0])
    assert client.returncode == 0 and connections > 1
    counts = Counter(r["n"] for r in server.query("", stream="beats"))
    assert counts.keys() == set(range(n)) and max(counts.values()) <= connections
    # Twice is what was durable when its acknowledgement was lost.
    assert sum(counts.values()) - n <= (connections - 1) * window * (pipelining + 2)


def test_windows_are_acknowledged_when_durable(make_server):
    server = with_inputs(make_server, "beats://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", port(server, "beats")), timeout=60) as s:
        s.sendall(window(3) + event(1, {"n": 1}) + compressed(event(2, {"n": 2}) + event(3, {"n": 3})))
        assert ack(s) == (b"2A", 3)
        server.kill()
    server.start()
    assert sorted(r["n"] for r in server.query("", stream="beats")) == [1, 2, 3]
    with socket.create_connection(("127.0.0.1", port(server, "beats")), timeout=60) as s:
        for size in (1, 2000, 5):
            s.sendall(window(size) + compressed(b"".join(event(i + 1, {"size": size}) for i in range(size))))
        assert [ack(s) for _ in range(3)] == [(b"2A", 1), (b"2A", 2000), (b"2A", 5)]
        s.sendall(window(2) + event(1, {"n": 4}) + b"2J" + struct.pack(">II", 2, 7) + b"no json")
        assert ack(s) == (b"2A", 2)  # a bad event is dealt with, too: it lies with the dead letters
        s.sendall(b"1W" + struct.pack(">I", 1) + b"1D" + struct.pack(">II", 9, 1) + struct.pack(">I", 4) + b"line" +
                  struct.pack(">I", 3) + b"old")
        assert ack(s) == (b"1A", 9)
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ack(s) is None
    assert len(server.query("size:*", stream="beats")) == 2006 and len(server.query("n:4", stream="beats")) == 1
    assert [r["line"] for r in server.query("line:*", stream="beats")] == ["old"]
    assert [r["raw"] for r in server.query("", stream="_dead_letters")] == ["no json"]
    assert "0x47" in inputs(server)[0]["last_error"]


def test_tls_with_client_certificate(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"beats+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}"
                                      f"&tls_ca={pem['ca.pem']}&stream=secure")
    context = ssl.create_default_context(cafile=pem["ca.pem"])
    context.load_cert_chain(pem["client.pem"], pem["client.key"])
    with socket.create_connection(("127.0.0.1", port(server, "beats+tls")), timeout=60) as raw:
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
            s.sendall(window(1) + event(1, {"n": 1, "pad": "x" * 500000}))
            assert ack(s) == (b"2A", 1)
    assert len(server.query("n:1", stream="secure")) == 1
