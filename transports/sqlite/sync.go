package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
)

// syncer makes commits durable beside the writer, which never waits for the disk (docs/decisions/0003). SQLite runs
// with synchronous=NORMAL: a commit is in the write-ahead log, in order, but not forced to the disk. The syncer
// forces it, for all commits since the last time at once, and only then
//
//   - is a publish or a unit of work acknowledged,
//   - do external handlers and plain Watermill consumers get the events,
//   - does a View return what it saw.
//
// Transactional reactions need not wait: a power cut takes a suffix of the log, causes together with their effects,
// and nobody outside has seen either.
type syncer struct {
	file    syncFile // nil unless Synchronous is full: what is committed is as durable as it gets then
	durable func(head int64)

	mu       sync.Mutex
	begun    int64 // commits that were begun: from then on readers may see them
	commits  int64 // made
	synced   int64 // of them, durable
	head     int64 // seq of the newest committed event
	waiting  []waiter
	broken   error // the answer to all work since the disk failed
	cause    error // what the disk said
	closed   bool
	advanced chan struct{} // closed and replaced when synced advances

	syncing atomic.Int64 // since when a sync is under way, in nanoseconds; 0 when none is

	wake  chan struct{} // capacity 1
	ended chan struct{}
}

// syncFile is the log, as far as the syncer needs it.
type syncFile interface {
	Sync() error
	Close() error
}

// waiter is to be told when commit is durable.
type waiter struct {
	commit int64
	it     *item
}

func newSyncer(file syncFile, durable func(int64)) *syncer {
	s := &syncer{file: file, durable: durable, wake: make(chan struct{}, 1), ended: make(chan struct{}), advanced: make(chan struct{})}
	go s.loop()
	return s
}

// begin notes that a commit is about to be made.
func (s *syncer) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
}

// committed notes that the commit that was begun is made, or has failed, and answers its items when they may be: at
// once, or when it is durable. Only the writer calls it.
func (s *syncer) committed(head int64, items []*item) {
	s.mu.Lock()
	s.commits = s.begun
	s.head = max(s.head, head)
	for _, it := range items {
		if it.durable && it.err == nil && s.broken != nil { // it was being written when the disk failed
			it.reply(s.unknown())
		} else if it.durable && it.err == nil {
			s.waiting = append(s.waiting, waiter{s.commits, it})
		} else {
			it.reply(it.err)
		}
	}
	s.mu.Unlock()
	wake.Poke(s.wake)
}

// health is an error once the disk has failed to sync: what it has is unknown then, and nothing more may be promised.
func (s *syncer) health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// reason returns why the journal can promise nothing more, nil while it can.
func (s *syncer) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// unknown is the answer to work that was committed, and not made durable. s.mu is held.
func (s *syncer) unknown() error {
	return fmt.Errorf("%w: it was committed, and could not be made durable: look for it before you try again: %w",
		journal.ErrUnknown, s.cause)
}

// wait returns when all that anybody can see now is durable, or with ctx's error.
func (s *syncer) wait(ctx context.Context) error {
	s.mu.Lock()
	upTo := s.begun
	for s.synced < upTo && s.broken == nil {
		advanced := s.advanced
		s.mu.Unlock()
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return s.broken
}

func (s *syncer) loop() {
	defer close(s.ended)
	for range s.wake {
		s.mu.Lock()
		upTo, head, closed := s.commits, s.head, s.closed
		due := upTo > s.synced && s.broken == nil
		s.mu.Unlock()
		if due {
			s.finish(upTo, head, s.force())
		}
		if closed {
			return
		}
	}
}

func (s *syncer) force() error {
	if s.file == nil {
		return nil
	}
	defer under(&s.syncing)()
	return s.file.Sync()
}

// finish answers those who waited for commits up to upTo.
func (s *syncer) finish(upTo, head int64, err error) {
	s.mu.Lock()
	if errors.Is(err, file.ErrGone) {
		s.cause, upTo = err, s.commits
		s.broken = fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
	} else if err != nil {
		s.cause = err
		s.broken = fmt.Errorf("%w: the disk failed to sync, and what it holds is unknown: check it, then start again: %w", journal.ErrUnavailable, err)
		upTo = s.commits
	} else {
		s.synced = upTo
	}
	n := 0
	for n < len(s.waiting) && s.waiting[n].commit <= upTo {
		if err != nil {
			s.waiting[n].it.reply(s.unknown())
		} else {
			s.waiting[n].it.reply(nil)
		}
		n++
	}
	rest := copy(s.waiting, s.waiting[n:])
	clear(s.waiting[rest:])
	s.waiting = s.waiting[:rest]
	close(s.advanced)
	s.advanced = make(chan struct{})
	broken := s.broken != nil
	s.mu.Unlock()
	if !broken {
		s.durable(head)
	}
}

// fail has everything refused from now on, and tells those who wait.
func (s *syncer) fail(err error) {
	s.mu.Lock()
	upTo, broken := s.commits, s.broken != nil
	s.mu.Unlock()
	if !broken {
		s.finish(upTo, 0, err)
	}
}

// close syncs the rest. The writer has ended.
func (s *syncer) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	wake.Poke(s.wake)
	<-s.ended
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
