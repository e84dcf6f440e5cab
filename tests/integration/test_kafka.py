"""The input kafka://, against a real broker and with confluent-kafka beside it."""
import json
import pathlib
import signal
import threading
import time
import uuid

import confluent_kafka
import msgpack
import pytest

from conftest import WEIR
from inputs import inputs
from parts.kafka import PASSWORD, USER


def reader(broker, topic, group="g", **params):
    """The arguments of a server that reads the topic."""
    params = "".join(f"&{k}={v}" for k, v in params.items())
    return ["--input", f"kafka://{broker.address}/{topic}?group={group}&session=6s{params}"]


def rows(server, want, stream="kafka", seconds=60):
    """All records of the stream, once there are so many."""
    deadline = time.monotonic() + seconds
    while True:
        got = server.query("*", stream=stream)
        if len(got) >= want or time.monotonic() > deadline:
            return got
        time.sleep(0.1)


def status(server):
    return next(i for i in inputs(server) if i["type"] == "kafka")


def eventually(check, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.1)
    return value


RECORDS = [{"n": i, "level": "INFO", "service": f"pay-{i % 3}", "deep": {"list": [1, "a"], "x": None}}
           for i in range(200)]


@pytest.mark.parametrize("form", ["json", "auto"])
def test_json(kafka, make_server, form):
    topic = kafka.topic(partitions=3)
    kafka.produce(topic, RECORDS[:100], key="k")
    server = make_server(args=reader(kafka, topic, format=form))
    assert len(rows(server, 100)) == 100
    kafka.produce(topic, RECORDS[100:])
    got = rows(server, 200)
    assert sorted((strip(r) for r in got), key=lambda r: r["n"]) == RECORDS
    st = eventually(lambda: (s := status(server))["lag"] == 0 and s["accepted"] >= 200 and s)
    assert (st["accepted"], st["refused"], st["connections"]) == (200, 0, 3)
    assert kafka.address in st["address"]


def strip(row):
    return {k: v for k, v in row.items() if not k.startswith("_")}


def test_text_and_msgpack(kafka, make_server):
    text, packed = kafka.topic(), kafka.topic()
    kafka.produce(text, ["2025-02-15T12:00:00Z ERROR first\n\tat Java.main(1)", "second line"])
    kafka.produce(packed, [msgpack.packb(r) for r in RECORDS[:5]] + [msgpack.packb(RECORDS[5:8])])
    server = make_server(args=reader(kafka, text, format="text", stream="text") +
                         reader(kafka, packed, format="msgpack", stream="packed"))
    got = rows(server, 2, "text")
    assert {r["message"] for r in got} == {"2025-02-15T12:00:00Z ERROR first\n\tat Java.main(1)", "second line"}
    first = next(r for r in got if "first" in r["message"])
    assert (first["_time"], first["level"]) == ("2025-02-15T12:00:00Z", "ERROR")
    packed_rows = rows(server, 8, "packed")
    assert sorted((strip(r) for r in packed_rows), key=lambda r: r["n"]) == RECORDS[:8]


def test_place_and_time(kafka, make_server):
    topic = kafka.topic()
    kafka.produce(topic, ['{"a": 1}', "plain", msgpack.packb({"b": 2}), None], key="who")
    server = make_server(args=reader(kafka, topic, fields="true"))
    got = sorted(rows(server, 3), key=lambda r: r["kafka"]["offset"])
    assert [r["kafka"] for r in got] == [
        {"topic": topic, "partition": 0, "offset": i, "key": "who"} for i in range(3)]
    assert (got[0]["a"], got[1]["message"], got[2]["b"]) == (1, "plain", 2)


def test_bad_records_are_dead_letters(kafka, make_server):
    topic = kafka.topic()
    kafka.produce(topic, ['{"n": 1}', '{"n": ', "[1]", '{"n": 2}'])
    server = make_server(args=reader(kafka, topic, format="json"))
    assert sorted(r["n"] for r in rows(server, 2)) == [1, 2]
    dead = rows(server, 2, "_dead_letters")
    assert len(dead) == 2, (dead, status(server))
    assert [any(f"{topic}/0/{offset}: " in r["reason"] for r in dead) for offset in (1, 2)] == [True, True]
    assert eventually(lambda: status(server)["refused"]) == 2


def test_killed_many_times(kafka, make_server):
    """A producer sends all the time, the server dies again and again: nothing is lost, nothing doubled."""
    topic, total = kafka.topic(partitions=4), 40000
    server = make_server(args=reader(kafka, topic, format="json", instance="one"))

    def produce():
        for i in range(0, total, 2000):
            kafka.produce(topic, ({"n": n} for n in range(i, i + 2000)))

    sender = threading.Thread(target=produce)
    sender.start()
    for i in range(6):
        time.sleep(0.3 + 0.1 * (i % 4))
        server.kill()
        server.start()
    sender.join()
    rows(server, total)
    time.sleep(1)
    got = sorted(r["n"] for r in server.query("* | fields n", stream="kafka"))
    assert len(got) == total and got == list(range(total))


def note(broker, group, topic, first, end):
    """Commits as the input does before it hands a batch on."""
    consumer = confluent_kafka.Consumer(broker.config(group_id=group))
    consumer.commit(offsets=[confluent_kafka.TopicPartition(topic, 0, first, metadata=str(end))], asynchronous=False)
    consumer.close()


def test_broker_hangs_within_a_noted_batch(make_kafka, make_server):
    """A batch has landed, and is read again: its end is waited for as long as brokers say nothing."""
    kafka, topic, total = make_kafka(), "t", 12000
    kafka.topic(topic)
    kafka.produce(topic, ({"n": n, "text": f"{n:03000}"} for n in range(total)))
    note(kafka, "g", topic, 0, total)
    server = make_server(args=reader(kafka, topic, format="json", session="30s"))
    assert len(rows(server, total)) == total
    deadline = time.monotonic() + 300
    while True:
        server.stop()
        note(kafka, "g", topic, 0, total)
        server.start()
        while not status(server)["bytes"]:
            pass
        kafka.process.send_signal(signal.SIGSTOP)
        time.sleep(7)
        if status(server)["bytes"] < total * 3000:
            break
        kafka.process.send_signal(signal.SIGCONT)  # all of it was on its way already
        assert time.monotonic() < deadline, "it is always too fast"
    assert status(server)["duplicates"] == 0
    kafka.process.send_signal(signal.SIGCONT)
    eventually(lambda: status(server)["duplicates"] == total, 60)
    assert len(server.query("* | fields n", stream="kafka")) == total


def test_a_noted_batch_whose_end_is_gone(kafka, make_server):
    """It ends where the partition does, with or without what lies behind it."""
    topic = kafka.topic()
    kafka.produce(topic, RECORDS[:50])
    note(kafka, topic, topic, 0, 80)
    server = make_server(args=reader(kafka, topic, group=topic))
    assert len(rows(server, 50)) == 50
    kafka.produce(topic, RECORDS[50:])
    assert len(rows(server, 200)) == 200


def trace(i):
    return f"payment {i} failed\njava.net.SocketTimeoutException: 5 s\n\tat Stripe.pay(Stripe.java:{i})"


def traces(first, n):
    """Of two keys, mixed line by line."""
    for i in range(first, first + n, 2):
        for pair in zip(trace(i).split("\n"), trace(i + 1).split("\n")):
            yield from zip(("key-0", "key-1"), pair)


def produce_lines(kafka, topic, lines, partition):
    p = confluent_kafka.Producer({"bootstrap.servers": kafka.address})
    for key, value in lines:
        p.produce(topic, value, key=key, partition=partition)
    assert p.flush(30) == 0


def test_lines_that_belong_together(kafka, make_server):
    """Messages that are lines become records, each once, however often the server is killed in between."""
    topic, total = kafka.topic(partitions=2), 12000
    server = make_server(args=reader(kafka, topic, multiline="java", multiline_wait="2s", instance="one", stream="lines"))

    def produce():
        for i in range(0, total, 500):
            produce_lines(kafka, topic, traces(i, 500), i // 500 % 2)
            time.sleep(0.05)

    sender = threading.Thread(target=produce)
    sender.start()
    for i in range(4):
        time.sleep(0.5 + 0.2 * i)
        server.kill()
        server.start()
    sender.join()
    got = rows(server, total, stream="lines")
    assert sorted(r["message"] for r in got) == sorted(map(trace, range(total)))
    committed = lambda: sum(kafka.committed("g", topic, p) for p in (0, 1))
    eventually(lambda: committed() == 3 * total)

    # Lines of one record that come one by one.
    lines = [*traces(total, 2)]
    produce_lines(kafka, topic, lines[:3], 0)
    produce_lines(kafka, topic, lines[3:], 0)
    got = rows(server, total + 2, stream="lines")
    assert sorted(r["message"] for r in got) == sorted(map(trace, range(total + 2)))
    eventually(lambda: committed() == 3 * total + 6)


def test_committed_is_durable(kafka, make_server):
    """The group's offset moves to the end, and another server with the group reads nothing again."""
    topic, group = kafka.topic(), uuid.uuid4().hex
    kafka.produce(topic, RECORDS)
    server = make_server(args=reader(kafka, topic, group=group))
    assert len(rows(server, 200)) == 200
    eventually(lambda: kafka.committed(group, topic) == 200)
    server.stop()
    other = make_server("other", reader(kafka, topic, group=group))
    kafka.produce(topic, [{"late": 1}])
    assert [strip(r) for r in rows(other, 1)] == [{"late": 1}]


def test_other_topics_at_once(kafka, make_server):
    """Killed, and back within its session with other topics: brokers would give its name what it had."""
    one, two = kafka.topic(partitions=3), kafka.topic(partitions=2)
    args = {t: reader(kafka, t, group=one, instance="m") for t in (one, f"^{two}$", f"{two},{one}")}
    both = [*range(100), *range(1000, 1040)]
    server = make_server(args=args[one])
    kafka.produce(one, RECORDS[:100])
    assert len(rows(server, 100)) == 100
    server.kill()
    kafka.produce(one, RECORDS[100:])
    kafka.produce(two, [{"n": n} for n in range(1000, 1040)])
    server.args = args[f"^{two}$"]
    server.start()
    assert sorted(r["n"] for r in rows(server, 140)) == both
    server.kill()
    server.args = args[f"{two},{one}"]
    server.start()
    assert sorted(r["n"] for r in rows(server, 240)) == [*range(200), *range(1000, 1040)]


def test_latest_stays_where_it_began(kafka, make_server):
    """A group that begins at the end misses nothing of what comes while its only member is away."""
    topic = kafka.topic(partitions=2)
    kafka.produce(topic, RECORDS[:5], partition=0)
    server = make_server(args=reader(kafka, topic, "l-" + topic, offset="latest", instance="one"))
    eventually(lambda: [kafka.committed("l-" + topic, topic, p) for p in (0, 1)] == [5, 0])
    server.kill()
    kafka.produce(topic, RECORDS[5:8], partition=0)
    kafka.produce(topic, RECORDS[8:10], partition=1)
    server.start()
    assert sorted((strip(r) for r in rows(server, 5)), key=lambda r: r["n"]) == RECORDS[5:10]


def test_sasl_and_tls(make_kafka, make_server, weir):
    broker = make_kafka(tls=True)
    topic = broker.topic()
    broker.produce(topic, RECORDS[:10])
    url = f"kafka+tls://{USER}:%s@{broker.tls_address}/{topic}?tls_ca={broker.ca}"
    server = make_server(args=["--input", url % PASSWORD])
    assert len(rows(server, 10)) == 10, status(server)
    wrong = make_server("wrong", ["--input", url % "not-the-password"])
    eventually(lambda: "uthentication" in status(wrong)["last_error"])
    assert "not-the-password" not in wrong.log.read_text() and PASSWORD not in server.log.read_text()
    assert wrong.query("*", stream="kafka") == []
    # Debian's librdkafka cannot do SCRAM with this broker; the one of confluent-kafka, in its place, can.
    newer = next(pathlib.Path(confluent_kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka-*"))
    for sasl in () if "asan" in str(WEIR) or "tsan" in str(WEIR) else ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        shown = weir("queue", "status", "--queue", url % PASSWORD + "&sasl=" + sasl, env={"LD_PRELOAD": str(newer)})
        assert b"10 messages" in shown.stdout
    # The broker goes away and comes back.
    broker.restart()
    broker.produce(topic, RECORDS[10:20])
    assert len(rows(server, 20)) == 20


@pytest.mark.parametrize("url, says", [
    ("kafka://127.0.0.1:1", "a topic is wanted"),
    ("kafka://127.0.0.1:1/a b", "space"),
    ("kafka://127.0.0.1:1/t?gruop=x", 'did you mean "group"'),
    ("kafka://127.0.0.1:1/t?format=xml", "format=xml: auto, json, text, msgpack or frames is wanted"),
    ("kafka://127.0.0.1:1/t?multiline=jav", "jav"),
    ("kafka://127.0.0.1:1/t?multiline_wait=1s", "needs multiline="),
    ("kafka://127.0.0.1:1/t?multiline=java&format=json", "goes with format=text"),
    ("kafka://127.0.0.1:1/t?rdkafka.no.such=1", "no.such"),
    ("kafka://127.0.0.1:1/t?tls_ca=/x", "kafka+tls"),
    ("kafka://127.0.0.1:1/t?sasl=PLAIN", "wants a user"),
    ("forward://127.0.0.1:1,127.0.0.2:1", "takes one host"),
])
def test_what_is_wrong_is_said(weir, tmp_path, url, says):
    r = weir("server", "--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--input", url, check=False)
    assert r.returncode != 0 and says in r.stderr.decode()
