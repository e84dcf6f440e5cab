"""The output kafka://, against a real broker: read back with confluent-kafka, and by Weir's own input."""
import json
import threading
import time
from collections import Counter

import msgpack
import pytest

from conftest import WEIR
from test_agent import make_agent, wait_for, write  # noqa: F401 (a fixture)
from test_kafka import eventually, inputs, reader, rows


def records(log, numbers):
    with open(log, "a") as f:
        for n in numbers:
            f.write(json.dumps({"n": n, "service": f"pay-{n % 5}", "deep": {"list": [n, "é\n"], "f": 0.5}}) + "\n")


def output(broker, topic, **params):
    return f"kafka://{broker.address}/{topic}?" + "&".join(f"{k}={v}" for k, v in params.items())


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_records(kafka, make_agent, tmp_path, form):  # noqa: F811
    topic, log = kafka.topic(partitions=4), tmp_path / "app.log"
    records(log, range(500))
    make_agent("agent", "--file", str(log), output=output(kafka, topic, format=form, compression="lz4")).start()
    messages = kafka.consume(topic, 500)
    got = [msgpack.unpackb(m.value()) if form == "msgpack" else json.loads(m.value()) for m in messages]
    got.sort(key=lambda r: r["n"])
    assert [(r["n"], r["service"], r["deep"]) for r in got] == [
        (n, f"pay-{n % 5}", {"list": [n, "é\n"], "f": 0.5}) for n in range(500)]
    # A service is one key, and so one partition, in the order of the file.
    places = {}
    for m, r in zip(messages, (msgpack.unpackb(m.value()) if form == "msgpack" else json.loads(m.value())
                               for m in messages)):
        assert m.key() == r["service"].encode()
        places.setdefault(r["service"], set()).add(m.partition())
        assert len(places[r["service"]]) == 1
    for service in places:
        order = [json.loads(m.value())["n"] for m in messages if m.key() == service.encode()] if form == "json" else []
        assert order == sorted(order)


def test_lines(kafka, make_agent, tmp_path):  # noqa: F811
    topic, log = kafka.topic(), tmp_path / "app.log"
    write(log, 0, 20)
    make_agent("agent", "--file", str(log), output=output(kafka, topic, format="text", key="")).start()
    got = kafka.consume(topic, 20)
    assert [m.value().decode() for m in got] == [f"n{i} some text of a line" for i in range(20)]
    assert got[0].key() is None


def test_too_large_is_a_dead_letter(kafka, make_agent, tmp_path):  # noqa: F811
    topic, log = kafka.topic(max_message_bytes=20000), tmp_path / "app.log"
    records(log, range(3))
    with open(log, "a") as f:
        f.write(json.dumps({"n": "large", "x": "".join(map(str, range(9000)))}) + "\n")
    records(log, range(3, 6))
    a = make_agent("agent", "--file", str(log),
                   output=output(kafka, topic, compression="none", **{"rdkafka.batch.num.messages": 1})).start()
    wait_for(lambda: list(a.data.glob("dead/*.ndjson")))
    assert [json.loads(m.value())["n"] for m in kafka.consume(topic, 6)] == list(range(6))
    dead = [json.loads(line) for line in next(a.data.glob("dead/*.ndjson")).read_text().splitlines()]
    assert [d["record"]["n"] for d in dead] == ["large"] and "larger than a message" in dead[0]["reason"]


def test_broker_away(make_kafka, make_agent, tmp_path):  # noqa: F811
    """Killed and started again while an agent sends: all is there, twice only where a bulk came again."""
    broker = make_kafka()
    topic, log = broker.topic(), tmp_path / "app.log"
    a = make_agent("agent", "--file", str(log), output=output(broker, topic, timeout="2s")).start()
    records(log, range(500))
    time.sleep(0.3)
    broker.kill()
    records(log, range(500, 1000))
    time.sleep(1)
    broker.start()
    records(log, range(1000, 1500))
    wait_for(lambda: set(json.loads(m.value())["n"] for m in broker.consume(topic, 1000)) == set(range(1500)), 60)
    assert not list(a.data.glob("dead/*"))


def test_frames_land_once(kafka, make_agent, make_server, tmp_path):  # noqa: F811
    """Agent, Kafka, server; both ends killed all the time: every line is there, once."""
    topic, log, total = kafka.topic(partitions=3), tmp_path / "app.log", 20000
    server = make_server(args=reader(kafka, topic, format="frames", instance="one"))
    a = make_agent("agent", "--file", str(log), "--stream", "app",
                   output=output(kafka, topic, format="frames", timeout="5s")).start()

    def log_lines():
        for n in range(0, total, 100):
            records(log, range(n, n + 100))
            time.sleep(0.03)

    writer = threading.Thread(target=log_lines)
    writer.start()
    for turn in range(8):
        time.sleep(0.6)
        if turn % 2:
            server.kill()
            server.start()
        else:
            a.kill()
            a.start()
    writer.join()
    rows(server, total, "app")
    time.sleep(1)
    got = Counter(r["n"] for r in server.query("* | fields n", stream="app"))
    assert got == Counter(range(total))


def test_frames_sent_again(kafka, make_agent, make_server, tmp_path):  # noqa: F811
    """Agents that were killed send again what they had sent: it stands in the topic behind later frames, or twice."""
    topic, again, log = kafka.topic(), kafka.topic(), tmp_path / "app.log"
    a = make_agent("agent", "--file", str(log), "--stream", "app", output=output(kafka, topic, format="frames")).start()
    for n in range(6):
        write(log, n, 1)
        wait_for(lambda: kafka.end(topic) == n + 1)
    a.stop()
    frames = [m.value() for m in kafka.consume(topic, 6)]
    assert len(frames) == 6
    for part in (frames[:4], frames[2:4], frames[3:4], frames[:1], frames):
        kafka.produce(again, part)
    server = make_server(args=reader(kafka, again, format="frames"))
    eventually(lambda: inputs(server)[0]["accepted"] == 6 and inputs(server)[0]["lag"] == 0)
    assert sorted(r["message"].split()[0] for r in server.query("*", stream="app")) == [f"n{i}" for i in range(6)]
    assert not server.query("*", stream="_dead_letters")


def test_no_frame_is_a_dead_letter(kafka, make_agent, make_server, tmp_path):  # noqa: F811
    topic, log = kafka.topic(), tmp_path / "app.log"
    server = make_server(args=reader(kafka, topic, format="frames"))
    kafka.produce(topic, ["no frame at all"])
    records(log, range(10))
    make_agent("agent", "--file", str(log), "--stream", "app", output=output(kafka, topic, format="frames")).start()
    assert len(rows(server, 10, "app")) == 10
    kafka.produce(topic, [b"WRF\x01 and then nonsense" + bytes(200)])
    dead = rows(server, 2, "_dead_letters")
    assert sorted(topic + place in r["reason"] for r in dead for place in ["/0/0: this is no frame"]) == [False, True]
    assert eventually(lambda: inputs(server)[0]["refused"]) == 2
    records(log, range(10, 20))
    assert len(rows(server, 20, "app")) == 20


def test_wrong_urls(weir, tmp_path):
    for url, says in {"kafka://h:1/": "topic", "kafka://h:1/a?acks=2": "all, 1 or 0", "kafka://h:1/t?format=xml": "xml",
                      "kafka://h:1/a%20b": "letters", "kafka://h:1/t?compresion=lz4": "compression"}.items():
        r = weir("agent", "--data", str(tmp_path / "a"), "--file", "/x", "--output", url, check=False)
        assert r.returncode != 0 and says in r.stderr.decode(), (url, r.stderr)
