package kafka_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/troupebus/troupe/transports/kafka"
)

// settled waits until there are at most want goroutines, and fails the test if that never is.
func settled(t *testing.T, want int) {
	t.Helper()
	defer func() {
		if t.Failed() {
			stacks := make([]byte, 1<<20)
			t.Logf("%s", stacks[:runtime.Stack(stacks, true)])
		}
	}()
	eventually(t, func() bool { return runtime.NumGoroutine() <= want }, "as few as %d goroutines", want)
}

// TestNoBroker: a hundred calls to a dead address fail soon, say what to do, and leave nothing behind. Not parallel: it
// counts goroutines.
func TestNoBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	cfg := config([]string{address})
	tr := MustTransport(t, cfg)
	if _, err := tr.Subscribe(t.Context(), "order"); err == nil { // makes the client that stays, which all share
		t.Fatal("somebody is there")
	}
	before := runtime.NumGoroutine()
	for range 100 {
		began := time.Now()
		if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "no broker answers at ["+address) {
			t.Fatalf("Subscribe: %v", err)
		}
		if err := tr.Publish("order", numbered("k", 0, 500)...); err == nil || strings.Count(err.Error(), "refused") != 1 {
			t.Fatalf("Publish: %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("it took %v to find that nobody is there", took)
		}
	}
	settled(t, before)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Subscribe(t.Context(), "order"); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("Subscribe after Close: %v", err)
	}
	if err := tr.Publish("order", numbered("k", 0, 1)...); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("Publish after Close: %v", err)
	}
}

// TestAdvertisedElsewhere: brokers whose addresses, as the first one tells them, lead nowhere from here.
func TestAdvertisedElsewhere(t *testing.T) {
	t.Parallel()
	c := MustCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(18, "troupe.order"))
	cfg := config(c.ListenAddrs()[:1])
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != cfg.Brokers[0] {
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: "kafka-2"}}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	tr := MustTransport(t, cfg.WithPatience(3*time.Second))
	var all []*message.Message // of so many partitions that some of them are led by others than the first broker: who leads is drawn
	for key := range 100 {
		all = append(all, numbered(strconv.Itoa(key), 0, 1)...)
	}
	_, err := tr.Subscribe(t.Context(), "order")
	for _, err := range []error{err, tr.Publish("order", all...)} {
		if err == nil || !strings.Contains(err.Error(), "can reach all brokers at their advertised.listeners") || !strings.Contains(err.Error(), "kafka-2") {
			t.Errorf("want an error that says where to look, got: %v", err)
		}
	}
}

// TestBrokerRestarts: the channel closes, Subscribe says why until the broker is back, and then everything goes on.
func TestBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	start := func(ports ...int) *kfake.Cluster {
		t.Helper()
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(ports...), kfake.DataDir(dir), kfake.SyncWrites())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := runtime.NumGoroutine()
	c := start(0)
	_, port, _ := strings.Cut(c.ListenAddrs()[0], ":")
	number, _ := strconv.Atoi(port)
	cfg := config(c.ListenAddrs()).WithPatience(500 * time.Millisecond)
	cfg.Timeout = 500 * time.Millisecond
	tr := MustTransport(t, cfg)
	MustPublish(t, tr, "order", numbered("k", 0, 10)...)
	in := MustSubscribe(t, tr, "order")
	for range 5 {
		Next(t, in).Ack()
	}
	eventually(t, func() bool { return keptSum(t, cfg.Brokers) == 5 }, "the position of 5 messages")
	c.Close()
	for range in { // closes, with or without the others of the ten
	}
	for range 3 {
		if _, err := tr.Subscribe(t.Context(), "order"); err == nil {
			t.Fatal("Subscribe has no error while the broker is away")
		}
		if err := tr.Publish("order", numbered("k", 10, 20)...); err == nil {
			t.Fatal("Publish has no error while the broker is away")
		}
	}
	c = start(number)
	defer c.Close()
	MustPublish(t, tr, "order", numbered("k", 10, 20)...)
	in = MustSubscribe(t, tr, "order")
	for n := 5; n < 20; n++ {
		m := Next(t, in)
		if want := "k-" + strconv.Itoa(n); m.UUID != want {
			t.Fatalf("got %s, want %s", m.UUID, want)
		}
		m.Ack()
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	settled(t, before+1) // go-metrics, which sarama counts with, keeps one for the process
}

// keptSum is how far the group has come in all partitions of troupe.order.
func keptSum(t *testing.T, brokers []string) (sum int64) {
	for p := range int32(6) {
		sum += max(0, keptPosition(t, brokers, "g", "troupe.order", p))
	}
	return sum
}

// TestTrouble: whatever stops the reading for longer than a moment closes the channel, and Subscribe says what it is.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault kfake.Fault
		says  string
	}{
		"fetch refused":  {kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed}, "grant READ on topic troupe.order"},
		"fetch fails":    {kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError}, "Disk"},
		"group refused":  {kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed}, "grant READ on all groups whose names begin with g"},
		"no coordinator": {kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetFetch}, Err: kerr.CoordinatorNotAvailable}, "offsets of group g"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := MustCluster(t)
			cfg := config(c.ListenAddrs()).WithPatience(500 * time.Millisecond)
			tr := MustTransport(t, cfg)
			MustPublish(t, tr, "order", numbered("k", 0, 5)...)
			in := MustSubscribe(t, tr, "order")
			test.fault.Count = -1
			handle := c.Fault(test.fault)
			for began := time.Now(); ; {
				m, open := <-in
				if !open {
					if took := time.Since(began); took > 8*time.Second {
						t.Errorf("it took %v to close the channel", took)
					}
					break
				}
				m.Ack()
			}
			if _, err := tr.Subscribe(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Subscribe: want an error with %q, got: %v", test.says, err)
			}
			handle.Remove()
			MustPublish(t, tr, "order", numbered("k", 5, 6)...)
			in = MustSubscribe(t, tr, "order")
			for Next(t, in).UUID != "k-5" {
			}
		})
	}
}

// TestTopicDeleted: the channel closes; the next Subscribe makes the topic anew, or says that somebody should.
func TestTopicDeleted(t *testing.T) {
	t.Parallel()
	for _, noCreate := range []bool{false, true} {
		t.Run(strconv.FormatBool(noCreate), func(t *testing.T) {
			t.Parallel()
			c := MustCluster(t, kfake.SeedTopics(2, "troupe.order"))
			cfg := config(c.ListenAddrs()).WithPatience(500 * time.Millisecond)
			cfg.NoCreate = noCreate
			tr := MustTransport(t, cfg)
			MustPublish(t, tr, "order", numbered("k", 0, 1)...)
			in := MustSubscribe(t, tr, "order")
			Next(t, in).Ack()
			if err := c.DeleteTopic("troupe.order"); err != nil {
				t.Fatal(err)
			}
			for range in {
			}
			_, err := tr.Subscribe(t.Context(), "order")
			if noCreate != (err != nil && strings.Contains(err.Error(), "--create --topic troupe.order")) {
				t.Errorf("Subscribe: %v", err)
			}
		})
	}
}

// TestClosePublish: Close makes a Publish return that waits for a broker which does not answer.
func TestClosePublish(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	tr := MustTransport(t, config(c.ListenAddrs()))
	MustPublish(t, tr, "order", numbered("k", 0, 1)...)
	asked, answer := make(chan struct{}), make(chan struct{})
	defer close(answer)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		c.SleepControl(func() { <-answer })
		return nil, nil, false
	})
	failed := make(chan error, 1)
	go func() { failed <- tr.Publish("order", numbered("k", 1, 2)...) }()
	<-asked
	began := time.Now()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
}

// TestQuiet: a subscription to whose topic nothing happens asks the broker about twice a second, and not more when nobody
// takes what it has.
func TestQuiet(t *testing.T) {
	t.Parallel()
	c := MustCluster(t)
	cfg := config(c.ListenAddrs())
	cfg.Window = 1
	tr := MustTransport(t, cfg)
	var requests atomic.Int64
	c.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		requests.Add(1)
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	in, err := tr.Subscribe(ctx, "order")
	if err != nil {
		t.Fatal(err)
	}
	requests.Store(0)
	stay(2 * time.Second) // what is measured is what happens in it
	if n := requests.Load(); n > 10 {
		t.Errorf("an idle subscription asked %d times in 2 s", n)
	}
	for n := range 20 {
		MustPublish(t, tr, "order", numbered("k", n, n+1)...)
	}
	Next(t, in) // and does not acknowledge it
	stay(time.Second)
	requests.Store(0)
	stay(2 * time.Second)
	if n := requests.Load(); n > 10 {
		t.Errorf("a subscription whose messages nobody takes asked %d times in 2 s", n)
	}
	cancel()
	for range in {
	}
}
