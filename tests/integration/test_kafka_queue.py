"""A topic as the server's queue, against a real broker."""
import json
import os
import shutil
import signal
import threading
import time
import uuid
from collections import Counter

import pytest
import requests

from test_agent import make_agent, write  # noqa: F401 (a fixture)
from test_kafka import eventually

PRODUCER, EPOCH = 0x1234, 0x5678


def queue(broker, topic, group=None, **params):
    group = group or "g-" + topic
    params = "".join(f"&{k}={v}" for k, v in params.items())
    return ["--queue", f"kafka://{broker.address}/{topic}?group={group}{params}"]


def numbers(server, stream="app"):
    return Counter(r["n"] for r in server.query("* | fields n", stream=stream))


def lines(numbers_, services=5):
    return "".join(json.dumps({"n": n, "service": f"pay-{n % services}"}) + "\n" for n in numbers_).encode()


def committed(broker, topic):
    """Messages that the group has stored of the topic's two partitions: one a body and service."""
    return sum(max(broker.committed("g-" + topic, topic, p), 0) for p in range(2))


def queue_stats(server):
    return requests.get(server.url + "/api/v1/stats", timeout=30).json()["queue"]


def test_init_and_status(kafka, weir):
    topic = "raw-" + uuid.uuid4().hex[:8]
    url = f"kafka://{kafka.address}/{topic}"
    assert b"50 partitions" in weir("queue", "init", "--queue", url).stdout
    r = weir("queue", "init", "--queue", url)
    assert b"is there already" in r.stdout and not r.stderr
    r = weir("queue", "init", "--queue", url + "?partitions=60&retention=1d", check=False)
    assert r.returncode == 1 and b"50 partitions, asked for are 60" in r.stderr
    assert b"604800 s, asked for are 86400 s" in r.stderr
    kafka.produce(topic, ["x"] * 5, partition=7)
    st = json.loads(weir("queue", "status", "--json", "--queue", url).stdout)
    assert (st["partitions"], st["retention_ms"], st["messages"], st["lag"]) == (50, 7 * 86400000, 5, 5)
    assert b"5 messages, 5 of them not stored yet" in weir("queue", "status", "--queue", url).stdout
    r = weir("queue", "status", "--queue", "disk:", check=False)
    assert r.returncode == 2 and b"Kafka" in r.stderr


def test_acknowledged_is_there(kafka, make_server):
    """202 is sent when the body is durable in Kafka and can be found."""
    topic = kafka.topic(partitions=4)
    server = make_server(args=queue(kafka, topic))
    for i in range(0, 300, 3):
        assert server.ingest(lines(range(i, i + 3)), stream="app")["accepted"] == 3
        assert len(numbers(server)) == i + 3
    # A part a service: what is of one service stands in one partition, keyed by it.
    messages = [m for m in kafka.consume(topic, 300) if m.key() and m.key().startswith(b"pay-")]
    assert len(messages) == 300
    assert len({(m.key(), m.partition()) for m in messages}) == 5
    assert dict(messages[0].headers())["part"].endswith(b"/3")
    # Stored: the group's offsets follow, and a restart reads nothing again.
    server.flush()
    eventually(lambda: sum(max(kafka.committed("g-" + topic, topic, p), 0) for p in range(4)) >= 300)
    server.stop()
    server.start()
    assert numbers(server) == Counter(range(300)) and queue_stats(server)["replayed_frames"] < 20
    assert "a catalog of its own" not in server.log.read_text()


def test_warns_and_refuses(kafka, make_server, weir, tmp_path):
    topic = kafka.topic(partitions=4)
    server = make_server(args=queue(kafka, topic))
    assert "it has 4 partitions, asked for are 50" in server.log.read_text()
    r = weir("server", "--data", str(tmp_path / "x"), "--listen", "127.0.0.1:0", *queue(kafka, "no-such"), check=False)
    assert r.returncode != 0 and b"weir queue init" in r.stderr
    r = weir("server", "--data", str(tmp_path / "x"), "--listen", "127.0.0.1:0", *queue(kafka, "t", sesion="1s"),
             check=False)
    assert r.returncode != 0 and b'did you mean "session"' in r.stderr


def test_killed_many_times(kafka, make_server):
    """Senders with keys that repeat until they are answered; the server is killed again and again."""
    topic, senders, each = kafka.topic(partitions=6), 3, 120
    server = make_server(args=queue(kafka, topic))
    stop = threading.Event()

    def send(who):
        for i in range(each):
            base = (who * each + i) * 10
            while not stop.is_set():
                try:
                    r = requests.post(server.url + "/api/v1/logs/ingest", params={"stream": "app"},
                                      data=lines(range(base, base + 10)), timeout=20,
                                      headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": f"{who}-{i}"})
                    if r.status_code == 202:
                        break
                except requests.RequestException:
                    pass
                time.sleep(0.02)

    threads = [threading.Thread(target=send, args=(w,)) for w in range(senders)]
    for t in threads:
        t.start()
    for turn in range(6):
        time.sleep(0.5 + 0.15 * (turn % 3))
        if turn == 3:
            server.flush()
        server.kill()
        server.start()
    for t in threads:
        t.join(120)
    stop.set()
    want = Counter(range(senders * each * 10))
    eventually(lambda: len(numbers(server)) == len(want))
    time.sleep(0.5)
    assert numbers(server) == want
    server.flush()
    server.stop()
    server.start()
    assert numbers(server) == want


def test_agents_write_to_it(kafka, make_server, make_agent, tmp_path):  # noqa: F811
    """Straight to the topic and by HTTP; both agents and the server are killed: every line is there, once."""
    topic = kafka.topic(partitions=3)
    server = make_server(args=queue(kafka, topic))
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    outputs = [f"kafka://{kafka.address}/{topic}?format=frames&timeout=5s", server.url]
    agents = [make_agent(f"agent-{i}", "--file", str(log), "--stream", log.stem, output=to).start()
              for i, (log, to) in enumerate(zip(logs, outputs))]

    def log_lines():
        for n in range(0, 6000, 100):
            for log in logs:
                write(log, n, 100)
            time.sleep(0.04)

    writer = threading.Thread(target=log_lines)
    writer.start()
    for turn in range(6):
        time.sleep(0.5)
        victim = [*agents, server][turn % 3]
        victim.kill()
        victim.start()
    writer.join()

    def got(stream):
        return Counter(r["message"].split()[0] for r in server.query("* | fields message", stream=stream))

    want = Counter(f"n{i}" for i in range(6000))
    for stream in ("a", "b"):
        eventually(lambda: len(got(stream)) == 6000, 60)
    time.sleep(1)
    assert got("a") == want and got("b") == want


def test_broker_away(make_kafka, make_server):
    broker = make_kafka()
    topic = broker.topic(partitions=3)
    server = make_server(args=queue(broker, topic, timeout="2s"))
    server.ingest(lines(range(100)), stream="app")
    broker.kill()
    began = time.monotonic()
    r = requests.post(server.url + "/api/v1/logs/ingest", params={"stream": "app"}, data=lines(range(100, 110)),
                      headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}, timeout=60)
    assert r.status_code in (503, 504) and time.monotonic() - began < 20, r.text
    assert numbers(server) == Counter(range(100))  # search goes on
    eventually(lambda: queue_stats(server)["poisoned"])
    # A server that starts meanwhile serves what it has.
    server.flush()
    server.kill()
    server.start()
    assert numbers(server) == Counter(range(100))
    broker.start()

    def again():
        r = requests.post(server.url + "/api/v1/logs/ingest", params={"stream": "app"}, data=lines(range(100, 110)),
                          headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}, timeout=60)
        return r.status_code == 202

    eventually(again, 60)
    eventually(lambda: len(numbers(server)) == 110)
    assert numbers(server) == Counter(range(110))


def test_broker_hangs_and_loses(make_kafka, make_server):
    """A broker that is stopped keeps its connections and answers nothing: what was taken in is searched and published.
    One that comes back without what it had last ends a producer for good: another takes its place."""
    broker = make_kafka()
    topic = broker.topic()
    server = make_server(args=queue(broker, topic, timeout="2s"))

    def send(n):
        r = requests.post(server.url + "/api/v1/logs/ingest", params={"stream": "app"}, data=lines([n]),
                          headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": f"k{n}"}, timeout=60)
        return r.status_code == 202

    for n in range(5):
        assert send(n)
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        server.flush()
        assert numbers(server) == Counter(range(5))
        assert time.monotonic() - began < 20
        shutil.copytree(broker.folder / "data" / f"{topic}-0", broker.folder / "before")
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    eventually(lambda: broker.committed("g-" + topic, topic) == 5, 60)
    for n in range(5, 10):
        eventually(lambda: send(n), 60)
    broker.kill()
    shutil.rmtree(broker.folder / "data" / f"{topic}-0")
    (broker.folder / "before").rename(broker.folder / "data" / f"{topic}-0")
    broker.start()
    eventually(lambda: send(10), 60)
    assert "producer has ended, and is made anew" in server.log.read_text()
    eventually(lambda: numbers(server) == Counter(range(11)), 60)


def test_joins_anew_when_fenced(kafka, make_server):
    """Another takes the server's name in the group: its client ends for good, and another takes its place."""
    from confluent_kafka import Consumer
    topic = kafka.topic(partitions=2)
    server = make_server(args=queue(kafka, topic, instance="node-1"))
    server.ingest(lines(range(50)), stream="app")
    admin = kafka.admin()  # it answers as long as it is kept
    group = admin.describe_consumer_groups(["g-" + topic])["g-" + topic].result(60)
    name = group.members[0].group_instance_id
    assert name.startswith("node-1-")
    thief = Consumer(kafka.config(group_id="g-" + topic, group_instance_id=name,
                                  partition_assignment_strategy="cooperative-sticky"))
    thief.subscribe([topic])
    eventually(lambda: thief.poll(0.1) and False or "it will join anew" in server.log.read_text(), 60)
    thief.close()
    server.ingest(lines(range(50, 100)), stream="app")
    eventually(lambda: numbers(server) == Counter(range(100)), 60)
    server.flush()
    eventually(lambda: committed(kafka, topic) == 10)


def test_another_topic_at_once(kafka, make_server):
    """Killed, and back within its session with another topic: brokers would give its name the partitions of the
    first. Both topics' records are stored once, whichever is read when."""
    one, two = kafka.topic(partitions=4), kafka.topic(partitions=2)
    args = {t: queue(kafka, t, group="g-" + one) for t in (one, two)}
    first, second = Counter(range(1000)), Counter(range(5000, 5050))
    server = make_server(args=args[one])
    for n in range(0, 1000, 50):
        server.ingest(lines(range(n, n + 50)), stream="app")
    server.kill()
    kafka.produce(two, ["no frame"] * 3, partition=0)
    server.args = args[two]
    server.start()
    server.ingest(lines(second), stream="app")
    eventually(lambda: second <= numbers(server) <= first + second, 60)
    server.flush()
    server.kill()
    server.args = args[one]
    server.start()
    eventually(lambda: numbers(server) == first + second, 60)
    assert kafka.committed("g-" + one, two, 1) > 0


def test_topic_made_anew(kafka, make_server):
    """The brokers have lost what was written: what comes later is taken in, and found."""
    topic = kafka.topic(partitions=1)
    server = make_server(args=queue(kafka, topic, timeout="2s"))
    for n in range(20):
        server.ingest(lines([n]), stream="app")
    kafka.delete(topic)
    kafka.topic(topic)

    def taken():
        r = requests.post(server.url + "/api/v1/logs/ingest", params={"stream": "app"}, data=lines([100]),
                          headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}, timeout=60)
        return r.status_code == 202

    eventually(taken, 60)
    server.flush()
    eventually(lambda: numbers(server) == Counter([*range(20), 100]))


def test_two_servers_and_one_dies(kafka, make_server):
    """They share the partitions; those of one that is killed are read by the other within 10 s."""
    topic = kafka.topic(partitions=6)
    a = make_server("a", queue(kafka, topic, session="4s"))
    b = make_server("b", queue(kafka, topic, session="4s"))
    keys = [f"pay-{i}" for i in range(40)]

    def send(server, base):
        server.ingest("".join(json.dumps({"n": base + i, "service": k}) + "\n" for i, k in enumerate(keys)).encode(),
                      stream="app")

    def both():
        return numbers(a) + numbers(b)

    eventually(lambda: "partitions given" in a.log.read_text(), 60)
    send(a, 0)
    eventually(lambda: both() == Counter(range(40)))
    assert numbers(a) and numbers(b)
    eventually(lambda: all("each keeps a catalog of its own" in s.log.read_text() for s in (a, b)))
    a.flush()
    b.flush()
    b.kill()
    died = time.monotonic()
    send(a, 1000)
    eventually(lambda: len([n for n in numbers(a) if n >= 1000]) == 40, 10)
    assert time.monotonic() - died < 10
    b.start()
    eventually(lambda: both() == Counter(range(40)) + Counter(range(1000, 1040)))


def test_what_is_no_frame(kafka, make_server):
    topic = kafka.topic()
    kafka.produce(topic, ["no frame", b"WRF\x01" + bytes(300)])
    server = make_server(args=queue(kafka, topic))
    server.ingest(lines(range(10)), stream="app")
    assert numbers(server) == Counter(range(10))
    assert len(list((server.data / "quarantine").glob("*.frame"))) == 2
    server.flush()
    server.stop()
    server.start()
    assert numbers(server) == Counter(range(10))


def test_ids_land_once(kafka, make_server):
    """Records with an id, sent again and again in other bodies, over a flush and over a kill."""
    topic = kafka.topic(partitions=3)
    server = make_server(args=queue(kafka, topic))

    def send(numbers_):
        body = "".join(json.dumps({"n": n, "log_id": f"id-{n}", "service": f"s-{n % 3}"}) + "\n" for n in numbers_)
        server.ingest(body.encode(), stream="app")

    send(range(10))
    send(range(5, 15))
    server.flush()
    send(range(12, 20))
    server.kill()
    server.start()
    send(range(0, 22))
    assert numbers(server) == Counter(range(22))
    # A sender that was not answered, twice with one key.
    for _ in range(2):
        server.ingest(lines(range(100, 110)), stream="app", **{"Idempotency-Key": "once"})
    assert numbers(server) == Counter([*range(22), *range(100, 110)])


def test_routes(kafka, make_server, tmp_path):
    """Routes behind a topic read it in a group of their own, beside the store, and send each record once; a kill and a
    change of the configuration in between."""
    topic, to = kafka.topic(partitions=2), tmp_path / "errors.ndjson"
    conf = tmp_path / "server.yaml"
    routes = f"routes: [{{name: errors, output: 'file://{to}', where: 'level:ERROR', wait: 50ms}}"
    conf.write_text(f"queue: {{url: 'kafka://{kafka.address}/{topic}?group=g-{topic}&instance=a'}}\n{routes}]\n")
    server = make_server(args=["--config", str(conf)])

    def send(first):
        records = [{"n": n, "service": f"s-{n % 3}", "level": "ERROR" if n % 10 == 0 else "INFO"}
                   for n in range(first, first + 10)]
        server.ingest("".join(json.dumps(r) + "\n" for r in records).encode(), stream="app")

    eventually(lambda: [kafka.committed(f"g-{topic}-routes", topic, p) for p in (0, 1)] == [0, 0])  # it has begun
    for i in range(0, 100, 10):
        send(i)
        if i == 50:
            server.kill()
            server.start()

    def settled(name, sent, dropped):
        books = requests.get(server.url + "/api/v1/ledger", timeout=30).json()
        routes = [r for p in books["pipelines"] if p["pipeline"] == "queue" for r in p["routes"] if r["route"] == name]
        return books["balanced"] and [(r["sent"], r["dropped"], r["waiting"]) for r in routes] == [(sent, dropped, 0)]

    eventually(lambda: settled("errors", 10, 90))
    assert numbers(server) == Counter(range(100))
    assert set(json.loads(x)["n"] for x in to.read_text().splitlines()) == set(range(0, 100, 10))
    conf.write_text(conf.read_text().replace(routes, routes + f", {{output: 'file://{tmp_path}/all.ndjson', name: all}}"))
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: settled("all", 0, 0))
    send(100)
    eventually(lambda: settled("errors", 11, 99) and settled("all", 10, 0))


def test_groups_read_independently(kafka, make_server):
    topic = kafka.topic(partitions=2)
    a = make_server("a", queue(kafka, topic, "one"))
    b = make_server("b", queue(kafka, topic, "two"))
    a.ingest(lines(range(50)), stream="app")
    for server in (a, b):
        eventually(lambda: numbers(server) == Counter(range(50)))
