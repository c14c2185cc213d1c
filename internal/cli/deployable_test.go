package cli

import (
	"context"
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

// MustOpen opens a deployable of the shop, on a journal of its own where d names none. Who does closes it.
func MustOpen(tb testing.TB, d deployment) *running {
	tb.Helper()
	if d.journal == "" {
		d.journal = filepath.Join(tb.TempDir(), "shop.db")
	}
	s, err := (&options{program: shop()}).open(tb.Context(), d)
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
	s := MustOpen(t, deployment{})
	last := &lastWord{journal: s.Journal}
	s.transport = last
	if err := s.close(); err != nil || last.err != nil || !last.closed {
		t.Errorf("close: %v, the transport's last word: %v, closed %t", err, last.err, last.closed)
	}
}

// The place in the topics is the journal's: it stays when the deployable is started again, and a fresh journal begins anew.
func TestTheGroupIsThatOfTheJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	d := deployment{journal: path, name: "front", transport: transports.Config{Kind: transports.Kafka, Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}}}
	group := func(d deployment) string {
		s := MustOpen(t, d)
		defer func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}()
		return d.transportOn(s.Journal).Group
	}
	first, again := group(d), group(d)
	d.journal = path + ".other"
	if other := group(d); first != again || first == other || !strings.HasPrefix(first, "front-") || len(first) != len("front-")+8 {
		t.Errorf("groups %s, then %s, and of another journal %s", first, again, other)
	}
}
