package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
	"github.com/troupebus/troupe/transports/sqlite/internal/count"
	"github.com/troupebus/troupe/transports/sqlite/internal/file"
	"github.com/troupebus/troupe/transports/sqlite/internal/row"
	"github.com/troupebus/troupe/transports/sqlite/internal/schema"
	"github.com/troupebus/troupe/transports/sqlite/internal/tail"
	"github.com/troupebus/troupe/transports/sqlite/internal/wake"
	"github.com/troupebus/troupe/transports/sqlite/internal/wal"
	"github.com/troupebus/troupe/transports/sqlite/internal/workconn"
)

// Journal is an append-only log of events in one SQLite file, with the records of all deliveries. It implements
// journal.Journal for a bus, and serves plain Watermill code through Publisher and Subscriber. One process owns a
// journal for writing; other processes read with OpenReader.
type Journal struct {
	cfg     Config
	path    string
	id      string
	lock    *file.Ownership
	writeDB *sql.DB
	conn    *sql.Conn // of writeDB, until the writer runs
	readers *sql.DB   // for the journal itself
	views   *sql.DB   // for callers of View, who may keep a transaction open
	writer  *commit.Writer
	kept    statements
	tail    tail.Tail
	log     *wal.Log
	hadLog  bool        // the log existed when the journal was opened
	gone    atomic.Bool // the files were moved, removed or replaced

	ctx     context.Context // of the goroutines below; ends at Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	starting sync.Mutex // held while the writer is started, or is closed unstarted

	mu      sync.Mutex
	subs    map[string]*subscription
	groups  map[string]*group
	feeds   map[journal.FeedName]*feed
	topics  map[string]bool // of plain consumer groups, also of inactive ones
	follow  atomic.Pointer[wake.Followers]
	records atomic.Pointer[feed] // the open feed of records, or nil
	closing bool

	applied     schema.Applied // for the writer's goroutine
	flushed     int64          // the head at the last write of the cursors; for the writer's goroutine
	deaths      int64          // since the journal was opened; for the writer's goroutine
	unflushed   bool           // cursors were written in a group without a commit yet; for the writer's goroutine
	version     int64          // PRAGMA data_version; for the writer's goroutine
	lastAct     int64          // the newest known act; for the writer's goroutine
	lastOpenAct int64          // the same for open_acts
	delayedWake chan struct{}
	count       chan struct{} // wakes watchCounts
	recent      count.Recent  // for the writer's goroutine
	hint        chan struct{} // a transaction of this process bypasses the writer: look soon
	quiet       wake.Broadcast
	stepped     wake.Broadcast // of the clock
	memory      memory
}

var _ journal.Journal = (*Journal)(nil)

// Open opens or creates the journal at path for writing. The caller must close it. Errors name the remedy; errors.Is
// distinguishes ErrInUse, ErrNewer and ErrOtherProgram.
func Open(ctx context.Context, path string, cfg Config) (*Journal, error) {
	if err := file.CheckName(path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("invalid config: %w", err)
	}
	named, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path, err = file.Resolve(named)
	if err == nil {
		err = file.CheckFile(path)
	}
	if err == nil { // before a lock file is made; open asks again with the lock
		err = file.Glance(ctx, path, func(c *sql.Conn) error {
			_, err := cfg.refuse(ctx, c, true)
			return err
		})
	}
	var lock *file.Ownership
	if err == nil {
		lock, err = file.Own(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", named, row.Explain(err))
	}
	if cfg.now == nil {
		cfg.now = journal.Clock(ctx)
	}
	j := &Journal{
		cfg: cfg.withDefaults(), path: path, lock: lock,
		subs: map[string]*subscription{}, groups: map[string]*group{}, feeds: map[journal.FeedName]*feed{},
		topics:      map[string]bool{},
		delayedWake: make(chan struct{}, 1), hint: make(chan struct{}, 1),
		count: make(chan struct{}, 1),
	}
	j.memory.j = j
	j.follow.Store(wake.NewFollowers(nil))
	j.ctx, j.cancel = context.WithCancel(context.Background())
	if err := j.open(ctx); err != nil {
		j.cancel()
		return nil, errors.Join(fmt.Errorf("open %s: %w", named, row.Explain(err)), j.closeFiles())
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) (err error) {
	if err := j.makeFile(); err != nil {
		return err
	}
	j.hadLog = file.HasLog(j.path)
	j.writeDB = workconn.Open(file.WriteDSN(j.path, synchronous[j.cfg.Synchronous], j.cfg.BusyTimeout, j.cfg.Fence == nil))
	conn, err := j.writeDB.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if j.writer == nil { // the writer closes conn from then on
			err = errors.Join(err, conn.Close())
		}
	}()
	if err := j.takeFile(); err != nil {
		return err
	}
	late, err := j.setUp(ctx, conn)
	if err != nil {
		return err
	}
	j.views = file.OpenViews(j.path)
	if j.readers = j.views; j.cfg.Synchronous != "off" { // a test opens hundreds of journals: few connections each
		if j.readers, err = file.OpenReaders(j.path); err != nil {
			return err
		}
	}
	// Before the head is read: later commits of others change data_version.
	if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&j.version); err != nil {
		return err
	}
	err = j.readers.QueryRowContext(ctx, "SELECT (SELECT id FROM identity), (SELECT coalesce(max(seq), 0) FROM events)").Scan(&j.id, &j.flushed)
	if err != nil {
		return err
	}
	if err := j.loadTail(ctx, j.flushed); err != nil {
		return err
	}
	h := commit.Hooks{Start: j.beginAnyhow, Begin: j.beginGroup, Committed: j.committed, Durable: j.durable}
	cfg := commit.Config{Group: j.cfg.Group, SlowWork: j.cfg.SlowWork, Fence: j.cfg.Fence, Logger: j.cfg.Logger}
	if j.writer, err = commit.New(cfg, conn, h); err != nil {
		return err
	}
	j.conn = conn
	if err := j.openLog(ctx, conn); err != nil {
		return err
	}
	if !late {
		if err := j.start(ctx); err != nil {
			return err
		}
	}
	j.running.Go(j.watchForeign)
	j.running.Go(func() { j.writer.Recheck(j.ctx) })
	return nil
}

// Close stops the deliveries, waits for the queued writes, writes the cursors, and closes the file. Running handlers
// get journal.ErrClosed for their results, and run again when the journal is opened.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return nil
	}
	j.closing = true
	j.mu.Unlock()
	j.starting.Lock() // no start after this
	late := !j.writer.Started()
	j.starting.Unlock()
	j.cancel()
	j.running.Wait()
	j.lookAtFiles()
	if late {
		return j.closeUnused()
	}
	flush := &commit.Item{Run: func(*commit.Unit) error {
		j.flushed = 0
		return j.flushCursors()
	}}
	err := j.writer.Submit(context.Background(), flush)
	if err == nil {
		err = j.unmark()
	}
	return errors.Join(err, j.writer.Close(), j.closeFiles())
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{j.readers, j.views} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if j.log != nil {
		errs = append(errs, j.log.Close())
	}
	errs = append(errs, j.lock.ReleaseFile())
	// When SQLite closes the database, it copies the log into the database and removes the log by name. Files that were
	// moved stay as after a kill: another journal may have the name now.
	if !j.gone.Load() {
		if j.writer != nil {
			errs = append(errs, j.writer.CloseConn())
		}
		if j.writeDB != nil {
			errs = append(errs, j.writeDB.Close())
		}
	}
	return errors.Join(append(errs, j.lock.Release())...)
}

// ID returns the identity of this journal, 16 hexadecimal digits. It never changes. A copy of the file has the same ID.
func (j *Journal) ID() string { return j.id }

// Path returns the absolute path of the journal's file.
func (j *Journal) Path() string { return j.path }

// Migrate implements journal.Journal.
func (j *Journal) Migrate(ctx context.Context, module string, fsys fs.FS) error {
	err := j.writer.Submit(ctx, &commit.Item{Alone: func(c *sql.Conn) error {
		return errors.Join(j.migrate(ctx, c, module, fsys), j.markAgain(ctx, c, false))
	}})
	if err != nil {
		return fmt.Errorf("migrate %s: %w", module, row.Explain(err))
	}
	return nil
}

// openLog opens the log, and has the writer's commits synced to the log with Synchronous full.
func (j *Journal) openLog(ctx context.Context, c *sql.Conn) (err error) {
	full := j.cfg.Synchronous == "full"
	j.log, err = wal.Open(ctx, c, wal.Config{Path: j.path, Durable: full, BusyTimeout: j.cfg.BusyTimeout,
		Limit: j.cfg.logLimit, Logger: j.cfg.Logger})
	if err != nil {
		return err
	}
	to := commit.File(nil)
	if full {
		to = j.log.File()
	}
	if full && j.cfg.wrapLog != nil {
		to = j.cfg.wrapLog(to)
	}
	j.writer.SyncTo(to)
	return nil
}
