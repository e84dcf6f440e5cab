"""Several servers in one group, on one catalog and one place of objects: one store, whatever happens to any of them."""
import json
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter

import pytest
import requests

from parts.s3 import s3  # noqa: F401 (a fixture, as the next two)
from test_agent import make_agent, write  # noqa: F401
from test_kafka import eventually
from test_kafka_queue import lines
from test_objects import bucket  # noqa: F401

SESSION = 4


class Cluster:
    """Servers a, b, ... of one topic. `sent`: the numbers that were acknowledged."""

    def __init__(self, make_server, kafka, tmp_path, catalog, servers=3, partitions=6, bucket=None, more=()):
        self.topic, self.kafka = kafka.topic(partitions=partitions), kafka
        self.servers = []
        objects = bucket.url() if bucket else f"file://{tmp_path}/objects"
        args = ["--catalog", catalog, "--objects", objects, "--set", "store.cut_interval=1s", "--queue",
                f"kafka://{kafka.address}/{self.topic}?group=g-{self.topic}&session={SESSION}s&timeout=5s", *more]
        for i in range(servers):
            self.servers.append(make_server(f"server-{i}", args, env=bucket and bucket.env))

    def up(self):
        return [s for s in self.servers if s.process and s.process.poll() is None]

    def send(self, n, count, key, stop):
        """With a key, again and again to any server until one says that it is there."""
        body = lines(range(n, n + count), services=9)
        while not stop.is_set():
            up = self.up()
            try:
                r = requests.post(random.choice(up).url + "/api/v1/logs/ingest", params={"stream": "app"}, data=body,
                                  timeout=15, headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": key})
                if r.status_code == 202:
                    return True
            except (requests.RequestException, IndexError):
                pass
            time.sleep(0.05)
        return False


def found(server, stream="app"):
    """How often each number, and each id, is found."""
    rows = server.query("* | fields n, _id", stream=stream)
    return Counter(r["n"] for r in rows), Counter(r["_id"] for r in rows)


def agree(cluster, want, seconds=60):
    """Every server answers exactly `want`, and no two records have one id."""
    deadline = time.monotonic() + seconds
    for s in cluster.servers:
        while True:
            numbers, ids = found(s)
            if numbers == want or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        missing, more = want - numbers, numbers - want
        assert not missing and not more, (s.data.name, len(missing), sorted(missing)[:10], len(more), sorted(more)[:10])
        assert max(ids.values(), default=1) == 1
        count = s.query("* | stats count() as c, sum(n) as s", stream="app")[0]
        assert (count["c"], count["s"]) == (sum(want.values()), sum(k * v for k, v in want.items()))


class Senders:
    def __init__(self, cluster, threads=3, count=10, pause=0.02):
        self.cluster, self.stop, self.lock = cluster, threading.Event(), threading.Lock()
        self.next, self.sent, self.count, self.pause = 0, 0, count, pause
        self.run_id = uuid.uuid4().hex
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.done.is_set():
            with self.lock:
                n, self.next = self.next, self.next + self.count
            assert self.cluster.send(n, self.count, f"{self.run_id}-{n}", self.stop), "not taken in"
            time.sleep(self.pause)

    def finish(self):
        """What was begun is sent until it is there."""
        self.done.set()
        for t in self.threads:
            t.join(90)
        late = any(t.is_alive() for t in self.threads)
        self.stop.set()
        assert not late, "a body is not taken in"
        return Counter(range(self.next))


class Watch:
    """Counts of a server never exceed what was sent; those of one that nobody harms never fall."""

    def __init__(self, cluster, senders):
        self.cluster, self.senders, self.wrong = cluster, senders, []
        self.harmed, self.end = set(), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        last = {}
        while not self.end.is_set():
            for i, s in enumerate(self.cluster.servers):
                pid = s.process.pid
                try:
                    r = requests.post(s.url + "/api/v1/logs/query", params={"q": "* | fields n", "stream": "app"}, timeout=10)
                    found = [json.loads(x)["n"] for x in r.content.splitlines()] if r.status_code == 200 else None
                except (requests.RequestException, ValueError):
                    found = None
                if found is None:
                    continue
                life, n = (i, pid), len(found)
                if n != len(set(found)) or n > self.senders.next:
                    self.wrong.append((s.data.name, n, len(set(found)), self.senders.next))
                if i not in self.harmed and n < last.get(life, 0):
                    self.wrong.append((s.data.name, "fell", last[life], n))
                last[life] = n
            time.sleep(0.1)

    def finish(self):
        self.end.set()
        self.thread.join()
        assert not self.wrong, self.wrong[:5]


def sqlite(tmp_path):
    return f"sqlite:{tmp_path}/catalog.db?shared=true"


class Tail(threading.Thread):
    """What a server's tail shows; `cursor`: of what is in `got`."""

    def __init__(self, server, **params):
        super().__init__(daemon=True)
        self.got, self.cursor = [], None
        self.answer = requests.get(server.url + "/api/v1/logs/tail", stream=True, timeout=120,
                                   params={"stream": "app", "q": "* | fields n", "meta": 1, **params})
        assert self.answer.status_code == 200, self.answer.text
        self.start()

    def run(self):
        more = []
        try:
            for line in self.answer.iter_lines():
                row = json.loads(line)
                if "_meta" in row:
                    self.got += more
                    more, self.cursor = [], row["_meta"]["cursor"]
                else:
                    more.append(row["n"])
        except requests.RequestException:
            pass

    def end(self):
        """The connection breaks."""
        self.answer.raw._fp.fp.raw._sock.shutdown(2)
        self.join(10)

    def shows(self, want, seconds=60):
        deadline = time.monotonic() + seconds
        while (got := Counter(self.got)) != want and time.monotonic() < deadline:
            time.sleep(0.1)
        missing, more = want - got, got - want
        assert not missing and not more, (len(missing), sorted(missing)[:10], len(more), sorted(more)[:10])


def test_one_store(kafka, postgresql, bucket, make_server, tmp_path):  # noqa: F811
    """What any of them takes in, all of them answer, from S3; one merges while the others are asked; a tail at any of them
    shows all, once; a restart of all."""
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="one"), servers=2, bucket=bucket)
    eventually(lambda: "partitions given" in c.servers[0].log.read_text(), 60)
    tails = [Tail(s) for s in c.servers]
    senders = Senders(c)
    watch = Watch(c, senders)
    time.sleep(4)
    c.servers[0].compact()
    time.sleep(1)
    watch.finish()
    want = senders.finish()
    agree(c, want)
    for t in tails:
        t.shows(want)
    merges = [requests.get(s.url + "/api/v1/stats", timeout=30).json()["store"]["merges"] for s in c.servers]
    assert sum(merges) > 0
    assert "each keeps a catalog of its own" not in "".join(s.log.read_text() for s in c.servers)
    for s in c.servers:
        s.stop()
    for s in c.servers:
        s.start()
    agree(c, want)


def test_tail(kafka, postgresql, make_server, tmp_path):  # noqa: F811
    """A tail at one of two shows what both take in, each record once and what its query says, while it is merged, its
    connection breaks, and it goes on there and at the other."""
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="tail"), servers=2,
                more=["--set", "store.compact_level_files=2"])
    a, b = c.servers
    eventually(lambda: "partitions given" in a.log.read_text(), 60)
    stop, n = threading.Event(), [0]

    def send(count):
        for _ in range(count // 10):
            assert c.send(n[0], 10, f"{c.topic}-{n[0]}", stop)
            n[0] += 10

    def merge(server):
        """The other may merge at the same time, and be faster."""
        r = requests.post(server.url + "/api/v1/admin/compact", timeout=300)
        assert r.status_code in (200, 409)

    def sent(first=0):
        return Counter(range(first, n[0]))

    send(50)
    for s in c.servers:
        s.flush()
    agree(c, sent())
    tail, few = Tail(a), Tail(a, q="n:>100 n:<200 | fields n")
    everything = Tail(b, after="0")
    send(300)
    tail.shows(sent(50))
    everything.shows(sent())
    merge(a)
    send(50)
    tail.shows(sent(50))
    few.shows(Counter(range(101, 200)))
    # It breaks; what comes meanwhile is merged before it goes on, there and at the other.
    tail.end()
    got, cursor = tail.got, tail.cursor
    send(200)
    merge(b)
    agree(c, sent())
    send(20)
    for s in (a, b):
        tail = Tail(s, after=cursor)
        tail.shows(sent(50) - Counter(got))
    # From server to server, with what is shown from memory.
    tail, got = Tail(a, after="0"), []
    for turn in range(6):
        send(30)
        time.sleep(random.uniform(0, 1.5))
        tail.end()
        got += tail.got
        tail = Tail(c.servers[(turn + 1) % 2], after=tail.cursor)
    tail.shows(sent() - Counter(got))
    assert len(got) == len(set(got))


def test_tail_and_kill(kafka, postgresql, make_server, tmp_path):  # noqa: F811
    """A server is killed while others take in: a tail elsewhere has each record once; one that goes on elsewhere, or at
    the same server, lacks none, and has again only what had not been published."""
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="tailkill"), servers=2)
    a, b = c.servers
    eventually(lambda: "partitions given" in a.log.read_text(), 60)
    tail, killed = Tail(a), Tail(b)
    senders = Senders(c)
    time.sleep(4)
    b.kill()
    killed.join(10)
    there = Tail(a, after=killed.cursor)
    time.sleep(SESSION + 2)
    b.start()
    here = Tail(b, after=killed.cursor)
    time.sleep(2)
    want = senders.finish()
    tail.shows(want)
    for again in (there, here):
        eventually(lambda: not want - Counter(killed.got) - Counter(again.got), 60)
        time.sleep(1)
        total = Counter(killed.got) + Counter(again.got)
        assert set(total) == set(want) and max(total.values()) <= 2 and max(Counter(again.got).values()) == 1
        assert total.total() - len(want) < len(want) / 2


def test_tail_without_a_topic(postgresql, bucket, make_server):  # noqa: F811
    """Servers with a queue each on their disks: a kill of the tail's own costs nothing. What its streams leave out is not
    fetched."""
    args = ["--catalog", postgresql.url(schema="disks"), "--objects", bucket.url(), "--set", "store.cut_interval=1h"]
    a, b = (make_server(name, args, env=bucket.env) for name in ("a", "b"))

    def send(server, numbers, stream="app"):
        server.ingest("\n".join(json.dumps({"n": n}) for n in numbers), stream=stream)

    tail, other = Tail(a), Tail(a, stream="other")
    send(b, range(10))
    send(b, range(10, 20), "third")
    send(a, range(20, 30))
    b.flush()
    tail.shows(Counter([*range(10), *range(20, 30)]))
    send(b, range(30, 40), "third")
    b.flush()
    eventually(lambda: len(found(a, "third")[0]) == 20)
    before = requests.get(a.url + "/api/v1/stats", timeout=30).json()["store"]["copies"]
    send(b, range(40, 50), "third")
    send(a, range(50, 60), "other")
    b.flush()
    other.shows(Counter(range(50, 60)))
    time.sleep(3)
    after = requests.get(a.url + "/api/v1/stats", timeout=30).json()["store"]["copies"]
    assert before["fetched"] == after["fetched"]
    a.kill()
    tail.join(10)
    send(b, range(60, 70))
    b.flush()
    a.start()
    tail = Tail(a, after=tail.cursor)
    send(a, range(70, 80))
    tail.shows(Counter(range(60, 80)))


def harm_and_agree(c, harm, seconds):
    senders = Senders(c)
    watch = Watch(c, senders)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        harm(watch)
    for s in c.servers:
        if s.process.poll() is not None:
            s.start()
    want = senders.finish()
    watch.finish()
    agree(c, want)
    return want


def test_killed_at_random(kafka, postgresql, make_server, make_agent, tmp_path):  # noqa: F811
    """Each of them again and again, while clients with keys and an agent send. WEIR_SHARED_SECONDS: how long."""
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="killed"))
    log = tmp_path / "a.log"
    agent = make_agent("agent", "--file", str(log), "--stream", "agent",
                       output=f"kafka://{kafka.address}/{c.topic}?format=frames&timeout=5s").start()
    rng, n = random.Random(11), [0]

    def harm(watch):
        write(log, n[0], 50)
        n[0] += 50
        time.sleep(rng.uniform(0.1, 0.9))
        up = c.up()
        if len(up) == len(c.servers) or (len(up) > 1 and rng.random() < 0.3):
            rng.choice(up).kill()
            time.sleep(SESSION + 1 if rng.random() < 0.3 else 0)  # its partitions go to others, or it has them again
        else:
            next(s for s in c.servers if s not in up).start(ready=rng.random() < 0.5)
        if rng.random() < 0.2:
            agent.kill()
            agent.start()

    harm_and_agree(c, harm, float(os.environ.get("WEIR_SHARED_SECONDS", 12)))
    want = Counter(f"n{i}" for i in range(n[0]))
    for s in c.servers:
        eventually(lambda: Counter(r["message"].split()[0] for r in s.query("* | fields message", stream="agent")) == want, 60)


def test_comes_back_from_the_dead(kafka, postgresql, bucket, make_server, tmp_path):  # noqa: F811
    """A server stands still for longer than its session, while others read and publish what it has in memory, and merge
    what it has copies of; then it goes on as if nothing had been, and keeps no copy of what is gone."""
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="dead"), bucket=bucket, more=["--set", "store.compact_level_files=2"])
    state = {"turn": 0}

    def harm(watch):
        i = state["turn"] % 2
        state["turn"] += 1
        watch.harmed.update(range(len(c.servers)))
        time.sleep(1)
        c.servers[i].process.send_signal(signal.SIGSTOP)
        time.sleep(SESSION + random.choice([0.5, 3]))
        c.servers[i].process.send_signal(signal.SIGCONT)

    harm_and_agree(c, harm, float(os.environ.get("WEIR_SHARED_SECONDS", 12)))

    def named():
        return {f"{int(x):016x}.seg" for x in postgresql.sql("SELECT id FROM dead.segments").split()}
    for s in c.servers:
        eventually(lambda s=s: {f.name for f in (s.data / "segments").glob("*.seg")} <= named(), 60)


def test_catalog_away_and_answers_lost(kafka, postgresql, make_server, tmp_path):
    """The database stops and starts; commits, or the answers to them, are lost: nothing else is. Nobody is harmed, and
    no count falls."""
    from parts.postgresql import Relay
    relay = Relay(postgresql.port)
    c = Cluster(make_server, kafka, tmp_path, postgresql.url(schema="away", port=relay.port), servers=2)
    rng = random.Random(3)

    def harm(watch):
        relay.loss = 0.3
        time.sleep(3)
        relay.loss = 0
        if rng.random() < 0.5:
            postgresql.kill()
            time.sleep(1)
            postgresql.start()

    harm_and_agree(c, harm, float(os.environ.get("WEIR_SHARED_SECONDS", 9)))
    assert relay.lost > 0
    for s in c.servers:
        s.stop()
    relay.close()


def test_expiry_and_garbage(postgresql, bucket, make_server):  # noqa: F811
    """One of two expires and merges for both. What was replaced stays at rest for a while, as the other may still read
    it, and then goes: from the bucket, from the catalog's list, from both data folders; and nothing else does."""
    day = 24 * 3600
    args = ["--catalog", postgresql.url(schema="expiry"), "--objects", bucket.url(), "--set", "store.cut_interval=1s",
            "--set", "objects.garbage_age=4s", "--set", "store.compact_level_files=4"]
    servers = [make_server(name, args, env=bucket.env) for name in ("a", "b")]

    def send(server, numbers, ago):
        at = int(time.time() - ago)
        server.ingest("\n".join(json.dumps({"n": n, "_time": at * 10**9}) for n in numbers), stream="app")
        server.flush()

    def ids(table="segments", column="id"):
        return {int(x) for x in postgresql.sql(f"SELECT {column} FROM expiry.{table}").split()}

    def named(ids):
        return {f"{i:016x}.seg" for i in ids}

    def held():
        return {k.rsplit("/", 1)[1] for k in bucket.segments()}

    for i in range(4):
        send(servers[i % 2], range(i * 10, i * 10 + 10), 5 * day)
        send(servers[i % 2], range(100 + i * 10, 110 + i * 10), 0)
    want = Counter([*range(40), *range(100, 140)])
    for s in servers:
        eventually(lambda s=s: found(s)[0] == want, 60)
        s.stop()
    before = held()
    assert before >= named(ids()) and len(ids()) >= 2
    fresh = Counter(range(100, 140))
    for s in servers:
        s.args += ["--set", "store.retention=2d"]
        s.start()
    for s in servers:
        eventually(lambda s=s: found(s)[0] == fresh, 60)
    assert len(held()) > len(ids())  # it is not removed at once
    end = time.monotonic() + 5
    while time.monotonic() < end:  # nor is it missed by those who read
        assert all(found(s)[0] == fresh for s in servers)
    servers[0].compact()
    eventually(lambda: not ids("garbage", "segment_id") and held() == named(ids()), 60)
    assert before - held()
    for s in servers:
        eventually(lambda s=s: found(s)[0] == fresh, 60)
        eventually(lambda s=s: {f.name for f in (s.data / "segments").iterdir()} <= named(ids()), 60)
    stats = [requests.get(s.url + "/api/v1/stats", timeout=30).json()["store"] for s in servers]
    assert sum(s["expired_segments"] for s in stats) >= 1 and not any(s["unreadable_segments"] for s in stats)


def test_killed_before_the_group_knows(make_kafka, make_server, tmp_path):
    """Published, and the offset not committed, as the brokers hang: the next reader begins where the catalog says."""
    broker = make_kafka()
    c = Cluster(make_server, broker, tmp_path, sqlite(tmp_path), servers=2, partitions=2)
    a, b = c.servers
    stop = threading.Event()
    for n in range(0, 200, 10):
        assert c.send(n, 10, f"k-{n}", stop)
    broker.process.send_signal(signal.SIGSTOP)
    a.flush()
    b.flush()
    a.kill()
    b.kill()
    broker.process.send_signal(signal.SIGCONT)
    a.start()
    b.start()
    assert c.send(200, 10, "k-200", stop)
    agree(c, Counter(range(210)))


def test_copied_data_folder(kafka, make_server, tmp_path):
    """Two servers with one number: the older one ends, and says why."""
    import shutil
    c = Cluster(make_server, kafka, tmp_path, sqlite(tmp_path), servers=1)
    a = c.servers[0]
    stop = threading.Event()
    assert c.send(0, 10, "k", stop)
    a.flush()
    shutil.copytree(a.data, tmp_path / "copy")
    copy = make_server("copy", [*a.args[:-1], a.args[-1] + "&instance=copy"])
    eventually(lambda: a.process.poll() is not None, 60)
    assert a.process.returncode == 1 and "is its data folder a copy" in a.log.read_text()
    a.process = None
    c.servers = [copy]
    assert c.send(10, 10, "k2", stop)
    agree(c, Counter(range(20)))
