package commit

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

// syncer makes commits durable beside the writer, so that the writer never waits for the disk (docs/decisions/0003).
// SQLite runs with synchronous=NORMAL: a commit is in the write-ahead log, in order, but not forced to the disk. The
// syncer forces all commits since the last sync at once, and only then
//
//   - a publish or a unit of work is acknowledged,
//   - external handlers and plain Watermill consumers get the events,
//   - a View returns.
//
// Transactional reactions need not wait: a power cut removes a suffix of the log, causes together with their effects,
// and nothing outside has seen them.
type syncer struct {
	file    File // nil unless Synchronous is full: then a commit counts as durable
	durable func(head int64)

	mu       sync.Mutex
	begun    int64 // commits begun, and visible to readers from then on
	commits  int64 // made
	synced   int64 // durable commits
	head     int64 // seq of the newest committed event
	waiting  []waiter
	broken   error // the answer to all work since a sync failed
	cause    error // the error of the disk
	closed   bool
	advanced chan struct{} // closed and replaced when synced advances

	syncing atomic.Int64 // start of the running sync in nanoseconds; 0 without a sync

	wake  chan struct{} // capacity 1
	ended chan struct{}
}

// File is the write-ahead log for the syncer.
type File interface {
	Sync() error  // forces the log to the disk; nothing is durable unless it returns nil
	Close() error // runs once, after the last Sync
}

// waiter waits for a commit to be durable.
type waiter struct {
	commit int64
	it     *Item
}

func newSyncer(file File, durable func(int64)) *syncer {
	s := &syncer{file: file, durable: durable, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		advanced: make(chan struct{})}
	go s.loop()
	return s
}

// begin counts a commit that is about to be made.
func (s *syncer) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
}

// committed records that the begun commit was made or has failed. It answers the items at once, or leaves durable ones
// to finish. Only the writer may call it.
func (s *syncer) committed(head int64, items []*Item) {
	s.mu.Lock()
	s.commits = s.begun
	s.head = max(s.head, head)
	for _, it := range items {
		if it.Durable && it.err == nil && s.broken != nil { // the disk failed during the write
			it.reply(s.unknown())
		} else if it.Durable && it.err == nil {
			s.waiting = append(s.waiting, waiter{s.commits, it})
		} else {
			it.reply(it.err)
		}
	}
	s.mu.Unlock()
	wake.Poke(s.wake)
}

// health returns an error after a failed sync: the content of the disk is unknown, and nothing more is acknowledged.
func (s *syncer) health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// reason returns the cause of the failed sync, or nil.
func (s *syncer) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// unknown returns the answer to work that was committed but not made durable. s.mu is held.
func (s *syncer) unknown() error {
	return fmt.Errorf("%w: it was committed, and could not be made durable: look for it before you try again: %w",
		journal.ErrUnknown, s.cause)
}

// wait returns when all visible commits are durable, or with ctx's error.
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

// finish answers the waiters of commits up to upTo.
func (s *syncer) finish(upTo, head int64, err error) {
	s.mu.Lock()
	if errors.Is(err, file.ErrGone) {
		s.cause, upTo = err, s.commits
		s.broken = fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
	} else if err != nil {
		s.cause = err
		s.broken = fmt.Errorf("%w: the disk failed to sync, and its content is unknown: check the disk, then start again: %w", journal.ErrUnavailable, err)
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

// fail makes the journal refuse all further work, and answers the waiters.
func (s *syncer) fail(err error) {
	s.mu.Lock()
	upTo, broken := s.commits, s.broken != nil
	s.mu.Unlock()
	if !broken {
		s.finish(upTo, 0, err)
	}
}

// close syncs the remaining commits. The writer has ended.
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

// Broken returns an error after a failed sync: nothing more is acknowledged.
func (w *Writer) Broken() error { return w.sync.health() }

// Cause returns the reason of the failed sync, or nil.
func (w *Writer) Cause() error { return w.sync.reason() }

// Fail makes the writer refuse all further work, and answers the work that waits for the disk with err.
func (w *Writer) Fail(err error) { w.sync.fail(err) }

// Wait returns when all visible commits are durable, or with ctx's error.
func (w *Writer) Wait(ctx context.Context) error { return w.sync.wait(ctx) }

// Foreign makes the commits of another connection durable, which has appended events up to head. For the writer's
// goroutine.
func (w *Writer) Foreign(head int64) {
	w.sync.begin()
	w.sync.committed(head, nil)
}
