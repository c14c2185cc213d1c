package interop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/handlers"
	"github.com/troupebus/troupe/internal/servers"
	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/sqlite"
)

const wait = 30 * time.Second

// broker is the broker of a test, with the prefix of its topics.
type broker struct {
	address string
	prefix  string
}

// onBrokers runs a test on the in-process broker, and on a real broker if the environment names one.
func onBrokers(t *testing.T, test func(t *testing.T, b broker)) {
	t.Parallel()
	for name, address := range map[string]func(*testing.T) string{
		"in process": func(t *testing.T) string {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			return cluster.ListenAddrs()[0]
		},
		"real": func(t *testing.T) string { return servers.Kafka(t) },
	} {
		t.Run(name, func(t *testing.T) {
			test(t, broker{address(t), fmt.Sprintf("interop-%x", time.Now().UnixNano())})
		})
	}
}

// inventory runs a deployable with only the inventory module: the test sends the events of the order module.
func (b broker) inventory(t *testing.T) *sqlite.Journal {
	t.Helper()
	j, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "inventory.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	transport, err := kafka.New(kafka.Config{Brokers: []string{b.address}, Group: b.prefix + "-" + j.ID(), Prefix: b.prefix, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	shop := bus.New(j, bus.Config{Modules: []string{"inventory"}, Transport: transport, Logger: slog.New(slog.DiscardHandler)})
	handlers.Order(shop)
	stock := handlers.Inventory(shop)
	handlers.Payment(shop, nil, 1)
	handlers.Shipping(shop, nil, 1)
	handlers.Notification(shop)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- shop.Run(ctx) }()
	select {
	case <-shop.Running():
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for _, err := range []error{<-ended, transport.Close(), j.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := stock.Receive(t.Context(), []handlers.Delivery{{SKU: "MUG", Quantity: 10}}); err != nil {
		t.Fatal(err)
	}
	return j
}

// kcat runs the client kcat, and skips the test if kcat is not installed.
func (b broker) kcat(t *testing.T, input string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("needs kcat, a Kafka client that is not ours: apt-get install kcat")
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", b.address}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	return string(out)
}

// placed writes an order.placed with kcat: with the attributes that the specification requires, and a key.
func (b broker) placed(t *testing.T, id, order string) {
	t.Helper()
	b.kcat(t, fmt.Sprintf(`{"order_id":%q,"customer_id":"c","lines":[{"sku":"MUG","quantity":1,"unit_price_cents":250}],"total_cents":250}`, order),
		"-P", "-t", b.prefix+".order", "-k", order,
		"-H", "ce_specversion=1.0", "-H", "ce_id="+id, "-H", "ce_type=order.placed", "-H", "ce_source=https://web.example/shop", "-H", "content-type=application/json")
}

// await waits until the journal has a number of events of a type, and returns them.
func await(t *testing.T, j *sqlite.Journal, eventType string, n int) (found []*journal.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	err := j.Follow(ctx, 0, func(e *journal.Event) error {
		if found = append(found, e); len(found) == n {
			return errEnough
		}
		return nil
	}, eventType)
	if !errors.Is(err, errEnough) {
		t.Fatalf("%d of %d %s: %v", len(found), n, eventType, err)
	}
	return found
}

var errEnough = errors.New("enough")

// A client that does not know Troupe reads our events with their headers, and we handle its events like all others.
func TestKcat(t *testing.T) {
	onBrokers(t, func(t *testing.T, b broker) {
		j := b.inventory(t)
		b.placed(t, "w-1", "order-1")
		reserved := await(t, j, "inventory.reserved", 1)[0]
		if reserved.Key != "order-1" || reserved.CausationID != "w-1" || reserved.CorrelationID != "w-1" {
			t.Errorf("what came of it: %+v", reserved)
		}
		b.first(t, b.prefix+".inventory") // the relay creates the topic, and kcat does not wait for a topic
		out := b.kcat(t, "", "-C", "-t", b.prefix+".inventory", "-o", "beginning", "-c", "1", "-f", `{"key":"%k","headers":"%h","payload":%s}`)
		var read struct {
			Key, Headers string
			Payload      struct {
				OrderID string `json:"order_id"`
			}
		}
		if err := json.Unmarshal([]byte(out), &read); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, header := range []string{"ce_specversion=1.0", "ce_type=inventory.reserved", "ce_source=inventory", "ce_subject=order-1",
			"ce_id=" + reserved.ID, "ce_causationid=w-1", "ce_correlationid=w-1", "ce_dataversion=1", "content-type=application/json", "ce_traceparent=00-"} {
			if !strings.Contains(read.Headers, header) {
				t.Errorf("headers %s lack %s", read.Headers, header)
			}
		}
		if read.Key != "order-1" || read.Payload.OrderID != "order-1" {
			t.Errorf("kcat reads key %q, payload %+v", read.Key, read.Payload)
		}
	})
}

// A message that is no event is kept with its bytes, and blocks no other message, not even in its own partition.
func TestAMalformedMessageBecomesADeadLetter(t *testing.T) {
	onBrokers(t, func(t *testing.T, b broker) {
		j := b.inventory(t)
		b.placed(t, "w-1", "order-1")
		b.kcat(t, "\x00\xffno event", "-P", "-t", b.prefix+".order", "-k", "order-1", "-H", "from=web")
		b.kcat(t, `{"order_id":`, "-P", "-t", b.prefix+".order", "-k", "order-1", "-H", "ce_specversion=1.0", "-H", "ce_id=w-2",
			"-H", "ce_type=order.placed", "-H", "ce_source=web")
		b.placed(t, "w-3", "order-3")
		b.placed(t, "w-4", "order-1") // the key of the messages that are no events
		await(t, j, "inventory.reserved", 2)
		await(t, j, "order.placed", 3) // a message that is no JSON is no such event
		if err := j.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		letters, err := j.Reader().DeadLetters(t.Context(), sqlite.DeadLetterFilter{})
		if err != nil || len(letters) != 2 {
			t.Fatalf("dead letters: %+v, %v", letters, err)
		}
		slices.SortFunc(letters, func(a, b journal.DeadLetter) int { return cmp.Compare(a.Event.Seq, b.Event.Seq) })
		raw, broken := letters[0], letters[1]
		if raw.Subscription != "bus/ingest" || string(raw.Event.DataBase64) != "\x00\xffno event" || raw.Event.Metadata["from"] != "web" ||
			!strings.Contains(raw.Error, "ce_id") {
			t.Errorf("of the bytes: %+v", raw)
		}
		if broken.Subscription != "bus/ingest" || string(broken.Event.DataBase64) != `{"order_id":` || broken.Event.Metadata["ce_id"] != "w-2" ||
			!strings.Contains(broken.Error, "JSON") {
			t.Errorf("of the payload: %+v", broken)
		}
	})
}

// The SDK of the specification's authors reads our records as CloudEvents.
func TestTheCloudEventsSDK(t *testing.T) {
	onBrokers(t, func(t *testing.T, b broker) {
		j := b.inventory(t)
		b.placed(t, "w-1", "order-1")
		want := await(t, j, "inventory.reserved", 1)[0]
		e, err := binding.ToEvent(t.Context(), kafka_sarama.NewMessageFromConsumerMessage(b.first(t, b.prefix+".inventory")))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.ID() != want.ID || e.Type() != "inventory.reserved" || e.Source() != "inventory" || e.Subject() != "order-1" || !e.Time().Equal(want.Time) ||
			e.DataContentType() != "application/json" || e.Extensions()["causationid"] != "w-1" || string(e.Data()) != string(want.Data) {
			t.Errorf("the SDK reads\n%s\nof %+v", e, want)
		}
	})
}

// first returns the oldest record of a topic in all partitions.
func (b broker) first(t *testing.T, topic string) *sarama.ConsumerMessage {
	t.Helper()
	c, err := sarama.NewConsumer([]string{b.address}, sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // only read
	found, limit := make(chan *sarama.ConsumerMessage, 1), time.After(wait)
	for err := open(t, c, topic, found); err != nil; err = open(t, c, topic, found) { // the topic may not exist yet
		select {
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			t.Fatalf("topic %s: %v", topic, err)
		}
	}
	select {
	case msg := <-found:
		return msg
	case <-limit:
		t.Fatalf("nothing in %s", topic)
		return nil
	}
}

// open reads all partitions of a topic into found, until the test ends.
func open(t *testing.T, c sarama.Consumer, topic string, found chan<- *sarama.ConsumerMessage) error {
	partitions, err := c.Partitions(topic)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		pc, err := c.ConsumePartition(topic, p, sarama.OffsetOldest)
		var asked sarama.ConfigurationError // "that topic/partition is already being consumed": by an earlier try
		if errors.As(err, &asked) {
			continue
		} else if err != nil {
			return err
		}
		go func() {
			for msg := range pc.Messages() {
				select {
				case found <- msg:
				case <-t.Context().Done():
				}
			}
		}()
	}
	return nil
}
