"""A fleet of RDS instances for bench/aurora.py: hundreds of them with thousands of log files that grow and are rotated each
`hour`, served by the four calls the collector makes. Nothing stands on a disk: a file is a head of its own and then a piece
of one ring of real entries, so that any byte of any file can be served at memory's speed and the records in it are known.
It runs as a process of its own and checks no signature (tests/integration/parts/rds.py does that); requests and bytes are
counted, and how old the bytes of live logs are when they are first fetched.

An hour's file of an instance is `hour_bytes` long up to the end of an entry; the live one is cut wherever the clock stands."""
import bisect
import multiprocessing
import re
import socket
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

PORTION = 1 << 20
KEEP_HOURS = 24  # rotated files that there are, as RDS has them
FIRST_DAY = 1754179200  # 2025-08-03T00:00:00Z


class Ring:
    """Entries without end: bytes [at, at + n) of file number `seed`, whose first entry follows its head."""

    def __init__(self, entries, head):
        self.data = b"".join(entries)
        self.view = memoryview(self.data + self.data[:PORTION])
        self.ends, at = [], 0
        for e in entries:
            at += len(e)
            self.ends.append(at)
        self.head = head  # a function: the number of a file -> its head

    def start(self, seed):
        return self.ends[seed * 7919 % len(self.ends)] % len(self.data)

    def pieces(self, seed, at, to):
        """Views of at most PORTION bytes."""
        head = self.head(seed)
        if at < len(head):
            yield memoryview(head)[at:to]
            at = len(head)
        start, size = self.start(seed), len(self.data)
        while at < to:
            o = (start + at - len(head)) % size
            n = min(to - at, PORTION, len(self.view) - o)
            yield self.view[o:o + n]
            at += n

    def whole(self, seed, n):
        """The largest size up to n at which an entry ends, and how many entries that are (the head is one)."""
        start, rest = self.start(seed), n - len(self.head(seed))
        if rest < 0:
            return 0, 0
        rounds, o = divmod(start + rest, len(self.data))
        k = bisect.bisect_right(self.ends, o)
        end = rounds * len(self.data) + (self.ends[k - 1] if k else 0)
        before = bisect.bisect_right(self.ends, start) if start else 0
        return end - start + len(self.head(seed)), rounds * len(self.ends) + k - before + 1


class Log:
    """One log of one instance: what is there of it by the fleet's clock."""

    def __init__(self, ring, name, number, hour_bytes):
        self.ring, self.name, self.number, self.hour_bytes = ring, name, number, hour_bytes
        self.reached = {}  # hour -> bytes of it that were fetched

    def seed(self, hour):
        return self.number * 100003 + hour + KEEP_HOURS

    def full(self, hour):
        return self.ring.whole(self.seed(hour), self.hour_bytes)

    def rotated_name(self, hour):
        return self.name + time.strftime(".%Y-%m-%d.%H", time.gmtime(FIRST_DAY + (hour + KEEP_HOURS) * 3600))


class Fleet:
    def __init__(self, rings, instances, sizes, hour_s):
        """rings, sizes: of slow and error logs."""
        names = ("slowquery/mysql-slowquery.log", "error/mysql-error-running.log")
        self.hour_s, self.end, self.began = hour_s, 0, None
        self.logs = {f"db-{i:03d}": [Log(rings[k], names[k], 2 * i + k, sizes[k]) for k in (0, 1)] for i in range(instances)}
        self.calls, self.bytes, self.ages, self.lock = {}, 0, [], threading.Lock()
        self.wall_zero = self.wall = time.time()

    # -- the clock, in hours --

    def now(self):
        return min(self.end, (time.monotonic() - self.began) / self.hour_s) if self.began else 0.0

    def start(self, hours):
        """It stands still before, and when so many hours are over."""
        self.end, self.began, self.wall = hours, time.monotonic(), time.time()

    def written_ms(self, hours):
        """When it was that hour, by the wall."""
        return int(((self.wall if hours > 0 else self.wall_zero) + hours * self.hour_s) * 1000)

    # -- files --

    def live(self, log, now):
        """hour, size of the live file"""
        hour, part = int(now), now - int(now)
        return hour, int(part * log.full(hour)[0])

    def files(self, log, now):
        hour, size = self.live(log, now)
        yield log.name, size, self.written_ms(now)
        for h in range(hour - KEEP_HOURS, hour):
            yield log.rotated_name(h), log.full(h)[0], self.written_ms(h + 1)

    def find(self, instance, name, now):
        """log, hour, size"""
        for log in self.logs[instance]:
            if name == log.name:
                return (log, *self.live(log, now))
            if name.startswith(log.name):
                for h in range(int(now) - KEEP_HOURS, int(now)):
                    if name == log.rotated_name(h):
                        return log, h, log.full(h)[0]
        return None

    def expected(self, hours):
        """Records by log kind and instance when the clock stands at that hour."""
        return [{name: sum(log[k].full(h)[1] for h in range(-KEEP_HOURS, int(hours))) for name, log in self.logs.items()}
                for k in (0, 1)]

    def offered(self, hours):
        return sum(log.full(h)[0] for logs in self.logs.values() for log in logs for h in range(-KEEP_HOURS, int(hours)))

    def note(self, log, hour, at, to):
        """How old the oldest byte is that is fetched for the first time, while the clock runs."""
        was = log.reached.get(hour, 0)
        if to <= was:
            return
        log.reached[hour] = to
        if hour >= 0:
            written = hour + max(at, was) / max(log.full(hour)[0], 1)
            self.ages.append((time.monotonic() - self.began) - written * self.hour_s)


# ---- the service ----

def respond(action, text):
    return (f'<{action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{action}Result>{text}</{action}Result>'
            f"<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{action}Response>").encode()


class Service:
    def __init__(self, fleet):
        self.fleet = fleet
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = sock.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                length = int(length.group(1)) if length else 0
                while len(data) < length:
                    data += sock.recv(65536)
                body, data = data[:length], data[length:]
                self.answer(sock, head.split(b" ", 2)[1].decode(), body)
        except (ConnectionError, OSError):
            pass
        finally:
            sock.close()

    def send(self, sock, status, pieces):
        total = sum(len(p) for p in pieces)
        self.fleet.bytes += total
        sock.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {total}\r\n\r\n".encode())
        for p in pieces:
            sock.sendall(p)

    def answer(self, sock, path, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        whole = path.startswith("/v13/downloadCompleteLogFile/")
        action = "downloadCompleteLogFile" if whole else form.get("Action", "")
        with self.fleet.lock:
            self.fleet.calls[action] = self.fleet.calls.get(action, 0) + 1
        now = self.fleet.now()
        if whole:
            _, _, _, instance, name = urllib.parse.unquote(path).split("/", 4)
            return self.whole(sock, instance, name, now)
        if action == "DescribeDBInstances":
            return self.send(sock, 200, [self.instances(form)])
        if action == "DescribeDBLogFiles":
            return self.send(sock, 200, [self.list(form, now)])
        if action == "DownloadDBLogFilePortion":
            return self.portion(sock, form, now)
        return self.send(sock, 400, [b"<ErrorResponse><Error><Code>InvalidAction</Code></Error></ErrorResponse>"])

    def missing(self, sock):
        self.send(sock, 404, [b"<ErrorResponse><Error><Code>DBLogFileNotFoundFault</Code></Error></ErrorResponse>"])

    def instances(self, form):
        names, size = sorted(self.fleet.logs), int(form.get("MaxRecords", 100))
        at = int(form.get("Marker") or 0)
        marker = f"<Marker>{at + size}</Marker>" if at + size < len(names) else ""
        return respond("DescribeDBInstances", "<DBInstances>" + "".join(
            f"<DBInstance><DBInstanceIdentifier>{n}</DBInstanceIdentifier><Engine>aurora-mysql</Engine><EngineVersion>8.0"
            f"</EngineVersion><DBInstanceStatus>available</DBInstanceStatus><DBInstanceClass>db.r6g.2xlarge</DBInstanceClass>"
            f"<DBClusterIdentifier>c</DBClusterIdentifier></DBInstance>" for n in names[at:at + size])
            + "</DBInstances>" + marker)

    def list(self, form, now):
        wanted = form.get("FilenameContains", "")
        files = [f for log in self.fleet.logs[form["DBInstanceIdentifier"]] for f in self.fleet.files(log, now) if wanted in f[0]]
        return respond("DescribeDBLogFiles", "<DescribeDBLogFiles>" + "".join(
            f"<DescribeDBLogFilesDetails><LastWritten>{written}</LastWritten><LogFileName>{name}</LogFileName>"
            f"<Size>{size}</Size></DescribeDBLogFilesDetails>" for name, size, written in files) + "</DescribeDBLogFiles>")

    def portion(self, sock, form, now):
        found = self.fleet.find(form["DBInstanceIdentifier"], form["LogFileName"], now)
        if not found:
            return self.missing(sock)
        log, hour, size = found
        at = int((form.get("Marker") or "0").split(":")[-1])
        data = b"".join(log.ring.pieces(log.seed(hour), at, min(at + PORTION, size))) if at < size else b""
        if form.get("NumberOfLines"):
            data = b"".join(data.splitlines(True)[:int(form["NumberOfLines"])])
        to = at + len(data)
        if not form.get("NumberOfLines"):
            self.fleet.note(log, hour, at, to)
        for raw, text in ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;")):
            data = data.replace(raw, text)
        before, after = respond("DownloadDBLogFilePortion", "<LogFileData>@</LogFileData>").split(b"@")
        more = f"</LogFileData><Marker>{hour % 24}:{to}</Marker><AdditionalDataPending>{str(to < size).lower()}</AdditionalDataPending>"
        return self.send(sock, 200, [before, data, after.replace(b"</LogFileData>", more.encode())])

    def whole(self, sock, instance, name, now):
        found = self.fleet.find(instance, name, now)
        if not found:
            return self.missing(sock)
        log, hour, size = found
        self.fleet.note(log, hour, 0, size)
        return self.send(sock, 200, list(log.ring.pieces(log.seed(hour), 0, size)))


def child(pipe, make):
    fleet = Fleet(*make)
    service = Service(fleet)
    threading.Thread(target=service.run, daemon=True).start()
    pipe.send(service.port)
    while True:
        try:
            name, args = pipe.recv()
        except EOFError:
            return
        if name == "take":  # what was counted since the last time
            with fleet.lock:
                pipe.send((fleet.calls, fleet.bytes, fleet.ages))
                fleet.calls, fleet.bytes, fleet.ages = {}, 0, []
        else:
            pipe.send(getattr(fleet, name)(*args))


class Served:
    """The fleet in its own process: ask("expected", hours) calls its methods there."""

    def __init__(self, *make):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=child, args=(theirs, make), daemon=True)
        self.process.start()
        theirs.close()
        self.url = f"http://127.0.0.1:{self.pipe.recv()}"

    def ask(self, name, *args):
        self.pipe.send((name, args))
        return self.pipe.recv()

    def stop(self):
        self.pipe.close()
        self.process.join(10)
