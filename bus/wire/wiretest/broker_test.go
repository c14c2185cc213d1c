package wiretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/wire"
)

// MustSubscribe subscribes to topic for as long as the test runs.
func MustSubscribe(tb testing.TB, tr wire.Transport, topic string) <-chan *message.Message {
	tb.Helper()
	in, err := tr.Subscribe(tb.Context(), topic)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// MustPublish publishes to topic.
func MustPublish(tb testing.TB, tr wire.Transport, topic string, messages ...*message.Message) {
	tb.Helper()
	if err := tr.Publish(topic, messages...); err != nil {
		tb.Fatal(err)
	}
}

// MustClose closes a transport.
func MustClose(tb testing.TB, tr wire.Transport) {
	tb.Helper()
	if err := tr.Close(); err != nil {
		tb.Fatal(err)
	}
}

// TestBrokerInVirtualTime has a deployable react an hour later to what another one says every minute of a day.
func TestBrokerInVirtualTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		orders, billing := b.Transport("orders"), b.Transport("billing")
		in := MustSubscribe(t, billing, "order")
		late := make(chan time.Duration, 24*60)
		go func() {
			for msg := range in {
				e, err := wire.Decode(msg)
				if err != nil {
					t.Error(err)
				}
				go func() {
					<-time.After(time.Hour) // virtual time
					late <- time.Since(e.Time)
					msg.Ack()
				}()
			}
		}()
		for n := range 24 * 60 {
			msg := letter("a", n)
			msg.Metadata["ce_time"] = time.Now().Format(time.RFC3339Nano)
			MustPublish(t, orders, "order", msg)
			<-time.After(time.Minute) // virtual time
			synctest.Wait()
			if want := min(n+1, 59); n < 100 && b.Pending() != want {
				t.Fatalf("after %d minutes %d messages are pending, want %d", n+1, b.Pending(), want)
			}
		}
		<-time.After(time.Hour) // virtual time
		synctest.Wait()
		if b.Pending() != 0 || len(late) != cap(late) {
			t.Errorf("%d messages are pending, %d were handled", b.Pending(), len(late))
		}
		for range len(late) {
			if d := <-late; d != time.Hour {
				t.Fatalf("a message was handled %v after it was published", d)
			}
		}
		MustClose(t, orders)
		MustClose(t, billing)
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("a day took %v", took)
	}
}

func TestBrokerDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		b.Down(true)
		p := b.Transport("any") // making it does not need the broker
		if _, err := p.Subscribe(t.Context(), "order"); !errors.Is(err, errBrokerDown) {
			t.Errorf("Subscribe while the broker is down: %v", err)
		}
		b.Down(false)
		in := MustSubscribe(t, p, "order")
		MustPublish(t, p, "order", letters("a", 0, 3)...)
		first := <-in
		first.Ack()
		b.Down(true)
		if err := p.Publish("order", letter("a", 3)); !errors.Is(err, errBrokerDown) {
			t.Errorf("Publish while the broker is down: %v", err)
		}
		for range in {
			t.Error("a message came while the broker was down")
		}
		b.Write("order", []byte("a"), nil, []byte("written behind its back"))
		if b.Pending() != 3 {
			t.Errorf("%d messages are pending, want 3", b.Pending())
		}
		b.Down(false)
		in = MustSubscribe(t, p, "order")
		for _, want := range []string{"a/1", "a/2", positionOf(first)[:len(positionOf(first))-1] + "3"} {
			if msg := <-in; msg.UUID != want {
				t.Errorf("got %s, want %s", msg.UUID, want)
			}
		}
		MustClose(t, p)
	})
}

// TestBrokerPending counts per group, and what is acknowledged behind a gap not.
func TestBrokerPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		p, q := b.Transport("p"), b.Transport("q")
		MustPublish(t, p, "order", letters("a", 0, 10)...)
		if b.Pending() != 0 {
			t.Error("messages are pending, and nobody has subscribed")
		}
		in := MustSubscribe(t, p, "order")
		MustSubscribe(t, q, "order")
		pending := func(want int) {
			t.Helper()
			if got := b.Pending(); got != want {
				t.Errorf("%d messages are pending, want %d", got, want)
			}
		}
		pending(20)
		first, second, third := <-in, <-in, <-in
		third.Ack()
		pending(19)
		first.Ack()
		pending(18)
		second.Nack()
		pending(18)
		MustClose(t, p)
		pending(19) // the third was behind a gap, and comes again
		MustClose(t, q)
		pending(19)
	})
}

// TestBrokerEnds ends a subscription by its context while a delivery waits that nobody takes.
func TestBrokerEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		p := b.Transport("p")
		MustPublish(t, p, "order", letters("a", 0, 3)...)
		ctx, cancel := context.WithCancel(t.Context())
		in, err := p.Subscribe(ctx, "order")
		if err != nil {
			t.Fatal(err)
		}
		held := <-in
		synctest.Wait()
		cancel()
		synctest.Wait()
		if msg, ok := <-in; ok {
			t.Errorf("%s came after the context had ended", msg.UUID)
		}
		if held.Context().Err() == nil {
			t.Error("the context of a message outlives its subscription")
		}
		in = MustSubscribe(t, p, "order")
		synctest.Wait()
		MustClose(t, p)
		select {
		case msg, ok := <-in:
			if ok {
				t.Errorf("%s came after Close", msg.UUID)
			}
		default:
			t.Error("the channel is open, and Close has returned")
		}
	})
}

// TestBrokerAnswers has an answer end the context of its message. What is nacked stays away for a while, or a reader that
// refuses everything would stop the time.
func TestBrokerAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewBroker().Transport("p")
		MustPublish(t, p, "order", letter("a", 0))
		in := MustSubscribe(t, p, "order")
		began := time.Now()
		for n := range 100 {
			msg := <-in
			if want := time.Duration(n) * brokerPause; time.Since(began) != want {
				t.Fatalf("try %d came after %v, want %v", n+1, time.Since(began), want)
			}
			msg.Nack()
			<-msg.Context().Done()
		}
		msg := <-in
		msg.Ack()
		<-msg.Context().Done()
		MustClose(t, p)
	})
}

// TestBrokerTakeover has two processes of a group: the newer one reads.
func TestBrokerTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker()
		before, after := b.Transport("p"), b.Transport("p")
		MustPublish(t, before, "order", letters("a", 0, 3)...)
		old := MustSubscribe(t, before, "order")
		(<-old).Ack()
		held := <-old
		in := MustSubscribe(t, after, "order")
		if msg, ok := <-old; ok {
			t.Errorf("the old process still reads: %s", msg.UUID)
		}
		held.Ack() // too late: it is the new one's
		for _, want := range []string{"a/1", "a/2"} {
			if msg := <-in; msg.UUID != want {
				t.Errorf("got %s, want %s", msg.UUID, want)
			}
		}
		MustClose(t, before)
		MustClose(t, after)
	})
}

// TestBrokerIsDeterministic has a reader that nacks, and waits, do the same twice: it sees the same. Keys overtake one
// another.
func TestBrokerIsDeterministic(t *testing.T) {
	t.Parallel()
	trace := func() (lines []string) {
		synctest.Test(t, func(t *testing.T) {
			b := NewBroker()
			p := b.Transport("p")
			for n := range 300 {
				MustPublish(t, p, "order", letter(fmt.Sprintf("key-%d", n%11), n/11), letter(loose, n))
			}
			began := time.Now()
			in := MustSubscribe(t, p, "order")
			for n := 0; b.Pending() > 0; n++ {
				msg := <-in
				lines = append(lines, fmt.Sprint(time.Since(began), msg.UUID, positionOf(msg)))
				if n%5 == 0 {
					msg.Nack()
					continue
				}
				msg.Ack()
				<-time.After(time.Duration(n%3) * time.Millisecond) // virtual time
			}
			MustClose(t, p)
		})
		return lines
	}
	first := trace()
	for range 20 {
		if again := trace(); !slices.Equal(again, first) {
			t.Fatalf("the same deliveries in another order:\n%v\n%v", first, again)
		}
	}
}
