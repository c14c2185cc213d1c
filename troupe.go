// Package troupe turns modules that react to events into a program. The program's binary is also its tool: the binary
// runs the modules, in one process or in several, shows every business flow, and keeps the journal in order.
//
// A team writes modules with package bus, tests the modules with package bustest, and passes them to Main:
//
//	func main() {
//		troupe.Main(troupe.App[*clinic.Desk]{Name: "clinic", Wire: clinic.Wire})
//	}
//
// Then `clinic run` runs the modules on clinic.db, `clinic trace ID` draws a business flow, `clinic split` moves a
// module into another journal, and `clinic run --modules billing --transport kafka` runs the module billing in a
// separate process. `clinic help` lists all commands.
//
// Package troupe is a promise: no minor version breaks a program that uses the package.
package troupe

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/config"
	"github.com/troupebus/troupe/internal/front"
	"github.com/troupebus/troupe/transports/sqlite"
)

// App is a program of modules. Only Name and Wire are required.
//
// S is the type of the doors: the functions or objects by which routes and commands ask the modules for work. Wire
// returns them.
type App[S any] struct {
	// Name is the program's name: lower-case letters, digits and dashes. The journal is NAME.db by default, the settings
	// file NAME.yaml, the variables NAME_*, the topics NAME.*. A journal belongs to the program of one name.
	Name string
	// Short, Long and Example are the help of the command line. {name} stands for Name in every help text.
	Short, Long, Example string
	// Settings points to a struct of the program's own settings. Each field has a tag:
	//
	//	URL string `setting:"insurer.url" default:"https://insurer.example" help:"address of the insurer"`
	//
	// The type of a field is string, bool, int, int64, uint64, float64, time.Duration, []string or Secret. The path has at
	// most one dot. Optional tags are flag, the name of the flag, and value, the word for the value in the help. A Secret
	// has no flag: its value is in the file, in a variable, or in a file that the setting with -file at the end names. A
	// method Validate() error of the struct is called after the settings were read, before run and observe begin.
	//
	// The file, the environment and flags set the fields before Open is called, and the command config shows them. The
	// command run and the Commands that run modules have the flags.
	// Defaults to no settings.
	Settings any
	// Bus has the policies of the modules: retries, timeouts, keys, middleware. The settings replace Modules, Transport
	// and Logger.
	Bus bus.Config
	// Open opens resources of the handlers outside of the journal, such as connections to other servers. Open is called
	// before Wire when modules are to run, and close after the modules have ended. Defaults to no resources.
	Open func(ctx context.Context, d *Deployable) (close func() error, err error)
	// Wire puts all modules of the program on b, and returns their doors. Commands that need only the declarations of the
	// modules call Wire without Open: Wire must not open or call other resources.
	Wire func(b *bus.Bus) S
	// HTTP adds routes to mux. /healthz, /readyz, /metrics, /ui and paths below /-/ are reserved: a route for one of these
	// paths is a panic at the start. Defaults to no routes.
	HTTP func(mux *http.ServeMux, doors S, d *Deployable)
	// Verify checks the tables of the modules against the rules of the business, like bustest.System.Verify. It returns
	// one text per mistake. tables returns the transaction for the tables of a module, which is only for reading: Verify
	// must not end the transaction. The command verify calls Verify only when no event is in flight or delayed. Use Books
	// for rules that hold at every instant, for large tables, or for an observer.
	Verify func(ctx context.Context, tables func(module string) bus.SQL) (wrong []string, err error)
	// Books replaces Verify. Defaults to Verify.
	Books Books
	// Moved moves files that lie beside a journal, just before a split or a merge takes effect. An error cancels the
	// move. When a killed move is run again, Moved
	// is called again: it must be safe to repeat. Defaults to no files.
	Moved func(m Move) error
	// Commands are added to the command line. Defaults to no commands.
	Commands []Command[S]
}

// Deployable is a running process of the program: some modules, or all of them, on a journal.
type Deployable struct {
	Name    string            // of the deployable
	Modules []string          // that run here, sorted
	Peers   map[string]string // the base URLs of other deployables, by module, from the settings
	Journal *sqlite.Journal
	Logger  *slog.Logger

	front *front.Front
}

// Watch returns a channel that receives a value when a flow may have a new event, until stop is called. A request that
// waits for a flow calls Watch first, and then reads the flow again after each value.
func (d *Deployable) Watch(flow string) (woken <-chan struct{}, stop func()) {
	return d.front.Watch(flow)
}

// Stopping returns a channel that is closed when the HTTP server stops. A request that waits must then be answered.
func (d *Deployable) Stopping() <-chan struct{} { return d.front.Stopping() }

// Hold counts a request that waits or streams, until release is called. Hold returns ErrBusy when too many requests are
// held, so that connections are left for other clients.
func (d *Deployable) Hold() (release func(), err error) { return d.front.Hold() }

// Stream answers r with the events of a flow as Server-Sent Events, until the client leaves or the server stops. Each
// event is a journal.EventRecord in JSON. A client resumes with Last-Event-ID. Stream returns ErrBadRequest or ErrBusy
// before the answer begins.
func (d *Deployable) Stream(w http.ResponseWriter, r *http.Request, flow string) error {
	return d.front.Stream(w, r, flow)
}

// Refuse answers r with an application/problem+json (RFC 9457) for err: 400 for ErrBadRequest and bus.ErrBadID, 413
// for bus.ErrTooLarge, 421 with the address of the other deployable for bus.ErrElsewhere, 503 for a temporary
// failure, and 500 for every other error. The text of a 500 goes to the log only.
func (d *Deployable) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	d.front.Refuse(w, r, err)
}

// Errors of HTTP requests.
var (
	ErrBadRequest = front.ErrBadRequest // the request is malformed
	ErrBusy       = front.ErrBusy       // too many requests wait or stream
	ErrLeft       = front.ErrLeft       // the client has left, so no answer can reach the client
)

// Move is a split or a merge of journals.
type Move struct {
	Act      string   // "split" or "merge"
	Modules  []string // the modules of a split; nil for a merge
	From, To string   // paths of the journals: modules move from From to To
}

// Books are rules of a business that spans several modules. The command verify reports a nil function as not checked.
type Books struct {
	// Tables checks the tables of all modules. Settled reports that every event is answered and no event is delayed. The
	// tables may be in several journals. These are read at the same instant only when settled is true.
	Tables func(ctx context.Context, tables func(module string) bus.SQL, settled bool) (Report, error)
	// Pages checks one large journal in several short transactions, and reports whether all of them were settled. look
	// runs fn in a transaction, which should take less than a second. progress takes the number of checked items, and
	// their total. Defaults to Tables in one transaction.
	Pages func(ctx context.Context, look func(fn func(tx bus.SQL, settled bool) error) error,
		progress func(done, of int)) (r Report, settled bool, err error)
	// Observed checks the events of a whole system, in the journal of an observer. Events after the time before may
	// lead to events that are still in transit.
	Observed func(before time.Time) Observer
}

// Report is the result of checking the books.
type Report struct {
	Wrong   []string // one text per mistake
	Lines   []string // a summary for people
	Data    any      // the summary for --json; nil for Wrong alone
	Skipped string   // why the books were not checked; "" when they were
}

// Observer checks events.
type Observer interface {
	// Add adds an event with the answers of its subscriptions. Events come in any order.
	Add(e *journal.Event, answers []journal.Reaction)
	// Expect adds the key of a delayed event.
	Expect(key string)
	// Report returns the result, and whether every flow has ended.
	Report() (r Report, settled bool)
}

// Command is a command of the command line. Name and Run are required.
type Command[S any] struct {
	// Name is the command's word. Args describes the arguments for the help, such as "FILE..."; "" for no arguments.
	// Short, Long and Example are the help.
	Name, Args, Short, Long, Example string
	// Hidden leaves the command out of the help.
	Hidden bool
	// Alone runs the command without the modules. Doors, Bus and Deployable of the Call are zero then.
	Alone bool
	// Journal is the default of the flag --journal. Defaults to the journal of the settings. A command that runs Alone has
	// no such flag.
	Journal string
	// Flags adds flags. A flag with the name of a setting's flag replaces that flag.
	Flags func(f *flag.FlagSet)
	// Check checks flags and arguments before the journal is opened. After an error the exit code is 2.
	Check func(args []string) error
	// Bus changes the policies of the bus for this command.
	Bus func(c *bus.Config)
	// Run does the work while all modules run. After an error the exit code is 1.
	Run func(ctx context.Context, c *Call[S]) error
}

// Call is one run of a Command.
type Call[S any] struct {
	Doors      S
	Bus        *bus.Bus
	Deployable *Deployable
	Args       []string
	In         io.Reader
	Out, Err   io.Writer // control characters are replaced before they reach a terminal
	JSON       bool      // --json is set
	Color      bool      // Out may have colours
	Terminal   bool      // a person reads Out and Err, so Err may show progress

	call *console.Call
}

// Verify checks the journal and the books, like the command verify. A command that runs Alone has no journal: it gets
// an error.
func (c *Call[S]) Verify(ctx context.Context) (Verification, error) {
	v, err := c.call.Verify(ctx)
	return Verification(v), err
}

// Print writes v to Out as indented JSON, as all commands do with --json.
func (c *Call[S]) Print(v any) error { return c.call.Print(v) }

// Invocation returns a command line of this program for the journal of the call, quoted for a shell; of a command that
// runs Alone, for no journal. It returns "" when an argument has characters that a person cannot type.
func (c *Call[S]) Invocation(args ...string) string { return c.call.Invocation(args...) }

// Verification is the result of Call.Verify.
type Verification struct {
	OK      bool     // Wrong is empty
	Settled bool     // every event is answered, and no event is delayed
	Wrong   []string // one text per mistake
	Books   any      // Report.Data; nil when the books were not checked
	Stats   sqlite.Stats
}

// Secret is the type of a setting with a secret value. The value is never printed, and there is no flag for the
// setting.
type Secret = config.Secret

// Main runs the command line of the process and exits: with 0 on success, 1 on failure, and 2 on a mistake in the
// command line or the settings. A panic in a function of a is a failure: the error names the function, and has the
// stack. Main panics when a has a mistake.
func Main[S any](a App[S]) { os.Exit(cli.Main(a.program())) }

// Run is Main for tests: it runs the command line args, without the program's name, until ctx ends, and returns the
// exit code. Runs at the same time need an App each: a Run writes the settings of its App, and the variables of the
// flags.
func Run[S any](ctx context.Context, a App[S], args []string, out, errs io.Writer) int {
	return cli.Run(ctx, a.program(), args, out, errs)
}

// program converts a for package console, which has no type parameter.
func (a App[S]) program() console.Program {
	p := console.Program{
		Name: a.Name, Short: a.Short, Long: a.Long, Example: a.Example, Settings: a.Settings, Bus: a.Bus,
		Books: a.books(),
	}
	if a.Wire != nil {
		p.Wire = func(b *bus.Bus) any { return a.Wire(b) }
	}
	if a.Open != nil {
		p.Open = func(ctx context.Context, d *console.Deployable) (func() error, error) {
			return a.Open(ctx, deployableOf(d))
		}
	}
	if a.HTTP != nil {
		p.HTTP = func(mux *http.ServeMux, doors any, d *console.Deployable) {
			a.HTTP(mux, doorsOf[S](doors), deployableOf(d))
		}
	}
	if a.Moved != nil {
		p.Moved = func(m console.Move) error { return a.Moved(Move(m)) }
	}
	for _, c := range a.Commands {
		p.Commands = append(p.Commands, c.command())
	}
	return p
}

// doorsOf returns what Wire returned, which is nil where S is an interface and the program has no doors.
func doorsOf[S any](doors any) (s S) {
	if doors != nil {
		s = doors.(S)
	}
	return s
}

func deployableOf(d *console.Deployable) *Deployable {
	return &Deployable{
		Name: d.Name, Modules: d.Modules, Peers: d.Peers, Journal: d.Journal, Logger: d.Logger, front: d.Front,
	}
}

// books returns the rules of a for package console.
func (a App[S]) books() (b console.Books) {
	tables := a.Books.Tables
	if tables == nil && a.Verify != nil {
		b.Hook = "Verify"
		tables = func(ctx context.Context, tables func(string) bus.SQL, settled bool) (Report, error) {
			if !settled {
				return Report{Skipped: "some events are unanswered or delayed, and the rules hold once none is: try again later"}, nil
			}
			wrong, err := a.Verify(ctx, tables)
			return Report{Wrong: wrong}, err
		}
	}
	if tables != nil {
		b.Tables = func(ctx context.Context, of func(string) bus.SQL, settled bool) (console.Report, error) {
			r, err := tables(ctx, of, settled)
			return console.Report(r), err
		}
	}
	if pages := a.Books.Pages; pages != nil {
		b.Pages = func(ctx context.Context, look console.Look, progress func(done, of int)) (console.Report, bool, error) {
			r, settled, err := pages(ctx, look, progress)
			return console.Report(r), settled, err
		}
	}
	if observed := a.Books.Observed; observed != nil {
		b.Observed = func(before time.Time) console.Observer { return observer{observed(before)} }
	}
	return b
}

// observer is an Observer for package console.
type observer struct{ Observer }

// Report implements console.Observer.
func (o observer) Report() (console.Report, bool) {
	r, settled := o.Observer.Report()
	return console.Report(r), settled
}

// command returns c for package console.
func (c Command[S]) command() console.Command {
	own := console.Command{
		Name: c.Name, Args: c.Args, Short: c.Short, Long: c.Long, Example: c.Example,
		Hidden: c.Hidden, Alone: c.Alone, Journal: c.Journal, Flags: c.Flags, Check: c.Check, Bus: c.Bus,
	}
	if c.Run == nil {
		return own // package cli refuses it
	}
	own.Run = func(ctx context.Context, of *console.Call) error {
		call := &Call[S]{
			Bus: of.Bus, Args: of.Args, In: of.In, Out: of.Out, Err: of.Err,
			JSON: of.JSON, Color: of.Color, Terminal: of.Terminal, call: of,
		}
		if of.Deployable != nil {
			call.Doors, call.Deployable = doorsOf[S](of.Doors), deployableOf(of.Deployable)
		}
		return c.Run(ctx, call)
	}
	return own
}
