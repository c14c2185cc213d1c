package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupebus/troupe/bus/journal"
	"github.com/troupebus/troupe/internal/shop/books"
	"github.com/troupebus/troupe/transports/sqlite"
)

const verifyLong = `verify audits the shop and the journal that it runs on. The books: goods, money, parcels
and notices of each order agree with each other, in every module's tables. The journal:
each event has exactly one record for each subscription that wants it. While something is
still open (a retry, a blocked key, an event to come), orders under way may be unfinished;
once all is settled each of them must have its end.

Of a system of several deployables, name the journal of each: then the books are held over
the tables of all of them, and what one has sent must have come to those who consume it. Or
name the journal of an observer alone: it has no tables, so the books are held by what all
events, and the records of what became of them, say of each order.

It changes nothing and may run beside the shop. The exit code is 1 when something is wrong.`

const verifyExample = `  troupe verify
  troupe verify --journal shop.db --json
  troupe verify --journal orders.db --journal warehouse.db
  troupe verify --journal observer.db`

func newVerifyCmd(o *options) *cobra.Command {
	var paths []string
	late := grace
	cmd := &cobra.Command{
		Use: "verify", Short: "Audit the books and the journal",
		Long: verifyLong, Example: verifyExample,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if late < 0 {
				return usageErrorf("--grace %v: want 0 or more", late)
			}
			return readJournals(cmd.Context(), paths, func(readers []*sqlite.Reader) error {
				p := newGauge(o)
				v, err := verifyAll(context.WithValue(cmd.Context(), gaugeKey{}, p), readers, time.Now().Add(-late))
				p.end()
				if err != nil {
					return err
				}
				if err := v.print(o, readers[0].Path()); err != nil {
					return err
				}
				if !v.OK {
					return &exitError{code: exitWrong}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&paths, "journal", []string{defaultJournal}, "the journal's `FILE`; may be repeated, for those of several deployables")
	cmd.Flags().DurationVar(&late, "grace", late, "how long something may be on its way between deployables before it is missed")
	_ = cmd.MarkFlagFilename("journal", "db") // only fails for a flag that does not exist
	return cmd
}

// readJournals runs fn on the journals at paths, which may be in use.
func readJournals(ctx context.Context, paths []string, fn func([]*sqlite.Reader) error) error {
	var open func(readers []*sqlite.Reader) error
	open = func(readers []*sqlite.Reader) error {
		if len(readers) == len(paths) {
			return fn(readers)
		}
		return readJournal(ctx, paths[len(readers)], func(r *sqlite.Reader) error { return open(append(readers, r)) })
	}
	return open(nil)
}

// verifyAll checks a system whose journals these are: that of its only deployable, those of several, or that of an observer.
// What is younger than before may be on its way from one to another.
func verifyAll(ctx context.Context, readers []*sqlite.Reader, before time.Time) (verification, error) {
	if len(readers) > 1 {
		return verifyAcross(ctx, readers, before)
	}
	observed, err := observes(ctx, readers[0])
	switch {
	case err != nil:
		return verification{}, err
	case observed:
		return verifyObserved(ctx, readers[0], before)
	}
	return verify(ctx, readers[0])
}

// verification is the outcome of an audit.
type verification struct {
	OK      bool          `json:"ok"`
	Program string        `json:"program"`         // that the journal belongs to; "" where it does not know
	Settled bool          `json:"settled"`         // nothing is open in the journal: each order must have its end
	Wrong   []string      `json:"wrong"`           // everything, in words; never nil
	Books   *books.Report `json:"books,omitempty"` // nil where no shop has run yet, or not all of it
	Stats   sqlite.Stats  `json:"journal"`         // of all together, where there are several

	// Of several deployables:
	Elsewhere []string  `json:"elsewhere,omitempty"` // modules of the shop whose tables are in none of the journals
	OnTheWay  int       `json:"on_the_way,omitzero"` // events that one journal has and another is to get; answers that have come to an observer before their events
	Unmatched int64     `json:"unmatched,omitzero"`  // answers that an observer got long ago, and never their events
	Journals  []audited `json:"journals,omitempty"`  // where there are several

	foreign bool // the journals belong to another program
}

// audited is one of several journals.
type audited struct {
	Path    string       `json:"path"`
	Modules []string     `json:"modules"`
	Stats   sqlite.Stats `json:"journal"`
}

// verify checks the books of the shop, and the journal of r.
func verify(ctx context.Context, r *sqlite.Reader) (verification, error) {
	v := verification{Wrong: []string{}}
	owner, err := ownerOf(ctx, r)
	if err != nil {
		return v, err
	}
	v.Program, v.foreign = owner.name, owner.foreign
	ready := false
	if !owner.foreign {
		err = r.View(ctx, func(tx *sql.Tx) (err error) {
			ready, err = hasShop(ctx, tx)
			return err
		})
	}
	switch {
	case err != nil:
		return v, err
	case owner.foreign:
		v.Settled, err = settled(ctx, r)
	case !ready:
		v.Elsewhere, err = elsewhere(ctx, r)
	default:
		var report books.Report
		report, v.Settled, err = books.VerifyInPages(ctx, func(fn func(*sql.Tx, bool) error) error {
			return r.View(ctx, func(tx *sql.Tx) error {
				settled, err := sqlite.Settled(ctx, tx)
				if err != nil {
					return err
				}
				return fn(tx, settled)
			})
		}, func(done, of int) { gaugeOf(ctx).tell("the books", int64(done), int64(of)) })
		v.Books = &report
	}
	if err != nil {
		return v, err
	}
	found, err := r.CheckAloud(ctx, gaugeOf(ctx).tell)
	if err != nil {
		return v, err
	}
	v.judge(found)
	v.Stats, err = r.Stats(ctx)
	return v, err
}

func settled(ctx context.Context, r *sqlite.Reader) (is bool, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		is, err = sqlite.Settled(ctx, tx)
		return err
	})
	return is, err
}

// judge puts what is wrong with the books and what was found in a journal into words.
func (v *verification) judge(found []string) {
	if v.Books != nil {
		for _, p := range v.Books.Wrong {
			v.Wrong = append(v.Wrong, describeProblem(p))
		}
	}
	for _, what := range found {
		v.Wrong = append(v.Wrong, "journal: "+what)
	}
	v.OK = len(v.Wrong) == 0
}

// hasShop says whether the tables of all modules are there: a shop that was killed at its first start has some of them.
func hasShop(ctx context.Context, tx *sql.Tx) (ready bool, err error) {
	all, err := json.Marshal(shopModules())
	if err != nil {
		return false, err
	}
	err = tx.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM json_each(?) WHERE value NOT IN (SELECT module FROM migrations))", string(all)).Scan(&ready)
	return ready, err
}

func (v *verification) print(o *options, path string) error {
	if o.json {
		return o.printJSON(v)
	}
	p := &printer{o: o}
	owner := owner{name: v.Program, foreign: v.foreign}
	switch b := v.Books; {
	case v.foreign:
		p.line("books    not checked: only %s knows them; this is %s", printable(owner.runs()), programName)
	case len(v.Elsewhere) > 0:
		p.line("books    not checked: the tables of %s are in other journals; add --journal FILE for each", strings.Join(v.Elsewhere, ", "))
	case b == nil:
		p.line("books    no shop has run on this journal yet")
	default:
		p.line("books    %d orders: %d completed, %d cancelled, %d returned, %d open", b.Orders, b.Completed, b.Cancelled, b.Returned, b.Open)
		p.line("         charged %s, refunded %s, sold for %s", cents(b.Charged), cents(b.Refunded), cents(b.Sold))
	}
	if v.partial() > 0 || v.Unmatched > 0 {
		p.line("older    %s known in part, %s to events that never came: what was before the observer is not judged", count(v.partial(), "order"), count(int(v.Unmatched), "answer"))
	}
	all := v.Journals
	if len(all) == 0 {
		all = []audited{{Path: path, Stats: v.Stats}}
		p.line("journal  %s", volume(&v.Stats))
	} else {
		for _, a := range all {
			p.line("journal  %s of %s: %s", printable(a.Path), strings.Join(a.Modules, ", "), volume(&a.Stats))
		}
	}
	if open := v.underWay(); len(open) > 0 && v.Books == nil {
		p.line("open     %s", strings.Join(open, ", "))
	} else if !v.Settled && v.Books != nil {
		p.line("open     %s: orders under way may be unfinished", v.open())
	}
	for _, a := range all {
		if dead := a.Stats.DeadLetters[journal.LetterDead]; dead > 0 {
			p.line("dead     %s%s", count(int(dead), "dead letter"), hint(invocation(a.Path, "dlq", "list")))
		}
	}
	for _, what := range v.Wrong {
		p.line("%s    %s", p.paint(red, "wrong"), printable(what))
	}
	switch {
	case !v.OK:
		p.line("%s", p.paint(red, fmt.Sprintf("%d wrong", len(v.Wrong))))
	case v.Books == nil:
		p.line("%s", p.paint(green, "the journal adds up")+"; the books were not checked")
	default:
		p.line("%s", p.paint(green, "everything adds up"))
	}
	return p.err
}

// partial counts orders that began before they were observed.
func (v *verification) partial() int {
	if v.Books == nil {
		return 0
	}
	return v.Books.Partial
}

// volume is how much is in a journal.
func volume(s *sqlite.Stats) string {
	recorded := int64(0)
	for _, n := range s.Deliveries {
		recorded += n
	}
	return fmt.Sprintf("%d events, %d deliveries, %d retries", s.Events, recorded, s.Retries)
}

// underWay counts what is under way.
func (v *verification) underWay() (parts []string) {
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
	}{{lag, "waiting"}, {s.Deliveries[journal.Retrying], "retrying"}, {s.Deliveries[journal.Blocked], "blocked"}, {s.Delayed, "to come"}, {int64(v.OnTheWay), "on the way"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return parts
}

// open says why the books are not settled.
func (v *verification) open() string {
	switch parts := v.underWay(); {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case v.Stats.DeadLetters[journal.LetterDead] > 0:
		return "a key is parked"
	default: // of several deployables
		return "what follows from the newest events may be on its way"
	}
}
