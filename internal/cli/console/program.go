// Package console has the parts that all commands share: the program with its hooks and settings, the flags, the
// output, and access to journals.
package console

import (
	"cmp"
	"context"
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

// Program is a program of modules. troupe.App describes the fields; any stands for the type parameter.
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

// Deployable is a running process of the program. troupe.Deployable describes the fields.
type Deployable struct {
	Name    string
	Modules []string
	Peers   map[string]string
	Journal *sqlite.Journal
	Logger  *slog.Logger
	Front   *front.Front
}

// Move is a split or a merge of journals, just before the move takes effect.
type Move struct {
	Act      string
	Modules  []string
	From, To string
}

// Books are the program's rules for the tables of its modules. A nil function checks nothing.
type Books struct {
	Tables   func(ctx context.Context, tables func(module string) bus.SQL, settled bool) (Report, error)
	Pages    func(ctx context.Context, look Look, progress func(done, of int)) (r Report, settled bool, err error)
	Observed func(before time.Time) Observer
	Hook     string // the field of the App that Tables came from; "" for Books.Tables
}

// Look runs fn in a read transaction. settled reports that every event is answered and no event is delayed.
type Look func(fn func(tx bus.SQL, settled bool) error) error

// Report is the result of checking the books.
type Report struct {
	Wrong   []string
	Lines   []string
	Data    any
	Skipped string
}

// Observer checks the books of a whole system with the events.
type Observer interface {
	// Add adds an event, with the answers of all its subscriptions.
	Add(e *journal.Event, answers []journal.Reaction)
	// Expect adds the key of a delayed event.
	Expect(key string)
	// Report returns the result, and whether every flow has ended.
	Report() (r Report, settled bool)
}

// Command is a command of the App.
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

	O     *Options
	Audit func(ctx context.Context) (Verification, error)
}

// Verify checks the journal and the books, like the command verify.
func (c *Call) Verify(ctx context.Context) (Verification, error) {
	if c.Deployable == nil {
		return Verification{}, errors.New("a command that runs alone has no journal to verify")
	}
	return c.Audit(ctx)
}

// Print writes v to Out as indented JSON.
func (c *Call) Print(v any) error { return c.O.PrintJSON(v) }

// Verification is the result of Call.Verify.
type Verification struct {
	OK, Settled bool
	Wrong       []string
	Books       any
	Stats       sqlite.Stats
}

// Invocation returns the command line of this program with args, for the journal of the call, if there is one. It
// returns "" if an argument has characters that a person cannot type.
func (c *Call) Invocation(args ...string) string {
	if c.Deployable == nil {
		return c.O.Typed(args...)
	}
	return c.O.Invocation(c.Deployable.Journal.Path(), args...)
}

// Wired is a Program with its wiring and settings.
type Wired struct {
	Program
	Wiring  func() bus.Wiring // of all modules, which do not run
	Modules func() []string   // sorted
	Config  func() *config.Program

	assembled func() *bus.Bus // has all modules, which do not run
}

// NewWired returns p for the commands. Wire is called once at every start, before the settings are read.
func NewWired(p Program) *Wired {
	own := &Wired{Program: p}
	if p.Wire == nil {
		own.Mistaken("Wire is missing: it puts the modules on the bus")
	}
	own.assembled = sync.OnceValue(func() *bus.Bus {
		c := p.Bus
		c.Modules, c.Transport = nil, nil
		b := bus.New(nil, c)
		if _, err := own.Assemble(b); err != nil {
			panic(err) // execute recovers
		}
		return b
	})
	own.Wiring = sync.OnceValue(func() bus.Wiring { return own.assembled().Wiring() })
	own.Modules = sync.OnceValue(func() []string { return modulesOf(own.Wiring()) })
	own.Config = sync.OnceValue(func() *config.Program {
		c, err := config.NewProgram(p.Name, own.Modules(), p.Settings)
		if err != nil {
			own.Mistaken("%v", err)
		}
		return c
	})
	return own
}

// CheckWiring returns the mistakes in the wiring, with which run would refuse to start.
func (p *Wired) CheckWiring() error { return p.assembled().Check() }

// modulesOf returns the names of the modules that emit an event or react to one, sorted.
func modulesOf(w bus.Wiring) []string {
	var names []string
	for _, e := range w.Events {
		if e.Emitter != "" {
			names = append(names, e.Emitter)
		}
	}
	for _, s := range w.Subscriptions {
		names = append(names, journal.ModuleOf(s.Name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Declares returns the declarations of the program, which a journal keeps.
func (p *Wired) Declares() *journal.Program { return p.Wiring().Program(p.Name, Version()) }

// Journal returns the default of --journal.
func (p *Wired) Journal() string { return p.Name + ".db" }

// called returns the path by which the program was started, if the path ends with the program's name, so that a printed
// command line works in the same folder. Otherwise it returns the name.
func (p *Wired) called() string {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == p.Name {
		return os.Args[0]
	}
	return p.Name
}

// Fill replaces the placeholders in a help text: {name} by the program's name, {NAME} by the prefix of the variables,
// {module} by a module, and {others} by the other modules.
func (p *Wired) Fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	module, others := "MODULE", "OTHERS"
	if all := p.Modules(); len(all) > 1 {
		module, others = all[0], strings.Join(all[1:], ",")
	}
	return strings.NewReplacer("{name}", p.Name, "{NAME}", strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")), "{module}", module, "{others}", others).Replace(text)
}

// Version returns the version of the binary.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return DescribeBuild(info)
}

// DescribeBuild returns the version of the main module and of Go and, if known, the revision, its time, and whether
// files were changed.
func DescribeBuild(info *debug.BuildInfo) string {
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

// Mistaken panics with a mistake in the App, which only a programmer can correct.
func (p *Wired) Mistaken(format string, args ...any) {
	panic(fmt.Sprintf("troupe: app %s: %s", p.Name, fmt.Sprintf(format, args...)))
}
