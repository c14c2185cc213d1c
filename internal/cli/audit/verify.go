// Package audit has the commands that check a system: verify, and observe, which collects the events of several
// deployables for verify.
package audit

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

const verifyLong = `verify checks the journal and the books of {name}. The journal must have exactly one record for
each event and each of its subscriptions. The books are rules of {name} for the tables of its
modules. Flows may be unfinished while there are retries, blocked keys or delayed events.

For a system of several deployables, name the journal of each. verify then checks the books with
the tables of all journals, and that sent events have arrived. Or name only the journal of an
observer: verify then checks the books with the events and their outcomes, if {name} has rules
for events.

verify changes nothing, and can run beside {name}. The output names the parts that were not
checked, with the reasons. The exit code is 1 after a mistake, and with --strict also when the books
or another part were not checked: use --strict in nightly jobs.`

const verifyExample = `  {name} verify
  {name} verify --journal {name}.db --json
  {name} verify --journal one.db --journal two.db
  {name} verify --journal observer.db
  {name} verify --strict`

// NewVerifyCmd returns the command verify.
func NewVerifyCmd(o *console.Options) *cobra.Command {
	var paths []string
	late, strict := grace, false
	cmd := &cobra.Command{
		Use: "verify", Short: "Check the journal and the books",
		Long: verifyLong, Example: verifyExample,
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if late < 0 {
				return console.UsageErrorf("--grace %v: want 0 or more", late)
			}
			return ReadJournals(cmd.Context(), paths, func(readers []*sqlite.Reader) error {
				p := term.NewGauge(o.Stderr, o.IsTerminal)
				v, err := VerifyAll(term.WithGauge(cmd.Context(), p), o, readers, time.Now().Add(-late))
				p.End()
				if err != nil {
					return err
				}
				if err := v.Print(o, readers[0].Path()); err != nil {
					return err
				}
				if !v.OK {
					return &console.ExitError{Code: console.ExitWrong}
				}
				if strict {
					return v.unchecked()
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&paths, "journal", []string{o.Program.Journal()}, "journal `FILE`; may be repeated, for several deployables")
	cmd.Flags().DurationVar(&late, "grace", late, "how long an event may be in transit before it counts as missing")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail when the books or another part were not checked")
	_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
	return cmd
}

// ReadJournals runs fn on the journals at paths, which may be in use.
func ReadJournals(ctx context.Context, paths []string, fn func([]*sqlite.Reader) error) error {
	var open func(readers []*sqlite.Reader) error
	open = func(readers []*sqlite.Reader) error {
		if len(readers) == len(paths) {
			return fn(readers)
		}
		return console.ReadJournal(ctx, paths[len(readers)], func(r *sqlite.Reader) error { return open(append(readers, r)) })
	}
	return open(nil)
}

// VerifyAll checks a system with the journal of its only deployable, with the journals of all deployables, or with the
// journal of an observer. Events after the time before may be in transit between deployables.
func VerifyAll(ctx context.Context, o *console.Options, readers []*sqlite.Reader, before time.Time) (Result, error) {
	if len(readers) > 1 {
		return verifyAcross(ctx, o, readers, before)
	}
	observed, err := console.Observes(ctx, readers[0])
	switch {
	case err != nil:
		return Result{}, err
	case observed:
		return VerifyObserved(ctx, o, readers[0], before)
	}
	return Verify(ctx, o, readers[0])
}

// Result is the result of an audit.
type Result struct {
	OK      bool         `json:"ok"`
	Program string       `json:"program"`            // the owner of the journal; "" if unknown
	Settled bool         `json:"settled"`            // every event is answered, and no event is delayed
	Wrong   []string     `json:"wrong"`              // one text per mistake; never nil
	Books   any          `json:"books,omitempty"`    // nil if the books were not checked
	Skipped string       `json:"books_not,omitzero"` // why the books were not checked
	Stats   sqlite.Stats `json:"journal"`            // the sum of all journals

	// For several deployables:
	Elsewhere []string  `json:"elsewhere,omitempty"` // modules whose tables are in none of the journals
	OnTheWay  int       `json:"on_the_way,omitzero"` // events in transit; answers that an observer has before the event
	Unmatched int64     `json:"unmatched,omitzero"`  // old answers without the event in the journal of an observer
	Journals  []audited `json:"journals,omitempty"`  // for several journals
	Unread    []string  `json:"unread,omitempty"`    // topics that a running observer does not read now: not checked

	books *console.Report // nil if the books were not checked
}

// hold adds the report of the books to v.
func (v *Result) hold(r console.Report) {
	if v.Skipped = r.Skipped; v.Skipped != "" {
		return
	}
	v.books, v.Books = &r, r.Data
	if r.Data == nil {
		v.Books = map[string][]string{"wrong": append([]string{}, r.Wrong...)}
	}
}

// unchecked returns an error that names a part that was not checked, or nil.
func (v *Result) unchecked() error {
	switch {
	case v.books == nil:
		return fmt.Errorf("the books were not checked: %s", v.Skipped)
	case len(v.Unread) > 0:
		return fmt.Errorf("topics were not checked, because the observer does not read them now: %s", strings.Join(v.Unread, ", "))
	}
	return nil
}

// audited is a journal of several.
type audited struct {
	Path    string       `json:"path"`
	Modules []string     `json:"modules"`
	Stats   sqlite.Stats `json:"journal"`
}

// Verify checks the books with the journal of r, and the journal.
func Verify(ctx context.Context, o *console.Options, r *sqlite.Reader) (Result, error) {
	v := Result{Wrong: []string{}}
	owner, err := o.OwnerOf(ctx, r)
	if err != nil {
		return v, err
	}
	v.Program = owner.Name
	if v.Settled, err = settled(ctx, r); err != nil {
		return v, err
	}
	if owner.Foreign {
		v.Skipped = foreignBooks(o, owner)
	} else if err = checkBooks(ctx, o, r, &v); err != nil {
		return v, err
	}
	found, err := r.CheckAloud(ctx, term.GaugeOf(ctx).Show)
	if err != nil {
		return v, err
	}
	v.judge(found)
	v.Stats, err = r.Stats(ctx)
	return v, err
}

// foreignBooks returns why the books of another program were not checked.
func foreignBooks(o *console.Options, owner console.Owner) string {
	return fmt.Sprintf("only %s knows them; this is %s", owner.Runs(), o.Program.Name)
}

// checkBooks checks the tables of the modules with the program's own rules, if the journal of r has all tables.
func checkBooks(ctx context.Context, o *console.Options, r *sqlite.Reader, v *Result) error {
	books := o.Program.Books
	if books.Tables == nil && books.Pages == nil {
		v.Skipped = o.Program.Name + " has no rules"
		return nil
	}
	var missing []string
	err := r.View(ctx, func(tx *sql.Tx) (err error) {
		missing, err = missingTables(ctx, o, tx)
		return err
	})
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		if v.Elsewhere, err = elsewhere(ctx, o, r); len(v.Elsewhere) == 0 {
			v.Skipped = fmt.Sprintf("%s has not run on this journal yet", o.Program.Name)
		}
		return err
	}
	look := func(fn func(*sql.Tx, bool) error) error {
		return r.View(ctx, func(tx *sql.Tx) error {
			settled, err := sqlite.Settled(ctx, tx)
			if err != nil {
				return err
			}
			return fn(tx, settled)
		})
	}
	var report console.Report
	if books.Pages != nil {
		report, v.Settled, err = pages(ctx, o.Program, look, func(done, of int) {
			term.GaugeOf(ctx).Show("the books", int64(done), int64(of))
		})
	} else {
		err = look(func(tx *sql.Tx, settled bool) error {
			t, err := newBookTables(ctx, o.Program, r, func(string) bus.SQL { return tx })
			if err == nil {
				v.Settled = settled
				report, err = t.check(ctx, settled, tx)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("the books: %w", err)
	}
	v.hold(report)
	return nil
}

func settled(ctx context.Context, r *sqlite.Reader) (is bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		is, err = sqlite.Settled(ctx, tx)
		return err
	})
	return is, err
}

// judge sets Wrong and OK from the mistakes in the books and from the mistakes found in the journal.
func (v *Result) judge(found []string) {
	if v.books != nil {
		v.Wrong = append(v.Wrong, v.books.Wrong...)
	}
	for _, what := range found {
		v.Wrong = append(v.Wrong, "journal: "+what)
	}
	if v.books == nil && len(v.Elsewhere) > 0 {
		v.Skipped = fmt.Sprintf("the tables of %s are in other journals; add --journal FILE for each", strings.Join(v.Elsewhere, ", "))
	}
	v.OK = len(v.Wrong) == 0
}

// missingTables returns the modules of the program whose tables the journal of tx does not have. A program that was
// killed at the first start has created some of the tables.
func missingTables(ctx context.Context, o *console.Options, tx *sql.Tx) (missing []string, err error) {
	migrated, err := sqlite.MigratedModules(ctx, tx)
	if err != nil {
		return nil, err
	}
	return Without(o.Program.Wiring().Tables, migrated), nil
}

// Print prints v. path is the journal, if there is only one.
func (v *Result) Print(o *console.Options, path string) error {
	if o.Json {
		return o.PrintJSON(v)
	}
	p := &console.Printer{O: o}
	switch {
	case v.books == nil:
		p.Line("books    not checked: %s", console.Printable(v.Skipped))
	default:
		label := "books    "
		for _, l := range v.books.Lines {
			p.Line("%s%s", label, console.Printable(l))
			label = "         "
		}
		if len(v.books.Lines) == 0 && len(v.books.Wrong) == 0 {
			p.Line("books    right")
		}
	}
	if v.Unmatched > 0 {
		p.Line("older    %s to events that this observer does not have: not checked; a resend on each journal sends them",
			console.Count(int(v.Unmatched), "answer"))
	}
	all := v.Journals
	if len(all) == 0 {
		all = []audited{{Path: path, Stats: v.Stats}}
		p.Line("journal  %s", volume(&v.Stats))
	} else {
		for _, a := range all {
			p.Line("journal  %s of %s: %s", console.Printable(a.Path), strings.Join(a.Modules, ", "), volume(&a.Stats))
		}
	}
	if open := v.underWay(); len(open) > 0 && v.books == nil {
		p.Line("open     %s", strings.Join(open, ", "))
	} else if !v.Settled && v.books != nil {
		p.Line("open     %s: flows may be unfinished", v.Open())
	}
	for _, a := range all {
		if dead := a.Stats.DeadLetters[journal.LetterDead]; dead > 0 {
			p.Line("dead     %s%s", console.Count(int(dead), "dead letter"), console.Hint(o.Invocation(a.Path, "dlq", "list")))
		}
	}
	for _, what := range v.Wrong {
		p.Line("%s    %s", p.Paint(term.Red, "wrong"), console.Printable(what))
	}
	switch {
	case !v.OK:
		p.Line("%s", p.Paint(term.Red, fmt.Sprintf("%d wrong", len(v.Wrong))))
	case v.books == nil:
		p.Line("%s", p.Paint(term.Green, "the journal adds up")+"; the books were not checked")
	default:
		p.Line("%s", p.Paint(term.Green, "everything adds up"))
	}
	return p.Err
}

// volume returns the size of a journal as text.
func volume(s *sqlite.Stats) string {
	recorded := int64(0)
	for _, n := range s.Deliveries {
		recorded += n
	}
	deliveries, retries := "deliveries", "retries"
	if recorded == 1 {
		deliveries = "delivery"
	}
	if s.Retries == 1 {
		retries = "retry"
	}
	return fmt.Sprintf("%s, %d %s, %d %s", console.Count(int(s.Events), "event"), recorded, deliveries, s.Retries, retries)
}

// underWay returns the numbers of open events, as texts.
func (v *Result) underWay() (parts []string) {
	lag := int64(0)
	for _, s := range v.Stats.Subscriptions {
		if s.Kind == "bus" {
			lag += s.Lag
		}
	}
	s := &v.Stats
	for _, c := range []struct {
		n    int64
		what string
	}{
		{lag, "waiting"}, {s.Deliveries[journal.Retrying], "retrying"}, {s.Deliveries[journal.Blocked], "blocked"},
		{s.Delayed, "delayed"}, {int64(v.OnTheWay), "in transit"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return parts
}

// Open returns the reason why the journals are not settled.
func (v *Result) Open() string {
	switch parts := v.underWay(); {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case v.Stats.DeadLetters[journal.LetterDead] > 0:
		return "a key is parked"
	default: // several deployables
		return "events that follow from the newest may be in transit"
	}
}
