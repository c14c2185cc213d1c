package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
)

// Config says how a journal is opened. The zero value works.
type Config struct {
	// Synchronous is "full", "normal" or "off". With full, what a publish or a reaction acknowledged survives a power
	// cut. With normal, the file stays consistent, and a killed process loses nothing, but a power cut may lose the last
	// commits although they were acknowledged. With off, which is for tests, a power cut may also damage the file.
	// Defaults to "full".
	Synchronous string

	// BusyTimeout is how long a write waits for a foreign connection that holds the file's write lock, before it
	// is tried again. Defaults to 5 s.
	BusyTimeout time.Duration

	// ForeignCheck is how often an otherwise idle journal looks for commits by other connections, and whether the clock
	// was stepped. Defaults to 250 ms.
	ForeignCheck time.Duration

	// Group is how many items are committed together at most. Defaults to 512.
	Group int

	// SlowWork is how long work of a module may hold the writer's transaction before it is reported by name. Defaults to
	// 50 ms; -1 turns it off.
	SlowWork time.Duration

	// MaxPages limits the size of the file, in pages of 4096 bytes; a journal that is full answers with
	// journal.ErrUnavailable and takes up its work when there is room. Defaults to SQLite's own limit.
	MaxPages int

	// Program says which program opens the journal, and what its modules declare (bus.Wiring.Program). The journal keeps
	// it. A journal of another program is refused with an *OtherProgramError, before anything is written. A journal that
	// knows no program yet is refused when it has subscriptions, and none of them is of a module of Program. Defaults to
	// none: then the journal is opened whoever it belongs to.
	Program *journal.Program

	// Adopt makes the journal of another program one of Program.
	Adopt bool

	// Fence, when set, makes the database itself refuse work that touches tables other than those whose names begin
	// with its module and an underscore, and is told of it. It is for tests: it turns off the reuse of the modules'
	// prepared statements.
	Fence func(module, table string)

	// Logger takes what an operator should hear of. Defaults to slog.Default.
	Logger *slog.Logger

	wrapLog  func(syncFile) syncFile // for tests of what a disk may do
	logLimit int64                   // of the log's file in bytes, for tests
	now      func() time.Time        // the wall clock, for tests of what it may do
}

// synchronous is what SQLite's pragma of that name is set to. The syncer makes NORMAL full (sync.go).
var synchronous = map[string]string{"full": "NORMAL", "normal": "NORMAL", "off": "OFF"}

// Validate joins everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Synchronous != "" && synchronous[c.Synchronous] == "" {
		errs = append(errs, fmt.Errorf("field Synchronous is %q: want full, normal or off", c.Synchronous))
	}
	if c.BusyTimeout < 0 {
		errs = append(errs, fmt.Errorf("field BusyTimeout is %v: want 0 for the default, or more", c.BusyTimeout))
	}
	if c.ForeignCheck < 0 {
		errs = append(errs, fmt.Errorf("field ForeignCheck is %v: want 0 for the default, or more", c.ForeignCheck))
	}
	if c.Group < 0 {
		errs = append(errs, fmt.Errorf("field Group is %d: want 0 for the default, or more", c.Group))
	}
	if c.Program != nil && c.Program.Name == "" {
		errs = append(errs, errors.New("field Program has no Name: journals are kept apart by it"))
	}
	if c.Adopt && c.Program == nil {
		errs = append(errs, errors.New("field Adopt needs Program: the journal becomes that program's"))
	}
	if c.MaxPages < 0 {
		errs = append(errs, fmt.Errorf("field MaxPages is %d: want 0 for the default, or more", c.MaxPages))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Synchronous == "" {
		c.Synchronous = "full"
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if c.ForeignCheck == 0 {
		c.ForeignCheck = 250 * time.Millisecond
	}
	if c.Group == 0 {
		c.Group = 512
	}
	if c.SlowWork == 0 {
		c.SlowWork = 50 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
