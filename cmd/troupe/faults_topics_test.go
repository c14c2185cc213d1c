package main

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/troupebus/troupe/transports/sqlite"
)

// compareTopics compares the topics with the events that the modules have emitted. Each event must be there. Counted
// by its first occurrence, each event of a key must be in the same partition and in order. compareTopics returns the
// number of events that were sent more than once.
func (f *faults) compareTopics(t *testing.T) (again int) {
	t.Helper()
	c := f.mustConnect(t)
	defer func() { _ = c.Close() }() // it only reads
	err := readJournals(t.Context(), f.shop.journals(), func(readers []*sqlite.Reader) error {
		for i, d := range f.shop.all {
			emitted, err := readContents(t.Context(), d.modules, readers[i])
			if err != nil {
				return err
			}
			sent, err := f.readTopic(t, c, f.prefix+"."+d.modules)
			if err != nil {
				return err
			}
			again += len(sent) - compareTopic(t, emitted, sent)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// compareTopic returns the number of different events in a topic.
func compareTopic(t *testing.T, emitted contents, sent []inTopic) int {
	t.Helper()
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 5 {
			t.Errorf(format, args...)
		}
	}
	there, last := map[identity]bool{}, map[string]inTopic{} // the last event, by key
	for _, s := range sent {
		if there[s.identity] {
			continue
		}
		there[s.identity] = true
		e, ok := emitted.by[s.identity]
		before := last[s.key]
		switch {
		case !ok || e.key != s.key:
			complain("topic of %s: %s (%s) of %s is not what it has emitted", emitted.module, s.kind, s.id, s.key)
		case before.id != "" && before.partition != s.partition:
			complain("topic of %s: key %s is in partitions %d and %d", emitted.module, s.key, before.partition, s.partition)
		case before.id != "" && emitted.by[before.identity].at > e.at:
			complain("topic of %s: of key %s, %s (%s) comes before %s (%s), but was emitted after it", emitted.module, s.key, before.kind, before.id, s.kind, s.id)
		}
		last[s.key] = s
	}
	for _, e := range emitted.list {
		if e.source == emitted.module && !there[e.identity] {
			complain("topic of %s: %s (%s) of %s, which it has emitted, is not there", emitted.module, e.kind, e.id, e.key)
		}
	}
	if wrong > 5 {
		t.Errorf("topic of %s: %d more of the kind", emitted.module, wrong-5)
	}
	return len(there)
}

// inTopic is an event as it was sent.
type inTopic struct {
	identity
	key       string
	partition int32
}

// readTopic reads a whole topic, each partition in order.
func (f *faults) readTopic(t *testing.T, c sarama.Client, topic string) (sent []inTopic, err error) {
	t.Helper()
	partitions, err := c.Partitions(topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil, nil // of a module without events
	}
	if err != nil {
		return nil, err
	}
	reader, err := sarama.NewConsumerFromClient(c)
	if err != nil {
		return nil, err
	}
	for _, p := range partitions {
		end, err := c.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return nil, err
		}
		messages, err := reader.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		for next := int64(0); next < end; {
			select {
			case m := <-messages.Messages():
				s := inTopic{key: string(m.Key), partition: p}
				for _, h := range m.Headers {
					switch string(h.Key) {
					case "ce_id":
						s.id = string(h.Value)
					case "ce_type":
						s.kind = string(h.Value)
					}
				}
				sent, next = append(sent, s), m.Offset+1
			case <-time.After(settling):
				t.Fatalf("%s/%d cannot be read beyond offset %d of %d", topic, p, next, end)
			}
		}
		if err := messages.Close(); err != nil {
			return nil, err
		}
	}
	return sent, reader.Close()
}
