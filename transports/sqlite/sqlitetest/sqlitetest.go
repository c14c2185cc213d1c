// Package sqlitetest opens real journals for tests, with three differences: SQLite does not force writes to the disk,
// the database keeps modules out of the tables of other modules, and a test can copy the journal as a crash would leave
// it.
//
// Package bustest uses sqlitetest, which imports only packages that a transport may import.
//
// Package sqlitetest is a seam: a minor version may change the package, and the changelog says how.
package sqlitetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite"
)

// never is the interval at which a test's journal looks for commits of other processes. In a bubble of
// testing/synctest, days pass in no time, and four looks a second would be millions.
const never = 10 * 365 * 24 * time.Hour

// Open opens or creates the journal at path. The caller closes the journal.
func Open(ctx context.Context, path string) (journal.Store, error) {
	s := &store{}
	j, err := sqlite.Open(ctx, path, sqlite.Config{
		Synchronous: "off", ForeignCheck: never, Fence: s.reached, SlowWork: -1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	s.Journal = j
	return s, nil
}

type store struct {
	*sqlite.Journal

	mu       sync.Mutex
	trespass []string
}

// reached notes that the database refused module the table of another module.
func (s *store) reached(module, table string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("module %s reached for %s, a table that is not its own", module, table)
	if !slices.Contains(s.trespass, line) {
		s.trespass = append(s.trespass, line)
	}
}

// Flows implements journal.Store.
func (s *store) Flows(ctx context.Context) ([]*journal.Flow, error) {
	r := s.Reader()
	var ids []string
	seen := map[string]bool{}
	err := r.Events(ctx, sqlite.EventFilter{}, func(e *journal.Event) error {
		if !seen[e.CorrelationID] {
			seen[e.CorrelationID] = true
			ids = append(ids, e.CorrelationID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var flows []*journal.Flow
	for _, id := range ids {
		f, err := r.Flow(ctx, id)
		if err != nil {
			return nil, err
		}
		flows = append(flows, f...)
	}
	return flows, nil
}

// Events implements journal.Store.
func (s *store) Events(ctx context.Context, after int64, fn func(*journal.Event) error) error {
	return s.Reader().Events(ctx, sqlite.EventFilter{AfterSeq: after}, fn)
}

// DeadLetters implements journal.Store.
func (s *store) DeadLetters(ctx context.Context) ([]journal.DeadLetter, error) {
	return s.Reader().DeadLetters(ctx, sqlite.DeadLetterFilter{Status: journal.LetterDead})
}

// Check implements journal.Store.
func (s *store) Check(ctx context.Context) ([]string, error) {
	return s.Reader().Check(ctx)
}

// Trespasses implements journal.Store.
func (s *store) Trespasses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.trespass)
}

// Replay implements journal.Store.
func (s *store) Replay(ctx context.Context, subscription string) (int, error) {
	letters, err := sqlite.Replay(ctx, s.Path(), sqlite.Act{
		Actor: "test", Reason: "test", Select: sqlite.DeadLetterFilter{Subscription: subscription},
	})
	return len(letters), err
}

// Image implements journal.Store. Image copies the files within a transaction that has written nothing, so no other
// transaction is open. If a checkpoint moves pages from the log into the database meanwhile, these pages are still in
// the log, which is copied last.
func (s *store) Image(ctx context.Context, path string) error {
	return s.Do(ctx, journal.Work{Name: "image"}, func(journal.TxFunc) ([]*journal.Event, error) {
		if err := copyFile(s.Path(), path); err != nil {
			return nil, err
		}
		err := copyFile(s.Path()+"-wal", path+"-wal")
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
