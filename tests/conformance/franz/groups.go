// Groups of the classic protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A member of a group, and what it has been told that it has.
type member struct {
	*kgo.Client
	lock    sync.Mutex
	has     map[string][]int32
	assigns int
	lost    []int32
	closing sync.Once
}

// Joins a group. No rebalance comes between what a member reads and what it commits of that; what it gives up it commits.
func join(group string, options ...kgo.Opt) *member {
	it := &member{has: map[string][]int32{}}
	common := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			it.lock.Lock()
			defer it.lock.Unlock()
			it.assigns++
			for topic, partitions := range assigned {
				it.has[topic] = append(it.has[topic], partitions...)
			}
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			if err := commitRead(ctx, client); err != nil {
				fmt.Fprintln(os.Stderr, "commit of what is given up:", err)
			}
			it.loses(revoked)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { it.loses(lost) }),
	}
	it.Client = connected(append(common, options...)...)
	return it
}

func (it *member) loses(lost map[string][]int32) {
	it.lock.Lock()
	defer it.lock.Unlock()
	for topic, partitions := range lost {
		it.has[topic] = slices.DeleteFunc(it.has[topic], func(at int32) bool { return slices.Contains(partitions, at) })
		it.lost = append(it.lost, partitions...)
	}
}

func (it *member) partitions(topic string) []int32 {
	it.lock.Lock()
	defer it.lock.Unlock()
	return slices.Sorted(slices.Values(it.has[topic]))
}

// How often it was given something, and what it has lost.
func (it *member) changes() (int, []int32) {
	it.lock.Lock()
	defer it.lock.Unlock()
	return it.assigns, slices.Sorted(slices.Values(it.lost))
}

func (it *member) leave() {
	it.closing.Do(it.CloseAllowingRebalance)
}

// A session that ended is told to whoever polls, although the member joins again by itself.
func (it *member) poll(ctx context.Context, count int) []*kgo.Record {
	fetches := it.PollRecords(ctx, count)
	it.AllowRebalance()
	if ctx.Err() == nil {
		check(fetches.Err())
	}
	return fetches.Records()
}

func (it *member) take(ctx context.Context, count int) []string {
	var values []string
	for len(values) < count {
		values = append(values, texts(it.poll(ctx, count-len(values)))...)
		check(ctx.Err())
	}
	return values
}

// What comes within a second.
func (it *member) more() []string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return texts(it.poll(ctx, 100))
}

// The error by which it is told that its session has ended.
func (it *member) ends(ctx context.Context) error {
	for {
		for _, wrong := range it.PollRecords(ctx, 100).Errors() {
			if session := (*kgo.ErrGroupSession)(nil); errors.As(wrong.Err, &session) {
				it.AllowRebalance()
				return session
			}
		}
		it.AllowRebalance()
		check(ctx.Err())
	}
}

// Commits what was read. A member of a new epoch that it has not heard of cannot commit, and the client says that it
// leaves that to others.
func commitRead(ctx context.Context, it *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, timeout/2)
	defer cancel()
	for {
		err := it.CommitUncommittedOffsets(ctx)
		if !errors.Is(err, kerr.StaleMemberEpoch) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Waits until what the members have fits, and gives that back.
func settles(ctx context.Context, members []*member, fits func([][]int32) bool) [][]int32 {
	var have [][]int32
	look := func() bool {
		have = nil
		for _, it := range members {
			have = append(have, it.partitions(grouped))
		}
		return fits(have)
	}
	defer func() {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "assigned:", have)
		}
	}()
	until(ctx, "assignment", look)
	return have
}

var whole = []int32{0, 1, 2}

func shared(have [][]int32) bool {
	all := slices.Concat(have...)
	slices.Sort(all)
	return slices.Equal(all, whole) && !slices.ContainsFunc(have, func(it []int32) bool { return len(it) == 0 })
}

// The first has everything.
func everything(have [][]int32) bool {
	return slices.Equal(have[0], whole)
}

// That a broker is not there the client tells whoever asks it. It is asked again.
func committed(ctx context.Context, group string) map[int32]int64 {
	var found kadm.OffsetResponses
	until(ctx, "the coordinator is there", func() bool {
		var err error
		found, err = admin.FetchOffsets(ctx, group)
		if away := (*net.OpError)(nil); !errors.As(err, &away) {
			check(err)
		}
		return err == nil
	})
	check(found.Error())
	offsets := map[int32]int64{}
	found.Each(func(it kadm.OffsetResponse) { offsets[it.Partition] = it.At })
	return offsets
}

var (
	ninety = many("", 90)
	all    = map[int32]int64{0: 30, 1: 30, 2: 30}
)

func sorted(values []string) []string {
	return slices.Sorted(slices.Values(values))
}

func classic(options ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.ConsumeTopics(grouped), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
	}, options...)
}

func goesOn(ctx context.Context) {
	create(ctx, grouped, 3)
	for partition := range 3 {
		check(send(ctx, records(grouped, int32(partition), ninety[30*partition:30*partition+30])))
	}
	group := "goes on " + name
	first := join(group, classic()...)
	defer first.leave()
	values := first.take(ctx, 40)
	check(first.CommitUncommittedOffsets(ctx))
	var sum int64
	for _, offset := range committed(ctx, group) {
		sum += offset
	}
	expect(sum, int64(40))
	first.leave()
	second := join(group, classic()...)
	defer second.leave()
	values = append(values, second.take(ctx, 50)...)
	check(second.CommitUncommittedOffsets(ctx))
	expect(sorted(values), sorted(ninety))
	expect(committed(ctx, group), all)
	// Neither has read anything twice.
	expect(second.more(), []string(nil))
}

func described(ctx context.Context, group string) kadm.DescribedGroup {
	found := must(admin.DescribeGroups(ctx, group))
	check(found.Error())
	return found[group]
}

func share(ctx context.Context) {
	group := "share " + name
	one, other := join(group, classic()...), join(group, classic()...)
	defer one.leave()
	defer other.leave()
	have := settles(ctx, []*member{one, other}, shared)
	found := described(ctx, group)
	expect([]any{found.State, found.Protocol, len(found.Members)}, []any{"Stable", "range", 2})
	// The coordinator tells of the same.
	for _, it := range found.Members {
		nth := 0
		if id, _ := other.GroupMetadata(); id == it.MemberID {
			nth = 1
		}
		assigned, _ := it.Assigned.AsConsumer()
		expect(slices.Sorted(slices.Values(assigned.Topics[0].Partitions)), have[nth])
	}
	other.leave()
	settles(ctx, []*member{one}, everything)
}

func cooperative(ctx context.Context) {
	group, options := "cooperative "+name, classic(kgo.Balancers(kgo.CooperativeStickyBalancer()))
	one := join(group, options...)
	defer one.leave()
	settles(ctx, []*member{one}, everything)
	other := join(group, options...)
	defer other.leave()
	have := settles(ctx, []*member{one, other}, shared)
	// The first has given up what the second has, and nothing else at any time.
	_, lost := one.changes()
	expect(lost, have[1])
	expect(described(ctx, group).Protocol, "cooperative-sticky")
	other.leave()
	settles(ctx, []*member{one}, everything)
}

func names(members []kadm.DescribedGroupMember) []string {
	var all []string
	for _, it := range members {
		all = append(all, *it.InstanceID)
	}
	return sorted(all)
}

// Who is removed by name makes room.
func remove(ctx context.Context, group, instance string) {
	told := must(admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(instance)))
	check(told.Error())
}

// Is not told of anything for longer than between two heartbeats.
func hearsNothing(it *member, what func()) {
	assigns, lost := it.changes()
	what()
	time.Sleep(1500 * time.Millisecond)
	after, lostAfter := it.changes()
	expect([]any{after, lostAfter}, []any{assigns, lost})
}

func statics(ctx context.Context) {
	group := "static " + name
	one, other := join(group, classic(kgo.InstanceID("one"))...), join(group, classic(kgo.InstanceID("other"))...)
	defer one.leave()
	defer other.leave()
	had := settles(ctx, []*member{one, other}, shared)[0]
	expect(names(described(ctx, group).Members), []string{"one", "other"})
	// It comes back within its session: it has what it had, and the other hears nothing of it.
	var again *member
	hearsNothing(other, func() {
		one.leave()
		again = join(group, classic(kgo.InstanceID("one"))...)
		settles(ctx, []*member{again}, func(have [][]int32) bool { return slices.Equal(have[0], had) })
	})
	defer again.leave()
	// There is only one of a name.
	newer := join(group, classic(kgo.InstanceID("one"))...)
	defer newer.leave()
	settles(ctx, []*member{newer}, func(have [][]int32) bool { return slices.Equal(have[0], had) })
	expectError(again.ends(ctx), kerr.FencedInstanceID)
	again.leave()
	newer.leave()
	remove(ctx, group, "one")
	settles(ctx, []*member{other}, everything)
}

func listed(ctx context.Context, group string) bool {
	_, listed := must(admin.ListGroups(ctx))[group]
	return listed
}

func administered(ctx context.Context) {
	group := "goes on " + name
	expect(listed(ctx, group), true)
	found := described(ctx, group)
	expect([]any{found.State, len(found.Members)}, []any{"Empty", 0})
	expect(committed(ctx, group), all)
	back := kadm.Offsets{}
	back.AddOffset(grouped, 1, 7, -1)
	check(admin.CommitAllOffsets(ctx, group, back))
	gone := kadm.TopicsSet{}
	gone.Add(grouped, 2)
	check(must(admin.DeleteOffsets(ctx, group, gone)).Error())
	expect(committed(ctx, group), map[int32]int64{0: 30, 1: 7})
	check(must(admin.DeleteGroups(ctx, group)).Error())
	expect(listed(ctx, group), false)
}

// Commits after every record while the coordinator is killed. What was acknowledged never goes back, and nobody reads it
// again.
func coordinatorDies(ctx context.Context, group string, options []kgo.Opt) {
	it := join(group, options...)
	defer it.leave()
	seen, acknowledged := map[string]bool{}, map[int32]int64{}
	var killed func(context.Context)
	for len(seen) < 90 {
		fetches := it.PollRecords(ctx, 1)
		for _, wrong := range fetches.Errors() {
			// The member joins again by itself, and may read again what it could not commit.
			if session := (*kgo.ErrGroupSession)(nil); !errors.As(wrong.Err, &session) {
				panic(wrong.Err)
			}
			fmt.Fprintln(os.Stderr, wrong.Err)
		}
		for _, record := range fetches.Records() {
			expect(record.Offset >= acknowledged[record.Partition], true)
			seen[string(record.Value)] = true
			if len(seen) == 30 && killed == nil {
				coordinator := admin.FindGroupCoordinators(ctx, group)
				check(coordinator.Error())
				killed = kill(coordinator[group].NodeID)
			}
			if err := it.CommitRecords(ctx, record); err != nil {
				// It commits with the next of the partition, or at the end.
				fmt.Fprintln(os.Stderr, "commit:", err)
			} else {
				acknowledged[record.Partition] = record.Offset + 1
			}
			if len(seen)%10 == 0 {
				found := committed(ctx, group)
				for partition, was := range acknowledged {
					expect(found[partition] >= was, true)
				}
			}
		}
		it.AllowRebalance()
		check(ctx.Err())
	}
	until(ctx, "everything is committed", func() bool {
		err := it.CommitUncommittedOffsets(ctx)
		return err == nil && fmt.Sprint(committed(ctx, group)) == fmt.Sprint(all)
	})
	it.leave()
	killed(ctx)
	again := join(group, options...)
	defer again.leave()
	settles(ctx, []*member{again}, everything)
	expect(again.more(), []string(nil))
	expect(committed(ctx, group), all)
	for _, value := range ninety {
		expect(seen[value], true)
	}
}
