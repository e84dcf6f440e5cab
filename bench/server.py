"""Servers under test: started fresh on a free port, watched through /proc, stopped by their process.

`Weir` is ours; `VictoriaLogs` (from the binary that VICTORIA_LOGS names) answers the same calls, so that the
measuring code knows no difference."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

from wire import Client, Sender

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def disk_bytes(path):
    """Bytes of all files below a folder, by kind of the first folder they stand in."""
    kinds = {}
    path = pathlib.Path(path)
    for folder, _, names in os.walk(path):
        for name in names:
            file = pathlib.Path(folder) / name
            kind = file.relative_to(path).parts[0]
            try:
                kinds[kind] = kinds.get(kind, 0) + file.stat().st_size
            except FileNotFoundError:
                pass
    return sum(kinds.values()), kinds


class Server:
    name = ""
    ready_path = "/"

    def __init__(self, binary, data, args=()):
        self.binary, self.data, self.args = str(binary), pathlib.Path(data), list(args)
        self.process = None
        self.client = None

    def command(self):
        raise NotImplementedError

    def start(self, seconds=600):
        """Returns the seconds until it is ready."""
        self.port = free_port()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.log = self.data.parent / (self.data.name + ".log")
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        while time.monotonic() < started + seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n"
                                   + self.log.read_text(errors="replace")[-3000:])
            client = Client(self.port, 5)
            try:
                client.call("GET", self.ready_path)
                self.client = Client(self.port)
                return time.monotonic() - started
            except Exception:
                time.sleep(0.01)
            finally:
                client.close()
        raise RuntimeError(f"{self.name} is not ready after {seconds} s")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.client.close()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"{self.name} does not stop")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def chill(self):
        """Restarted, and none of its files' pages in memory."""
        self.stop()
        self.start()
        for folder, _, names in os.walk(self.data):
            for name in names:
                file = os.open(os.path.join(folder, name), os.O_RDONLY)
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def remove(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    # -- what /proc says --

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, what):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M).group(1)) * 1024

    # -- what every server does in its own way --

    def ingest_target(self, data):
        raise NotImplementedError

    def sender(self, data, connections):
        return Sender(self.port, data.path, self.ingest_target(data), connections=connections)

    def flush(self):
        raise NotImplementedError

    def compact(self):
        raise NotImplementedError

    def ask(self, query):
        """The answer to a queries.Query, as bytes."""
        raise NotImplementedError

    def rows(self, query, body):
        """What such an answer holds, as a list of objects."""
        raise NotImplementedError


class Weir(Server):
    name = "weir"
    ready_path = "/readyz"

    def command(self):
        return [self.binary, "server", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", *self.args]

    def ingest_target(self, data):
        return f"/api/v1/logs/ingest?stream={data.name}"

    def flush(self):
        self.client.call("POST", "/api/v1/admin/flush")

    def compact(self):
        self.client.call("POST", "/api/v1/admin/compact")

    def path_of(self, query):
        parameters = {"q": query.weir, "stream": query.set, "nocache": 1}
        if query.newest:
            parameters.update(limit=query.newest, total="false")
        kind = "search" if query.newest else "query"
        return f"/api/v1/logs/{kind}?" + urllib.parse.urlencode(parameters)

    def export(self, data):
        """Everything of a set, read as it comes; its bytes."""
        client, n = Client(self.port), 0
        client.http.request("GET", f"/api/v1/logs/query?q=&stream={data.name}")
        answer = client.http.getresponse()
        while part := answer.read(1 << 20):
            n += len(part)
        client.close()
        return n

    def ask(self, query):
        return self.client.call("GET", self.path_of(query))

    def rows(self, query, body):
        if query.newest:
            return json.loads(body)["logs"]
        return [json.loads(line) for line in body.split(b"\n") if line]


class VictoriaLogs(Server):
    name = "VictoriaLogs"
    ready_path = "/health"

    def command(self):
        return [self.binary, f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-futureRetention=100y", "-loggerLevel=ERROR",
                "-insert.maxLineSizeBytes=33554432", *self.args]

    def ingest_target(self, data):
        source = data.source
        parameters = {"_msg_field": source.message}
        if source.time:
            parameters["_time_field"] = source.time
        if source.group:
            parameters["_stream_fields"] = source.group
        return "/insert/jsonline?" + urllib.parse.urlencode(parameters)

    def flush(self):
        self.client.call("GET", "/internal/force_flush")

    def compact(self):
        """The merge goes on behind the answer: over when the process rests for a second."""
        self.client.call("GET", "/internal/force_merge")
        rested, last = 0, self.cpu()
        while rested < 10:
            time.sleep(0.1)
            now = self.cpu()
            rested = rested + 1 if now - last < 0.02 else 0
            last = now

    def ask(self, query):
        return self.client.call("GET", "/select/logsql/query?" + urllib.parse.urlencode({"query": query.victoria}))

    def rows(self, query, body):
        return [json.loads(line) for line in body.split(b"\n") if line]


def linked_libraries_rss(binary):
    """Resident bytes of a process that does nothing but have the binary's libraries loaded."""
    text = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"=> (/\S+)", text)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               env=dict(os.environ, LD_PRELOAD=":".join(libraries), LD_BIND_NOW=""))
    try:
        time.sleep(0.3)
        text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M).group(1)) * 1024
    finally:
        process.stdin.close()
        process.wait()
