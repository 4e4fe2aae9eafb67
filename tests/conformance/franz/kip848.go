// Groups by KIP-848: the coordinator says how often it is heard of, and who has what.
package main

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The balancer names the assignor of the coordinator: range, or uniform for the sticky one.
func modern(options ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{kgo.ConsumeTopics(grouped), kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}, options...)
}

func newDescribed(ctx context.Context, group string) kadm.DescribedConsumerGroup {
	found := must(admin.DescribeConsumerGroups(ctx, group))
	check(found.Error())
	return found[group]
}

// Of which type a group is listed, or nothing if it is not.
func typeOf(ctx context.Context, group string) string {
	return must(admin.ListGroups(ctx))[group].GroupType
}

func newGroups(ctx context.Context) {
	group, byRange := "new "+name, kgo.Balancers(kgo.RangeBalancer())
	one := join(group, modern(byRange, kgo.ClientID("one"))...)
	defer one.leave()
	values := one.take(ctx, 40)
	check(commitRead(ctx, one.Client))
	other := join(group, modern(byRange, kgo.ClientID("other"))...)
	defer other.leave()
	// What the first gives up the other goes on with where the first was.
	have := settles(ctx, []*member{one, other}, shared)
	_, lost := one.changes()
	expect(lost, have[1])
	for len(values) < 90 {
		for _, it := range []*member{one, other} {
			values = append(values, it.more()...)
		}
		check(ctx.Err())
	}
	expect(sorted(values), sorted(ninety))
	var found kadm.DescribedConsumerGroup
	until(ctx, "the group is stable", func() bool {
		found = newDescribed(ctx, group)
		return found.State == "Stable"
	})
	expect([]any{found.AssignorName, len(found.Members), found.AssignmentEpoch}, []any{"range", 2, found.Epoch})
	for _, it := range found.Members {
		wanted := kadm.TopicsSet{}
		wanted.Add(grouped, have[slices.Index([]string{"one", "other"}, it.ClientID)]...)
		expect([]kadm.TopicsSet{it.Assignment, it.TargetAssignment}, []kadm.TopicsSet{wanted, wanted})
		expect([]any{it.MemberEpoch, it.MemberType, it.SubscribedTopics}, []any{found.Epoch, int8(1), []string{grouped}})
	}
	check(commitRead(ctx, one.Client))
	check(commitRead(ctx, other.Client))
	other.leave()
	settles(ctx, []*member{one}, everything)
	expect(committed(ctx, group), all)
	// Neither has read anything twice.
	expect(one.more(), []string(nil))
	one.leave()
	expect([]string{typeOf(ctx, group), newDescribed(ctx, group).State}, []string{"consumer", "Empty"})
	again := join(group, modern()...)
	defer again.leave()
	settles(ctx, []*member{again}, everything)
	expect(again.more(), []string(nil))
	expect(committed(ctx, group), all)
	again.leave()
	check(must(admin.DeleteGroups(ctx, group)).Error())
	expect(listed(ctx, group), false)
}

// Leaves for a while, as a static member does when it is closed. It does not name itself as it does so, which Kafka
// refuses: it is said for it then, as its next process would wait for its session's end otherwise.
func (it *member) pause(ctx context.Context, group, instance string) {
	id, _ := it.GroupMetadata()
	it.AllowRebalance()
	err := it.LeaveGroupContext(ctx)
	it.leave()
	if !errors.Is(err, kerr.InvalidRequest) {
		check(err)
		return
	}
	request := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	request.Group, request.MemberID, request.MemberEpoch, request.InstanceID = group, id, -2, &instance
	asking := connected()
	defer asking.Close()
	answer := must(request.RequestWith(ctx, asking))
	check(kerr.ErrorForCode(answer.ErrorCode))
	expect(answer.MemberEpoch, int32(-2))
}

func newStatics(ctx context.Context) {
	group := "new static " + name
	one, other := join(group, modern(kgo.InstanceID("one"))...), join(group, modern(kgo.InstanceID("other"))...)
	defer one.leave()
	defer other.leave()
	had := settles(ctx, []*member{one, other}, shared)[0]
	var instances []string
	for _, it := range newDescribed(ctx, group).Members {
		instances = append(instances, *it.InstanceID)
	}
	expect(sorted(instances), []string{"one", "other"})
	hearsNothing(other, func() {
		// There is only one of a name: it is the newer that is refused, and it takes nobody along when it goes.
		newer := join(group, modern(kgo.InstanceID("one"))...)
		defer newer.leave()
		expectError(newer.ends(ctx), kerr.UnreleasedInstanceID)
		newer.leave()
		expect(one.partitions(grouped), had)
		// It comes back within its session: it has what it had, and the other hears nothing of it.
		one.pause(ctx, group, "one")
		again := join(group, modern(kgo.InstanceID("one"))...)
		defer again.leave()
		settles(ctx, []*member{again}, func(have [][]int32) bool { return slices.Equal(have[0], had) })
	})
	remove(ctx, group, "one")
	settles(ctx, []*member{other}, everything)
}

func patterns(ctx context.Context) {
	group := "patterns " + name
	// A client that does not see a topic that fits does not join yet.
	create(ctx, name+"-fits-1", 2)
	create(ctx, name+"-fits-not", 2)
	options := modern(kgo.ConsumeTopics("^"+name+"-(fit|what)s?-[0-9]$"), kgo.ConsumeRegex())
	one, other := join(group, options...), join(group, options...)
	defer one.leave()
	defer other.leave()
	read := func(members []*member, topics ...string) {
		until(ctx, "the topics that fit are shared out", func() bool {
			for _, topic := range []string{name + "-fits-1", name + "-fits-not", name + "-what-2"} {
				var have, wanted []int32
				for _, it := range members {
					have = append(have, it.partitions(topic)...)
				}
				if slices.Contains(topics, topic) {
					wanted = []int32{0, 1}
				}
				if slices.Sort(have); !slices.Equal(have, wanted) {
					return false
				}
			}
			return true
		})
	}
	read([]*member{one, other}, name+"-fits-1")
	// It is the coordinator who looks up what fits.
	for _, it := range newDescribed(ctx, group).Members {
		expect(it.SubscribedTopicRegex != nil && len(it.SubscribedTopics) == 0, true)
	}
	// What is new is found without anybody's doing, after a while.
	create(ctx, name+"-what-2", 2)
	read([]*member{one, other}, name+"-fits-1", name+"-what-2")
	other.leave()
	read([]*member{one}, name+"-fits-1", name+"-what-2")
}

func fromClassic(ctx context.Context) {
	group := "moves " + name
	old := join(group, classic()...)
	defer old.leave()
	settles(ctx, []*member{old}, everything)
	expect(typeOf(ctx, group), "classic")
	old.take(ctx, 90)
	check(old.CommitUncommittedOffsets(ctx))
	newer := join(group, modern()...)
	defer newer.leave()
	settles(ctx, []*member{old, newer}, shared)
	expect(typeOf(ctx, group), "consumer")
	var kinds []int8
	for _, it := range newDescribed(ctx, group).Members {
		kinds = append(kinds, it.MemberType)
	}
	expect(slices.Sorted(slices.Values(kinds)), []int8{0, 1})
	old.leave()
	settles(ctx, []*member{newer}, everything)
	expect(typeOf(ctx, group), "consumer")
	expect(newer.more(), []string(nil))
	// And back: once nobody speaks the new protocol any more, the group is a classic one.
	last := join(group, classic()...)
	defer last.leave()
	settles(ctx, []*member{newer, last}, shared)
	newer.leave()
	settles(ctx, []*member{last}, everything)
	expect(typeOf(ctx, group), "classic")
	expect(committed(ctx, group), all)
	expect(last.more(), []string(nil))
}
