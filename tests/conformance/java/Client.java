import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberAssignment;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Kafka's own client against a cluster. */
class Client {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final String HERE = System.getenv("HERE");
    static final String NAME = "java-" + ProcessHandle.current().pid() + "-" + System.currentTimeMillis();
    static final String GROUPED = NAME + "-groups";
    static final List<TopicPartition> PARTITIONS = IntStream.range(0, 3).mapToObj(n -> new TopicPartition(GROUPED, n)).toList();
    static final Duration TIMEOUT = Duration.ofSeconds(30);
    static Admin admin;

    interface Check {
        void run() throws Exception;
    }

    static void tries(String feature, Check what) {
        long began = System.nanoTime();
        try {
            what.run();
            System.out.println(feature + "|ok");
        } catch (Exception | AssertionError error) {
            error.printStackTrace();
            System.out.println(feature + "|" + error.toString().lines().findFirst().orElse(""));
        }
        System.err.printf("%6.1f s %s%n", (System.nanoTime() - began) / 1e9, feature);
    }

    static void expect(Object what, Object wanted) {
        if (!Objects.deepEquals(what, wanted)) throw new AssertionError(what + " instead of " + wanted);
    }

    static List<byte[]> many(String text, int count) {
        return IntStream.range(0, count).mapToObj(n -> (text + n).getBytes()).toList();
    }

    static Properties settings(Object... more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", BOOTSTRAP);
        for (int n = 0; n < more.length; n += 2) settings.put(more[n], more[n + 1]);
        return settings;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... more) {
        Properties settings = settings("acks", "all", "enable.idempotence", false, "max.request.size", 4_000_000);
        settings.putAll(settings(more));
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Sends values, and gives back where they are. */
    static List<RecordMetadata> sent(String topic, int partition, List<byte[]> values, Object... more) throws Exception {
        try (var producer = producer(more)) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (byte[] value : values) futures.add(producer.send(new ProducerRecord<>(topic, partition, null, value)));
            producer.flush();
            List<RecordMetadata> told = new ArrayList<>();
            for (var future : futures) told.add(future.get());
            return told;
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... more) {
        Properties settings = settings("enable.auto.commit", false, "auto.offset.reset", "earliest", "max.partition.fetch.bytes", 4 << 20);
        settings.putAll(settings(more));
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> it, int count) {
        List<ConsumerRecord<byte[], byte[]>> taken = new ArrayList<>();
        long end = System.nanoTime() + TIMEOUT.toNanos();
        while (taken.size() < count) {
            if (System.nanoTime() > end) throw new AssertionError(taken.size() + " of " + count + " records");
            it.poll(Duration.ofMillis(100)).forEach(taken::add);
        }
        return taken;
    }

    /** Reads from an offset; from the beginning if there is none. */
    static List<ConsumerRecord<byte[], byte[]>> read(int count, Long offset, int partition) {
        try (var it = consumer()) {
            var where = new TopicPartition(NAME, partition);
            it.assign(List.of(where));
            if (offset == null) it.seekToBeginning(List.of(where));
            else it.seek(where, offset);
            return take(it, count).subList(0, count);
        }
    }

    static List<String> texts(Collection<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(it -> new String(it.value())).toList();
    }

    static List<String> strings(List<byte[]> values) {
        return values.stream().map(String::new).toList();
    }

    static void codec(String which) throws Exception {
        List<byte[]> values = IntStream.range(0, 50).mapToObj(n -> (which + n).repeat(50).getBytes()).toList();
        var told = sent(NAME, 1, values, "compression.type", which, "linger.ms", 20);
        expect(texts(read(50, told.get(0).offset(), 1)), strings(values));
    }

    static void trimmings() throws Exception {
        var record = new ProducerRecord<>(NAME, 2, 1_600_000_000_000L, "key".getBytes(), "value".getBytes());
        record.headers().add("twice", "1".getBytes()).add("twice", "2".getBytes()).add("null", null);
        try (var producer = producer()) {
            producer.send(record).get();
        }
        var found = read(1, 0L, 2).get(0);
        expect(new String(found.key()) + " " + new String(found.value()), "key value");
        expect(found.timestamp(), 1_600_000_000_000L);
        expect(
            Arrays.asList(found.headers().toArray()),
            List.of(new RecordHeader("twice", "1".getBytes()), new RecordHeader("twice", "2".getBytes()), new RecordHeader("null", (byte[]) null))
        );
    }

    static void fromTime() throws Exception {
        try (var producer = producer(); var it = consumer()) {
            producer.send(new ProducerRecord<>(NAME, 2, 1_700_000_000_000L, null, "later".getBytes())).get();
            var where = new TopicPartition(NAME, 2);
            expect(it.offsetsForTimes(Map.of(where, 1_650_000_000_000L)).get(where).offset(), 1L);
        }
    }

    static void large() throws Exception {
        byte[] value = new byte[900_000];
        for (int n = 0; n < value.length; n++) value[n] = (byte) (n * 31 >> 3);
        var told = sent(NAME, 0, List.of(value));
        expect(read(1, told.get(0).offset(), 0).get(0).value(), value);
    }

    static void fails(Class<?> wanted, Check what) throws Exception {
        try {
            what.run();
        } catch (ExecutionException error) {
            if (wanted.isInstance(error.getCause())) return;
            throw error;
        }
        throw new AssertionError("it was taken");
    }

    static Process kill(int broker) throws Exception {
        return new ProcessBuilder(Path.of(HERE, "node").toString(), "kill", "broker-" + broker).start();
    }

    static void survives() throws Exception {
        int leader = admin.describeTopics(List.of(NAME)).allTopicNames().get().get(NAME).partitions().get(1).leader().id();
        List<byte[]> values = many("survivor ", 3_000);
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        Process killed = null;
        try (var producer = producer("enable.idempotence", true)) {
            for (byte[] value : values) {
                futures.add(producer.send(new ProducerRecord<>(NAME, 1, null, value)));
                if (futures.size() == 1_000) killed = kill(leader);
                if (futures.size() > 1_000 && futures.size() % 10 == 0) Thread.sleep(10);
            }
        }
        long first = futures.get(0).get().offset();
        for (var future : futures) future.get();
        expect(texts(read(3_000, first, 1)), strings(values));
        expect(killed.waitFor(), 0);
    }

    /** Writes down what a member is given and loses. */
    static class Listener implements ConsumerRebalanceListener {
        int assigned;
        Set<Integer> revoked = new TreeSet<>();

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            assigned++;
        }

        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(it -> revoked.add(it.partition()));
        }
    }

    static KafkaConsumer<byte[], byte[]> member(String group, Listener listener, Object... more) {
        Properties all = settings("group.id", group, "session.timeout.ms", 6_000, "heartbeat.interval.ms", 500);
        all.putAll(settings(more));
        var it = consumer(all.entrySet().stream().flatMap(entry -> List.of(entry.getKey(), entry.getValue()).stream()).toArray());
        it.subscribe(List.of(GROUPED), listener);
        return it;
    }

    static Map<Integer, Long> offsets(Map<TopicPartition, OffsetAndMetadata> committed) {
        Map<Integer, Long> offsets = new HashMap<>();
        committed.forEach((partition, it) -> { if (it != null) offsets.put(partition.partition(), it.offset()); });
        return offsets;
    }

    static Map<Integer, Long> committed(KafkaConsumer<byte[], byte[]> it) {
        return offsets(it.committed(Set.copyOf(PARTITIONS)));
    }

    static Map<Integer, Long> committed(String group) throws Exception {
        return offsets(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get());
    }

    static final Map<Integer, Long> ALL = Map.of(0, 30L, 1, 30L, 2, 30L);

    static void goesOn() throws Exception {
        admin.createTopics(List.of(new NewTopic(GROUPED, 3, (short) 3))).all().get();
        Thread.sleep(1_000);
        List<byte[]> values = many("", 90);
        for (int n = 0; n < 3; n++) sent(GROUPED, n, values.subList(n * 30, n * 30 + 30));
        List<String> seen = new ArrayList<>();
        try (var first = member("goes on " + NAME, new Listener(), "max.poll.records", 10)) {
            seen.addAll(texts(take(first, 40)));
            first.commitSync();
            expect(committed(first).values().stream().mapToLong(it -> it).sum(), 40L);
        }
        try (var second = member("goes on " + NAME, new Listener())) {
            seen.addAll(texts(take(second, 50)));
            second.commitSync();
            expect(committed(second), ALL);
            // Neither has read anything twice.
            expect(second.poll(Duration.ofSeconds(1)).count(), 0);
        }
        expect(seen.stream().sorted().toList(), strings(values).stream().sorted().toList());
    }

    /** Polls all members until what they have fits, and gives that back. */
    static List<List<Integer>> until(List<KafkaConsumer<byte[], byte[]>> members, Predicate<List<List<Integer>>> fits) {
        long end = System.nanoTime() + TIMEOUT.toNanos();
        while (true) {
            for (var it : members) it.poll(Duration.ofMillis(100));
            var have = members.stream().map(it -> it.assignment().stream().map(TopicPartition::partition).sorted().toList()).toList();
            if (fits.test(have)) return have;
            if (System.nanoTime() > end) throw new AssertionError("assigned: " + have);
        }
    }

    static boolean shared(List<List<Integer>> have) {
        return have.stream().noneMatch(List::isEmpty) && have.stream().flatMap(List::stream).sorted().toList().equals(List.of(0, 1, 2));
    }

    static ConsumerGroupDescription described(String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    static void share() throws Exception {
        String group = "share " + NAME;
        try (var one = member(group, new Listener())) {
            try (var other = member(group, new Listener())) {
                until(List.of(one, other), Client::shared);
                var found = described(group);
                expect(List.of(found.groupState(), found.members().size(), found.partitionAssignor()), List.of(GroupState.STABLE, 2, "range"));
            }
            until(List.of(one), have -> have.get(0).size() == 3);
        }
    }

    static void cooperative() throws Exception {
        String group = "cooperative " + NAME, with = "partition.assignment.strategy";
        Listener listener = new Listener();
        try (var one = member(group, listener, with, CooperativeStickyAssignor.class.getName())) {
            until(List.of(one), have -> have.get(0).size() == 3);
            try (var other = member(group, new Listener(), with, CooperativeStickyAssignor.class.getName())) {
                var have = until(List.of(one, other), Client::shared);
                // The first has given up what the second has, and nothing else at any time.
                expect(List.copyOf(listener.revoked), have.get(1));
                expect(described(group).partitionAssignor(), "cooperative-sticky");
            }
            until(List.of(one), have -> have.get(0).size() == 3);
        }
    }

    static void statics() throws Exception {
        String group = "static " + NAME;
        Listener listener = new Listener();
        var one = member(group, new Listener(), "group.instance.id", "one");
        var other = member(group, listener, "group.instance.id", "other");
        var had = until(List.of(one, other), Client::shared).get(0);
        expect(described(group).members().stream().map(it -> it.groupInstanceId().get()).collect(Collectors.toSet()), Set.of("one", "other"));
        int before = listener.assigned;
        // It comes back within its session: it has what it had, and the other hears nothing of it.
        one.close();
        var again = member(group, new Listener(), "group.instance.id", "one");
        until(List.of(again, other), have -> have.get(0).equals(had));
        until(List.of(again, other), Client::shared);
        expect(listener.assigned, before);
        // There is only one of a name.
        var newer = member(group, new Listener(), "group.instance.id", "one");
        until(List.of(newer, other), have -> have.get(0).equals(had));
        try {
            until(List.of(again), have -> false);
        } catch (FencedInstanceIdException fenced) {
            again.close();
        }
        // Who is removed by name makes room.
        newer.close();
        var options = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")));
        admin.removeMembersFromConsumerGroup(group, options).all().get();
        until(List.of(other), have -> have.get(0).size() == 3);
        other.close();
    }

    static boolean listed(String group) throws Exception {
        return admin.listGroups().all().get().stream().anyMatch(it -> it.groupId().equals(group));
    }

    static void administered() throws Exception {
        String group = "goes on " + NAME;
        expect(listed(group), true);
        expect(described(group).groupState(), GroupState.EMPTY);
        expect(committed(group), ALL);
        admin.alterConsumerGroupOffsets(group, Map.of(PARTITIONS.get(1), new OffsetAndMetadata(7, Optional.of(0), "back"))).all().get();
        admin.deleteConsumerGroupOffsets(group, Set.of(PARTITIONS.get(2))).all().get();
        expect(committed(group), Map.of(0, 30L, 1, 7L));
        admin.deleteConsumerGroups(List.of(group)).all().get();
        expect(listed(group), false);
    }

    /** Makes a member of a group by either protocol. */
    interface Made {
        KafkaConsumer<byte[], byte[]> of(String group, Listener listener, Object... more);
    }

    static void coordinatorDies(String group, Made made) throws Exception {
        List<String> seen = new ArrayList<>();
        Map<Integer, Long> acknowledged = new HashMap<>();
        Process killed = null;
        try (var it = made.of(group, new Listener(), "max.poll.records", 1)) {
            while (seen.size() < 90) {
                seen.addAll(texts(take(it, 1)));
                if (seen.size() == 30) killed = kill(described(group).coordinator().id());
                Map<TopicPartition, OffsetAndMetadata> commit = new HashMap<>();
                for (var partition : PARTITIONS) commit.put(partition, new OffsetAndMetadata(it.position(partition)));
                it.commitSync(commit);
                acknowledged.putAll(offsets(commit));
                if (seen.size() % 10 == 0) {
                    var found = committed(group);
                    acknowledged.forEach((partition, was) -> expect(found.getOrDefault(partition, 0L) >= was, true));
                }
            }
            expect(committed(it), ALL);
        }
        expect(new HashSet<>(seen).size(), 90);
        expect(seen.size(), 90);
        expect(killed.waitFor(), 0);
        try (var again = made.of(group, new Listener())) {
            expect(again.poll(Duration.ofSeconds(5)).count(), 0);
            expect(committed(again), ALL);
        }
    }

    static ConfigEntry described(ConfigResource of, String key) throws Exception {
        return admin.describeConfigs(List.of(of)).all().get().get(of).get(key);
    }

    static void change(ConfigResource of, String key, String value, AlterConfigOp.OpType operation) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), operation);
        admin.incrementalAlterConfigs(Map.of(of, List.of(change))).all().get();
        Thread.sleep(500);
    }

    static void configurations() throws Exception {
        var topic = new ConfigResource(ConfigResource.Type.TOPIC, NAME);
        expect(described(topic, "retention.ms").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG);
        expect(described(topic, "min.insync.replicas").source(), ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG);
        change(topic, "retention.ms", "86400000", AlterConfigOp.OpType.SET);
        change(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        expect(described(topic, "retention.ms").value(), "86400000");
        expect(described(topic, "retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
        expect(Set.of(described(topic, "cleanup.policy").value().split(",")), Set.of("compact", "delete"));
        change(topic, "retention.ms", null, AlterConfigOp.OpType.DELETE);
        expect(described(topic, "retention.ms").value(), "604800000");
        fails(InvalidConfigurationException.class, () -> change(topic, "retention.ms", "soon", AlterConfigOp.OpType.SET));
        expect(described(new ConfigResource(ConfigResource.Type.BROKER, "1"), "min.insync.replicas").value(), "2");
    }

    /** A member by KIP-848: the coordinator says how often it is heard of, and who has what. */
    static KafkaConsumer<byte[], byte[]> modern(String group, Listener listener, Object... more) {
        var it = unsubscribed(group, more);
        it.subscribe(List.of(GROUPED), listener);
        return it;
    }

    static KafkaConsumer<byte[], byte[]> unsubscribed(String group, Object... more) {
        Properties all = settings("group.id", group, "group.protocol", "consumer");
        all.putAll(settings(more));
        return consumer(all.entrySet().stream().flatMap(entry -> List.of(entry.getKey(), entry.getValue()).stream()).toArray());
    }

    static List<GroupType> listedAs(String group, GroupType... types) throws Exception {
        var options = new ListGroupsOptions().withTypes(Set.of(types));
        return admin.listGroups(options).all().get().stream().filter(it -> it.groupId().equals(group)).map(it -> it.type().get()).toList();
    }

    static List<Integer> of(MemberAssignment assignment) {
        return assignment.topicPartitions().stream().map(TopicPartition::partition).sorted().toList();
    }

    static void newGroups() throws Exception {
        String group = "new " + NAME;
        List<String> seen = new ArrayList<>();
        KafkaConsumer<byte[], byte[]> one = unsubscribed(group, "client.id", "one", "max.poll.records", 10);
        Set<Integer> gone = new TreeSet<>();
        one.subscribe(List.of(GROUPED), new ConsumerRebalanceListener() {
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

            // What the first gives up the other goes on with where the first was.
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                partitions.forEach(it -> gone.add(it.partition()));
                one.commitSync();
            }
        });
        seen.addAll(texts(take(one, 40)));
        try (one) {
            try (var other = modern(group, new Listener(), "client.id", "other", "group.remote.assignor", "range")) {
                long end = System.nanoTime() + TIMEOUT.toNanos();
                while (seen.size() < 90) {
                    if (System.nanoTime() > end) throw new AssertionError(seen.size() + " of 90 records");
                    for (var it : List.of(one, other)) it.poll(Duration.ofMillis(100)).forEach(record -> seen.add(new String(record.value())));
                }
                var have = until(List.of(one, other), Client::shared);
                expect(List.copyOf(gone), have.get(1));
                var found = described(group);
                expect(List.of(found.type(), found.groupState(), found.partitionAssignor()), List.of(GroupType.CONSUMER, GroupState.STABLE, "range"));
                expect(found.groupEpoch(), found.targetAssignmentEpoch());
                for (var member : found.members()) {
                    var wanted = have.get(member.clientId().equals("one") ? 0 : 1);
                    expect(List.of(of(member.assignment()), of(member.targetAssignment().get())), List.of(wanted, wanted));
                    expect(List.of(member.memberEpoch().get(), member.upgraded().get()), List.of(found.groupEpoch().get(), true));
                }
                one.commitSync();
                other.commitSync();
            }
            until(List.of(one), have -> have.get(0).size() == 3);
            // Neither has read anything twice.
            expect(one.poll(Duration.ofSeconds(1)).count(), 0);
            expect(committed(one), ALL);
        }
        expect(seen.stream().sorted().toList(), strings(many("", 90)).stream().sorted().toList());
        expect(described(group).groupState(), GroupState.EMPTY);
        expect(listedAs(group, GroupType.CONSUMER), List.of(GroupType.CONSUMER));
        expect(listedAs(group, GroupType.CLASSIC), List.of());
        try (var again = modern(group, new Listener())) {
            expect(again.poll(Duration.ofSeconds(3)).count(), 0);
            expect(committed(again), ALL);
        }
        admin.deleteConsumerGroups(List.of(group)).all().get();
        expect(listed(group), false);
    }

    static void newStatics() throws Exception {
        String group = "new static " + NAME;
        Listener listener = new Listener();
        var one = modern(group, new Listener(), "group.instance.id", "one");
        var other = modern(group, listener, "group.instance.id", "other");
        var had = until(List.of(one, other), Client::shared).get(0);
        expect(described(group).members().stream().map(it -> it.groupInstanceId().get()).collect(Collectors.toSet()), Set.of("one", "other"));
        int before = listener.assigned;
        // There is only one of a name: it is the newer that is refused.
        var newer = modern(group, new Listener(), "group.instance.id", "one");
        try {
            until(List.of(newer), have -> false);
        } catch (UnreleasedInstanceIdException unreleased) {
            newer.close();
        }
        // It comes back within its session: it has what it had, and the other hears nothing of it.
        one.close();
        var again = modern(group, new Listener(), "group.instance.id", "one");
        until(List.of(again, other), have -> have.get(0).equals(had));
        until(List.of(again, other), Client::shared);
        expect(listener.assigned, before);
        expect(listener.revoked, Set.of());
        // Who is removed by name makes room.
        again.close();
        var options = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")));
        admin.removeMembersFromConsumerGroup(group, options).all().get();
        until(List.of(other), have -> have.get(0).size() == 3);
        other.close();
    }

    /** Polls until all of these topics are shared out among the members, two partitions each. */
    static void untilRead(List<KafkaConsumer<byte[], byte[]>> members, String... topics) {
        Set<TopicPartition> wanted = Arrays.stream(topics).flatMap(it -> IntStream.range(0, 2).mapToObj(n -> new TopicPartition(it, n))).collect(Collectors.toSet());
        long end = System.nanoTime() + TIMEOUT.toNanos();
        while (true) {
            for (var it : members) it.poll(Duration.ofMillis(100));
            var have = members.stream().flatMap(it -> it.assignment().stream()).toList();
            if (have.size() == wanted.size() && Set.copyOf(have).equals(wanted)) return;
            if (System.nanoTime() > end) throw new AssertionError("assigned: " + have);
        }
    }

    static void patterns() throws Exception {
        String group = "patterns " + NAME;
        var pattern = new SubscriptionPattern(NAME + "-(fit|what)s?-[0-9]");
        var one = unsubscribed(group);
        var other = unsubscribed(group);
        one.subscribe(pattern);
        other.subscribe(pattern);
        admin.createTopics(List.of(new NewTopic(NAME + "-fits-1", 2, (short) 3), new NewTopic(NAME + "-fits-not", 2, (short) 3))).all().get();
        untilRead(List.of(one, other), NAME + "-fits-1");
        // What is new is found without anybody's doing, after a while.
        admin.createTopics(List.of(new NewTopic(NAME + "-what-2", 2, (short) 3))).all().get();
        untilRead(List.of(one, other), NAME + "-fits-1", NAME + "-what-2");
        other.close();
        untilRead(List.of(one), NAME + "-fits-1", NAME + "-what-2");
        // By name again; then what is no regular expression.
        one.unsubscribe();
        one.subscribe(List.of(NAME + "-fits-not"));
        untilRead(List.of(one), NAME + "-fits-not");
        one.unsubscribe();
        one.subscribe(new SubscriptionPattern("(unclosed"));
        try {
            until(List.of(one), have -> false);
        } catch (InvalidRegularExpression invalid) {
            one.close();
        }
    }

    static void fromClassic() throws Exception {
        String group = "moves " + NAME;
        var old = member(group, new Listener());
        until(List.of(old), have -> have.get(0).size() == 3);
        expect(described(group).type(), GroupType.CLASSIC);
        old.seekToEnd(PARTITIONS);
        old.commitSync(Map.of(PARTITIONS.get(0), new OffsetAndMetadata(30), PARTITIONS.get(1), new OffsetAndMetadata(30), PARTITIONS.get(2), new OffsetAndMetadata(30)));
        var modern = modern(group, new Listener());
        until(List.of(old, modern), Client::shared);
        var found = described(group);
        expect(found.type(), GroupType.CONSUMER);
        expect(found.members().stream().map(it -> it.upgraded().get()).sorted().toList(), List.of(false, true));
        old.close();
        until(List.of(modern), have -> have.get(0).size() == 3);
        expect(described(group).type(), GroupType.CONSUMER);
        expect(committed(modern), ALL);
        // And back: once nobody speaks the new protocol any more, the group is a classic one.
        old = member(group, new Listener());
        until(List.of(old, modern), Client::shared);
        modern.close();
        until(List.of(old), have -> have.get(0).size() == 3);
        expect(described(group).type(), GroupType.CLASSIC);
        expect(committed(old), ALL);
        expect(old.poll(Duration.ofSeconds(1)).count(), 0);
        old.close();
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("version|" + AppInfoParser.getVersion());
        admin = Admin.create(settings());
        tries("metadata", () -> expect(admin.describeCluster().nodes().get().size(), 3));
        tries("create topic", () -> admin.createTopics(List.of(new NewTopic(NAME, 3, (short) 3))).all().get());
        for (String which : List.of("0", "1", "all")) tries("acks " + which, () -> sent(NAME, 0, many("acks ", 50), "acks", which));
        for (String which : List.of("gzip", "snappy", "lz4", "zstd")) tries(which, () -> codec(which));
        tries("keys, headers, timestamps", Client::trimmings);
        tries("idempotent producer", () -> sent(NAME, 0, many("", 500), "enable.idempotence", true));
        tries("from the beginning", () ->
            expect(read(100, null, 0).stream().map(ConsumerRecord::offset).toList(), IntStream.range(0, 100).mapToObj(n -> (long) n).toList()));
        tries("from an offset", () -> expect(read(1, 77L, 0).get(0).offset(), 77L));
        tries("from a time", Client::fromTime);
        tries("900 kB message", Client::large);
        tries("unknown topic", () -> fails(TimeoutException.class, () -> sent(NAME + "-unknown", 0, many("", 1), "max.block.ms", 3_000)));
        tries("topic created by asking", () -> expect(sent(NAME, 0, many("", 1), "bootstrap.servers", System.getenv("CREATES")).get(0).offset(), 0L));
        tries("message too large", () -> fails(RecordTooLargeException.class, () -> sent(NAME, 0, List.of(new byte[2_000_000]))));
        tries("leader killed: exactly once", Client::survives);
        tries("group goes on where it was", Client::goesOn);
        tries("two members share", Client::share);
        tries("cooperative rebalance", Client::cooperative);
        tries("static members", Client::statics);
        tries("groups described and deleted", Client::administered);
        tries("coordinator killed", () -> coordinatorDies("survives " + NAME, Client::member));
        tries("KIP-848 groups", Client::newGroups);
        tries("KIP-848 static members", Client::newStatics);
        tries("KIP-848 regular expressions", Client::patterns);
        tries("KIP-848 coordinator killed", () -> coordinatorDies("new survives " + NAME, Client::modern));
        tries("KIP-848 from classic and back", Client::fromClassic);
        tries("configurations", Client::configurations);
        tries("delete topic", () -> admin.deleteTopics(List.of(NAME)).all().get());
        admin.close(Duration.ofSeconds(5));
    }
}
