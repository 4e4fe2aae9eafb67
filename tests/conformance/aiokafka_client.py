"""aiokafka against a cluster."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from trying import BOOTSTRAP, expect, kill, topic, tries

NAME = topic("aiokafka")
TIMEOUT = 30
print(f"version|{aiokafka.__version__}")


def waits(feature, what):
    tries(feature, lambda: asyncio.run(asyncio.wait_for(what(), 2 * TIMEOUT)))


async def with_admin(what):
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        return await what(admin)
    finally:
        await admin.close()


async def metadata():
    cluster = await with_admin(lambda admin: admin.describe_cluster())
    expect(len(cluster["brokers"]), 3)


async def create():
    answer = await with_admin(lambda admin: admin.create_topics([NewTopic(NAME, 3, 3)]))
    expect([error[1] for error in answer.topic_errors], [0])
    await asyncio.sleep(1)


async def sent(values, key=None, headers=(), timestamp=None, partition=0, name=NAME, **settings):
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, max_request_size=4_000_000, **settings)
    await producer.start()
    try:
        futures = [
            await producer.send(name, value, key, partition, timestamp_ms=timestamp, headers=list(headers))
            for value in values
        ]
        await producer.flush()
        return [await future for future in futures]
    finally:
        await producer.stop()


async def with_consumer(partition, what):
    it = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, max_partition_fetch_bytes=4 << 20)
    await it.start()
    try:
        it.assign([TopicPartition(NAME, partition)])
        return await what(it)
    finally:
        await it.stop()


async def read(count, offset, partition=0):
    async def some(it):
        it.seek(TopicPartition(NAME, partition), offset)
        return [await asyncio.wait_for(it.getone(), TIMEOUT) for _ in range(count)]

    return await with_consumer(partition, some)


def acks(which):
    return lambda: sent([b"acks %d" % n for n in range(50)], acks=which)


def codec(which):
    async def one():
        values = [b"%s %d " % (which.encode(), n) * 50 for n in range(50)]
        told = await sent(values, compression_type=which, partition=1, linger_ms=20, acks="all")
        expect([message.value for message in await read(50, told[0].offset, 1)], values)

    return one


async def trimmings():
    headers = (("twice", b"1"), ("twice", b"2"))
    await sent([b"value"], key=b"key", headers=headers, timestamp=1_600_000_000_000, partition=2)
    message = (await read(1, 0, 2))[0]
    expect((message.key, message.value, tuple(message.headers)), (b"key", b"value", headers))
    expect(message.timestamp, 1_600_000_000_000)


async def idempotent():
    await sent([b"%d" % n for n in range(500)], enable_idempotence=True)


async def beginning():
    async def some(it):
        await it.seek_to_beginning()
        return [(await asyncio.wait_for(it.getone(), TIMEOUT)).offset for _ in range(100)]

    expect(await with_consumer(0, some), list(range(100)))


async def from_offset():
    expect((await read(1, 77))[0].offset, 77)


async def from_time():
    await sent([b"later"], timestamp=1_700_000_000_000, partition=2, acks="all")
    where = TopicPartition(NAME, 2)
    found = await with_consumer(2, lambda it: it.offsets_for_times({where: 1_650_000_000_000}))
    expect(found[where].offset, 1)


async def large():
    value = bytes(range(256)) * 3_600
    (told,) = await sent([value], acks="all")
    expect((await read(1, told.offset))[0].value, value)


async def too_large():
    try:
        await sent([b"x" * 2_000_000])
    except MessageSizeTooLargeError:
        return
    raise AssertionError("it was taken")


async def unknown():
    try:
        await asyncio.wait_for(sent([b"x"], name=NAME + "-unknown", partition=None, request_timeout_ms=3_000), 15)
    except (KafkaError, asyncio.TimeoutError):
        return
    raise AssertionError("it was taken")


async def survives():
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True, acks="all")
    await producer.start()
    values, futures = [b"survivor %d" % n for n in range(3_000)], []
    for n, value in enumerate(values):
        futures.append(await producer.send(NAME, value, partition=1))
        if n == 1_000:
            killed = kill(producer.client.cluster.leader_for_partition(TopicPartition(NAME, 1)))
        if n > 1_000 and n % 10 == 0:
            await asyncio.sleep(0.01)
    told = [await future for future in futures]
    await producer.stop()
    expect([message.value for message in await read(3_000, told[0].offset, 1)], values)
    expect(killed.wait(TIMEOUT), 0)


async def delete():
    answer = await with_admin(lambda admin: admin.delete_topics([NAME]))
    expect([error[1] for error in answer.topic_error_codes], [0])


waits("metadata", metadata)
waits("create topic", create)
for which in (0, 1, "all"):
    waits(f"acks {which}", acks(which))
waits("gzip", codec("gzip"))
for which in ("snappy", "lz4", "zstd"):
    try:
        __import__("cramjam")
        waits(which, codec(which))
    except ImportError:
        # The codecs are a package of their own, which the client does not bring along.
        print(f"{which}|-")
waits("keys, headers, timestamps", trimmings)
waits("idempotent producer", idempotent)
waits("from the beginning", beginning)
waits("from an offset", from_offset)
waits("from a time", from_time)
waits("900 kB message", large)
waits("unknown topic", unknown)
waits("message too large", too_large)
waits("leader killed: exactly once", survives)
waits("delete topic", delete)
