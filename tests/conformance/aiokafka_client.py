"""aiokafka against a cluster."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from trying import BOOTSTRAP, CREATES, Commits, expect, kill, topic, tries

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
    producer = AIOKafkaProducer(**{"bootstrap_servers": BOOTSTRAP, "max_request_size": 4_000_000, **settings})
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


async def asked():
    expect((await sent([b"x"], bootstrap_servers=CREATES))[0].offset, 0)


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


GROUPED = NAME + "-groups"
MANY = [b"%d" % n for n in range(90)]
PARTITIONS = [TopicPartition(GROUPED, partition) for partition in range(3)]


class Listener(ConsumerRebalanceListener):
    """Counts how often partitions are assigned."""

    assigned = 0

    async def on_partitions_assigned(self, assigned):
        self.assigned += 1

    async def on_partitions_revoked(self, revoked):
        pass


async def member(group, listener=None, **settings):
    it = AIOKafkaConsumer(
        bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=6_000, heartbeat_interval_ms=500, **settings,
    )
    it.subscribe([GROUPED], listener=listener)
    await it.start()
    return it


async def take(it, count):
    return [(await asyncio.wait_for(it.getone(), TIMEOUT)).value for _ in range(count)]


async def committed(it):
    return [await it.committed(partition) for partition in PARTITIONS]


async def goes_on():
    await with_admin(lambda admin: admin.create_topics([NewTopic(GROUPED, 3, 3)]))
    await asyncio.sleep(1)
    for partition in range(3):
        await sent(MANY[partition::3], name=GROUPED, partition=partition, acks="all")
    first = await member("goes on " + NAME)
    values = await take(first, 40)
    await first.commit()
    expect(sum(offset or 0 for offset in await committed(first)), 40)
    await first.stop()
    second = await member("goes on " + NAME)
    values += await take(second, 50)
    await second.commit()
    expect((sorted(values), await committed(second)), (sorted(MANY), [30, 30, 30]))
    # Neither has read anything twice.
    expect(await second.getmany(timeout_ms=1_000), {})
    await second.stop()


async def until(members, fits):
    """Waits until what the members have fits, and gives that back."""
    for _ in range(10 * TIMEOUT):
        have = [sorted(partition.partition for partition in it.assignment()) for it in members]
        if fits(have):
            return have
        await asyncio.sleep(0.1)
    raise TimeoutError(f"assigned: {have}")


def shared(have):
    return all(have) and sorted(sum(have, [])) == [0, 1, 2]


async def share():
    group = "share " + NAME
    both = list(await asyncio.gather(member(group), member(group)))
    await until(both, shared)
    await both.pop().stop()
    await until(both, lambda have: have == [[0, 1, 2]])
    await both.pop().stop()


async def static():
    group, listener = "static " + NAME, Listener()
    one, other = await asyncio.gather(
        member(group, group_instance_id="one"), member(group, listener, group_instance_id="other")
    )
    had, _ = await until([one, other], shared)
    before = listener.assigned
    # It comes back within its session: it has what it had, and the other hears nothing of it.
    await one.stop()
    again = await member(group, group_instance_id="one")
    await until([again, other], lambda have: have[0] == had)
    await asyncio.sleep(2)
    expect((shared(await until([again, other], all)), listener.assigned), (True, before))
    for it in (again, other):
        await it.stop()


async def administered():
    group = "goes on " + NAME

    async def look(admin):
        expect(group in {it[0] for it in await admin.list_consumer_groups()}, True)
        (answer,) = await admin.describe_consumer_groups([group])
        expect(answer.groups[0][:3], (0, group, "Empty"))
        found = await admin.list_consumer_group_offsets(group)
        expect([found[partition].offset for partition in PARTITIONS], [30, 30, 30])

    # It cannot delete them.
    await with_admin(look)


async def coordinator_dies():
    group, values, commits = "survives " + NAME, [], Commits()
    it = await member(group)
    while len(values) < 90:
        values += await take(it, 1)
        if len(values) == 30:
            killed = kill(await with_admin(lambda admin: admin.find_coordinator(group)))
        have = {partition: await it.position(partition) for partition in PARTITIONS}
        await it.commit()
        commits.took(have)
        if len(values) % 10 == 0:
            commits.found(dict(zip(PARTITIONS, await committed(it))))
    expect((sorted(values), await committed(it)), (sorted(MANY), [30, 30, 30]))
    # It cannot be stopped while it waits to ask a broker again that was not there.
    expect(await asyncio.to_thread(killed.wait, TIMEOUT), 0)
    await asyncio.sleep(2)
    await it.stop()
    again = await member(group)
    expect((await again.getmany(timeout_ms=5_000), await committed(again)), ({}, [30, 30, 30]))
    await again.stop()


async def configurations():
    async def described(admin):
        (answer,) = await admin.describe_configs([ConfigResource("TOPIC", NAME)])
        ((error, _, _, _, entries),) = answer.resources
        return error, {entry[0]: entry[1] for entry in entries}["retention.ms"]

    async def look(admin):
        expect(await described(admin), (0, "604800000"))
        (answer,) = await admin.alter_configs([ConfigResource("TOPIC", NAME, {"retention.ms": "86400000"})])
        expect([told[0] for told in answer.resources], [0])
        await asyncio.sleep(0.5)
        expect(await described(admin), (0, "86400000"))

    await with_admin(look)


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
waits("topic created by asking", asked)
waits("message too large", too_large)
waits("leader killed: exactly once", survives)
waits("group goes on where it was", goes_on)
waits("two members share", share)
# It has no such thing.
print("cooperative rebalance|-")
waits("static members", static)
waits("groups described and deleted", administered)
waits("coordinator killed", coordinator_dies)
for what in ("groups", "static members", "regular expressions", "coordinator killed", "from classic and back"):
    print(f"KIP-848 {what}|-")
waits("configurations", configurations)
waits("delete topic", delete)
