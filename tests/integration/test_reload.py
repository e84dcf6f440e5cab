"""SIGHUP reads the configuration again; Weir's own log in the stream _weir."""
import json
import signal
import time

import conftest
import requests


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def log_of(server):
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def events(server, event, **fields):
    return [e for e in log_of(server) if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]


def write(path, **settings):
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()))


def hup(server):
    before = len(events(server, "configuration reloaded")) + len(events(server, "configuration not reloaded, the old one stays"))
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(events(server, "configuration reloaded")) +
             len(events(server, "configuration not reloaded, the old one stays")) > before)


def test_sighup(make_server, tmp_path):
    conf = tmp_path / "weir.yaml"
    write(conf, store={"retention": "30d"}, auth={"root_user": "root", "root_password": "one"})
    server = make_server(args=["--config", str(conf)], start=False)
    server.start(ready=False)
    search = server.url + "/api/v1/logs/search"
    wait_for(lambda: server.log.exists() and events(server, "ready"))
    old = "2020-01-01T00:00:00Z"
    ingest = dict(data=json.dumps({"time": old, "m": 1}), headers={"Content-Type": "application/x-ndjson"})
    assert requests.get(search, auth=("root", "one")).status_code == 200
    # What can change changes at once, what cannot is said.
    write(conf, store={"retention": "0", "block_rows": 1000}, log={"level": "debug"},
          auth={"root_user": "root", "root_password": "two"})
    hup(server)
    assert events(server, "setting changed", name="store.retention", value="0")
    assert events(server, "setting changed", name="log.level", value="debug")
    assert events(server, "setting needs a restart", name="store.block_rows")
    assert events(server, "setting changed", name="auth.root_password", value="...")
    assert "two" not in server.log.read_text()
    assert requests.get(search, auth=("root", "one")).status_code == 401
    assert requests.get(search, auth=("root", "two")).status_code == 200
    # A fault leaves all as it is.
    conf.write_text("store:\n  retenton: 1d\nauth:\n  root_password: three\n")
    hup(server)
    assert "retention" in events(server, "configuration not reloaded, the old one stays")[0]["error"]
    conf.unlink()
    hup(server)
    assert len(events(server, "configuration not reloaded, the old one stays")) == 2
    assert requests.get(search, auth=("root", "two")).status_code == 200
    # And back again: only what differs is told.
    before = len(log_of(server))
    write(conf, store={"retention": "0"}, log={"level": "debug"}, auth={"root_user": "root", "root_password": "two"})
    hup(server)
    told = [e["event"] for e in log_of(server)[before:]]
    assert "setting changed" not in told and "setting needs a restart" not in told
    assert requests.post(server.url + "/api/v1/logs/ingest", auth=("root", "two"), **ingest).status_code == 202
    assert requests.get(search, params={"q": "m:1"}, auth=("root", "two")).json()["total_hits"] == 1


def test_retention_by_sighup(make_server, tmp_path):
    conf = tmp_path / "weir.yaml"
    write(conf, store={"retention": "0"})
    server = make_server(args=["--config", str(conf)])
    server.ingest(json.dumps({"timestamp": int(time.time()) - 5 * 86400, "m": "old"}))
    server.ingest(json.dumps({"m": "new"}))
    server.compact()
    assert server.search("m:*")["total_hits"] == 2
    write(conf, store={"retention": "3d"})
    hup(server)
    wait_for(lambda: server.search("m:*")["total_hits"] == 1)


def own(server, q="*"):
    return server.query(q + " | sort _time", stream="_weir")


def test_own_log(make_server, tmp_path):
    server = make_server(args=["--set", "log.self_ingest=true"])
    wait_for(lambda: own(server, "message:=ready"))
    rows = own(server)
    written = log_of(server)
    assert [(r["time"], r["level"], r["message"]) for r in rows] == [
        (e["time"], e["level"], e["event"]) for e in written[:len(rows)]]
    assert rows[-1]["_stream"] == "_weir" and "replayed_frames" in own(server, "message:=ready")[0]
    assert server.search("ready")["total_hits"] == 0, "it is asked for by name"
    # It does not feed on itself: cuts and merges of its own records alone say nothing.
    time.sleep(1)
    before = len(log_of(server))
    for _ in range(3):
        server.flush()
        time.sleep(0.4)
    server.compact()
    time.sleep(1)
    assert log_of(server)[before:] == []
    assert len(own(server)) == len(rows)
    # What is logged for others comes in, once.
    server.ingest(json.dumps({"m": 1}))
    server.flush()
    wait_for(lambda: own(server, "message:\"segment published\""))
    time.sleep(1)
    assert len(own(server, "message:\"segment published\"")) == 1
    # The last words are there after the next start.
    server.stop()
    server.start()
    wait_for(lambda: len(own(server, "message:=ready")) == 2)


def test_own_log_is_off_by_default(make_server):
    server = make_server()
    time.sleep(0.5)
    assert own(server) == []


def test_own_log_by_sighup(make_server, tmp_path):
    conf = tmp_path / "weir.yaml"
    write(conf, log={"self_ingest": False})
    server = make_server(args=["--config", str(conf)])
    write(conf, log={"self_ingest": True})
    hup(server)
    wait_for(lambda: own(server, "message:\"configuration reloaded\""))
    write(conf, log={"self_ingest": False})
    hup(server)
    hup(server)
    time.sleep(0.6)
    assert len(own(server, "message:\"configuration reloaded\"")) == 1
