"""The collector in parts: discoverers publish to Kafka, processors take from it."""
import contextlib
import json
import sqlite3
import time
import uuid

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource

from aurora import Collector, SlowLog, assert_same, stored, wait_for
from parts.rds import Rds


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def made(tmp_path, rds, make_server, kafka):
    run = uuid.uuid4().hex[:8]
    url = (f"kafka://{kafka.address}?group=g-{run}&partitions=3&error_topic=error-{run}&slowquery_topic=slow-{run}")
    server = make_server()
    logs = []
    for i in range(6):
        rds.add(f"db-{i}", tmp_path / f"db-{i}")
        logs.append(SlowLog(tmp_path / f"db-{i}", f"m{i}"))
    running = []

    def collector(name):
        c = Collector(tmp_path, rds, server if name != "finder" else None, name=name, args=["--queue", url],
                      env={"BATCH_SIZE": "20", "WEIR_AURORA_LEASE_SEC": "2"}, state=f"sqlite:{tmp_path}/state.db")
        running.append(c)
        return c

    yield logs, collector, server, url, run
    for c in running:
        if c.process and c.process.poll() is None:
            c.kill()


def committed(kafka, run):
    """Messages whose offsets the group has committed, and all that there are, of the slow logs' topic."""
    c = Consumer({"bootstrap.servers": kafka.address, "group.id": f"g-{run}"})
    parts = [TopicPartition(f"slow-{run}", p) for p in range(3)]
    for _ in range(50):  # a group that was never asked about has no coordinator at first
        try:
            have = sum(max(p.offset, 0) for p in c.committed(parts, timeout=10))
            break
        except KafkaException:
            time.sleep(0.2)
    want = sum(c.get_watermark_offsets(p, timeout=10)[1] for p in parts)
    c.close()
    return have, want


def expire(path, instance, seconds):
    """As if the message had been published so much earlier."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db, db:
        (body,) = db.execute("SELECT body FROM items WHERE tbl = 1 AND k1 = ?", (instance,)).fetchone()
        item = json.loads(body)
        item["published_at"] = {"N": str(int(item["published_at"]["N"]) - seconds)}
        db.execute("UPDATE items SET body = ? WHERE tbl = 1 AND k1 = ?", (json.dumps(item), instance))


def test_discover_publishes_and_process_takes(made, kafka, tmp_path):
    logs, collector, server, url, run = made
    for log in logs:
        log.write(30)
    finder = collector("finder")
    finder.once("discover")
    assert committed(kafka, run) == (0, 6)
    asked = ConfigResource(ConfigResource.Type.TOPIC, f"slow-{run}")
    admin = kafka.admin()
    config = admin.describe_configs([asked])[asked].result(20)
    assert config["retention.ms"].value == str(24 * 3600 * 1000)
    batches = [f.read_bytes() for f in kafka.folder.glob(f"data/slow-{run}-*/*.log")]
    assert {int.from_bytes(b[21:23], "big") & 7 for b in batches if b} == {3}  # attributes of a record batch: LZ4
    # What is still discovered when its message expires is published again, once.
    expire(tmp_path / "state.db", "db-3", 23 * 3600)
    expire(tmp_path / "state.db", "db-4", 24 * 3600 + 60)
    for _ in range(2):
        finder.once("discover")
        assert committed(kafka, run) == (0, 7)
    c = Consumer({"bootstrap.servers": kafka.address, "group.id": "looker-" + run, "auto.offset.reset": "earliest"})
    c.subscribe([f"slow-{run}"])
    m = c.poll(20)
    c.close()
    value = json.loads(m.value())
    assert m.key().decode() == f"{value['instance_id']}/slowquery/mysql-slowquery.log"
    assert value["log_type"] == "slowquery" and value["size"] > 0
    p = collector("worker")
    p.once("process")
    for log in logs:
        assert_same(server, log)
    assert committed(kafka, run) == (7, 7)
    # to the beginning: every message comes again, and not one line
    assert "done" in p.weir_queue("offsets", "reset", url).stdout
    assert committed(kafka, run) == (0, 7)
    p.start("process")
    wait_for(lambda: committed(kafka, run) == (7, 7), 60, "the messages")
    r = p.weir_queue("offsets", "reset", url, check=False)
    assert r.returncode == 1 and "stop the processors first" in r.stderr
    r = p.weir_queue("offsets", "delete-group", url, check=False)
    assert r.returncode == 1 and "stop the processors first" in r.stderr
    p.stop()
    p.weir_queue("offsets", "delete-group", url)
    assert committed(kafka, run) == (0, 7)
    for log in logs:
        assert_same(server, log)


def test_a_member_dies(made):
    logs, collector, server, url, run = made
    finder, one, two = collector("finder").start("discover"), collector("one").start("process"), collector("two").start("process")
    for turn in range(10):
        for log in logs:
            log.write(25)
        if turn == 6:
            one.kill()
        if turn == 4:
            logs[0].rotate("2025-08-03.15")
        time.sleep(0.4)
    wait_for(lambda: all(len(stored(server, x.tag)) == len(x.written) for x in logs), 60, "the rest")
    finder.stop()
    two.stop()
    for log in logs:
        assert_same(server, log)
