// franz-go against a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeout = 30 * time.Second

var (
	bootstrap = strings.Split(os.Getenv("BOOTSTRAP"), ",")
	// Names that nobody else has taken.
	name    = fmt.Sprintf("franz-go-%d-%d", os.Getpid(), time.Now().UnixMilli())
	grouped = name + "-groups"
	admin   = kadm.NewClient(connected())
)

func main() {
	fmt.Println("version|" + version())
	tries("metadata", metadata)
	tries("create topic", createTopic)
	tries("acks 0", acks("0", kgo.RequiredAcks(kgo.NoAck())))
	tries("acks 1", acks("1", kgo.RequiredAcks(kgo.LeaderAck())))
	tries("acks all", acks("all", kgo.RequiredAcks(kgo.AllISRAcks())))
	tries("gzip", codec(1, kgo.GzipCompression()))
	tries("snappy", codec(2, kgo.SnappyCompression()))
	tries("lz4", codec(3, kgo.Lz4Compression()))
	tries("zstd", codec(4, kgo.ZstdCompression()))
	tries("keys, headers, timestamps", trimmings)
	tries("idempotent producer", idempotent)
	tries("from the beginning", fromTheBeginning)
	tries("from an offset", fromAnOffset)
	tries("from a time", fromATime)
	tries("900 kB message", large)
	tries("unknown topic", unknownTopic)
	tries("topic created by asking", createdByAsking)
	tries("message too large", tooLarge)
	tries("leader killed: exactly once", leaderDies)
	tries("group goes on where it was", goesOn)
	tries("two members share", share)
	tries("cooperative rebalance", cooperative)
	tries("static members", statics)
	tries("groups described and deleted", administered)
	tries("coordinator killed", func(ctx context.Context) { coordinatorDies(ctx, "survives "+name, classic()) })
	tries("KIP-848 groups", newGroups)
	tries("KIP-848 static members", newStatics)
	tries("KIP-848 regular expressions", patterns)
	tries("KIP-848 coordinator killed", func(ctx context.Context) { coordinatorDies(ctx, "new survives "+name, modern()) })
	tries("KIP-848 from classic and back", fromClassic)
	tries("configurations", configurations)
	tries("delete topic", deleteTopic)
}

// The client's, which is a module of this program.
func version() string {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return ""
}

// Tries a feature, and prints what came of it. What goes wrong is a panic.
func tries(feature string, what func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*timeout)
	defer cancel()
	began := time.Now()
	defer func() {
		fmt.Fprintf(os.Stderr, "%6.1f s %s\n", time.Since(began).Seconds(), feature)
		wrong := recover()
		if wrong == nil {
			fmt.Println(feature + "|ok")
			return
		}
		fmt.Fprintf(os.Stderr, "%v\n%s", wrong, debug.Stack())
		text := strings.ReplaceAll(fmt.Sprint(wrong), "\n", " ")
		fmt.Printf("%s|%.200s\n", feature, text)
	}()
	what(ctx)
}

// Fails unless both are the same.
func expect(what, wanted any) {
	if !reflect.DeepEqual(what, wanted) {
		panic(fmt.Errorf("%.300s instead of %.300s", fmt.Sprintf("%v", what), fmt.Sprintf("%v", wanted)))
	}
}

func expectError(err, wanted error) {
	if !errors.Is(err, wanted) {
		panic(fmt.Errorf("%v instead of %v", err, wanted))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](it T, err error) T {
	check(err)
	return it
}

// Looks again and again until it fits.
func until(ctx context.Context, what string, fits func() bool) {
	for !fits() {
		select {
		case <-ctx.Done():
			panic(fmt.Errorf("it does not come to that: %s", what))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// A client; of options that are told twice the last holds.
func connected(options ...kgo.Opt) *kgo.Client {
	common := []kgo.Opt{
		kgo.SeedBrokers(bootstrap...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		// New topics are found soon.
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(time.Second),
		// A connection that ends before anything was answered is one to a broker that was killed, and no mistaken SASL.
		kgo.AlwaysRetryEOF(),
	}
	return must(kgo.NewClient(append(common, options...)...))
}

// Kills a broker with kill -9, and starts it again a second later. What is given back waits until it answers again.
func kill(broker int32) func(context.Context) {
	program := exec.Command(filepath.Join(os.Getenv("HERE"), "node"), "kill", fmt.Sprintf("broker-%d", broker))
	check(program.Start())
	return func(ctx context.Context) {
		check(program.Wait())
		until(ctx, "all brokers answer", func() bool {
			found, err := admin.BrokerMetadata(ctx)
			if err != nil || len(found.Brokers) != 3 {
				return false
			}
			// This asks every one of them.
			_, err = admin.ListGroups(ctx)
			return err == nil
		})
	}
}
