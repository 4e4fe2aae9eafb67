"""kafka-python against a cluster."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, MemberToRemove, NewTopic
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import FencedInstanceIdError, KafkaError, MessageSizeTooLargeError

from trying import BOOTSTRAP, CREATES, Commits, expect, kill, topic, tries

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
    settings = {"bootstrap_servers": SERVERS, "acks": "all", "enable_idempotence": False, "max_request_size": 4_000_000, **settings}
    producer = KafkaProducer(**settings)
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


def asked():
    expect(sent([b"x"], bootstrap_servers=[CREATES])[0].offset, 0)


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


GROUPED = NAME + "-groups"
MANY = [b"%d" % n for n in range(90)]
PARTITIONS = [TopicPartition(GROUPED, partition) for partition in range(3)]


class Listener(ConsumerRebalanceListener):
    """Writes down what comes and goes."""

    def __init__(self):
        self.assigned, self.revoked = [], []

    def on_partitions_assigned(self, assigned):
        self.assigned.append(sorted(partition.partition for partition in assigned))

    def on_partitions_revoked(self, revoked):
        self.revoked += sorted(partition.partition for partition in revoked)


def member(group, listener=None, **settings):
    it = KafkaConsumer(
        bootstrap_servers=SERVERS, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=6_000, heartbeat_interval_ms=500, consumer_timeout_ms=20_000, **settings,
    )
    it.subscribe([GROUPED], listener=listener)
    return it


def take(it, count):
    values = [message.value for _, message in zip(range(count), it)]
    expect(len(values), count)
    return values


def goes_on():
    admin.create_topics([NewTopic(name=GROUPED, num_partitions=3, replication_factor=3)])
    time.sleep(1)
    for partition in range(3):
        sent(MANY[partition::3], name=GROUPED, partition=partition)
    first = member("goes on " + NAME)
    values = take(first, 40)
    first.commit()
    expect(sum(first.committed(partition) or 0 for partition in PARTITIONS), 40)
    first.close()
    second = member("goes on " + NAME)
    values += take(second, 50)
    second.commit()
    expect(sorted(values), sorted(MANY))
    expect([second.committed(partition) for partition in PARTITIONS], [30, 30, 30])
    # Neither has read anything twice.
    expect(second.poll(1_000), {})
    second.close()


def until(members, fits):
    """Waits until what the members have fits, and gives that back."""
    over, have = threading.Event(), {}

    def poll(it):
        while not over.is_set():
            it.poll(100)
            have[it] = sorted(partition.partition for partition in it.assignment())

    # Each in a thread of its own: who polls others must not keep a member from joining.
    with ThreadPoolExecutor() as pool:
        polling = [pool.submit(poll, it) for it in members]
        end = time.monotonic() + TIMEOUT
        while not fits(found := [have.get(it, []) for it in members]) and time.monotonic() < end:
            time.sleep(0.05)
        over.set()
        for it in polling:
            it.result()
    if not fits(found):
        raise TimeoutError(f"assigned: {found}")
    return found


def shared(have):
    return all(have) and sorted(sum(have, [])) == [0, 1, 2]


def described(group):
    return admin.describe_groups([group])[group]


def share():
    group = "share " + NAME
    both = [member(group) for _ in range(2)]
    until(both, shared)
    found = described(group)
    expect((found["group_state"], len(found["members"]), found["error"]), ("Stable", 2, None))
    both.pop().close()
    until(both, lambda have: have == [[0, 1, 2]])
    both.pop().close()


def cooperative():
    group, listener = "cooperative " + NAME, Listener()
    settings = {"partition_assignment_strategy": [CooperativeStickyAssignor]}
    both = [member(group, listener, **settings)]
    until(both, lambda have: have == [[0, 1, 2]])
    both.append(member(group, **settings))
    have = until(both, shared)
    # The first has given up what the second has, and nothing else at any time.
    expect((listener.revoked, described(group)["protocol_data"]), (have[1], "cooperative-sticky"))
    both.pop().close()
    until(both, lambda have: have == [[0, 1, 2]])
    both.pop().close()


def static():
    group, listener = "static " + NAME, Listener()
    one = member(group, group_instance_id="one")
    other = member(group, listener, group_instance_id="other")
    had, _ = until([one, other], shared)
    expect({it["group_instance_id"] for it in described(group)["members"]}, {"one", "other"})
    before = len(listener.assigned)
    # It comes back within its session: it has what it had, and the other hears nothing of it.
    one.close()
    again = member(group, group_instance_id="one")
    until([again, other], lambda have: have[0] == had)
    until([again, other], shared)
    expect(len(listener.assigned), before)
    # There is only one of a name.
    newer = member(group, group_instance_id="one")
    until([newer, other], lambda have: have[0] == had)
    try:
        again.commit()
        raise AssertionError("two members of one name")
    except FencedInstanceIdError:
        pass
    # Who is removed by name makes room.
    newer.close()
    removed = admin.remove_group_members(group, [MemberToRemove(group_instance_id="one")])
    expect([error.errno for error in removed.values()], [0])
    until([other], lambda have: have == [[0, 1, 2]])
    again.close()
    other.close()


def administered():
    group = "goes on " + NAME
    expect(group in {it["group_id"] for it in admin.list_groups()}, True)
    expect(admin.describe_groups([group])[group]["group_state"], "Empty")
    found = admin.list_group_offsets(group)[group]
    expect([found[partition].offset for partition in PARTITIONS], [30, 30, 30])
    expect(dict(admin.delete_groups([group])), {group: "OK"})
    expect(group in {it["group_id"] for it in admin.list_groups()}, False)


def coordinator_dies():
    group, values, commits = "survives " + NAME, [], Commits()
    it = member(group)
    while len(values) < 90:
        values += take(it, 1)
        if len(values) == 30:
            (coordinator,) = [n for n in (1, 2, 3) if group in {it["group_id"] for it in admin.list_groups([n])}]
            killed = kill(coordinator)
        have = {partition: it.position(partition) for partition in PARTITIONS}
        it.commit()
        commits.took(have)
        if len(values) % 10 == 0:
            commits.found({partition: it.committed(partition) for partition in PARTITIONS})
    expect(sorted(values), sorted(MANY))
    expect([it.committed(partition) for partition in PARTITIONS], [30, 30, 30])
    it.close()
    expect(killed.wait(TIMEOUT), 0)
    again = member(group)
    expect((again.poll(5_000), [again.committed(it) for it in PARTITIONS]), ({}, [30, 30, 30]))
    again.close()


def configurations():
    def described():
        found = admin.describe_configs([ConfigResource("TOPIC", NAME)], config_filter="all")["topic"][NAME]
        return found["retention.ms"]["value"]

    expect(described(), "604800000")
    admin.alter_configs([ConfigResource("TOPIC", NAME, {"retention.ms": "86400000"})])
    time.sleep(0.5)
    expect(described(), "86400000")
    found = admin.describe_configs([ConfigResource("BROKER", "1")], config_filter="all")["broker"]["1"]
    expect(found["min.insync.replicas"]["value"], "2")


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
tries("topic created by asking", asked)
tries("message too large", too_large)
tries("leader killed: exactly once", survives)
tries("group goes on where it was", goes_on)
tries("two members share", share)
tries("cooperative rebalance", cooperative)
tries("static members", static)
tries("groups described and deleted", administered)
tries("coordinator killed", coordinator_dies)
# It has no such thing.
for what in ("groups", "static members", "regular expressions", "coordinator killed", "from classic and back"):
    print(f"KIP-848 {what}|-")
tries("configurations", configurations)
tries("delete topic", delete)
