"""confluent-kafka (librdkafka) against a cluster."""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewTopic,
)

from trying import BOOTSTRAP, CREATES, Commits, expect, kill, topic, tries

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


def asked():
    sent([b"x"], name=NAME, bootstrap_servers=CREATES)
    expect(len(AdminClient({"bootstrap.servers": CREATES}).list_topics(NAME, TIMEOUT).topics[NAME].partitions), 1)


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


GROUPED = NAME + "-groups"
MANY = [b"%d" % n for n in range(90)]


def member(group, listeners=None, **settings):
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    it = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 6_000, "heartbeat.interval.ms": 500, **settings,
    })
    it.subscribe([GROUPED], **listeners or {})
    return it


def take(it, count):
    values = []
    while len(values) < count:
        message = it.poll(TIMEOUT)
        if message is None:
            raise TimeoutError(f"{len(values)} of {count} messages")
        if message.error():
            raise KafkaException(message.error())
        values.append(message.value())
    return values


def taken(members, count):
    """What comes to any of several members."""
    values, end = [], time.monotonic() + TIMEOUT
    while len(values) < count:
        expect(time.monotonic() < end, True)
        for it in members:
            message = it.poll(0.1)
            if message is not None and message.error():
                raise KafkaException(message.error())
            values += [message.value()] if message else []
    return values


# What this client hands to whoever asks while a coordinator moves: it looks for the new one, and asks again only when asked.
MOVES = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)


def committed(it):
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            partitions = it.committed([TopicPartition(GROUPED, partition) for partition in range(3)], TIMEOUT)
            return [partition.offset for partition in partitions]
        except KafkaException as error:
            if error.args[0].code() not in MOVES or time.monotonic() > end:
                raise
            time.sleep(0.1)


def goes_on():
    for future in admin.create_topics([NewTopic(GROUPED, 3, 3)], request_timeout=TIMEOUT).values():
        future.result(TIMEOUT)
    for partition in range(3):
        sent(MANY[partition::3], name=GROUPED, partition=partition, acks="all")
    first = member("goes on " + NAME)
    values = take(first, 40)
    first.commit(asynchronous=False)
    expect(sum(offset for offset in committed(first) if offset > 0), 40)
    first.close()
    second = member("goes on " + NAME)
    values += take(second, 50)
    second.commit(asynchronous=False)
    expect((sorted(values), committed(second)), (sorted(MANY), [30, 30, 30]))
    # Neither has read anything twice.
    expect(second.poll(1), None)
    second.close()


def until(members, fits):
    """Polls all members until what they have fits, and gives that back."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        for it in members:
            it.poll(0.1)
        have = [sorted(partition.partition for partition in it.assignment()) for it in members]
        if fits(have):
            return have
    raise TimeoutError(f"assigned: {have}")


def shared(have):
    return all(have) and sorted(sum(have, [])) == [0, 1, 2]


def described(group):
    return admin.describe_consumer_groups([group])[group].result(TIMEOUT)


def share():
    both = [member("share " + NAME, client_id=f"member {nth}") for nth in range(2)]
    until(both, shared)
    found = described("share " + NAME)
    expect((found.state.name, len(found.members), found.partition_assignor), ("STABLE", 2, "range"))
    both.pop().close()
    until(both, lambda have: have == [[0, 1, 2]])
    both.pop().close()


def cooperative():
    gone = []
    listeners = {"on_revoke": lambda _, partitions: gone.extend(it.partition for it in partitions)}
    settings = {"partition_assignment_strategy": "cooperative-sticky"}
    both = [member("cooperative " + NAME, listeners, **settings)]
    until(both, lambda have: have == [[0, 1, 2]])
    both.append(member("cooperative " + NAME, **settings))
    have = until(both, shared)
    # The first has given up what the second has, and nothing else at any time.
    expect((gone, described("cooperative " + NAME).partition_assignor), (have[1], "cooperative-sticky"))
    both.pop().close()
    until(both, lambda have: have == [[0, 1, 2]])
    both.pop().close()


def static():
    group, changes = "static " + NAME, []
    listeners = {"on_assign": lambda _, partitions: changes.append(partitions)}
    one = member(group, group_instance_id="one")
    other = member(group, listeners, group_instance_id="other")
    had, _ = until([one, other], shared)
    expect({it.group_instance_id for it in described(group).members}, {"one", "other"})
    before = len(changes)
    # It comes back within its session: it has what it had, and the other hears nothing of it.
    one.close()
    again = member(group, group_instance_id="one")
    until([again, other], lambda have: have[0] == had)
    until([again, other], shared)
    expect(len(changes), before)
    # There is only one of a name.
    newer = member(group, group_instance_id="one")
    until([newer, other], lambda have: have[0] == had)
    end = time.monotonic() + TIMEOUT
    while (message := again.poll(0.1)) is None or not message.error():
        expect(time.monotonic() < end, True)
    expect((message.error().code(), "fenced" in message.error().str()), (KafkaError._FATAL, True))
    for it in (again, newer, other):
        it.close()


def administered():
    group = "goes on " + NAME
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT).result(TIMEOUT)
    expect((listed.errors, group in {it.group_id for it in listed.valid}), ([], True))
    expect(admin.describe_consumer_groups([group])[group].result(TIMEOUT).state.name, "EMPTY")
    admin.delete_consumer_groups([group])[group].result(TIMEOUT)
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT).result(TIMEOUT)
    expect(group in {it.group_id for it in listed.valid}, False)


def coordinator_dies(made):
    group, values, commits = "survives " + made.__name__ + NAME, [], Commits()
    it = made(group)
    while len(values) < 90:
        values += take(it, 1)
        if len(values) == 30:
            killed = kill(described(group).coordinator.id)
        try:
            commits.took({told.partition: told.offset for told in it.commit(asynchronous=False) if not told.error})
        except KafkaException as error:
            # It commits what it has read, with the next.
            print("commit:", error, file=sys.stderr)
        if len(values) % 10 == 0:
            commits.found(dict(enumerate(committed(it))))
    end = time.monotonic() + TIMEOUT
    while committed(it) != [30, 30, 30]:
        expect(time.monotonic() < end, True)
        try:
            it.commit(asynchronous=False)
        except KafkaException:
            it.poll(0.5)
    expect(sorted(values), sorted(MANY))
    it.close()
    expect(killed.wait(TIMEOUT), 0)
    again = made(group)
    expect((again.poll(5), committed(again)), (None, [30, 30, 30]))
    again.close()


def modern(group, listeners=None, topics=(GROUPED,), **settings):
    """A member by KIP-848: the coordinator says how often it is heard of, and who has what."""
    settings = {key.replace("_", "."): value for key, value in settings.items()}
    it = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": group, "group.protocol": "consumer", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, **settings,
    })
    it.subscribe(list(topics), **listeners or {})
    return it


def listed(group):
    found = admin.list_consumer_groups(request_timeout=TIMEOUT).result(TIMEOUT)
    expect(found.errors, [])
    return [it.type.name for it in found.valid if it.group_id == group]


def commit_if_read(it):
    """Whoever has read nothing since the last time has nothing to say, which this client calls an error."""
    try:
        it.commit(asynchronous=False)
    except KafkaException as error:
        expect(error.args[0].code(), KafkaError._NO_OFFSET)


def new_groups():
    group, gone = "new " + NAME, []

    def give_up(it, partitions):
        gone.extend(sorted(it.partition for it in partitions))
        commit_if_read(it)

    both = [modern(group, {"on_revoke": give_up}, client_id="one")]
    values = take(both[0], 40)
    both[0].commit(asynchronous=False)
    both.append(modern(group, client_id="other", group_remote_assignor="range"))
    # What the first gives up the other goes on with where the first was.
    values += taken(both, 50)
    have = until(both, shared)
    expect((sorted(values), gone), (sorted(MANY), have[1]))
    found = described(group)
    expect((found.type.name, found.state.name, found.partition_assignor), ("CONSUMER", "STABLE", "range"))
    owned = {it.client_id: sorted(at.partition for at in it.assignment.topic_partitions) for it in found.members}
    wanted = {it.client_id: sorted(at.partition for at in it.target_assignment.topic_partitions) for it in found.members}
    expect((owned, wanted), (dict(zip(("one", "other"), have)),) * 2)
    # How the records fell to the two is a matter of time: the first may have had them all before the other came.
    for it in both:
        commit_if_read(it)
    both.pop().close()
    until(both, lambda have: have == [[0, 1, 2]])
    expect(committed(both[0]), [30, 30, 30])
    # Neither has read anything twice.
    expect(both[0].poll(1), None)
    expect(listed(group), ["CONSUMER"])
    both.pop().close()
    expect((described(group).type.name, described(group).state.name), ("CONSUMER", "EMPTY"))
    again = modern(group)
    expect((again.poll(3), committed(again)), (None, [30, 30, 30]))
    again.close()
    admin.delete_consumer_groups([group])[group].result(TIMEOUT)
    expect(listed(group), [])


def new_statics():
    group, changes = "new static " + NAME, []
    listeners = {"on_assign": lambda _, partitions: changes.append(partitions), "on_revoke": lambda _, partitions: changes.append(partitions)}
    one = modern(group, group_instance_id="one")
    other = modern(group, listeners, group_instance_id="other")
    had, _ = until([one, other], shared)
    expect({it.group_instance_id for it in described(group).members}, {"one", "other"})
    before = len(changes)
    # There is only one of a name: it is the newer that is refused.
    newer = modern(group, group_instance_id="one")
    end = time.monotonic() + TIMEOUT
    while (message := newer.poll(0.1)) is None or not message.error():
        expect(time.monotonic() < end, True)
    expect(message.error().code() in (KafkaError._FATAL, KafkaError.UNRELEASED_INSTANCE_ID), True)
    newer.close()
    # It comes back within its session: it has what it had, and the other hears nothing of it.
    one.close()
    again = modern(group, group_instance_id="one")
    until([again, other], lambda have: have[0] == had)
    until([again, other], shared)
    expect(len(changes), before)
    # It does not come back: the other has everything.
    again.close()
    until([other], lambda have: have == [[0, 1, 2]])
    other.close()


def patterns():
    group = "patterns " + NAME
    both = [modern(group, topics=[f"^{NAME}-(fit|what)s?-[0-9]$"]) for _ in range(2)]

    def create(name):
        for future in admin.create_topics([NewTopic(name, 2, 3)], request_timeout=TIMEOUT).values():
            future.result(TIMEOUT)

    def until_read(topics):
        end = time.monotonic() + TIMEOUT
        while sorted((at.topic, at.partition) for it in both for at in it.assignment()) != [(name, n) for name in topics for n in range(2)]:
            expect(time.monotonic() < end, True)
            for it in both:
                it.poll(0.1)

    create(NAME + "-fits-1")
    create(NAME + "-fits-not")
    until_read([NAME + "-fits-1"])
    # What is new is found without anybody's doing, after a while.
    create(NAME + "-what-2")
    until_read([NAME + "-fits-1", NAME + "-what-2"])
    both.pop().close()
    until_read([NAME + "-fits-1", NAME + "-what-2"])
    both.pop().close()
    # What is no regular expression to RE2, although it is one to the client, the coordinator refuses.
    wrong = modern(group, topics=[r"^(what)-\1"])
    end = time.monotonic() + TIMEOUT
    while (message := wrong.poll(0.1)) is None or not message.error():
        expect(time.monotonic() < end, True)
    print("no regular expression:", message.error(), file=sys.stderr)
    expect(message.error().code() in (KafkaError._FATAL, 128), True)
    wrong.close()


def from_classic():
    group = "moves " + NAME
    old = member(group)
    until([old], lambda have: have == [[0, 1, 2]])
    expect(described(group).type.name, "CLASSIC")
    take(old, 90)
    old.commit(asynchronous=False)
    new = modern(group)
    until([old, new], shared)
    expect((described(group).type.name, listed(group), len(described(group).members)), ("CONSUMER", ["CONSUMER"], 2))
    old.close()
    until([new], lambda have: have == [[0, 1, 2]])
    expect((described(group).type.name, committed(new), new.poll(1)), ("CONSUMER", [30, 30, 30], None))
    # And back: once nobody speaks the new protocol any more, the group is a classic one.
    old = member(group)
    until([old, new], shared)
    new.close()
    until([old], lambda have: have == [[0, 1, 2]])
    expect((described(group).type.name, committed(old), old.poll(1)), ("CLASSIC", [30, 30, 30], None))
    old.close()


def configurations():
    topic = ConfigResource(ConfigResource.Type.TOPIC, NAME)

    def described(key):
        entry = admin.describe_configs([topic])[topic].result(TIMEOUT)[key]
        return entry.value, ConfigSource(entry.source)

    def change(key, value, operation):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        change = ConfigResource(ConfigResource.Type.TOPIC, NAME, incremental_configs=[entry])
        admin.incremental_alter_configs([change])[change].result(TIMEOUT)
        time.sleep(0.5)

    expect(described("retention.ms"), ("604800000", ConfigSource.DEFAULT_CONFIG))
    expect(described("min.insync.replicas"), ("2", ConfigSource.STATIC_BROKER_CONFIG))
    change("retention.ms", "86400000", AlterConfigOpType.SET)
    change("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    expect(described("retention.ms"), ("86400000", ConfigSource.DYNAMIC_TOPIC_CONFIG))
    expect(set(described("cleanup.policy")[0].split(",")), {"compact", "delete"})
    change("retention.ms", None, AlterConfigOpType.DELETE)
    expect(described("retention.ms")[1], ConfigSource.DEFAULT_CONFIG)
    try:
        change("retention.ms", "soon", AlterConfigOpType.SET)
        raise AssertionError("it was taken")
    except KafkaException as error:
        expect(error.args[0].code(), KafkaError.INVALID_CONFIG)
    broker = ConfigResource(ConfigResource.Type.BROKER, "1")
    expect(admin.describe_configs([broker])[broker].result(TIMEOUT)["min.insync.replicas"].value, "2")


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
tries("topic created by asking", asked)
tries("message too large", too_large)
tries("leader killed: exactly once", survives)
tries("group goes on where it was", goes_on)
tries("two members share", share)
tries("cooperative rebalance", cooperative)
tries("static members", static)
tries("groups described and deleted", administered)
tries("coordinator killed", lambda: coordinator_dies(member))
tries("KIP-848 groups", new_groups)
tries("KIP-848 static members", new_statics)
tries("KIP-848 regular expressions", patterns)
tries("KIP-848 coordinator killed", lambda: coordinator_dies(modern))
tries("KIP-848 from classic and back", from_classic)
tries("configurations", configurations)
tries("delete topic", delete)
