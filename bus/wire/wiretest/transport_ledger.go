package wiretest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
)

const (
	loose = "~" // prefix of series whose messages have no key
	bare  = "=" // prefix of series whose key is not in the attributes
)

// letter returns message n of a series. The series is the key, except for a loose series.
func letter(series string, n int) *message.Message {
	e := &journal.Event{
		ID: letterID(series, n), Type: "order.placed", Version: 1, Source: "order", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		CorrelationID: series, Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
	if strings.HasPrefix(series, bare) {
		msg := wire.Encode(e)
		msg.Metadata[wire.MetaKey] = series
		return msg
	}
	if !strings.HasPrefix(series, loose) {
		e.Key = series
	}
	return wire.Encode(e)
}

func letterID(series string, n int) string { return series + "/" + strconv.Itoa(n) }

// letters returns the messages [from, to) of a series.
func letters(series string, from, to int) []*message.Message {
	var messages []*message.Message
	for n := from; n < to; n++ {
		messages = append(messages, letter(series, n))
	}
	return messages
}

// ledger compares received messages with sent messages. A message may come repeatedly, but never before an earlier
// message of the same key that is still missing.
type ledger struct {
	sent  map[string]int    // by series, the number of messages
	need  map[string]bool   // ids of missing messages
	next  map[string]int    // by series, the number after the last received message
	found map[string]string // by position, the id of the message there
	again int               // the number of unneeded repetitions
}

// newLedger returns a ledger for series that begin at 0.
func newLedger(sent map[string]int) *ledger {
	l := &ledger{sent: sent, need: map[string]bool{}, next: map[string]int{}, found: map[string]string{}}
	for series, count := range sent {
		for n := range count {
			l.need[letterID(series, n)] = true
		}
	}
	return l
}

func (l *ledger) complete() bool { return len(l.need) == 0 }

// take notes a message, and returns an error if the message is wrong.
func (l *ledger) take(msg *message.Message) error {
	e, err := wire.Decode(msg)
	if err != nil {
		return fmt.Errorf("a valid message does not decode: %w; metadata %v", err, msg.Metadata)
	}
	series, number, _ := strings.Cut(e.ID, "/")
	n, err := strconv.Atoi(number)
	if err != nil || n >= l.sent[series] {
		return fmt.Errorf("message %q was not sent in this check", e.ID)
	}
	position := msg.Metadata[wire.MetaPosition]
	if other, ok := l.found[position]; position == "" || ok && other != e.ID {
		return fmt.Errorf("message %s has the position %q of message %q: want a unique %s", e.ID, position, other, wire.MetaPosition)
	}
	l.found[position] = e.ID
	if want := fmt.Sprintf(`{"n":%d}`, n); string(e.Data) != want {
		return fmt.Errorf("message %s has the bytes %q, want %q", e.ID, e.Data, want)
	}
	if want := strings.HasPrefix(series, loose); (e.Key == "") != want || e.Key != "" && e.Key != series {
		return fmt.Errorf("message %s has the key %q", e.ID, e.Key)
	}
	if e.Key != "" {
		for ; l.next[series] < n; l.next[series]++ {
			if earlier := letterID(series, l.next[series]); l.need[earlier] {
				return fmt.Errorf("message %s came before %s of the same key, which was overtaken or is lost", e.ID, earlier)
			}
		}
		l.next[series] = max(l.next[series], n+1)
	}
	if !l.need[e.ID] {
		l.again++
		return nil
	}
	delete(l.need, e.ID)
	return nil
}

// missing describes the missing messages.
func (l *ledger) missing() string {
	var ids []string
	for _, series := range slices.Sorted(maps.Keys(l.sent)) {
		for n := range l.sent[series] {
			if id := letterID(series, n); l.need[id] {
				ids = append(ids, id)
			}
		}
	}
	return fmt.Sprintf("missing %s: %s", plural(len(ids), "message"), journal.Clip(strings.Join(ids, ", "), maxShown))
}

// reading is a subscription that is opened again when its channel closes, like the ingest's.
type reading struct {
	process *process
	topic   string
	ctx     context.Context
	cancel  context.CancelFunc
	in      <-chan *message.Message
}

// read begins to read the stage's topic.
func (p *process) read() *reading { return p.readTopic(p.stage.topic) }

func (p *process) readTopic(topic string) *reading {
	r := &reading{process: p, topic: topic}
	r.ctx, r.cancel = context.WithCancel(p.stage.ctx)
	return r
}

// subscribe opens a channel, with pauses between tries.
func (r *reading) subscribe() error {
	s := r.process.stage
	for began := time.Now(); ; {
		err := s.limited("Subscribe", func() (err error) {
			r.in, err = r.process.Subscribe(r.ctx, r.topic)
			return err
		})
		if err == nil {
			return nil
		}
		if time.Since(began) > suitePatience || s.ctx.Err() != nil {
			return fmt.Errorf("subscribe to %s, repeated for %v: %w", r.topic, suitePatience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// next waits for a message. missing describes the awaited messages.
func (r *reading) next(missing func() string) (*message.Message, error) {
	s := r.process.stage
	limit := time.NewTimer(suitePatience)
	defer limit.Stop()
	for {
		if r.in == nil {
			if err := r.subscribe(); err != nil {
				return nil, err
			}
		}
		select {
		case msg, ok := <-r.in:
			if ok {
				return msg, nil
			}
			r.in = nil
			time.Sleep(20 * time.Millisecond) // the caller of Subscribe makes the pauses
		case <-limit.C:
			return nil, fmt.Errorf("no message for %v: %s", suitePatience, missing())
		case <-s.ctx.Done():
			return nil, fmt.Errorf("the check takes too long: %s", missing())
		}
	}
}

// all reads until the ledger is complete, and acknowledges every message.
func (r *reading) all(l *ledger) error {
	for !l.complete() {
		msg, err := r.next(l.missing)
		if err != nil {
			return err
		}
		if err := l.take(msg); err != nil {
			return err
		}
		msg.Ack()
	}
	return nil
}

// end ends the subscription, and waits until the channel is closed. Late messages get no answer.
func (r *reading) end() error {
	r.cancel()
	return r.closes("its context has ended")
}

func (r *reading) closes(why string) error {
	if r.in == nil {
		return nil
	}
	limit := time.NewTimer(suitePatience)
	defer limit.Stop()
	for {
		select {
		case _, ok := <-r.in:
			if !ok {
				r.in = nil
				return nil
			}
		case <-limit.C:
			return fmt.Errorf("the channel of a subscription is still open %v after %s", suitePatience, why)
		}
	}
}

// closed reports whether the channel is closed, after the messages in the channel.
func (r *reading) closed() bool {
	for {
		select {
		case _, ok := <-r.in:
			if !ok {
				r.in = nil
				return true
			}
		default:
			return false
		}
	}
}

// readAll reads in a new process of group until the ledger is complete, and ends the process.
func (s *stage) readAll(group string, l *ledger) error {
	p := s.start(group)
	r := p.read()
	if err := r.all(l); err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	return errors.Join(r.end(), p.close())
}
