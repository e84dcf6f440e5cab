"""Syslog from real senders: util-linux's logger, rsyslog, syslog-ng, and plain sockets for what they do not send."""
import signal
import socket
import ssl
import subprocess
import time

import pytest

from conftest import ROOT
from inputs import inputs, make_certificates, port, wait_for, with_inputs


def test_logger(make_server):
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0", "syslog+udp://127.0.0.1:0")
    tcp, udp = port(server, "syslog+tcp"), port(server, "syslog+udp")
    base = ["logger", "-n", "127.0.0.1", "-t", "shop", "-p", "local0.err", "--id=77"]
    for args in (["-T", "-P", str(tcp), "five"], ["-T", "--octet-count", "-P", str(tcp), "counted"],
                 ["-T", "--rfc3164", "-P", str(tcp), "old"], ["-d", "-P", str(udp), "by udp"],
                 ["-d", "--rfc3164", "-P", str(udp), "old by udp"],
                 ["-T", "-P", str(tcp), "--msgid", "M1", "--sd-id", "a@1", "--sd-param", 'x="1"', "structured"]):
        subprocess.run(base + args, check=True, timeout=60)
    rows = {r["message"]: r for r in wait_for(server, 6, stream="syslog")}
    assert set(rows) == {"five", "counted", "old", "by udp", "old by udp", "structured"}
    for r in rows.values():
        assert (r["facility"], r["severity"], r["appname"], r["procid"]) == ("local0", "error", "shop", "77"), r
        assert r["hostname"]
    assert rows["structured"]["structured_data"]["a@1"] == {"x": "1"}
    assert rows["structured"]["msgid"] == "M1"
    assert all(i["accepted"] and not i["errors"] for i in inputs(server))


def test_the_books_name_inputs(make_server, weir):
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0")
    tcp = port(server, "syslog+tcp")
    with socket.create_connection(("127.0.0.1", tcp)) as s:
        s.sendall(b"<13>one\n<13>two\n<13>three\n")
    wait_for(server, 3, stream="syslog")
    books = weir("ledger", "--url", server.url).stdout.decode()
    line = next(x for x in books.splitlines() if "syslog+tcp://" in x)
    assert line.split() == ["3", "0", "0", "0", f"syslog+tcp://127.0.0.1:{tcp}"], books


def rsyslog_forward(tmp_path, action, lines):
    """Lets a real rsyslogd read a file and forward its lines."""
    log, conf = tmp_path / "in.log", tmp_path / "rsyslog.conf"
    log.write_text("".join(f"{line}\n" for line in lines))
    conf.write_text(f"""
global(workDirectory="{tmp_path}")
module(load="imfile" mode="polling" pollingInterval="1")
input(type="imfile" File="{log}" Tag="app:" Severity="warning" Facility="local3" ruleset="out")
ruleset(name="out") {{ {action} }}
""")
    return subprocess.Popen(["rsyslogd", "-n", "-f", str(conf), "-i", str(tmp_path / "pid")],
                            stdout=subprocess.DEVNULL, stderr=open(tmp_path / "rsyslog.err", "wb"))


@pytest.mark.parametrize("framing", ["traditional", "octet-counted"])
def test_rsyslog(make_server, tmp_path, framing):
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0?stream=ship")
    action = (f'action(type="omfwd" target="127.0.0.1" port="{port(server, "syslog+tcp")}" protocol="tcp" '
              f'template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="{framing}")')
    shipper = rsyslog_forward(tmp_path, action, [f"line {i} of many" for i in range(2000)])
    try:
        rows = wait_for(server, 2000, stream="ship")
    finally:
        shipper.send_signal(signal.SIGTERM)
        shipper.wait(20)
    assert {r["message"] for r in rows} == {f"line {i} of many" for i in range(2000)}
    assert {(r["facility"], r["severity"], r["appname"]) for r in rows} == {("local3", "warning", "app")}


def test_rsyslog_over_tls_with_client_certificate(make_server, tmp_path):
    pem = make_certificates(tmp_path)
    server = with_inputs(make_server, f"syslog+tls://127.0.0.1:0?tls_cert={pem['server.pem']}&tls_key={pem['server.key']}"
                                      f"&tls_ca={pem['ca.pem']}")
    action = (f'action(type="omfwd" target="127.0.0.1" port="{port(server, "syslog+tls")}" protocol="tcp" '
              f'StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/certvalid" '
              f'StreamDriver.CAFile="{pem["ca.pem"]}" StreamDriver.CertFile="{pem["client.pem"]}" '
              f'StreamDriver.KeyFile="{pem["client.key"]}")')
    shipper = rsyslog_forward(tmp_path, action, [f"secret {i}" for i in range(100)])
    try:
        rows = wait_for(server, 100, stream="syslog")
    finally:
        shipper.send_signal(signal.SIGTERM)
        shipper.wait(20)
    assert {r["message"] for r in rows} == {f"secret {i}" for i in range(100)}
    # Without a certificate of the CA nobody gets in.
    context = ssl.create_default_context(cafile=pem["ca.pem"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", port(server, "syslog+tls"))) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                for _ in range(50):
                    s.sendall(b"<13>1 - h a - - - intruder\n")
                    time.sleep(0.02)
    assert not server.query("intruder")
    assert "handshake" in inputs(server)[0]["last_error"]


def test_syslog_ng(make_server, tmp_path):
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0")
    log, conf = tmp_path / "in.log", tmp_path / "ng.conf"
    log.write_text("".join(f"ng line {i}\n" for i in range(500)))
    conf.write_text(f"""@version: 3.38
source s {{ file("{log}" follow-freq(1) flags(no-parse) program-override("ngapp")); }};
destination d {{ syslog("127.0.0.1" port({port(server, "syslog+tcp")}) transport("tcp")); }};
log {{ source(s); destination(d); }};
""")
    program = subprocess.run([ROOT / "scripts" / "syslog-ng.sh"], check=True, capture_output=True, text=True).stdout.strip()
    ng = subprocess.Popen([program, "-F", "-f", str(conf), "-R", str(tmp_path / "persist"), "-p", str(tmp_path / "pid"),
                           "-c", str(tmp_path / "ctl"), "--no-caps"],
                          stdout=subprocess.DEVNULL, stderr=open(tmp_path / "ng.err", "wb"))
    try:
        rows = wait_for(server, 500)
    finally:
        ng.send_signal(signal.SIGTERM)
        ng.wait(20)
    assert {r["message"] for r in rows} == {f"ng line {i}" for i in range(500)}
    assert {r["appname"] for r in rows} == {"ngapp"}


def test_torn_mixed_and_unended(make_server):
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        for piece in (b"<13>1 - h a - - - fir", b"st\n30 <13>1 - h a - - - two\nlines ok", b"!\n<13>1 - h a", b" - - - third"):
            s.sendall(piece)
            time.sleep(0.05)
    rows = wait_for(server, 4)
    assert sorted(r["message"] for r in rows) == ["!", "first", "third", "two\nlines ok"]
    # Where a message does not say its host, the sender's address stands in.
    assert [r["host"] for r in rows if r["message"] == "!"] == ["127.0.0.1"]


def test_too_long_is_cut_off_and_said(make_server):
    server = make_server(args=["--set", "limits.body_bytes=64KiB", "--input", "syslog+tcp://127.0.0.1:0"])
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        s.sendall(b"<13>1 - h a - - - good\n")
        wait_for(server, 1)
        with pytest.raises(OSError):
            for _ in range(1000):
                s.sendall(b"x" * 65536)
    deadline = time.monotonic() + 60
    while inputs(server)[0]["connections"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "longer than 64 KiB" in inputs(server)[0]["last_error"]
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        s.sendall(b"<13>1 - h a - - - after it\n")
        wait_for(server, 2)


def test_back_pressure_loses_nothing(make_server, tmp_path):
    """A sender of more than memory holds is made to wait; all arrives."""
    server = make_server(args=["--set", "memory.budget=48MiB", "--set", "limits.body_bytes=4MiB",
                               "--input", "syslog+tcp://127.0.0.1:0"])
    pad = "p" * 900
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        for start in range(0, 60000, 1000):
            s.sendall("".join(f"<13>1 - h a - - - n={i} {pad}\n" for i in range(start, start + 1000)).encode())
    deadline = time.monotonic() + 60
    while inputs(server)[0]["accepted"] < 60000 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert inputs(server)[0]["accepted"] == 60000
    server.kill()
    server.args = []  # a query over all of it wants more memory than that
    server.start()
    assert server.query("| stats count() as n")[0]["n"] == 60000


def trace(app, i):
    return [f"order {i} failed", "java.lang.IllegalStateException: no stock"] + \
        [f"\tat com.example.{app}.Step{k}.run(Step{k}.java:{i})" for k in range(i % 9)] + ["Caused by: timeout"]


def messages(server, app):
    return sorted(r["message"] for r in server.query(f'appname:="{app}"', stream="syslog", limit=10000))


def test_lines_become_the_record_that_they_are_of(make_server):
    """Three programs by turns, line by line, as fast as they go; then slowly; then the server stops with lines in its hands."""
    server = with_inputs(make_server, "syslog+tcp://127.0.0.1:0?multiline=java&multiline_wait=3s")
    n, apps = 3000, ("shop", "cart", "till")
    queues = {app: [line for i in range(n) for line in trace(app, i)] for app in apps}
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        for at in range(0, max(map(len, queues.values())), 50):
            s.sendall("".join(f"<11>1 - web {app} 1 - - {line}\n" for k in range(at, at + 50) for app in apps
                              for line in queues[app][k:k + 1]).encode())
        for line in trace("slow", 5):
            s.sendall(f"<11>1 - web slow 1 - - {line}\n".encode())
            time.sleep(0.02)
        wait_for(server, 3 * n + 1, seconds=60, stream="syslog", limit=10000)
        s.sendall("".join(f"<11>1 - web last 1 - - {line}\n" for line in trace("last", 3)).encode())
        until = time.monotonic() + 20
        while inputs(server)[0]["accepted"] < sum(map(len, queues.values())) and time.monotonic() < until:
            time.sleep(0.05)
        server.stop()
    server.start()
    for app in apps:
        assert messages(server, app) == sorted("\n".join(trace(app, i)) for i in range(n))
    assert messages(server, "slow") == ["\n".join(trace("slow", 5))]
    assert messages(server, "last") == ["\n".join(trace("last", 3))]


def test_lines_are_not_held_back_beyond_what_a_message_may_have(make_server):
    server = make_server(args=["--set", "limits.body_bytes=64KiB", "--input", "syslog+tcp://127.0.0.1:0?multiline=java&multiline_wait=2s"])
    lines = [line for i in range(4000) for line in trace("shop", i)]
    with socket.create_connection(("127.0.0.1", port(server, "syslog+tcp"))) as s:
        for at in range(0, len(lines), 100):  # a few kilobytes a read
            s.sendall("".join(f"<11>1 - web shop 1 - - {line}\n" for line in lines[at:at + 100]).encode())
            time.sleep(0.002)
    wait_for(server, 4000, seconds=60, stream="syslog", limit=10000)
    assert messages(server, "shop") == sorted("\n".join(trace("shop", i)) for i in range(4000))
    assert not inputs(server)[0]["errors"]


def test_datagrams_become_the_record_that_they_are_of(make_server):
    server = with_inputs(make_server, "syslog+udp://127.0.0.1:0?multiline=java")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for lines in zip(trace("shop", 4), trace("cart", 4)):
            for app, line in zip(("shop", "cart"), lines):
                s.sendto(f"<11>1 - web {app} 1 - - {line}".encode(), ("127.0.0.1", port(server, "syslog+udp")))
    wait_for(server, 2, stream="syslog")
    for app in ("shop", "cart"):
        assert messages(server, app) == ["\n".join(trace(app, 4))]


def test_wrong_urls_are_explained(weir, tmp_path):
    def fails(url):
        r = weir("server", "--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--input", url, check=False)
        assert r.returncode == 1
        return r.stderr.decode()

    assert "did you mean syslog://?" in fails("sislog://127.0.0.1:1")
    assert "beats, forward" in (text := fails("pigeon://127.0.0.1:1")) and "syslog+tcp, syslog+udp" in text
    assert "did you mean \"stream\"" in fails("syslog+tcp://127.0.0.1:0?streem=x")
    assert "multiline: " in fails("syslog+tcp://127.0.0.1:0?multiline=perl")
    assert "at byte 1" in fails("syslog+udp://127.0.0.1:0?multiline=begins:(")
    assert "multiline_wait: a time" in fails("syslog+tcp://127.0.0.1:0?multiline=go&multiline_wait=soon")
    assert "needs multiline=" in fails("syslog+tcp://127.0.0.1:0?multiline_wait=1s")
    assert "needs tls_cert" in fails("syslog+tls://127.0.0.1:0")
    assert "cannot be used" in fails("syslog+tls://127.0.0.1:0?tls_cert=/nowhere.pem")
    assert "names that begin with '_'" in fails("syslog+tcp://127.0.0.1:0?stream=_x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "another program has this port" in fails(f"syslog+tcp://127.0.0.1:{taken.getsockname()[1]}")
