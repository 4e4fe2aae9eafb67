"""kafka-python against a cluster."""

import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError

from trying import BOOTSTRAP, expect, kill, topic, tries

NAME = topic("kafka-python")
SERVERS = BOOTSTRAP.split(",")
TIMEOUT = 30
print(f"version|{kafka.__version__}")


def metadata():
    global admin
    admin = KafkaAdminClient(bootstrap_servers=SERVERS)
    expect(len(admin.describe_cluster()["brokers"]), 3)


def create():
    admin.create_topics([NewTopic(name=NAME, num_partitions=3, replication_factor=3)])
    time.sleep(1)


def sent(values, key=None, headers=(), timestamp=None, partition=0, name=NAME, **settings):
    """Sends values, and gives back what was told of each."""
    settings = {"acks": "all", "enable_idempotence": False, "max_request_size": 4_000_000, **settings}
    producer = KafkaProducer(bootstrap_servers=SERVERS, **settings)
    try:
        futures = [
            producer.send(name, value, key, list(headers), partition, timestamp_ms=timestamp) for value in values
        ]
        producer.flush(TIMEOUT)
        return [future.get(TIMEOUT) for future in futures]
    finally:
        producer.close(5)


def consumer(partition=0):
    it = KafkaConsumer(bootstrap_servers=SERVERS, group_id=None, consumer_timeout_ms=20_000, max_partition_fetch_bytes=4 << 20)
    it.assign([TopicPartition(NAME, partition)])
    return it


def read(count, offset, partition=0):
    it = consumer(partition)
    it.seek(TopicPartition(NAME, partition), offset)
    messages = [message for _, message in zip(range(count), it)]
    it.close()
    expect(len(messages), count)
    return messages


def acks(which):
    return lambda: sent([b"acks %d" % n for n in range(50)], acks=which)


def codec(which):
    def one():
        values = [b"%s %d " % (which.encode(), n) * 50 for n in range(50)]
        told = sent(values, compression_type=which, partition=1, linger_ms=20)
        expect([message.value for message in read(50, told[0].offset, 1)], values)

    return one


def trimmings():
    headers = [("twice", b"1"), ("twice", b"2")]
    sent([b"value"], key=b"key", headers=headers, timestamp=1_600_000_000_000, partition=2)
    message = read(1, 0, 2)[0]
    expect((message.key, message.value, list(message.headers)), (b"key", b"value", headers))
    expect(message.timestamp, 1_600_000_000_000)


def idempotent():
    sent([b"%d" % n for n in range(500)], enable_idempotence=True)


def beginning():
    it = consumer()
    it.seek_to_beginning()
    expect([message.offset for _, message in zip(range(100), it)], list(range(100)))


def from_offset():
    expect(read(1, 77)[0].offset, 77)


def from_time():
    sent([b"later"], timestamp=1_700_000_000_000, partition=2)
    where = TopicPartition(NAME, 2)
    expect(consumer(2).offsets_for_times({where: 1_650_000_000_000})[where].offset, 1)


def large():
    value = bytes(range(256)) * 3_600
    (told,) = sent([value])
    expect(read(1, told.offset)[0].value, value)


def too_large():
    try:
        sent([b"x" * 2_000_000])
    except MessageSizeTooLargeError:
        return
    raise AssertionError("it was taken")


def unknown():
    try:
        sent([b"x"], name=NAME + "-unknown", partition=None, max_block_ms=3_000)
    except KafkaError:
        return
    raise AssertionError("it was taken")


def survives():
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", enable_idempotence=True)
    values, futures = [b"survivor %d" % n for n in range(3_000)], []
    for n, value in enumerate(values):
        futures.append(producer.send(NAME, value, partition=1))
        if n == 1_000:
            producer.flush(TIMEOUT)
            topics = admin.describe_topics([NAME])
            (leader,) = [it["leader_id"] for it in topics[0]["partitions"] if it["partition_index"] == 1]
            killed = kill(leader)
        if n > 1_000 and n % 10 == 0:
            time.sleep(0.01)
    producer.flush(60)
    told = [future.get(TIMEOUT) for future in futures]
    producer.close(5)
    expect([message.value for message in read(3_000, told[0].offset, 1)], values)
    expect(killed.wait(TIMEOUT), 0)


def delete():
    admin.delete_topics([NAME])


tries("metadata", metadata)
tries("create topic", create)
for which in (0, 1, "all"):
    tries(f"acks {which}", acks(which))
tries("gzip", codec("gzip"))
for which, module in (("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstandard")):
    try:
        __import__(module)
        tries(which, codec(which))
    except ImportError:
        # A codec is a package of its own, which the client does not bring along.
        print(f"{which}|-")
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
