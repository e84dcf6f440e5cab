"""GELF by UDP and TCP: pygelf, graypy (chunks), Fluent Bit where there is one."""
import gzip
import json
import logging
import os
import socket
import zlib

import graypy
import pygelf
import pytest

import fluentbit
from inputs import inputs, make_certificates, port, wait_for, with_inputs


def one_logger(name, handler):
    log = logging.getLogger(name)
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.DEBUG)
    return log


def test_pygelf_and_graypy(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, "gelf+udp://127.0.0.1:0", "gelf+tcp://127.0.0.1:0",
                         f"gelf+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}")
    udp, tcp, tls = (port(server, s) for s in ("gelf+udp", "gelf+tcp", "gelf+tls"))
    extra = {"include_extra_fields": True, "_app": "shop"}
    handlers = {
        "udp": pygelf.GelfUdpHandler(host="127.0.0.1", port=udp, **extra),
        "plain": pygelf.GelfUdpHandler(host="127.0.0.1", port=udp, compress=False, **extra),
        "tcp": pygelf.GelfTcpHandler(host="127.0.0.1", port=tcp, **extra),
        "tls": pygelf.GelfTlsHandler(host="127.0.0.1", port=tls, validate=True, ca_certs=pem["ca.pem"], **extra),
        "graypy-udp": graypy.GELFUDPHandler("127.0.0.1", udp),
        "graypy-tcp": graypy.GELFTCPHandler("127.0.0.1", tcp),
    }
    chunked = {"chunks": pygelf.GelfUdpHandler(host="127.0.0.1", port=udp, compress=False, chunk_size=500, **extra),
               "graypy-chunks": graypy.GELFUDPHandler("127.0.0.1", udp, compress=False)}
    for name, handler in {**handlers, **chunked}.items():
        text = name + " " + "x" * (20000 if name in chunked else 10)
        one_logger("gelf-" + name, handler).error(text, extra={"order": 7})
    rows = wait_for(server, 8, stream="gelf")
    assert {r["short_message"].split()[0] for r in rows} == {*handlers, *chunked}
    assert all(r["level"] == "error" and r["order"] == 7 and r["host"] for r in rows)
    assert sorted(len(r["short_message"]) for r in rows)[-2:] == [20007, 20014]
    assert not any(i["errors"] for i in inputs(server))


def test_chunks_in_any_order_and_bad_ones(make_server):
    server = with_inputs(make_server, "gelf://127.0.0.1:0?stream=g")
    address = ("127.0.0.1", port(server, "gelf"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        def chunks(data, n, mid=None):
            mid, size = mid or os.urandom(8), -(-len(data) // n)
            return [b"\x1e\x0f" + mid + bytes([i, n]) + data[i * size:(i + 1) * size] for i in range(n)]

        message = json.dumps({"short_message": "m" * 5000, "_kind": "torn"}).encode()
        for c in reversed(chunks(gzip.compress(message), 7)):
            s.sendto(c, address)
        first, second = chunks(zlib.compress(message), 2, b"same id."), chunks(message, 3, b"same id2")
        for c in (first[0], second[2], second[0], first[0], first[1], second[1]):
            s.sendto(c, address)
        for bad in (b"\x1e\x0f12345678\x05\x03x", b"\x1e\x0f12345678\x00\x81x", b"\x1f\x8bjunk"):
            s.sendto(bad, address)
        s.sendto(chunks(message, 2)[0], address)  # its rest never comes
        s.sendto(b'{"short_message":"after it all","_kind":"last"}', address)
    rows = wait_for(server, 4, stream="g")
    assert sorted(r["kind"] for r in rows) == ["last", "torn", "torn", "torn"]
    assert inputs(server)[0]["errors"] == 3


@fluentbit.needed
@pytest.mark.parametrize("mode", ["udp", "tcp"])
def test_fluent_bit(make_server, tmp_path, mode):
    server = with_inputs(make_server, f"gelf+{mode}://127.0.0.1:0")
    rows = [f'{{"n":{i},"message":"row {i}","host":"h","level":3}}' for i in range(200)]
    with fluentbit.FluentBit(tmp_path, rows, "gelf", host="127.0.0.1", port=port(server, f"gelf+{mode}"), mode=mode,
                             gelf_short_message_key="message", gelf_host_key="host", gelf_level_key="level"):
        got = wait_for(server, 200, stream="gelf")
    assert sorted(int(r["n"]) for r in got) == list(range(200))
