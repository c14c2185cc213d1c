package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/bus/wire"
	"github.com/troupebus/troupe/internal/cli/console"
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
	s, err := open(tb.Context(), (&console.Options{Program: shop()}), d)
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

func (*lastWord) Features() wire.Features { return wire.Features{Name: "last word"} }

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

// TestOpenHalfMadeJournal ends the first start of a journal at each of its own tables, as a kill does. The next start goes on.
func TestOpenHalfMadeJournal(t *testing.T) {
	t.Parallel()
	tables, err := filepath.Glob("../../transports/sqlite/internal/schema/schema/*.sql")
	if err != nil || len(tables) < 13 {
		t.Fatalf("the journal's tables: %d files, %v", len(tables), err)
	}
	for _, file := range tables {
		path := filepath.Join(t.TempDir(), "shop.db")
		MustChange(t, path, `PRAGMA application_id = 0x54727065; CREATE TABLE migrations (module TEXT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL,
	PRIMARY KEY (module, name)) STRICT; INSERT INTO migrations VALUES ('', '', '', 0); DELETE FROM migrations`)
		MustChange(t, path, `CREATE TRIGGER ended BEFORE INSERT ON migrations WHEN new.name = 'schema/`+filepath.Base(file)+`'
	BEGIN SELECT RAISE(ABORT, 'killed'); END; INSERT INTO migrations VALUES ('', '', '', 0); DELETE FROM migrations`)
		d := deployment{journal: path, instead: "name another journal"}
		if s, err := open(t.Context(), &console.Options{Program: shop()}, d); err == nil {
			if err := s.run(t.Context(), func(context.Context) error { return nil }); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("%s: the first start was not ended: %v", file, err)
			}
			_ = s.close() // the start was ended
		} else if !strings.Contains(err.Error(), "killed") {
			t.Errorf("%s: the first start: %v", file, err)
		}
		MustChange(t, path, `DROP TRIGGER ended; INSERT INTO migrations VALUES ('', '', '', 0); DELETE FROM migrations WHERE module = ''`)
		s := MustOpen(t, d)
		if err := errors.Join(s.run(t.Context(), func(context.Context) error { return nil }), s.close()); err != nil {
			t.Errorf("%s: the next start: %v", file, err)
		}
	}
}
