"""What the tests of the Aurora collector share: a fleet of log files, the collector's process, and the comparison of
what stands in the files with what is stored: by number, and by every statement's text."""
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import requests

from conftest import WEIR, free_port

BANNER = ("/usr/sbin/mysqld, Version: 8.0.28 (Source distribution). started with:\n"
          "Tcp port: 3306  Unix socket: /tmp/mysql.sock\nTime                 Id Command    Argument\n")


def entry(text, second=0):
    """A slow log's entry as Aurora 3 writes it."""
    return (f"# Time: 2025-08-03T15:30:{second % 60:02d}.123456Z\n# User@Host: app[app] @  [10.0.0.{second % 250}]  Id: {second}\n"
            f"# Query_time: 0.5{second % 10}  Lock_time: 0.000002 Rows_sent: 1  Rows_examined: 10\n"
            f"use shop;\nSET timestamp=1754235045;\n{text};\n")


class SlowLog:
    """A slow log that a test writes, with numbered statements; rotated as Aurora does."""

    def __init__(self, folder, tag, banner=True):
        self.path = pathlib.Path(folder) / "slowquery/mysql-slowquery.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.tag, self.n, self.banner = tag, 0, banner
        self.path.write_text(BANNER if banner else "")
        self.written, self.rest = [], ""

    def write(self, count, pad=0, torn=0):
        """torn: that part of the last entry, from 0 to 1, is written by the next call."""
        text = self.rest
        for _ in range(count):
            last = entry(f"SELECT '{self.tag}-{self.n:06d}' /*{'x' * pad}*/ FROM t", self.n)
            text += last
            self.written.append(f"{self.tag}-{self.n:06d}")
            self.n += 1
        keep = len(text) - (int(len(last) * torn) if count else 0)
        self.rest = text[keep:]
        with open(self.path, "a") as f:
            f.write(text[:keep])
        return self

    def rotate(self, suffix, age_s=0):
        self.write(0)
        to = self.path.with_name(self.path.name + "." + suffix)
        self.path.rename(to)
        if age_s:
            os.utime(to, (time.time() - age_s,) * 2)
        self.path.write_text(BANNER if self.banner else "")
        return to


class Collector:
    def __init__(self, tmp, rds, server, name="aurora", state=None, env=None, args=(), binary=WEIR):
        self.binary = str(binary)
        self.log = pathlib.Path(tmp) / f"{name}.log"
        self.state = state or f"sqlite:{tmp}/state.db"
        self.env = rds.env(**{"RDS_API_RATE_LIMIT": "1000", "WEIR_AURORA_LEASE_SEC": "2", **(env or {})})
        self.output = ["--output", server.url] if server else []
        self.args, self.process = list(args), None
        self.port = free_port()

    def command(self, verb="run", *more):
        output = self.output if verb != "discover" else []
        return [self.binary, "aurora", verb, "--state", self.state, *output, *self.args, *more]

    def once(self, verb="run", *more, env=None, check=True, timeout=60):
        with open(self.log, "ab") as log:
            r = subprocess.run(self.command(verb, "--once", *more), stdout=log, stderr=log, timeout=timeout,
                               env={**self.env, **(env or {})})
        if check:
            assert r.returncode == 0, (r.returncode, self.log.read_text()[-3000:])
        return r.returncode

    def start(self, verb="run", *more, env=None, poll="300ms"):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(verb, "--listen", f"127.0.0.1:{self.port}",
                             *(["--poll", poll] if verb != "process" else []), *more),
                stdout=log, stderr=log, env={**self.env, **(env or {})})
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0, self.log.read_text()[-3000:]

    def weir(self, *args, check=True):
        r = subprocess.run([self.binary, "aurora", *args, "--state", self.state], capture_output=True, text=True, timeout=60,
                           env=self.env)
        if check:
            assert r.returncode == 0, (args, r.stdout, r.stderr)
        return r

    def weir_alone(self, *args):
        """A command that has no state."""
        return subprocess.run([WEIR, "aurora", *args], capture_output=True, text=True, timeout=60, env=self.env)

    def weir_queue(self, verb, what, queue, check=True):
        r = subprocess.run([WEIR, "aurora", verb, what, "--queue", queue], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0 or not check, (r.stdout, r.stderr)
        return r

    def json(self, *args):
        return json.loads(self.weir(*args, "--json").stdout)

    def metric(self, name):
        try:
            text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30).text
        except requests.ConnectionError:  # it does not listen yet
            return 0
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)

    def events(self, word):
        found = []
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                e = json.loads(line)
                if word in e["event"]:
                    found.append(e)
        return found


def stored(server, tag):
    """How often each numbered statement is stored."""
    rows = server.query(f"{tag}* | fields statement | limit 1000000", stream="slow_search_logs")
    found = (re.search(rf"{tag}-\d+", r.get("statement", "")) for r in rows)
    return collections.Counter(m.group() for m in found if m)


def assert_same(server, log):
    have = stored(server, log.tag)
    want = collections.Counter(log.written)
    missing, more = want - have, have - want
    assert not missing and not more, (f"{len(want)} written; {len(missing)} missing: {sorted(missing)[:3]}; "
                                      f"{sum(more.values())} too many: {sorted(more)[:3]}")


def wait_for(condition, seconds=60, what="it"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come about in {seconds} s")
