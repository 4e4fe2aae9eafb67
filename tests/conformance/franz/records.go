// Producers, consumers without groups, and topics.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadata(ctx context.Context) {
	found := must(admin.BrokerMetadata(ctx))
	expect(found.Brokers.NodeIDs(), []int32{1, 2, 3})
}

// Creates a topic, and waits until its leaders know that they lead.
func create(ctx context.Context, topic string, partitions int32) {
	must(admin.CreateTopic(ctx, partitions, 3, nil, topic))
	until(ctx, "every partition has a leader", func() bool {
		ends, err := admin.ListEndOffsets(ctx, topic)
		return err == nil && ends.Error() == nil && len(ends[topic]) == int(partitions)
	})
}

func createTopic(ctx context.Context) {
	create(ctx, name, 3)
}

func many(text string, count int) []string {
	values := make([]string, count)
	for n := range values {
		values[n] = fmt.Sprintf("%s%d", text, n)
	}
	return values
}

func records(topic string, partition int32, values []string) []*kgo.Record {
	var all []*kgo.Record
	for _, value := range values {
		all = append(all, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)})
	}
	return all
}

// Sends records, which are told their offsets.
func send(ctx context.Context, all []*kgo.Record, options ...kgo.Opt) error {
	it := connected(append([]kgo.Opt{kgo.ProducerBatchMaxBytes(4_000_000)}, options...)...)
	defer it.Close()
	return it.ProduceSync(ctx, all...).FirstErr()
}

func texts(all []*kgo.Record) []string {
	var values []string
	for _, record := range all {
		values = append(values, string(record.Value))
	}
	return values
}

func read(ctx context.Context, partition int32, from kgo.Offset, count int) []*kgo.Record {
	it := connected(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {partition: from}}))
	defer it.Close()
	var all []*kgo.Record
	for len(all) < count {
		fetches := it.PollRecords(ctx, count-len(all))
		check(fetches.Err())
		all = append(all, fetches.Records()...)
	}
	return all
}

func at(offset int64) kgo.Offset {
	return kgo.NewOffset().At(offset)
}

func end(ctx context.Context, partition int32) int64 {
	ends := must(admin.ListEndOffsets(ctx, name))
	check(ends.Error())
	return ends[name][partition].Offset
}

func acks(which string, option kgo.Opt) func(context.Context) {
	return func(ctx context.Context) {
		from, values := end(ctx, 0), many("acks "+which+" ", 50)
		check(send(ctx, records(name, 0, values), option, kgo.DisableIdempotentWrite()))
		expect(texts(read(ctx, 0, at(from), 50)), values)
	}
}

// `kind` is the codec's number in a batch's attributes.
func codec(kind uint8, codec kgo.CompressionCodec) func(context.Context) {
	return func(ctx context.Context) {
		var values []string
		for n := range 50 {
			values = append(values, strings.Repeat(fmt.Sprintf("codec %d %d ", kind, n), 50))
		}
		sent := records(name, 1, values)
		check(send(ctx, sent, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond)))
		found := read(ctx, 1, at(sent[0].Offset), 50)
		expect(texts(found), values)
		expect(found[0].Attrs.CompressionType(), kind)
	}
}

func trimmings(ctx context.Context) {
	headers := []kgo.RecordHeader{{Key: "twice", Value: []byte("1")}, {Key: "twice", Value: []byte("2")}, {Key: "null"}}
	when := time.UnixMilli(1_600_000_000_000)
	sent := &kgo.Record{Topic: name, Partition: 2, Key: []byte("key"), Value: []byte("value"), Headers: headers, Timestamp: when}
	check(send(ctx, []*kgo.Record{sent}))
	found := read(ctx, 2, at(sent.Offset), 1)[0]
	expect(string(found.Key)+" "+string(found.Value), "key value")
	expect(found.Headers, headers)
	expect(found.Timestamp.UnixMilli(), when.UnixMilli())
}

func idempotent(ctx context.Context) {
	sent, from := records(name, 0, many("", 500)), end(ctx, 0)
	// It is what this client is if nobody says otherwise.
	check(send(ctx, sent, kgo.ProducerBatchMaxBytes(2_000)))
	found := read(ctx, 0, at(from), 500)
	expect(texts(found), many("", 500))
	expect(found[0].Attrs.IsTransactional(), false)
	// Batches are of a producer, who has an id.
	expect(found[0].ProducerID >= 0, true)
	expect(found[499].ProducerID, found[0].ProducerID)
}

func fromTheBeginning(ctx context.Context) {
	for n, record := range read(ctx, 0, kgo.NewOffset().AtStart(), 100) {
		expect(record.Offset, int64(n))
	}
}

func fromAnOffset(ctx context.Context) {
	expect(read(ctx, 0, at(77), 1)[0].Offset, int64(77))
}

func fromATime(ctx context.Context) {
	later := &kgo.Record{Topic: name, Partition: 2, Value: []byte("later"), Timestamp: time.UnixMilli(1_700_000_000_000)}
	check(send(ctx, []*kgo.Record{later}))
	found := must(admin.ListOffsetsAfterMilli(ctx, 1_650_000_000_000, name))
	expect(found[name][2].Offset, later.Offset)
	expect(texts(read(ctx, 2, kgo.NewOffset().AfterMilli(1_650_000_000_000), 1)), []string{"later"})
}

func large(ctx context.Context) {
	value := make([]byte, 900_000)
	for n := range value {
		value[n] = byte(n * 31 >> 3)
	}
	sent := records(name, 0, []string{string(value)})
	check(send(ctx, sent))
	expect(string(read(ctx, 0, at(sent[0].Offset), 1)[0].Value) == string(value), true)
}

func unknownTopic(ctx context.Context) {
	expectError(send(ctx, records(name+"-unknown", 0, many("", 1))), kerr.UnknownTopicOrPartition)
}

func createdByAsking(ctx context.Context) {
	sent := records(name, 0, many("", 1))
	check(send(ctx, sent, kgo.SeedBrokers(os.Getenv("CREATES")), kgo.AllowAutoTopicCreation()))
	expect(sent[0].Offset, int64(0))
}

func tooLarge(ctx context.Context) {
	// Nothing but a broker refuses it: the client was told of larger batches.
	expectError(send(ctx, records(name, 0, []string{strings.Repeat("x", 2_000_000)})), kerr.MessageTooLarge)
}

func leaderDies(ctx context.Context) {
	topics := must(admin.ListTopics(ctx, name))
	leader := topics[name].Partitions[1].Leader
	it := connected(kgo.ProducerLinger(time.Millisecond))
	defer it.Close()
	values := many("survivor ", 3_000)
	sent, errs := records(name, 1, values), make(chan error, 3_000)
	var killed func(context.Context)
	for n, record := range sent {
		it.Produce(ctx, record, func(_ *kgo.Record, err error) { errs <- err })
		if n == 1_000 {
			// It has a producer id by now.
			check(<-errs)
			killed = kill(leader)
		}
		if n > 1_000 && n%10 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	check(it.Flush(ctx))
	for range len(sent) - 1 {
		check(<-errs)
	}
	expect(texts(read(ctx, 1, at(sent[0].Offset), 3_000)), values)
	// And there is nothing behind them.
	expect(end(ctx, 1), sent[0].Offset+3_000)
	killed(ctx)
}

func configurations(ctx context.Context) {
	described := func(key string) (string, kmsg.ConfigSource) {
		found := must(must(admin.DescribeTopicConfigs(ctx, name)).On(name, nil))
		check(found.Err)
		for _, config := range found.Configs {
			if config.Key == key {
				return config.MaybeValue(), config.Source
			}
		}
		panic("there is no " + key)
	}
	change := func(operation kadm.IncrementalOp, key string, value *string) error {
		told := must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: operation, Name: key, Value: value}}, name))
		return must(told.On(name, nil)).Err
	}
	becomes := func(key, value string, source kmsg.ConfigSource) {
		until(ctx, key+" is "+value, func() bool {
			found, of := described(key)
			return found == value && of == source
		})
	}
	becomes("retention.ms", "604800000", kmsg.ConfigSourceDefaultConfig)
	becomes("min.insync.replicas", "2", kmsg.ConfigSourceStaticBrokerConfig)
	check(change(kadm.SetConfig, "retention.ms", kadm.StringPtr("86400000")))
	check(change(kadm.AppendConfig, "cleanup.policy", kadm.StringPtr("compact")))
	becomes("retention.ms", "86400000", kmsg.ConfigSourceDynamicTopicConfig)
	becomes("cleanup.policy", "delete,compact", kmsg.ConfigSourceDynamicTopicConfig)
	check(change(kadm.DeleteConfig, "retention.ms", nil))
	becomes("retention.ms", "604800000", kmsg.ConfigSourceDefaultConfig)
	expectError(change(kadm.SetConfig, "retention.ms", kadm.StringPtr("soon")), kerr.InvalidConfig)
	broker := must(must(admin.DescribeBrokerConfigs(ctx, 1)).On("1", nil))
	for _, config := range broker.Configs {
		if config.Key == "min.insync.replicas" {
			expect(config.MaybeValue(), "2")
			return
		}
	}
	panic("the broker has no min.insync.replicas")
}

func deleteTopic(ctx context.Context) {
	told := must(admin.DeleteTopics(ctx, name))
	check(must(told.On(name, nil)).Err)
	until(ctx, "the topic is gone", func() bool { return !must(admin.ListTopics(ctx)).Has(name) })
}
