"""A real Kafka broker (KRaft, one node) on loopback, installed by scripts/parts.sh.

    kafka                  the broker that all tests of a run share; starts when first asked for
    make_kafka(tls=True)   one of a test's own, which it may stop, kill and start again

Topics do not come by themselves: `topic` makes one with a name that no other test has."""
import json
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
import pathlib

import pytest

from conftest import free_port
from parts.process import Process, part

USER, PASSWORD = "alice", "alice-secret"


def run(*command, cwd):
    r = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, (command, r.stdout[-2000:], r.stderr[-2000:])


class Kafka(Process):
    """PLAINTEXT on `address`; with tls also SASL_SSL (PLAIN, SCRAM-SHA-256 and -512) on `tls_address`, checked by `ca`."""

    def __init__(self, folder, tls=False, settings=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.controller, self.tls_port = free_port(), free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.tls_address = f"127.0.0.1:{self.tls_port}" if tls else None
        self.tls = tls
        self.ca = self.folder / "ca.pem"
        self.log = self.folder / "broker.log"
        self.java = ["java", "-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                     "-cp", f"{part('kafka') / 'lib'}/*"]
        if tls:
            self.make_certificates()
        (self.folder / "server.properties").write_text(self.properties(settings or {}))
        users = [a for m in ("SCRAM-SHA-256", "SCRAM-SHA-512") if tls
                 for a in ("-S", f"{m}=[name={USER},password={PASSWORD}]")]
        run(*self.java, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", "server.properties",
            *users, cwd=self.folder)

    def make_certificates(self):
        (self.folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        run("sh", "-ec", """
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 3650
            openssl req -newkey rsa:2048 -nodes -keyout k.key -out k.csr -subj /CN=localhost
            openssl x509 -req -in k.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out k.pem -extfile san
            openssl pkcs8 -topk8 -nocrypt -in k.key -out k.p8
            cat k.p8 k.pem > keystore.pem""", cwd=self.folder)

    def properties(self, settings):
        listeners = [f"PLAINTEXT://{self.address}"] + ([f"SASL_SSL://{self.tls_address}"] if self.tls else [])
        p = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{self.controller}"]),
            "advertised.listeners": ",".join(listeners),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 3000,  # so that one that was killed may soon start again
            "broker.heartbeat.interval.ms": 500,
            "log.segment.bytes": 16 << 20,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 4 << 20,
        }
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            p |= {f"{topic}.num.partitions": 1, f"{topic}.replication.factor": 1}
        p |= {"transaction.state.log.min.isr": 1, "share.coordinator.state.topic.min.isr": 1}
        if self.tls:
            p |= {"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
                  "ssl.keystore.type": "PEM", "ssl.keystore.location": self.folder / "keystore.pem",
                  "ssl.truststore.type": "PEM", "ssl.truststore.location": self.ca}
            p["listener.name.sasl_ssl.plain.sasl.jaas.config"] = \
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            for m in ("scram-sha-256", "scram-sha-512"):
                p[f"listener.name.sasl_ssl.{m}.sasl.jaas.config"] = \
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return "".join(f"{k}={v}\n" for k, v in (p | settings).items())

    def command(self):
        return [*self.java, "kafka.Kafka", "server.properties"]

    def is_ready(self):
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        self.admin().list_topics(timeout=20)
        return True

    # -- what tests do with it; confluent_kafka is asked for only here --

    def config(self, **more):
        return {"bootstrap.servers": self.address, **{k.replace("_", "."): v for k, v in more.items()}}

    def admin(self):
        from confluent_kafka.admin import AdminClient
        return AdminClient(self.config())

    def topic(self, name=None, partitions=1, **config):
        """Makes it and answers its name."""
        from confluent_kafka.admin import NewTopic
        name = name or "t-" + uuid.uuid4().hex[:12]
        config = {k.replace("_", "."): str(v) for k, v in config.items()}
        admin = self.admin()  # it must live until the answer comes
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
            future.result(60)
        return name

    def delete(self, topic):
        admin = self.admin()
        for future in admin.delete_topics([topic]).values():
            future.result(60)

    def produce(self, topic, values, key=None, partition=-1, headers=None):
        from confluent_kafka import Producer
        p = Producer(self.config(linger_ms=5, enable_idempotence=True))
        failed = []
        for value in values:
            if isinstance(value, dict):
                value = json.dumps(value)
            while True:
                try:
                    p.produce(topic, value, key=key, partition=partition, headers=headers,
                              on_delivery=lambda e, _: e and failed.append(e))
                    break
                except BufferError:
                    p.poll(0.1)
            p.poll(0)
        assert p.flush(60) == 0 and not failed, failed[:3]

    def consume(self, topic, n, seconds=60):
        """The first n messages of the topic, and what more comes within half a second."""
        from confluent_kafka import Consumer
        c = Consumer(self.config(group_id=uuid.uuid4().hex, auto_offset_reset="earliest", enable_auto_commit=False))
        c.subscribe([topic])
        got, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            m = c.poll(0.5)
            if m is None and len(got) >= n:
                break
            if m is not None and not m.error():
                got.append(m)
        c.close()
        assert len(got) >= n, f"{len(got)} of {n} messages came"
        return got

    def end(self, topic, partition=0):
        """The offset behind the last message."""
        from confluent_kafka import Consumer, TopicPartition
        c = Consumer(self.config(group_id="end"))
        end = c.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)[1]
        c.close()
        return end

    def committed(self, group, topic, partition=0):
        """The offset that the group has committed; -1: none."""
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
        admin = self.admin()
        for future in admin.list_consumer_group_offsets([asked]).values():
            offset = future.result(60).topic_partitions[0].offset
        return max(offset, -1)


@pytest.fixture(scope="session")
def kafka():
    with tempfile.TemporaryDirectory(prefix="weir-kafka-", ignore_cleanup_errors=True) as folder:
        broker = Kafka(folder).start()
        yield broker
        broker.stop()


@pytest.fixture
def make_kafka(tmp_path):
    brokers = []

    def make(**options):
        brokers.append(Kafka(tmp_path / f"kafka-{len(brokers)}", **options))
        return brokers[-1].start()

    yield make
    for b in brokers:
        b.stop()
        shutil.rmtree(b.folder / "data", ignore_errors=True)
