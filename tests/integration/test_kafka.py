"""Kafka: against a real broker."""


def test_broker(kafka):
    topic = kafka.topic()
    kafka.produce(topic, [{"n": i} for i in range(10)], key="pay")
    assert [m.value() for m in kafka.consume(topic, 10)] == [b'{"n": %d}' % i for i in range(10)]


def test_own_broker(make_kafka):
    broker = make_kafka(tls=True)
    topic = broker.topic()
    broker.produce(topic, [b"a"])
    broker.kill()
    broker.start()
    assert len(broker.consume(topic, 1)) == 1
