package audit

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus"
	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/console"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

// elsewhere returns the modules with tables that do not run on the journal of r, if other modules of the program do.
func elsewhere(ctx context.Context, o *console.Options, r *sqlite.Reader) ([]string, error) {
	p, err := NewPart(ctx, r)
	if err != nil || len(Without(o.Program.Modules(), p.Modules)) == len(o.Program.Modules()) {
		return nil, err
	}
	return Without(o.Program.Wiring().Tables, p.Modules), nil
}

// Without returns the names in all that are not in some.
func Without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(m string) bool { return slices.Contains(some, m) })
}

// part is the journal of one deployable in an audit of several.
type part struct {
	r        *sqlite.Reader
	Modules  []string // that run on the journal
	consumes []string // event types
	sent     int64    // seq of the last event that the transport has accepted
	tx       *sql.Tx  // set while all journals are read at the same time
}

// NewPart returns the part of the journal of r.
func NewPart(ctx context.Context, r *sqlite.Reader) (*part, error) {
	p := &part{r: r, Modules: []string{}}
	subs, err := r.Subscriptions(ctx)
	if err != nil {
		return p, err
	}
	var migrated []string
	err = r.View(ctx, func(tx *sql.Tx) (err error) {
		migrated, err = sqlite.MigratedModules(ctx, tx)
		return err
	})
	modules, types, reacts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range subs {
		module := journal.ModuleOf(s.Name)
		reacts[module] = true
		switch {
		case s.Kind == "group" && s.Name == string(journal.FeedEvents):
			p.sent = s.Cursor
		case s.Kind == "bus" && module != "bus" && s.Retired.IsZero():
			modules[module] = true
			for _, t := range s.Types {
				types[t] = true
			}
		}
	}
	for _, m := range migrated {
		if !reacts[m] { // the module only emits; a module that has moved away left retired subscriptions
			modules[m] = true
		}
	}
	p.Modules, p.consumes = slices.Sorted(maps.Keys(modules)), slices.Sorted(maps.Keys(types))
	return p, err
}

// looks limits the attempts to read several journals at the same instant.
const looks = 5

// verifyAcross checks a system of several deployables with the journals of all.
func verifyAcross(ctx context.Context, o *console.Options, readers []*sqlite.Reader, before time.Time) (Result, error) {
	a := across{Options: o, before: before}
	for _, r := range readers {
		observed, err := console.Observes(ctx, r)
		if err != nil {
			return Result{}, err
		}
		p, err := NewPart(ctx, r)
		if err != nil {
			return Result{}, err
		}
		if observed {
			return Result{}, console.UsageErrorf("%s is the journal of an observer, which has the whole system: name this journal alone", r.Path())
		}
		for _, other := range a.parts {
			if both := Without(p.Modules, Without(p.Modules, other.Modules)); len(both) > 0 {
				return Result{}, fmt.Errorf("%s and %s both have %s: a module runs in one deployable; name the journals of one system, each once",
					other.r.Path(), r.Path(), strings.Join(both, ", "))
			}
		}
		owner, err := o.OwnerOf(ctx, r)
		if err != nil {
			return Result{}, err
		}
		if len(a.parts) > 0 && owner.Runs() != a.owner.Runs() {
			return Result{}, fmt.Errorf("%s belongs to %s, and %s to %s: name the journals of one system",
				a.parts[0].r.Path(), a.owner.Runs(), r.Path(), owner.Runs())
		}
		a.owner = owner
		a.parts = append(a.parts, p)
	}
	for range looks {
		a.Result, a.torn = Result{Wrong: []string{}, Program: a.owner.Name}, nil
		if err := a.look(ctx, a.parts); err != nil {
			return a.Result, err
		}
		if len(a.torn) == 0 {
			break
		}
	}
	var found []string
	for _, p := range a.parts {
		wrong, err := p.r.CheckAloud(ctx, term.GaugeOf(ctx).Show)
		if err != nil {
			return a.Result, err
		}
		for _, what := range wrong {
			found = append(found, p.r.Path()+": "+what)
		}
		stats, err := p.r.Stats(ctx)
		if err != nil {
			return a.Result, err
		}
		a.Journals = append(a.Journals, audited{p.r.Path(), p.Modules, stats})
	}
	a.Wrong = append(a.Wrong, a.torn...)
	a.judge(found)
	a.Stats = sum(a.Journals)
	return a.Result, nil
}

// across is an audit of several journals.
type across struct {
	*console.Options
	Result
	parts  []*part
	owner  console.Owner // of all journals
	before time.Time
	torn   []string // events that a journal has from another journal, which does not have the event (yet)
}

// look opens a view of each journal in left, each inside the view before, and then compares all journals.
func (a *across) look(ctx context.Context, left []*part) error {
	if len(left) > 0 {
		return left[0].r.View(ctx, func(tx *sql.Tx) error {
			left[0].tx = tx
			return a.look(ctx, left[1:])
		})
	}
	a.Settled = true
	for _, p := range a.parts {
		settled, err := sqlite.Settled(ctx, p.tx)
		if err != nil {
			return err
		}
		a.Settled = a.Settled && settled
	}
	quiet := a.Settled
	for _, from := range a.parts {
		for _, to := range a.parts {
			if from == to {
				continue
			}
			if err := a.compare(ctx, from, to, quiet); err != nil {
				return err
			}
		}
	}
	return a.checkBooks(ctx)
}

// checkBooks checks the tables of all journals with the program's own rules.
func (a *across) checkBooks(ctx context.Context) error {
	switch {
	case a.owner.Foreign:
		a.Skipped = foreignBooks(a.Options, a.owner)
		return nil
	case a.Options.Program.Books.Tables == nil:
		a.Skipped = a.Options.Program.Name + " has no rules for several journals"
		return nil
	}
	tables := map[string]bus.SQL{}
	for _, p := range a.parts {
		for _, m := range p.Modules {
			tables[m] = p.tx
		}
	}
	if a.Elsewhere = Without(a.Options.Program.Wiring().Tables, slices.Collect(maps.Keys(tables))); len(a.Elsewhere) > 0 {
		return nil
	}
	t, err := newBookTables(ctx, a.Options.Program, a.parts[0].r, func(module string) bus.SQL { return tables[module] })
	if err != nil {
		return err
	}
	var open []*sql.Tx
	for _, p := range a.parts {
		open = append(open, p.tx)
	}
	report, err := t.check(ctx, a.Settled, open...)
	if err != nil {
		return fmt.Errorf("the books: %w", err)
	}
	a.hold(report)
	return nil
}

// compare reports events that from has sent to to and that to does not have. If an event was sent a while ago, and
// all journals are quiet, the event is missing. compare also notes events that to has from from and that from does
// not have: then the two were not read at the same instant, or from is an old copy.
func (a *across) compare(ctx context.Context, from, to *part, quiet bool) error {
	sent, err := sqlite.Unarrived(ctx, from.tx, to.tx, sqlite.Crossing{Sources: from.Modules, Types: to.consumes})
	if err != nil {
		return err
	}
	for _, e := range sent {
		a.Settled = false
		a.OnTheWay++
		if quiet && e.Seq <= from.sent && e.Time.Before(a.before) {
			a.Wrong = append(a.Wrong, fmt.Sprintf("event %s (%s) was sent from %s, and has not arrived in %s: is a process running on it?", e.ID, e.Type, from.r.Path(), to.r.Path()))
		}
	}
	unknown, err := sqlite.Unknown(ctx, from.tx, to.tx, from.Modules)
	if len(unknown) > 0 {
		a.torn = append(a.torn, fmt.Sprintf("event %s (%s), and %d more, came from %s to %s, but is not in the former: is it an old copy?",
			unknown[0].ID, unknown[0].Type, len(unknown)-1, from.r.Path(), to.r.Path()))
	}
	return err
}

// sum returns the sum of the statistics of all journals. An event in several journals counts several times.
func sum(all []audited) sqlite.Stats {
	s := sqlite.Stats{Deliveries: map[journal.Outcome]int64{}, DeadLetters: map[journal.LetterStatus]int64{}}
	for _, a := range all {
		s.Events += a.Stats.Events
		s.Delayed += a.Stats.Delayed
		s.Cancelled += a.Stats.Cancelled
		s.Retries += a.Stats.Retries
		for o, n := range a.Stats.Deliveries {
			s.Deliveries[o] += n
		}
		for status, n := range a.Stats.DeadLetters {
			s.DeadLetters[status] += n
		}
		s.Schedules = append(s.Schedules, a.Stats.Schedules...)
		s.Subscriptions = append(s.Subscriptions, a.Stats.Subscriptions...)
	}
	return s
}
