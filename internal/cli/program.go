package cli

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports/sqlite"
)

// Program is a program made of modules, as the command line runs it. Package troupe describes the fields; any is its S.
type Program struct {
	Name, Short, Long, Example string
	Settings                   any
	Bus                        bus.Config
	Open                       func(ctx context.Context, d *Deployable) (close func() error, err error)
	Wire                       func(b *bus.Bus) any
	HTTP                       func(mux *http.ServeMux, doors any, d *Deployable)
	Books                      Books
	Moved                      func(m Move) error
	Commands                   []Command
}

// Deployable is a process of the program that runs modules on a journal.
type Deployable struct {
	Name    string
	Modules []string
	Peers   map[string]string
	Journal *sqlite.Journal
	Logger  *slog.Logger
	Front   *front.Front
}

// Move is a split or a merge that is about to be decided.
type Move struct {
	Act      string
	Modules  []string
	From, To string
}

// Books are the program's own rules, which verify holds the tables of its modules to. A nil function audits nothing.
type Books struct {
	Tables   func(ctx context.Context, tables func(module string) *sql.Tx, settled bool) (Report, error)
	Pages    func(ctx context.Context, look Look, progress func(done, of int)) (r Report, settled bool, err error)
	Observed func(before time.Time) Observer
	Hook     string // the field of the App that Tables came from; "" for Books.Tables
}

// Look runs fn in a transaction that only reads, and tells fn whether every event was answered at that instant.
type Look func(fn func(tx *sql.Tx, settled bool) error) error

// Report is the outcome of an audit of the books.
type Report struct {
	Wrong   []string
	Lines   []string
	Data    any
	Skipped string
}

// Observer audits the books of a whole system by its events.
type Observer interface {
	// Add adds an event, with the answers of all subscriptions that want it.
	Add(e *journal.Event, answers []journal.Reaction)
	// Expect says that an event of key is delayed.
	Expect(key string)
	// Report returns what Add and Expect have told, and whether every flow has ended.
	Report() (r Report, settled bool)
}

// Command is a command of the program's own.
type Command struct {
	Name, Args, Short, Long, Example string
	Hidden, Alone                    bool
	Journal                          string
	Flags                            func(f *flag.FlagSet)
	Check                            func(args []string) error
	Bus                              func(c *bus.Config)
	Run                              func(ctx context.Context, c *Call) error
}

// Call is one run of a Command.
type Call struct {
	Doors           any
	Bus             *bus.Bus
	Deployable      *Deployable
	Args            []string
	In              io.Reader
	Out, Err        io.Writer
	JSON            bool
	Color, Terminal bool

	o *options
}

// Verify audits the journal and the books, as the command verify does.
func (c *Call) Verify(ctx context.Context) (Verification, error) {
	if c.Deployable == nil {
		return Verification{}, errors.New("a command that runs alone has no journal to verify")
	}
	v, err := c.o.verify(ctx, c.Deployable.Journal.Reader())
	if err != nil {
		return Verification{}, err
	}
	return Verification{OK: v.OK, Settled: v.Settled, Wrong: v.Wrong, Books: v.Books, Stats: v.Stats}, nil
}

// Print writes v to Out as indented JSON.
func (c *Call) Print(v any) error { return c.o.printJSON(v) }

// Verification is the outcome of Call.Verify.
type Verification struct {
	OK, Settled bool
	Wrong       []string
	Books       any
	Stats       sqlite.Stats
}

// Invocation returns the command line of this program that has args and is about the call's journal, where it has one;
// "" where a word of the command line cannot be typed.
func (c *Call) Invocation(args ...string) string {
	if c.Deployable == nil {
		return c.o.typed(args...)
	}
	return c.o.invocation(c.Deployable.Journal.Path(), args...)
}

// program is a Program with all that follows from it.
type program struct {
	Program
	wiring  func() bus.Wiring // of all modules; nothing of it runs
	modules func() []string   // sorted
	config  func() *config.Program
}

// newProgram returns p with the parts that the commands need. Nothing is wired before a command asks for it.
func newProgram(p Program) *program {
	own := &program{Program: p}
	if p.Wire == nil {
		own.mistaken("Wire is missing: it puts the modules on the bus")
	}
	own.wiring = sync.OnceValue(func() bus.Wiring {
		b := bus.New(nil, p.Bus)
		if _, err := own.wire(b); err != nil {
			panic(err) // run recovers
		}
		return b.Wiring()
	})
	own.modules = sync.OnceValue(func() []string { return modulesOf(own.wiring()) })
	own.config = sync.OnceValue(func() *config.Program {
		c, err := config.NewProgram(p.Name, own.modules(), p.Settings)
		if err != nil {
			own.mistaken("%v", err)
		}
		return c
	})
	return own
}

// modulesOf returns the names of the modules that emit an event or react to one, sorted.
func modulesOf(w bus.Wiring) []string {
	var names []string
	for _, e := range w.Events {
		if e.Emitter != "" {
			names = append(names, e.Emitter)
		}
	}
	for _, s := range w.Subscriptions {
		names = append(names, moduleOf(s.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// declares returns what a journal keeps of the program.
func (p *program) declares() *journal.Program { return p.wiring().Program(p.Name, version()) }

// journal is the journal of commands that are given no other.
func (p *program) journal() string { return p.Name + ".db" }

// called returns the word by which the program was started, where the word ends with the program's name: the next
// command works from the same folder.
func (p *program) called() string {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == p.Name {
		return os.Args[0]
	}
	return p.Name
}

// fill puts the program's own words into a help text: its name for {name}, the beginning of its variables for {NAME},
// one of its modules for {module}, and the others for {others}.
func (p *program) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	module, others := "MODULE", "OTHERS"
	if all := p.modules(); len(all) > 1 {
		module, others = all[0], strings.Join(all[1:], ",")
	}
	return strings.NewReplacer("{name}", p.Name, "{NAME}", strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")), "{module}", module, "{others}", others).Replace(text)
}

// version returns what the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return describeBuild(info)
}

// describeBuild returns the version of the main module, and the revision, its time and whether files were changed,
// where the build knows them.
func describeBuild(info *debug.BuildInfo) string {
	text := cmp.Or(info.Main.Version, "(unknown)")
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	if revision := vcs["vcs.revision"]; revision != "" {
		text += " " + revision
	}
	if at := vcs["vcs.time"]; at != "" {
		text += " of " + at
	}
	if vcs["vcs.modified"] == "true" {
		text += ", with changes"
	}
	return text + ", " + info.GoVersion
}

// mistaken panics with a mistake in the program's App: only a programmer can mend it.
func (p *program) mistaken(format string, args ...any) {
	panic(fmt.Sprintf("troupe: App %s: %s", p.Name, fmt.Sprintf(format, args...)))
}
