package commit

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// Config is the part of the journal's configuration that the writer uses. There are no defaults.
type Config struct {
	Group    int           // maximum number of items in one commit
	SlowWork time.Duration // work that holds the transaction for longer is logged; 0 or less turns the log off
	Fence    func(module, table string)
	Logger   *slog.Logger
}

// Hooks are the journal's part of the writer's work.
type Hooks struct {
	Start     func(context.Context) error // starts the writer; runs when the first work comes before Start
	Begin     func() error                // runs at the start of every group, inside the transaction
	Committed func(*Group)                // runs in the writer's goroutine after every commit, and wakes readers
	Durable   func(head int64)            // runs in the syncer's goroutine: all events up to head are durable
}

// New returns a writer on conn, a connection of workconn.Open. The writer closes conn.
func New(cfg Config, conn *sql.Conn, h Hooks) (*Writer, error) {
	w := &Writer{cfg: cfg, Hooks: h, wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		slowAt: map[string]time.Time{}, aside: map[string]bool{}}
	w.health.sick = make(chan struct{}, 1)
	w.late.Store(true)
	w.answers.New = func() any { return make(chan error, 1) }
	var err error
	if w.conn, err = workconn.New(conn, cfg.Fence); err != nil {
		return nil, err
	}
	return w, nil
}

// SyncTo begins to make commits durable in file, the log, or to count them as durable at once if file is nil.
func (w *Writer) SyncTo(file File) { w.sync = newSyncer(file, w.Hooks.Durable) }

// Start starts the goroutine.
func (w *Writer) Start() error {
	if err := errors.Join(w.conn.PrepareOwn(), w.prepareKept()); err != nil {
		return err
	}
	w.startLoop(nil)
	w.late.Store(false)
	return nil
}

// Started reports whether Start was called.
func (w *Writer) Started() bool { return !w.late.Load() }

// Prepare prepares statements of the journal, for use in units and hooks.
func (w *Writer) Prepare(queries map[**workconn.Stmt]string) error { return w.conn.Prepare(queries) }

// CloseConn closes the write connection. The goroutine has ended.
func (w *Writer) CloseConn() error { return w.conn.Close() }

// Close returns when the queue is empty, the goroutine has ended, and all commits are durable.
func (w *Writer) Close() error {
	if w.Started() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		wake.Poke(w.wake)
		<-w.stopped
	}
	return w.sync.close()
}

// Group is the content of a committed group.
type Group struct {
	items    []*Item
	Appended []*journal.Event
	Delayed  bool // the group has new delayed events
}

func (c *Group) add(it *Item) {
	c.items = append(c.items, it)
	c.Appended = append(c.Appended, it.unit.appended...)
	c.Delayed = c.Delayed || it.unit.delayed
}

// head returns the seq of the newest event, or 0 without events.
func (c *Group) head() int64 {
	if len(c.Appended) == 0 {
		return 0
	}
	return c.Appended[len(c.Appended)-1].Seq
}
