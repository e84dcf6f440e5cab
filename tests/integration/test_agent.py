"""weir agent with real files, a real server and real crashes: every line arrives, and once.

Each line has a number of its own; at the end the numbers in the server's store are counted."""
import base64
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from xml.etree import ElementTree

import pytest
import requests

from conftest import WEIR


class Agent:
    before = ()  # a command that runs the agent

    def __init__(self, data, *args, output=None, env=None):
        self.data, self.args, self.env = data, list(args), env or {}
        self.output = output
        self.log = data.parent / (data.name + ".log")
        self.process = None

    def start(self, *more, env=None):
        outputs = [a for url in (self.output or []) for a in ("--output", url)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.before, WEIR, "agent", "--data", str(self.data), *outputs, *self.args, *more],
                stdout=log, stderr=log, env=dict(os.environ, **self.env, **(env or {})))
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        return self.process.returncode if self.process else 0

    def status(self):
        r = subprocess.run([WEIR, "agent", "status", "--json", "--data", str(self.data)], capture_output=True)
        return json.loads(r.stdout) if r.returncode == 0 else None

    def rss(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024


@pytest.fixture
def make_agent(tmp_path):
    agents = []

    def make(name, *args, output, env=None):
        agents.append(Agent(tmp_path / name, *args, output=[output] if isinstance(output, str) else output, env=env))
        return agents[-1]

    yield make
    for a in agents:
        a.stop()
        text = a.log.read_text(errors="replace") if a.log.exists() else ""
        assert "check failed" not in text and "Sanitizer" not in text, text[-4000:]


def numbers(server, stream="default"):
    return Counter(r["message"].split()[0] for r in server.query("* | fields message", stream=stream))


def wait_for(condition, seconds=60, what="it"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come in {seconds} s")


def count(server):
    return len(server.query("* | fields message"))


def check(server, want, seconds=60, stream="default"):
    """Exactly the lines `want` (a Counter or a number of n0, n1, ...) are in the store."""
    if isinstance(want, int):
        want = Counter(f"n{i}" for i in range(want))
    got = Counter()

    def there():
        nonlocal got
        got = numbers(server, stream)
        return sum(got.values()) >= sum(want.values())

    try:
        wait_for(there, seconds)
    except AssertionError:
        pass
    lost, doubled = want - got, got - want
    assert not lost, (len(lost), sorted(lost)[:5])
    assert not doubled, (len(doubled), sorted(doubled)[:5])


def write(path, first, count, mode="a", end="\n"):
    with open(path, mode, newline="") as f:
        for i in range(first, first + count):
            f.write(f"n{i} some text of a line{end}")


def test_fields(server, make_agent, tmp_path):
    logs = tmp_path / "logs" / "payment"
    logs.mkdir(parents=True)
    (logs / "app.log").write_text('n0 text\r\n\n{"message":"n1 json","latency_ms":12,"host":"own"}\n{"broken": \n')
    a = make_agent("agent", "--file", str(tmp_path / "logs/<service>/*.log"), "--host", "h1", output=server.url).start()
    wait_for(lambda: count(server) == 3)
    rows = {r["message"].split()[0]: r for r in server.query("*")}
    assert rows["n0"]["message"] == "n0 text"
    assert rows["n0"]["service"] == "payment" and rows["n0"]["host"] == "h1"
    assert rows["n0"]["file"] == str(logs / "app.log")
    assert rows["n1"]["latency_ms"] == 12 and rows["n1"]["host"] == "own" and rows["n1"]["service"] == "payment"
    assert '{"broken":' in rows
    a.stop()
    s = a.status()
    assert s["records"] == 3 and s["routes"][0]["sent"] == 3 and s["routes"][0]["waiting"] == 0
    assert s["files"][0]["offset"] == (logs / "app.log").stat().st_size


def test_rotation_by_rename(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    write(log, 0, 100)
    make_agent("agent", "--file", str(log), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    for turn in range(1, 6):
        write(log, turn * 100, 50)
        os.rename(log, tmp_path / f"app.log.{turn}")
        write(tmp_path / f"app.log.{turn}", turn * 100 + 50, 25)  # the writer has not noticed yet
        write(log, turn * 100 + 75, 25)
        time.sleep(0.15)
    check(server, 600)


def test_rename_and_delete_while_stopped(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    write(log, 0, 100)
    a = make_agent("agent", "--file", str(log), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    a.stop()
    write(log, 100, 100)
    os.rename(log, tmp_path / "rotated")  # no pattern finds it by this name
    write(log, 200, 100)
    a.start()
    check(server, 300)
    write(log, 300, 10)
    os.remove(log)
    write(log, 310, 10)
    check(server, 320)


def test_copy_and_truncate(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    write(log, 0, 100)
    make_agent("agent", "--file", str(tmp_path / "app.log*"), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    for turn in range(1, 4):
        write(log, turn * 100, 100)
        shutil.copyfile(log, tmp_path / f"app.log.{turn}")
        os.truncate(log, 0)
        wait_for(lambda: count(server) >= turn * 100 + 100)
        time.sleep(0.3)
    write(log, 400, 1000)  # longer than it was: seen by its bytes, not by its size
    check(server, 1400)


def inotify_limit(name, value):
    """In a user namespace of its own, as on a machine where others have used up the rest."""
    return ["unshare", "--user", "--map-root-user", "sh", "-c",
            f'echo {value} > /proc/sys/user/max_inotify_{name} && exec "$@"', "sh"]


@pytest.mark.parametrize("options, before, says", [
    (["--watch", "poll"], [], None),
    ([], inotify_limit("instances", 0), "no inotify: folders are looked at by the clock"),
    ([], inotify_limit("watches", 1), "a folder cannot be watched"),
], ids=["asked for", "no instance", "one watch"])
def test_without_inotify(server, make_agent, tmp_path, options, before, says):
    if before and subprocess.run([*before, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")
    logs, later = tmp_path / "logs", tmp_path / "later"
    logs.mkdir()
    write(logs / "app.log", 0, 100)
    a = make_agent("agent", "--file", str(logs / "app.log*"), "--file", str(later / "*.log"), *options,
                   output=server.url)
    a.before = before
    a.start()
    wait_for(lambda: count(server) == 100)
    descriptors = [os.readlink(f) for f in (f"/proc/{a.process.pid}/fd/{n}"
                                            for n in os.listdir(f"/proc/{a.process.pid}/fd")) if os.path.islink(f)]
    assert ("anon_inode:inotify" in descriptors) == (before != [] and "watches" in before[-2]), descriptors
    write(logs / "app.log", 100, 100)
    check(server, 200)
    os.rename(logs / "app.log", logs / "app.log.1")  # the writer goes on for a while
    write(logs / "app.log.1", 200, 50)
    write(logs / "app.log", 250, 50)
    check(server, 300)
    later.mkdir()
    began = time.monotonic()
    for n in range(3):  # a folder that tells of nothing is looked at each second, others every ten
        write(later / f"new{n}.log", 300 + n * 25, 25)
        check(server, 325 + n * 25)
    assert time.monotonic() - began < 15
    shutil.copyfile(logs / "app.log", logs / "app.log.2")
    os.truncate(logs / "app.log", 0)
    write(logs / "app.log", 375, 10)
    check(server, 385)
    write(later / "new0.log", 385, 10)
    os.remove(later / "new0.log")
    check(server, 395)
    assert says is None or says in a.log.read_text()


def test_inode_used_again(server, make_agent, tmp_path):
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    write(log, 0, 100)
    a = make_agent("agent", "--file", str(tmp_path / "logs" / "*.log"), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    a.stop()
    inode = log.stat().st_ino
    # The same inode, another file: what was in it is replaced by as much and more.
    with open(log, "r+") as f:
        f.truncate(0)
    write(log, 100, 300)
    assert log.stat().st_ino == inode
    a.start()
    check(server, 400)


def test_packed_rotation(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    write(log, 0, 1000)
    # A rotation from before the agent came.
    with gzip.open(tmp_path / "app.log.9.gz", "wt") as f:
        for i in range(5000, 5200):
            f.write(f"n{i} from the archive\n")
    os.utime(tmp_path / "app.log.9.gz", (1, 1))
    make_agent("agent", "--file", str(tmp_path / "app.log*"), output=server.url).start()
    wait_for(lambda: count(server) == 1200)
    write(log, 1000, 500)
    wait_for(lambda: count(server) == 1700)
    # gzip of what is known: not again.
    with open(log, "rb") as f, gzip.open(tmp_path / "app.log.1.gz", "wb") as g:
        shutil.copyfileobj(f, g)
    os.truncate(log, 0)
    write(log, 1500, 10)
    want = Counter(f"n{i}" for i in range(1510)) + Counter(f"n{i}" for i in range(5000, 5200))
    check(server, want)
    time.sleep(1.5)
    check(server, want)


def test_long_lines_and_no_end(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    long = "x" * 3_000_000
    log.write_text("n0 first\nn1 " + long + "\nn2 last without an end")
    a = make_agent("agent", "--file", str(log), "--line-max", "1MiB", output=server.url).start()
    wait_for(lambda: count(server) >= 4)
    rows = server.query("* | fields message")
    pieces = [r["message"] for r in rows if r["message"].endswith("xxx")]
    assert sum(map(len, pieces)) == len("n1 " + long) and max(map(len, pieces)) == 1 << 20
    assert sum(p.startswith("n1 ") for p in pieces) == 1
    assert not any(r["message"].startswith("n2") for r in rows)
    with open(log, "a") as f:
        f.write(", now it has one\n")
    wait_for(lambda: any(r["message"] == "n2 last without an end, now it has one" for r in server.query("n2")))
    write(log, 3, 1, end="")
    time.sleep(0.3)
    os.remove(log)  # the last line of a file that is gone counts without its end
    wait_for(lambda: numbers(server)["n3"] == 1, 60)
    a.stop()


def test_encodings(server, make_agent, tmp_path):
    (tmp_path / "latin.log").write_bytes("n0 größer\nn1 être\r\n".encode("latin1"))
    (tmp_path / "wide.txt").write_bytes(b"\xff\xfe" + "n2 größer\r\nn3 日本語\r\n".encode("utf-16le"))
    (tmp_path / "utf8.out").write_bytes(b"\xef\xbb\xbfn4 mark\n")
    make_agent("a1", "--file", str(tmp_path / "latin.log"), "--encoding", "latin1", output=server.url).start()
    make_agent("a2", "--file", str(tmp_path / "wide.txt"), "--encoding", "utf-16le", output=server.url).start()
    make_agent("a3", "--file", str(tmp_path / "utf8.out"), output=server.url).start()
    wait_for(lambda: count(server) == 5)
    got = {r["message"] for r in server.query("*")}
    assert got == {"n0 größer", "n1 être", "n2 größer", "n3 日本語", "n4 mark"}


TRACES = {
    "java": ["n0 request failed", "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\t... 3 more\n"
             "Caused by: java.io.IOException: disk\n\tat d.E.f(E.java:2)", "n1 next"],
    "python": ["n0 failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\n"
               "ValueError: bad", "n1 next"],
    "go": ["n0 before", "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n"
           "\t/tmp/x.go:5 +0x1d\nexit status 2", "n1 next"],
    "dotnet": ["n0 failed\nSystem.InvalidOperationException: no\n   at A.B.C() in /a.cs:line 1\n"
               "   --- End of inner exception stack trace ---", "n1 next"],
    "mysql": ["# Time: 2025-02-15T12:00:00Z\n# User@Host: app[app] @ [10.0.0.1]\n# Query_time: 2.0\nSELECT 1;",
              "# Time: 2025-02-15T12:00:01Z\n# User@Host: app[app] @ [10.0.0.1]\nSELECT 2;"],
    "begins:^\\d{4}-": ["2025-01-01 one\ntwo\nthree", "2025-01-02 four"],
    "continues:^\\s|^\\+": ["one\n  two\n+three", "four"],
}


@pytest.mark.parametrize("kind", TRACES)
def test_multiline(server, make_agent, tmp_path, kind):
    want = TRACES[kind]
    if kind == "java":
        want = [want[0] + "\n" + want[1], want[2]]
    log = tmp_path / "app.log"
    make_agent("agent", "--file", str(log), "--multiline", kind, output=server.url).start()
    lines = "\n".join(want).split("\n")
    with open(log, "w") as f:  # line by line, as a program writes
        for line in lines:
            f.write(line + "\n")
            f.flush()
            time.sleep(0.02)
    wait_for(lambda: count(server) == len(want), 60)
    assert sorted(r["message"] for r in server.query("*")) == sorted(want)


def ledger(weir, a, check=True):
    return json.loads(weir("ledger", "--json", "--data", str(a.data), check=check).stdout)


def test_ledger(make_server, make_agent, weir, tmp_path):
    """The books balance after kills in the middle, with what waits counted in the spool itself."""
    server = make_server()
    log = tmp_path / "app.log"
    write(log, 0, 100)
    a = make_agent("agent", "--file", str(log), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    server.stop()
    for turn in range(1, 6):
        write(log, turn * 100, 100)
        time.sleep(0.25)
        a.kill()
        got = ledger(weir, a)
        assert got["balanced"] and not got["running"], got
        a.start()
    write(log, 600, 100)
    wait_for(lambda: a.status()["records"] == 700)
    a.kill()
    got = ledger(weir, a)
    assert got["balanced"] and got["read"] == 700, got
    assert got["routes"][0]["sent"] == 100 and got["routes"][0]["waiting"] == 600
    assert b"the books balance" in weir("ledger", "--data", str(a.data)).stdout
    server.start()
    a.start()
    check(server, 700)
    a.stop()
    got = ledger(weir, a)
    assert got["balanced"] and got["routes"][0]["sent"] == 700 and got["routes"][0]["waiting"] == 0
    # One record less in the books of the route is seen.
    state = next((a.data / "routes").iterdir())
    state.write_text(state.read_text().replace("sent 700", "sent 699"))
    assert not ledger(weir, a, check=False)["balanced"]


def test_server_away(make_server, make_agent, tmp_path):
    server = make_server()
    log = tmp_path / "app.log"
    write(log, 0, 100)
    a = make_agent("agent", "--file", str(log), output=server.url).start()
    wait_for(lambda: count(server) == 100)
    server.stop()
    for turn in range(1, 5):
        write(log, turn * 1000 - 900, 1000)
        os.rename(log, tmp_path / f"old.{turn}")
        wait_for(lambda: a.status()["records"] == turn * 1000 + 100)
        os.remove(tmp_path / f"old.{turn}")  # only the spool has it now
    wait_for(lambda: "error" in a.status()["routes"][0], what="why it waits")
    route = a.status()["routes"][0]
    assert "connect" in route["error"] and abs(time.time() - route["failing_since"]) < 60, route
    text = subprocess.run([WEIR, "agent", "status", "--data", str(a.data)], capture_output=True, text=True).stdout
    assert re.search(r"cannot send for \d+ s: .*connect", text), text
    a.kill()
    a.start()
    server.start()
    check(server, 4100)
    wait_for(lambda: a.status()["routes"][0]["waiting"] == 0)
    assert "error" not in a.status()["routes"][0]


def test_spool_full(make_server, make_agent, tmp_path):
    server = make_server(start=False)
    log = tmp_path / "app.log"
    rng = random.Random(5)
    with open(log, "wb") as f:
        for i in range(30000):
            f.write(b"n%d %s\n" % (i, base64.b85encode(rng.randbytes(600))))
    a = make_agent("agent", "--file", str(log), "--spool", "16MiB", "--text", output=server.url).start()
    wait_for(lambda: "reading of files stands" in a.log.read_text())
    wait_for(lambda: a.status() and a.status()["files"])
    read = a.status()["files"][0]["offset"]
    assert 0 < read < log.stat().st_size
    os.rename(log, tmp_path / "renamed")
    write(log, 30000, 100)
    os.remove(tmp_path / "renamed")  # its descriptor is held
    time.sleep(0.5)
    server.start()
    check(server, 30100)


def test_two_outputs(make_server, make_agent, tmp_path):
    one, two = make_server("one"), make_server("two")
    log = tmp_path / "app.log"
    a = make_agent("agent", "--file", str(log), output=[one.url, two.url]).start()
    write(log, 0, 500)
    check(one, 500)
    two.stop()
    write(log, 500, 500)
    check(one, 1000)
    s = {r["route"]: r for r in a.status()["routes"]}
    two.start()
    check(two, 1000)


def test_refused_for_good(make_server, make_agent, tmp_path):
    """A frame that the server cannot take goes to the dead letters, and the rest goes on."""
    server = make_server(args=["--set", "limits.body_bytes=64KiB"])
    log = tmp_path / "app.log"
    write(log, 0, 10)
    a = make_agent("agent", "--file", str(log), output=server.url).start()
    wait_for(lambda: count(server) == 10)
    rng = random.Random(1)
    with open(log, "a") as f:
        f.write(f"n10 {rng.getrandbits(800000):0200000x}\n")
    time.sleep(1)
    write(log, 11, 10)
    wait_for(lambda: count(server) == 20)
    dead = next((tmp_path / "agent" / "dead").iterdir()).read_text().splitlines()
    assert len(dead) == 1 and json.loads(dead[0])["record"]["message"].startswith("n10 ")
    assert "413" in json.loads(dead[0])["reason"]
    a.stop()
    s = a.status()
    assert s["records"] == 21 and s["routes"][0]["sent"] == 20 and s["routes"][0]["dead"] == 1


class Writer(threading.Thread):
    """Writes numbered lines and rotates now and then, until told to stop."""

    def __init__(self, path, rng):
        super().__init__(daemon=True)
        self.path, self.rng, self.n, self.over, self.turn = path, rng, 0, threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            write(self.path, self.n, count := self.rng.choice([1, 5, 50]))
            self.n += count
            if self.rng.random() < 0.1:
                self.turn += 1
                os.rename(self.path, self.path.with_name(f"{self.path.name}.{self.turn}"))
            time.sleep(0.01)


KILLS = int(os.environ.get("SOAK_KILLS", "24"))


def test_kill_nine_of_both(make_server, make_agent, tmp_path):
    """Agent and server are killed again and again, by signals and at I/O steps that lose what was not synced."""
    rng = random.Random(11)
    server = make_server(args=["--set", "store.cut_bytes=64KiB", "--set", "store.block_rows=300",
                               "--set", "queue.file_bytes=1MiB"])
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "app.log"
    a = make_agent("agent", "--file", str(tmp_path / "logs" / "app.log*"), output=server.url).start()
    writer = Writer(log, rng)
    writer.start()
    for turn in range(KILLS):
        time.sleep(rng.uniform(0.05, 0.5))
        fault = {"WEIR_FAULT": f"crash@{rng.randint(1, 300)}:seed={rng.randint(1, 10**6)}"} if turn % 2 else {}
        if rng.random() < 0.6:
            a.kill() if a.process.poll() is None else None
            a.start(env=fault)
        else:
            server.kill() if server.process.poll() is None else None
            server.env.update(fault)
            server.start(ready=False)
            server.env.pop("WEIR_FAULT", None)
        if rng.random() < 0.3:
            try:
                requests.post(server.url + "/api/v1/admin/flush", timeout=30)
            except requests.RequestException:
                pass
    writer.over.set()
    writer.join()
    a.kill() if a.process.poll() is None else None
    a.start()
    server.kill() if server.process.poll() is None else None
    server.start()
    check(server, writer.n, 60)
    server.flush()
    a.stop()
    check(server, writer.n)
    s = a.status()
    assert s["records"] == writer.n == s["routes"][0]["sent"] and s["routes"][0]["waiting"] == 0, s


def test_many_files_in_little_memory(server, make_agent, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for i in range(1000):
        write(logs / f"app{i}.log", i * 10, 5)
    a = make_agent("agent", "--file", str(logs / "*.log"), output=server.url).start()
    wait_for(lambda: count(server) == 5000)
    for i in range(1000):
        write(logs / f"app{i}.log", i * 10 + 5, 5)
    check(server, 10000)
    assert a.rss() < 50 << 20, a.rss()


def test_one_file_in_less(server, make_agent, tmp_path):
    log = tmp_path / "app.log"
    a = make_agent("agent", "--file", str(log), output=server.url).start()
    write(log, 0, 20000)
    check(server, 20000)
    time.sleep(0.5)
    if "asan" not in WEIR and "tsan" not in WEIR:
        assert a.rss() < 25 << 20, a.rss()


def test_bad_options(weir, tmp_path):
    for args, text in [
        (["--file", "/x/<host>/a", "--output", "http://h:1"], b"<service> is what can be captured"),
        (["--file", "/x/", "--output", "http://h:1"], b"names no files"),
        (["--file", "/x", "--output", "ftp://h:1"], b"no output has the scheme ftp://"),
        (["--file", "/x", "--output", "http://h:1", "--multiline", "perl"], b"java, python, go"),
        (["--file", "/x", "--output", "http://h:1", "--multiline", "begins:("], b"byte 1"),
        (["--file", "/x", "--output", "http://h:1", "--encoding", "klingon"], b"is not known"),
        (["--file", "/x", "--output", "http://h:1", "--watch", "me"], b"events or poll"),
        (["--output", "http://h:1"], b"--file, --input or --listen is wanted"),
        (["--file", "/x"], b"--output is wanted"),
        ([], b"--file, --input or --listen, and --output are wanted"),
    ]:
        r = weir("agent", "--data", str(tmp_path / "a"), *args, check=False)
        assert r.returncode == 2 and text in r.stderr, (args, r.stderr)
    assert weir("agent", "status", "--data", str(tmp_path / "none"), check=False).returncode == 1


PIPELINE = """
files: ['%s/<service>/app.log']
transforms:
  - json
  - drop: 'level:DEBUG'
  - redact: [cards]
  - set: {team: shop}
routes:
  - name: all
    output: %s
  - name: errors
    output: %s
    where: 'level:ERROR'
    transforms:
      - only: [message, level]
"""


def test_transforms_and_routes(make_server, make_agent, weir, tmp_path):
    one, two = make_server("one"), make_server("two")
    logs = tmp_path / "logs" / "pay"
    logs.mkdir(parents=True)
    config = tmp_path / "agent.yaml"
    config.write_text(PIPELINE % (tmp_path / "logs", one.url, two.url))
    assert b"is good" in weir("pipeline", "check", str(config)).stdout
    with open(logs / "app.log", "w") as f:
        for i in range(300):
            level = ("DEBUG", "INFO", "ERROR")[i % 3]
            f.write(json.dumps({"message": f"n{i} card 4111111111111111", "level": level}) + "\n")
    a = make_agent("agent", "--config", str(config), output=[]).start()
    check(one, Counter(f"n{i}" for i in range(300) if i % 3))
    check(two, Counter(f"n{i}" for i in range(300) if i % 3 == 2))
    assert {r["message"].split(" ", 1)[1] for r in one.query("*")} == {"card ***"}
    assert all(r["team"] == "shop" and r["service"] == "pay" for r in one.query("*"))
    assert all(set(r) <= {"message", "level", "_time", "_id", "_stream", "ingested_at"} for r in two.query("*"))
    a.kill()
    a.start()
    with open(logs / "app.log", "a") as f:
        f.write('{"message":"n300 x","level":"ERROR"}\n')
    wait_for(lambda: count(two) == 101)
    a.stop()
    s = a.status()
    routes = {r["route"]: r for r in s["routes"]}
    assert s["records"] == 301 and s["dropped"] == 100
    assert routes["all"]["sent"] == 201 and routes["all"]["dropped"] == 0 and routes["all"]["waiting"] == 0
    assert routes["errors"]["sent"] == 101 and routes["errors"]["dropped"] == 100 and routes["errors"]["waiting"] == 0


def test_an_empty_file_is_all_defaults(weir, make_server, tmp_path):
    """For a server; an agent takes it, too, and says what `config check` does: what its options must say then."""
    file, logs = tmp_path / "weir.yaml", tmp_path / "a.log"
    logs.write_text("line\n")
    wanted = b"--file, --input or --listen, and --output are wanted"
    for i, text in enumerate(("", "# nothing\n", "---\n", "--- # nothing\n...\n", "~\n", "{}\n", "\ufeff\n")):
        file.write_text(text)
        said = weir("config", "check", str(file)).stdout
        assert b"is good and says nothing: weir server takes every default" in said and wanted in said, text
        assert b"is good" in weir("pipeline", "check", str(file)).stdout
        data = ["--data", str(tmp_path / f"agent{i}")]
        alone = weir("agent", "--config", str(file), *data, "--once", check=False)
        assert alone.returncode != 0 and wanted in alone.stderr, text
        out = weir("agent", "--config", str(file), *data, "--once", "--file", str(logs), "--output", "stdout://").stdout
        assert b'"message":"line"' in out, text
    make_server(args=["--config", str(file)]).stop()
    for text in ('""\n', "- files\n", "text\n"):
        file.write_text(text)
        for command in (["config", "check", str(file)], ["agent", "--config", str(file), *data]):
            refused = weir(*command, check=False)
            assert refused.returncode != 0 and b"the file must be a map" in refused.stderr, (text, refused)


def test_what_an_agents_file_lacks_is_said(weir, tmp_path):
    file = tmp_path / "agent.yaml"
    for text, wanted in (("stream: x\n", b"--file, --input or --listen, and --output are wanted"),
                         ("files: [/var/log/x]\n", b"--output is wanted"),
                         ("host: h\nroutes: [{output: 'stdout://'}]\n", b"--file, --input or --listen is wanted"),
                         ("files: [/var/log/x]\nroutes: [{output: 'stdout://'}]\n", None)):
        file.write_text(text)
        for what in ("config", "pipeline"):
            said = weir(what, "check", str(file)).stdout
            assert b"is good" in said and (wanted in said if wanted else b"wanted" not in said), said
        if wanted:
            alone = weir("agent", "--config", str(file), "--data", str(tmp_path / "a"), "--once", check=False)
            assert alone.returncode != 0 and wanted in alone.stderr


def test_pipeline_commands(weir, tmp_path):
    config = tmp_path / "p.yaml"
    config.write_text(PIPELINE % ("/var/log", "http://a:1", "http://b:2"))
    out = weir("pipeline", "test", str(config), input=b'{"message":"a 4111111111111111","level":"ERROR"}\nDEBUG x\n').stdout
    assert b'redact     {"level":"ERROR","message":"a ***"}' in out and b"> errors" in out and b"(dropped)" in out
    lines = tmp_path / "lines.yaml"  # lines of a file are put together before the transforms see them
    lines.write_text("files: a\nmultiline: python\ntransforms: [{set: {x: 1}}]\nroutes: [{output: 'stdout://'}]\n")
    out = weir("pipeline", "test", str(lines), input=b"one\nTraceback (most recent call last):\n  File x\n\nValueError: y\ntwo\n")
    assert re.findall(rb'set +(.*)', out.stdout) == [
        b'{"message":"one\\nTraceback (most recent call last):\\n  File x\\n\\nValueError: y","x":1}', b'{"message":"two","x":1}']
    assert b"? level:ERROR" in weir("pipeline", "graph", str(config)).stdout
    where = "service:(payment OR cart) message:\"é é é é é é\" <"
    lines.write_text(f"files: a\nroutes: [{{name: r, output: 'stdout://', where: '{where}'}}]\n")
    svg = ElementTree.fromstring(weir("pipeline", "graph", "--svg", str(lines)).stdout)
    boxes = {t.text: "".join(x.text for x in t) for t in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert boxes == {"a": "", "spool": "", "r": "", where[:35] + "…": where, "stdout://": ""}  # 36 letters fit
    for text, why in [
        ("file: [a]\n", b":1:1: \"file\" is not known here; did you mean \"files\"?"),
        ("routes:\n  - outptu: http://a\n", b":2:5: \"outptu\" is not known here; did you mean \"output\"?"),
        ("routes:\n  - output: http://a\n    where: 'level:('\n", b":3:12: "),
        ("transforms:\n  - jsno\n", b":2:5: no transform \"jsno\"; did you mean \"json\"?"),
        ("routes:\n  - output: ftp://a\n", b"no output has the scheme ftp://"),
        ("routes:\n  - output: http://a\n  - output: http://a\n", b":3:5: the route \"http-a\" is there twice"),
        ("a: [\n", b":2:1: "),
        ("routes:\n  - output: htp://a\n", b":2:13: no output has the scheme htp://; did you mean http://?"),
        ("files: a\ninputs: ['forwad://h:1']\n", b":2:10: no input has the scheme forwad://; did you mean forward://?"),
        ("files: [/a, /b/]\n", b':1:13: the pattern "/b/" names no files'),
        ("files: a\nwatch: often\n", b":2:8: watch often: events or poll is wanted"),
        ("files: a\nspool: 1GBB\n", b":2:8: spool 1GBB: a size from"),
        ("files: a\nline_max: 3\n", b":2:11: line-max 3: a size from"),
        ("files: a\nencoding: klingon\n", b':2:11: the encoding "klingon" is not known'),
        ("files: a\nencoding: utf-16le\nmultiline: go\n", b":2:11: lines of utf-16le cannot be put together"),
        ("pipelines:\n  a:\n    files: a\n    multiline: perl\n    routes: [{output: 'stdout://'}]\n",
         b':4:16: multiline "perl": java'),
        ("inputs: ['forward://:1', 'kafka://h/t?grup=x']\nroutes: [{output: 'stdout://'}]\n",
         b':1:26: kafka:// knows no parameter "grup"; did you mean "group"?'),
        ("inputs: ['forward://:1?sharedkey=x']\nroutes: [{output: 'stdout://'}]\n",
         b':1:10: forward:// knows no parameter "sharedkey"; did you mean "shared_key"?'),
        ("inputs: ['syslog+tls://:1']\nroutes: [{output: 'stdout://'}]\n", b":1:10: syslog+tls:// needs tls_cert=FILE"),
        ("files: a\n\troutes: []\n", b"; YAML is indented by spaces, not by tabs"),
        ("inputs: ['syslog+tcp://h:1?stream=a', 'syslog+udp://h:1', 'syslog+tcp://h:1?stream=b']\n",
         b":1:59: another input listens there already"),
        ("pipelines:\n  a:\n    inputs: ['gelf://:7']\n    routes: [{output: 'stdout://'}]\n"
         "  b:\n    inputs: ['kafka://h:1/t', 'gelf://:7']\n    routes: [{output: 'stdout://'}]\n",
         b":6:31: another input listens there already"),
        ("pipelines:\n  a/b: {}\n", b":2:3: a pipeline's name: \"a/b\": a name has 1 to"),
        ("inputs: ['gelf://:1?strem=x']\nroutes: [{output: 'stdout://'}]\n", b':1:10: gelf:// knows no parameter "strem"'),
        ("inputs: ['aurora://?regoin=x']\nroutes: [{output: 'stdout://'}]\n", b'did you mean "region"?'),
        ("inputs: ['kubernetes:///p?apis=none']\nroutes: [{output: 'stdout://'}]\n", b':1:10: kubernetes:// knows no parameter "apis"'),
        ("inputs: ['kafka://h/t?session=1']\nroutes: [{output: 'stdout://'}]\n", b":1:10: session=1: a duration is wanted"),
        ("files: a\nroutes:\n  - output: kafka://h/t?ack=1\n", b':3:13: kafka:// knows no parameter "ack"; did you mean "acks"?'),
    ]:
        config.write_text(text)
        r = weir("pipeline", "check", str(config), check=False)
        assert r.returncode == 1 and why in r.stderr, (text, r.stderr)
    config.write_text("fles: [/a]\nroutes:\n  - output: http://a\n")  # of an agent, though no word says so
    r = weir("config", "check", str(config), check=False)
    assert r.returncode == 1 and b':1:1: "fles" is not known here; did you mean "files"?' in r.stderr, r.stderr
    for text, why in [  # of a server
        ("queue:\n  url: kafka://h:1/t?grup=x\n", b':2:8: queue.url: kafka:// knows no parameter "grup"; did you mean "group"?'),
        ("queue: {url: 'kafka://h:1/t?partitions=none'}\n", b":1:14: queue.url: partitions=none: a number"),
        ("queue: {url: 'disk:/x'}\n", b":1:14: queue.url: disk: or kafka://HOST:PORT/TOPIC is wanted"),
        ("inputs: ['beats://:1?tls_crt=x']\n", b':1:10: beats:// knows no parameter "tls_crt"; did you mean "tls_cert"?'),
    ]:
        config.write_text(text)
        r = weir("config", "check", str(config), check=False)
        assert r.returncode == 1 and why in r.stderr, (text, r.stderr)
