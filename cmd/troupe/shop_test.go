package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports"
	"github.com/troupebus/troupe/transports/kafka"
	"github.com/troupebus/troupe/transports/sqlite"
)

// MustOpenShop opens a shop on a journal of its own. Who does closes it.
func MustOpenShop(tb testing.TB, c shopConfig) *shop {
	tb.Helper()
	c.parallel = 1
	if c.journal == "" {
		c.journal = filepath.Join(tb.TempDir(), "shop.db")
	}
	s, err := openShop(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// lastWord is a transport that writes the journal when it is closed, as an ingest may until then.
type lastWord struct {
	*gochannel.GoChannel
	journal *sqlite.Journal
	err     error
	closed  bool
}

func (*lastWord) Features() bus.Features { return bus.Features{Name: "last word"} }

func (l *lastWord) Close() error {
	l.closed = true
	l.err = l.journal.Do(context.Background(), journal.Work{Name: "last word"}, func(journal.TxFunc) ([]*journal.Event, error) { return nil, nil })
	return nil
}

func TestTheTransportIsClosedBeforeTheJournal(t *testing.T) {
	t.Parallel()
	s := MustOpenShop(t, shopConfig{})
	last := &lastWord{journal: s.journal}
	s.transport = last
	if err := s.close(); err != nil || last.err != nil || !last.closed {
		t.Errorf("close: %v, the transport's last word: %v, closed %t", err, last.err, last.closed)
	}
}

// The place in the topics is the journal's: it stays when the deployable is started again, and a fresh journal begins anew.
func TestTheGroupIsThatOfTheJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	c := shopConfig{journal: path, name: "front", transport: transports.Config{Kind: transports.Kafka, Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}}}
	group := func(c shopConfig) string {
		s := MustOpenShop(t, c)
		defer func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}()
		return c.transportOf(s.journal).Group
	}
	first, again := group(c), group(c)
	c.journal = path + ".other"
	if other := group(c); first != again || first == other || !strings.HasPrefix(first, "front-") || len(first) != len("front-")+8 {
		t.Errorf("groups %s, then %s, and of another journal %s", first, again, other)
	}
}

// The simulated gateway and carrier have a file where somebody asks them.
func TestTheWorldIsWhereItIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		modules []string
		there   bool
	}{{nil, true}, {[]string{"payment"}, true}, {[]string{"order", "shipping"}, true}, {[]string{"order", "inventory"}, false}} {
		path := filepath.Join(t.TempDir(), "shop.db")
		if err := MustOpenShop(t, shopConfig{journal: path, modules: c.modules}).close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(worldPath(path)); (err == nil) != c.there {
			t.Errorf("%v: %v, want it there: %t", c.modules, err, c.there)
		}
	}
}
