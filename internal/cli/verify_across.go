package cli

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/cli/term"
	"github.com/troupebus/troupe/transports/sqlite"
)

// elsewhere returns the modules with tables that do not run on the journal of r, if other modules of the program do.
func (o *options) elsewhere(ctx context.Context, r *sqlite.Reader) ([]string, error) {
	p, err := newPart(ctx, r)
	if err != nil || len(without(o.program.modules(), p.modules)) == len(o.program.modules()) {
		return nil, err
	}
	return without(o.program.wiring().Tables, p.modules), nil
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(m string) bool { return slices.Contains(some, m) })
}

// part is the journal of one deployable in an audit of several.
type part struct {
	r        *sqlite.Reader
	modules  []string // that run on the journal
	consumes []string // event types
	sent     int64    // seq of the last event that the transport has accepted
	tx       *sql.Tx  // set while all journals are read at the same time
}

func newPart(ctx context.Context, r *sqlite.Reader) (*part, error) {
	subs, err := r.Subscriptions(ctx)
	p := &part{r: r, modules: []string{}}
	modules, types := map[string]bool{}, map[string]bool{}
	for _, s := range subs {
		module, _, _ := strings.Cut(s.Name, "/")
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
	p.modules, p.consumes = slices.Sorted(maps.Keys(modules)), slices.Sorted(maps.Keys(types))
	return p, err
}

// looks limits the attempts to read several journals at the same instant.
const looks = 5

// verifyAcross checks a system of several deployables with the journals of all.
func (o *options) verifyAcross(ctx context.Context, readers []*sqlite.Reader, before time.Time) (verification, error) {
	a := across{options: o, before: before}
	for _, r := range readers {
		observed, err := observes(ctx, r)
		if err != nil {
			return verification{}, err
		}
		p, err := newPart(ctx, r)
		if err != nil {
			return verification{}, err
		}
		if observed {
			return verification{}, usageErrorf("%s is the journal of an observer, which has the whole system: name this journal alone", r.Path())
		}
		for _, other := range a.parts {
			if both := without(p.modules, without(p.modules, other.modules)); len(both) > 0 {
				return verification{}, fmt.Errorf("%s and %s both have %s: a module runs in one deployable; name the journals of one system, each once",
					other.r.Path(), r.Path(), strings.Join(both, ", "))
			}
		}
		owner, err := o.ownerOf(ctx, r)
		if err != nil {
			return verification{}, err
		}
		if len(a.parts) > 0 && owner.runs() != a.owner.runs() {
			return verification{}, fmt.Errorf("%s belongs to %s, and %s to %s: name the journals of one system",
				a.parts[0].r.Path(), a.owner.runs(), r.Path(), owner.runs())
		}
		a.owner = owner
		a.parts = append(a.parts, p)
	}
	for range looks {
		a.verification, a.torn = verification{Wrong: []string{}, Program: a.owner.name}, nil
		if err := a.look(ctx, a.parts); err != nil {
			return a.verification, err
		}
		if len(a.torn) == 0 {
			break
		}
	}
	var found []string
	for _, p := range a.parts {
		wrong, err := p.r.CheckAloud(ctx, term.GaugeOf(ctx).Show)
		if err != nil {
			return a.verification, err
		}
		for _, what := range wrong {
			found = append(found, p.r.Path()+": "+what)
		}
		stats, err := p.r.Stats(ctx)
		if err != nil {
			return a.verification, err
		}
		a.Journals = append(a.Journals, audited{p.r.Path(), p.modules, stats})
	}
	a.Wrong = append(a.Wrong, a.torn...)
	a.judge(found)
	a.Stats = sum(a.Journals)
	return a.verification, nil
}

// across is an audit of several journals.
type across struct {
	*options
	verification
	parts  []*part
	owner  owner // of all journals
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
	case a.owner.foreign:
		a.Skipped = a.foreignBooks(a.owner)
		return nil
	case a.program.Books.Tables == nil:
		a.Skipped = a.program.Name + " has no rules for several journals"
		return nil
	}
	tables := map[string]*sql.Tx{}
	for _, p := range a.parts {
		for _, m := range p.modules {
			tables[m] = p.tx
		}
	}
	if a.Elsewhere = without(a.program.wiring().Tables, slices.Collect(maps.Keys(tables))); len(a.Elsewhere) > 0 {
		return nil
	}
	t, err := a.program.bookTables(ctx, a.parts[0].r, func(module string) *sql.Tx { return tables[module] })
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
	sent, err := sqlite.Unarrived(ctx, from.tx, to.tx, sqlite.Crossing{Sources: from.modules, Types: to.consumes})
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
	unknown, err := sqlite.Unknown(ctx, from.tx, to.tx, from.modules)
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
		s.Retries += a.Stats.Retries
		for o, n := range a.Stats.Deliveries {
			s.Deliveries[o] += n
		}
		for status, n := range a.Stats.DeadLetters {
			s.DeadLetters[status] += n
		}
		s.Subscriptions = append(s.Subscriptions, a.Stats.Subscriptions...)
	}
	return s
}
