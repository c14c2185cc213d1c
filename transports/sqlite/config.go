package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/transports/sqlite/internal/commit"
)

// Config configures a journal. The zero value works.
type Config struct {
	// Synchronous is "full", "normal" or "off". With full, an acknowledged publish or reaction survives a power cut. With
	// normal, the file stays consistent and a killed process loses nothing, but a power cut may lose the last acknowledged
	// commits. With off, for tests, a power cut may also damage the file. Defaults to "full".
	Synchronous string

	// BusyTimeout is how long a write waits for another connection with the file's write lock before a retry. Defaults to
	// 5 s.
	BusyTimeout time.Duration

	// ForeignCheck is the interval at which an idle journal looks for commits by other connections and for a stepped
	// clock. Defaults to 250 ms.
	ForeignCheck time.Duration

	// Group is the maximum number of items in one commit. Defaults to 512.
	Group int

	// SlowWork is how long work of a module may hold the writer's transaction before the work is logged by name. Defaults
	// to 50 ms; -1 turns the log off.
	SlowWork time.Duration

	// MaxPages limits the size of the file, in pages of 4096 bytes. A full journal returns journal.ErrUnavailable, and
	// resumes work when there is space. Defaults to SQLite's own limit.
	MaxPages int

	// Program is the program that opens the journal, with the declarations of its modules (bus.Wiring.Program). The
	// journal stores it. A journal of another program is refused with an *OtherProgramError, before any write. A journal
	// without a stored program is refused when none of its subscriptions is of a module of Program. Defaults to nil: no
	// journal is refused.
	Program *journal.Program

	// Adopt makes the journal of another program the journal of Program, such as after a program was renamed. The journal
	// must have a module of Program, or no modules. It changes hands when Fits has found that the modules fit, or with the
	// first work.
	Adopt bool

	// Fence, if set, makes the database refuse work on tables without the prefix of its module and an underscore, and is
	// called with the module and the table. Fence is for tests: modules' prepared statements are not reused.
	Fence func(module, table string)

	// Logger receives messages for operators. Defaults to slog.Default.
	Logger *slog.Logger

	wrapLog  func(commit.File) commit.File // for tests with faulty disks
	logLimit int64                         // of the log's file in bytes, for tests
	now      func() time.Time              // the wall clock, for tests with a stepped clock
}

// synchronous has the values of SQLite's pragma synchronous. The syncer makes NORMAL full (sync.go).
var synchronous = map[string]string{"full": "NORMAL", "normal": "NORMAL", "off": "OFF"}

// Validate returns all mistakes in c, joined.
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
