"""confluent-kafka (librdkafka) against a cluster."""

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from trying import BOOTSTRAP, expect, kill, topic, tries

NAME = topic("confluent-kafka")
TIMEOUT = 30
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
print(f"version|{confluent_kafka.__version__}")


def metadata():
    expect(len(admin.list_topics(timeout=TIMEOUT).brokers), 3)


def create():
    for future in admin.create_topics([NewTopic(NAME, 3, 3)], request_timeout=TIMEOUT).values():
        future.result(TIMEOUT)


def send(values, key=None, headers=None, timestamp=0, partition=0, name=NAME, **settings):
    """Sends values one by one, and gives back the offsets and the errors that were told."""
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "message.max.bytes": 4_000_000, **settings})
    told = []
    for value in values:
        producer.produce(
            name, value, key, partition, on_delivery=lambda error, message: told.append((error, message.offset())),
            headers=headers or [], timestamp=timestamp,
        )
    expect(producer.flush(TIMEOUT), 0)
    return told


def sent(values, **settings):
    for error, _ in send(values, **settings):
        if error:
            raise KafkaException(error)


def read(count, offset, partition=0):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": NAME, "enable.auto.commit": False})
    consumer.assign([TopicPartition(NAME, partition, offset)])
    messages = []
    while len(messages) < count:
        message = consumer.poll(TIMEOUT)
        if message is None:
            raise TimeoutError(f"{len(messages)} of {count} messages")
        if message.error():
            raise KafkaException(message.error())
        messages.append(message)
    consumer.close()
    return messages


def acks(which):
    return lambda: sent([b"acks %d" % n for n in range(50)], acks=which)


def codec(which):
    def one():
        values = [b"%s %d " % (which.encode(), n) * 50 for n in range(50)]
        sent(values, compression_type=which, acks="all", partition=1, linger_ms=20)
        low, high = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": NAME}).get_watermark_offsets(
            TopicPartition(NAME, 1), TIMEOUT
        )
        expect([message.value() for message in read(50, high - 50, 1)], values)

    return one


def trimmings():
    headers = [("twice", b"1"), ("twice", b"2"), ("null", None)]
    sent([b"value"], key=b"key", headers=headers, timestamp=1_600_000_000_000, partition=2)
    message = read(1, 0, 2)[0]
    expect((message.key(), message.value(), message.headers()), (b"key", b"value", headers))
    expect(message.timestamp()[1], 1_600_000_000_000)


def idempotent():
    sent([b"%d" % n for n in range(500)], enable_idempotence=True, batch_size=2_000)


def beginning():
    expect([message.offset() for message in read(100, 0)], list(range(100)))


def from_offset():
    expect(read(1, 77)[0].offset(), 77)


def from_time():
    sent([b"later"], timestamp=1_700_000_000_000, partition=2)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": NAME})
    found = consumer.offsets_for_times([TopicPartition(NAME, 2, 1_650_000_000_000)], TIMEOUT)
    expect(found[0].offset, 1)


def large():
    value = bytes(range(256)) * 3_600
    ((error, offset),) = send([value], acks="all")
    expect(error, None)
    expect(read(1, offset)[0].value(), value)


def too_large():
    ((error, _),) = send([b"x" * 2_000_000], acks="all")
    expect(error.code(), KafkaError.MSG_SIZE_TOO_LARGE)


def unknown():
    ((error, _),) = send([b"x"], name=NAME + "-unknown", topic_metadata_propagation_max_ms=1_000, message_timeout_ms=5_000)
    expect(error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION), True)


def survives():
    settings = {"bootstrap.servers": BOOTSTRAP, "acks": "all", "enable.idempotence": True, "linger.ms": 1}
    producer, told, values = Producer(settings), [], [b"survivor %d" % n for n in range(3_000)]
    for n, value in enumerate(values):
        producer.produce(NAME, value, partition=1, on_delivery=lambda error, message: told.append((error, message.offset())))
        producer.poll(0.001)
        if n == 1_000:
            killed = kill(admin.list_topics(NAME, TIMEOUT).topics[NAME].partitions[1].leader)
    expect(producer.flush(60), 0)
    expect({error for error, _ in told}, {None})
    expect([message.value() for message in read(3_000, told[0][1], 1)], values)
    expect(killed.wait(TIMEOUT), 0)


def delete():
    for future in admin.delete_topics([NAME], request_timeout=TIMEOUT).values():
        future.result(TIMEOUT)


tries("metadata", metadata)
tries("create topic", create)
for which in ("0", "1", "all"):
    tries(f"acks {which}", acks(which))
for which in ("gzip", "snappy", "lz4", "zstd"):
    tries(which, codec(which))
tries("keys, headers, timestamps", trimmings)
tries("idempotent producer", idempotent)
tries("from the beginning", beginning)
tries("from an offset", from_offset)
tries("from a time", from_time)
tries("900 kB message", large)
tries("unknown topic", unknown)
tries("message too large", too_large)
tries("leader killed: exactly once", survives)
tries("delete topic", delete)
